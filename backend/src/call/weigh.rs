//! Weigh: how many bytes hang on a value beside its own, for a cap on memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher;
use std::mem::needs_drop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Weighs a value: the bytes on the heap that hang on it, without those of the value itself.
///
/// Implemented for the types of the standard library. Outputs of a type that implements it are weighed for
/// `Builder::memory_cap`. An `Arc` that several values share is counted for each of them.
pub trait Weigh {
    /// Returns the bytes. Cost: for most types a look at the value; for a collection of values that have something on the heap, a look
    /// at each.
    fn weigh(&self) -> usize;
}

/// Picks how outputs are weighed: `Weight::<O>::WEIGH` is `Some` if `O: Weigh` and has something on the heap.
pub struct Weight<O>(std::marker::PhantomData<O>);

impl<O: Weigh> Weight<O> {
    /// [`Weigh::weigh`].
    pub const WEIGH: Option<fn(&O) -> usize> = if needs_drop::<O>() { Some(O::weigh) } else { None };
}

/// The fallback of [`Weight`] for types that cannot be weighed.
pub trait NoWeight {
    /// The output.
    type Output;
    /// No weight.
    const WEIGH: Option<fn(&Self::Output) -> usize> = None;
}
impl<O> NoWeight for Weight<O> {
    type Output = O;
}

macro_rules! weightless {
    ($($ty:ty),*) => {
        $(impl Weigh for $ty {
            fn weigh(&self) -> usize {
                0
            }
        })*
    };
}
weightless!((), bool, char, f32, f64, Duration, Instant, SystemTime);
weightless!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

impl<T: ?Sized> Weigh for &T {
    fn weigh(&self) -> usize {
        0
    }
}

impl Weigh for str {
    fn weigh(&self) -> usize {
        0
    }
}

impl Weigh for OsStr {
    fn weigh(&self) -> usize {
        0
    }
}

impl Weigh for Path {
    fn weigh(&self) -> usize {
        0
    }
}

impl Weigh for String {
    fn weigh(&self) -> usize {
        self.capacity()
    }
}

impl Weigh for OsString {
    fn weigh(&self) -> usize {
        self.capacity()
    }
}

impl Weigh for PathBuf {
    fn weigh(&self) -> usize {
        self.capacity()
    }
}

/// The bytes that hang on values of one type.
fn all<'a, T: Weigh + 'a>(values: impl IntoIterator<Item = &'a T>) -> usize {
    if needs_drop::<T>() { values.into_iter().map(Weigh::weigh).sum() } else { 0 }
}

impl<T: Weigh> Weigh for [T] {
    fn weigh(&self) -> usize {
        all(self)
    }
}

impl<T: Weigh, const N: usize> Weigh for [T; N] {
    fn weigh(&self) -> usize {
        all(self)
    }
}

impl<T: Weigh> Weigh for Vec<T> {
    fn weigh(&self) -> usize {
        self.capacity() * size_of::<T>() + all(self)
    }
}

impl<T: Weigh> Weigh for VecDeque<T> {
    fn weigh(&self) -> usize {
        self.capacity() * size_of::<T>() + all(self)
    }
}

impl<T: Weigh> Weigh for BinaryHeap<T> {
    fn weigh(&self) -> usize {
        self.capacity() * size_of::<T>() + all(self)
    }
}

impl<T: Weigh + ?Sized> Weigh for Box<T> {
    fn weigh(&self) -> usize {
        size_of_val(&**self) + (**self).weigh()
    }
}

impl<T: Weigh + ?Sized> Weigh for Arc<T> {
    fn weigh(&self) -> usize {
        // The two counts.
        2 * size_of::<usize>() + size_of_val(&**self) + (**self).weigh()
    }
}

impl<T: Weigh + ToOwned<Owned: Weigh> + ?Sized> Weigh for Cow<'_, T> {
    fn weigh(&self) -> usize {
        match self {
            Cow::Borrowed(_) => 0,
            Cow::Owned(owned) => owned.weigh(),
        }
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn weigh(&self) -> usize {
        all(self)
    }
}

impl<T: Weigh, E: Weigh> Weigh for Result<T, E> {
    fn weigh(&self) -> usize {
        match self {
            Ok(value) => value.weigh(),
            Err(error) => error.weigh(),
        }
    }
}

/// The bytes of the entries of a hash table, each with its byte of control.
fn table<T>(capacity: usize) -> usize {
    capacity * (size_of::<T>() + 1)
}

/// The bytes of the entries of a B-tree, whose nodes are full to two thirds mostly.
fn tree<T>(len: usize) -> usize {
    len * size_of::<T>() * 3 / 2
}

impl<K: Weigh, V: Weigh, S: BuildHasher> Weigh for HashMap<K, V, S> {
    fn weigh(&self) -> usize {
        table::<(K, V)>(self.capacity()) + all(self.keys()) + all(self.values())
    }
}

impl<T: Weigh, S: BuildHasher> Weigh for HashSet<T, S> {
    fn weigh(&self) -> usize {
        table::<T>(self.capacity()) + all(self)
    }
}

impl<K: Weigh, V: Weigh> Weigh for BTreeMap<K, V> {
    fn weigh(&self) -> usize {
        tree::<(K, V)>(self.len()) + all(self.keys()) + all(self.values())
    }
}

impl<T: Weigh> Weigh for BTreeSet<T> {
    fn weigh(&self) -> usize {
        tree::<T>(self.len()) + all(self)
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Weigh),+> Weigh for ($($name,)+) {
            fn weigh(&self) -> usize {
                #[allow(non_snake_case, reason = "a variable is called as its type")]
                let ($($name,)+) = self;
                0 $(+ $name.weigh())+
            }
        }
    };
}
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_on_a_value_is_counted_all_the_way_down() {
        let words = vec![String::with_capacity(10), String::with_capacity(20)];
        assert_eq!(words.weigh(), 2 * size_of::<String>() + 30);
        assert_eq!(Some(Box::new(7u64)).weigh(), 8);
        assert_eq!((1u8, Arc::<str>::from("abc")).weigh(), 2 * size_of::<usize>() + 3);
        assert_eq!(Ok::<_, String>(vec![0u16; 4]).weigh(), 8);
    }

    #[test]
    fn types_without_anything_on_the_heap_are_not_weighed() {
        assert!(Weight::<(u32, [u8; 9])>::WEIGH.is_none());
        assert!(Weight::<Vec<u8>>::WEIGH.is_some());
        struct Own(String);
        assert!(Weight::<Own>::WEIGH.is_none() && Own(String::new()).0.is_empty());
    }
}
