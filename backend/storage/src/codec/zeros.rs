//! A serde `Serializer` that writes nothing and stops at the first negative zero.

use std::fmt;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::bounds::Bounds;
use super::encode::Bounded;

/// Whether a float of the value is a negative zero, as far as its type shows them to serde. A type that fails to serialize is
/// said to have one.
pub fn has_negative_zero<T: Serialize + ?Sized>(value: &T) -> bool {
    let bounds = Bounds::for_encoding();
    Bounded::new(value, &bounds).serialize(Zeros).is_err()
}

struct Zeros;

/// There is a negative zero, or it cannot be told.
#[derive(Debug)]
struct Found;

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a negative zero")
    }
}

impl std::error::Error for Found {}

impl Error for Found {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

fn unless(found: bool) -> Result<(), Found> {
    if found { Err(Found) } else { Ok(()) }
}

macro_rules! nothing {
    ($($method:ident($($type:ty),*))*) => {$(
        #[inline(always)]
        fn $method(self, $(_: $type),*) -> Result<(), Found> {
            Ok(())
        }
    )*};
}

macro_rules! compounds {
    ($($method:ident($($type:ty),*) -> $compound:ident)*) => {$(
        #[inline(always)]
        fn $method(self, $(_: $type),*) -> Result<Self::$compound, Found> {
            Ok(self)
        }
    )*};
}

impl Serializer for Zeros {
    type Ok = ();
    type Error = Found;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8]) serialize_none()
        serialize_unit() serialize_unit_struct(&'static str)
        serialize_unit_variant(&'static str, u32, &'static str)
    }

    #[inline(always)]
    fn serialize_f32(self, value: f32) -> Result<(), Found> {
        unless(value.to_bits() == (-0.0_f32).to_bits())
    }

    #[inline(always)]
    fn serialize_f64(self, value: f64) -> Result<(), Found> {
        unless(value.to_bits() == (-0.0_f64).to_bits())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Found> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Found> {
        value.serialize(self)
    }

    compounds! {
        serialize_seq(Option<usize>) -> SerializeSeq
        serialize_tuple(usize) -> SerializeTuple
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant
        serialize_map(Option<usize>) -> SerializeMap
        serialize_struct(&'static str, usize) -> SerializeStruct
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant
    }

    /// Says no, like the codec, so that types show the form in which they would be stored.
    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! compound {
    ($($trait:ident::$method:ident($($type:ty),*))*) => {$(
        impl $trait for Zeros {
            type Ok = ();
            type Error = Found;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $(_: $type,)* value: &T) -> Result<(), Found> {
                value.serialize(Zeros)
            }

            #[inline(always)]
            fn end(self) -> Result<(), Found> {
                Ok(())
            }
        }
    )*};
}

compound! {
    SerializeSeq::serialize_element()
    SerializeTuple::serialize_element()
    SerializeTupleStruct::serialize_field()
    SerializeTupleVariant::serialize_field()
    SerializeStruct::serialize_field(&'static str)
    SerializeStructVariant::serialize_field(&'static str)
}

impl SerializeMap for Zeros {
    type Ok = ();
    type Error = Found;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Found> {
        key.serialize(Self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Found> {
        value.serialize(Self)
    }

    #[inline(always)]
    fn end(self) -> Result<(), Found> {
        Ok(())
    }
}
