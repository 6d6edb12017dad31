//! Exact: whether two values are the same, where `==` is coarser than that.
//!
//! `==` takes `0.0` for `-0.0`, though what reads them differs, and `NaN` for another value each time; of paths it takes `a/./b` for
//! `a/b`. A comparison that stops a change must not. [`Exact`] compares by representation: floats by their bits, paths by
//! their text. It is implemented for types of the standard library only. A type of the user's is compared by its own `==`, and if that
//! is not total, by [`same_by_sign`] too.

use std::any::Any;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hash};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::base::stack::on_enough_stack;
use larder_storage::codec;

/// Values that can be compared by their representation.
pub trait Exact {
    /// Whether the values are the same.
    fn same(&self, other: &Self) -> bool;

    /// Whether the slices are the same. Types whose `==` is exact leave it to that, which compares memory at once.
    fn all_same(left: &[Self], right: &[Self]) -> bool
    where
        Self: Sized,
    {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.same(right))
    }
}

/// Types whose `==` is exact.
macro_rules! by_eq {
    ($($type:ty)*) => {$(
        impl Exact for $type {
            #[inline]
            fn same(&self, other: &Self) -> bool {
                self == other
            }
            #[inline]
            fn all_same(left: &[Self], right: &[Self]) -> bool {
                left == right
            }
        }
    )*};
}
by_eq! {
    bool char u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize String OsString Duration Instant SystemTime
}

/// The unsized ones.
macro_rules! by_eq_unsized {
    ($($type:ty)*) => {$(
        impl Exact for $type {
            #[inline]
            fn same(&self, other: &Self) -> bool {
                self == other
            }
        }
    )*};
}
by_eq_unsized!(str OsStr);

impl Exact for f32 {
    #[inline]
    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Exact for f64 {
    #[inline]
    fn same(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Exact for Path {
    fn same(&self, other: &Self) -> bool {
        self.as_os_str() == other.as_os_str()
    }
}

impl Exact for PathBuf {
    fn same(&self, other: &Self) -> bool {
        self.as_os_str() == other.as_os_str()
    }
}

impl<T: Exact> Exact for [T] {
    fn same(&self, other: &Self) -> bool {
        T::all_same(self, other)
    }
}

impl<T: Exact, const N: usize> Exact for [T; N] {
    fn same(&self, other: &Self) -> bool {
        T::all_same(self, other)
    }
}

impl<T: Exact> Exact for Vec<T> {
    fn same(&self, other: &Self) -> bool {
        T::all_same(self, other)
    }
}

/// Containers that are gone through in order.
macro_rules! in_order {
    ($($type:ident)*) => {$(
        impl<T: Exact> Exact for $type<T> {
            fn same(&self, other: &Self) -> bool {
                self.len() == other.len() && self.iter().zip(other).all(|(left, right)| left.same(right))
            }
        }
    )*};
}
in_order!(VecDeque LinkedList BTreeSet);

/// Pointers to a value.
macro_rules! behind {
    ($($type:ident)*) => {$(
        impl<T: ?Sized + Exact> Exact for $type<T> {
            fn same(&self, other: &Self) -> bool {
                (**self).same(other)
            }
        }
    )*};
}
behind!(Box Rc Arc);

impl<T: ?Sized + Exact> Exact for &T {
    fn same(&self, other: &Self) -> bool {
        (**self).same(other)
    }
}

impl<T: ?Sized + Exact + ToOwned> Exact for Cow<'_, T> {
    fn same(&self, other: &Self) -> bool {
        (**self).same(other)
    }
}

impl<T: Exact> Exact for Reverse<T> {
    fn same(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }
}

impl<T: Exact> Exact for Range<T> {
    fn same(&self, other: &Self) -> bool {
        self.start.same(&other.start) && self.end.same(&other.end)
    }
}

impl<T: Exact + PartialEq> Exact for RangeInclusive<T> {
    fn same(&self, other: &Self) -> bool {
        // `==` also tells whether it has been used up.
        let equal = self == other || self.start() != self.start() || self.end() != self.end();
        equal && self.start().same(other.start()) && self.end().same(other.end())
    }
}

impl<T: Exact> Exact for Option<T> {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (None, None) => true,
            (Some(left), Some(right)) => left.same(right),
            _ => false,
        }
    }
}

impl<T: Exact, E: Exact> Exact for Result<T, E> {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Ok(left), Ok(right)) => left.same(right),
            (Err(left), Err(right)) => left.same(right),
            _ => false,
        }
    }
}

impl<K: Exact, V: Exact> Exact for BTreeMap<K, V> {
    fn same(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other).all(|(left, right)| left.0.same(right.0) && left.1.same(right.1))
    }
}

impl<K: Exact + Eq + Hash, V: Exact, S: BuildHasher> Exact for HashMap<K, V, S> {
    fn same(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| {
                other.get_key_value(key).is_some_and(|(other, found)| key.same(other) && value.same(found))
            })
    }
}

impl<T: Exact + Eq + Hash, S: BuildHasher> Exact for HashSet<T, S> {
    fn same(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|item| other.get(item).is_some_and(|other| item.same(other)))
    }
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Exact),*> Exact for ($($name,)*) {
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn same(&self, other: &Self) -> bool {
                true $(&& self.$index.same(&other.$index))*
            }
        }
    };
}
for_each_tuple!(tuples);

/// Whether the values are equal and no zero has changed its sign, as far as their encoding shows floats.
///
/// Equal floats differ in the sign of a zero only. Where there is a negative one, which is rare, the encodings decide: a map
/// that comes in another order then counts as another value.
pub fn same_by_sign<T: PartialEq + Serialize>(left: &T, right: &T) -> bool {
    on_enough_stack(|| left == right)
        && (!(codec::has_negative_zero(left) || codec::has_negative_zero(right)) || {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            codec::encode_into(left, &mut one).is_ok()
                && codec::encode_into(right, &mut other).is_ok()
                && one == other
        })
}

/// Whether the values are the same, where no more is known of their type than `==`: exactly so for the commonest types that hold floats
/// or paths.
pub(crate) fn same_value<T: PartialEq + 'static>(left: &T, right: &T) -> bool {
    same_known(left, right).unwrap_or_else(|| left == right)
}

/// Whether the values are the same, if their type is one of the commonest that hold floats or paths.
pub(crate) fn same_known<T: 'static>(left: &T, right: &T) -> Option<bool> {
    macro_rules! one_of {
        ($($type:ty),*) => {$(
            if let (Some(left), Some(right)) =
                ((left as &dyn Any).downcast_ref::<$type>(), (right as &dyn Any).downcast_ref::<$type>())
            {
                return Some(left.same(right));
            }
        )*};
    }
    one_of!(
        f32, f64, Option<f32>, Option<f64>, Vec<f32>, Vec<f64>, (f32, f32), (f64, f64), (f32, f32, f32),
        (f64, f64, f64), [f32; 2], [f64; 2], [f32; 3], [f64; 3], [f32; 4], [f64; 4], Box<[f32]>, Box<[f64]>, Arc<[f32]>,
        Arc<[f64]>, Vec<Vec<f64>>, BTreeMap<String, f64>, HashMap<String, f64>, PathBuf, Option<PathBuf>, Vec<PathBuf>,
        Arc<Path>
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    enum Shape {
        Point,
        At { x: f64, name: String },
        Many(HashMap<String, Option<f32>>),
    }

    #[test]
    fn zeros_differ_by_their_sign_wherever_they_stand() {
        assert!(!0.0_f64.same(&-0.0) && f64::NAN.same(&f64::NAN) && 1.5_f32.same(&1.5));
        assert!(!vec![Some((1_u8, 0.0_f32))].same(&vec![Some((1, -0.0))]));
        assert!(!Ok::<_, String>(Box::new([0.0])).same(&Ok(Box::new([-0.0]))));
        assert!(!HashMap::from([("a", 0.0)]).same(&HashMap::from([("a", -0.0)])));
        assert!(HashMap::from([("a", 0.0), ("b", -0.0)]).same(&HashMap::from([("b", -0.0), ("a", 0.0)])));
        assert!(!(0.0..1.0).same(&(-0.0..1.0)) && !(0.0..=1.0).same(&(-0.0..=1.0)));
        assert!((f64::NAN..=1.0).same(&(f64::NAN..=1.0)));
        assert!(!PathBuf::from("a/./b").same(&PathBuf::from("a/b")));
        assert!(!same_value(&-0.0, &0.0) && !same_value(&vec![0.0], &vec![-0.0]) && same_value(&"a", &"a"));
    }

    #[test]
    fn the_encoding_shows_the_zeros_in_a_type_of_the_users() {
        let at = |x| Shape::At { x, name: "a".to_owned() };
        let many = |one: f32, other: f32| {
            Shape::Many(HashMap::from([("a".to_owned(), Some(one)), ("b".to_owned(), Some(other))]))
        };
        assert!(at(0.0) == at(-0.0) && !same_by_sign(&at(0.0), &at(-0.0)));
        assert!(same_by_sign(&at(-0.0), &at(-0.0)) && same_by_sign(&Shape::Point, &Shape::Point));
        assert!(!same_by_sign(&at(1.0), &at(2.0)));
        assert!(!same_by_sign(&many(0.0, -0.0), &many(-0.0, 0.0)));
        assert!(same_by_sign(&many(1.0, 0.0), &many(1.0, 0.0)));
    }
}
