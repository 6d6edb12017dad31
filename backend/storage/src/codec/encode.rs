//! A serde `Serializer` around another one, which keeps the bounds. It changes no byte.

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::bounds::{Bounds, Depth};

/// A value that serializes within the bounds; also the wrapped serializer and its compounds.
pub(super) struct Bounded<'b, I> {
    inner: I,
    bounds: &'b Bounds,
    depth: Depth,
}

impl<'b, 'v, T: Serialize + ?Sized> Bounded<'b, &'v T> {
    pub(super) fn new(value: &'v T, bounds: &'b Bounds) -> Self {
        Self { inner: value, bounds, depth: Bounds::TOP }
    }
}

impl<T: Serialize + ?Sized> Serialize for Bounded<'_, &T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.inner.serialize(Bounded { inner: serializer, bounds: self.bounds, depth: self.depth })
    }
}

/// Nested values arrive here, each one level deeper. A scalar does too: it costs a compare.
struct Deeper<'b, 'v, T: ?Sized>(&'v T, &'b Bounds, Depth);

impl<T: Serialize + ?Sized> Serialize for Deeper<'_, '_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, bounds, depth) = *self;
        bounds.deeper(depth, S::Error::custom, |depth| {
            value.serialize(Bounded { inner: serializer, bounds, depth })
        })
    }
}

macro_rules! pass_through {
    ($($method:ident($type:ty))*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

macro_rules! compounds {
    ($($method:ident($($name:ident: $type:ty),*) -> $compound:ident)*) => {$(
        #[inline]
        fn $method(self, $($name: $type),*) -> Result<Self::$compound, S::Error> {
            Ok(Bounded { inner: self.inner.$method($($name),*)?, bounds: self.bounds, depth: self.depth })
        }
    )*};
}

impl<'b, S: Serializer> Serializer for Bounded<'b, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Bounded<'b, S::SerializeSeq>;
    type SerializeTuple = Bounded<'b, S::SerializeTuple>;
    type SerializeTupleStruct = Bounded<'b, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Bounded<'b, S::SerializeTupleVariant>;
    type SerializeMap = Bounded<'b, S::SerializeMap>;
    type SerializeStruct = Bounded<'b, S::SerializeStruct>;
    type SerializeStructVariant = Bounded<'b, S::SerializeStructVariant>;

    pass_through! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_str(&str)
        serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    compounds! {
        serialize_seq(len: Option<usize>) -> SerializeSeq
        serialize_tuple(len: usize) -> SerializeTuple
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeTupleVariant
        serialize_map(len: Option<usize>) -> SerializeMap
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeStructVariant
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Deeper(value, self.bounds, self.depth))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Deeper(value, self.bounds, self.depth))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_variant(name, index, variant, &Deeper(value, self.bounds, self.depth))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! compound {
    ($($trait:ident::$method:ident($($name:ident: $type:ty),*))*) => {$(
        impl<C: $trait> $trait for Bounded<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $type,)* value: &T) -> Result<(), C::Error> {
                self.inner.$method($($name,)* &Deeper(value, self.bounds, self.depth))
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        }
    )*};
}

compound! {
    SerializeSeq::serialize_element()
    SerializeTuple::serialize_element()
    SerializeTupleStruct::serialize_field()
    SerializeTupleVariant::serialize_field()
    SerializeStruct::serialize_field(name: &'static str)
    SerializeStructVariant::serialize_field(name: &'static str)
}

impl<C: SerializeMap> SerializeMap for Bounded<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&Deeper(key, self.bounds, self.depth))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.inner.serialize_value(&Deeper(value, self.bounds, self.depth))
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
