//! `Digested`: a value with the digest of its content, for arguments that are large.
//!
//! As an argument of a task function a value is hashed at each call, and its whole encoding stands in the key of each stored task. A
//! digested one was hashed once, when it was made, and in a key it stands as 16 bytes.

use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::call::weigh::Weigh;
use larder_storage::codec::{self, EncodeError};
use larder_storage::{Digest, Fingerprints};

/// A value, shared, with a 128-bit digest of its encoding that was made once.
///
/// Made for *content keys*: `check(name, &body)` depends on nothing but its arguments, so it is current whatever else changes around
/// `body`, and code that moves or comes back is recognised. Give it the whole content as an argument; `Digested` makes that cheap.
///
/// - As an argument it is hashed by its digest, and compared by pointer, digest and, if both digests are equal, by value: a collision
///   of digests costs time, and never gives a wrong value in memory.
/// - In the store, a key holds the digest alone, of the store's [`Fingerprints`]. Two values are one key there if their digests are equal: 128 bits of
///   xxh3 are no protection against values that an attacker chooses, and those of BLAKE3 are. A task with such a key is not made from the
///   store alone: it runs, or is restored, when it is called.
/// - As an output, or in one, it is stored as its value.
/// - Values are equal if their encodings are: two `HashSet`s with one content in another order are two values.
///
/// Cost: encoding and digesting at [`Digested::new`], then a reference count to clone and 8 bytes to hash. Encoding and digesting once more at the
/// first key of a store with BLAKE3.
pub struct Digested<T>(Arc<Inner<T>>);

struct Inner<T> {
    digest: Digest,
    /// The digest in keys of stores whose fingerprints cannot be forged, when there has been such a key.
    in_keys: OnceLock<Digest>,
    value: T,
}

impl<T: Serialize> Digested<T> {
    /// Digests a value.
    ///
    /// # Panics
    /// If it cannot be encoded: see [`Digested::try_new`].
    #[must_use]
    #[track_caller]
    pub fn new(value: T) -> Self {
        match Self::try_new(value) {
            Ok(digested) => digested,
            Err(error) => panic!("`{}` cannot be digested: {error}", std::any::type_name::<T>()),
        }
    }

    /// Digests a value.
    ///
    /// # Errors
    /// If its `Serialize` fails, as that of a handle does outside of a session; if it nests too deep, or takes more than 256 MiB.
    pub fn try_new(value: T) -> Result<Self, EncodeError> {
        // The buffer is taken, as the user's `Serialize` may digest something itself.
        let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
        buffer.clear();
        let outcome = in_key(false, || codec::encode_into(&value, &mut buffer));
        let digest = Digest::xxh3(&buffer);
        if buffer.capacity() <= LONGEST {
            _ = BUFFER.try_with(|place| place.set(buffer));
        }
        outcome.map(|()| Self(Arc::new(Inner { digest, in_keys: OnceLock::new(), value })))
    }
}

/// The most bytes that a thread keeps to encode into.
const LONGEST: usize = 1 << 20;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Whether this thread is encoding or decoding a key.
    static IN_KEY: Cell<bool> = const { Cell::new(false) };
    /// The digests of the store whose keys this thread encodes.
    static FINGERPRINTS: Cell<Fingerprints> = const { Cell::new(Fingerprints::Xxh3) };
}

/// Encodes or decodes something as (or not as) a part of a key.
pub(crate) fn in_key<R>(is_key: bool, work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IN_KEY.set(self.0);
        }
    }
    let _restore = Restore(IN_KEY.replace(is_key));
    work()
}

/// Encodes keys of a store of these fingerprints.
#[inline]
pub(crate) fn keyed<R>(fingerprints: Fingerprints, encode: impl FnOnce() -> R) -> R {
    if fingerprints == Fingerprints::Xxh3 {
        // Nothing of it is set but inside of another store's keys, where the user's `Serialize` would have to encode keys of this one.
        return encode();
    }
    struct Restore(Fingerprints);
    impl Drop for Restore {
        fn drop(&mut self) {
            FINGERPRINTS.set(self.0);
        }
    }
    let _restore = Restore(FINGERPRINTS.replace(fingerprints));
    encode()
}

/// Returns the kind of digests in the keys that this thread is encoding.
#[must_use]
pub fn fingerprints_of_keys() -> Fingerprints {
    FINGERPRINTS.get()
}

impl<T: Serialize> Digested<T> {
    /// The digest of the value's encoding in the keys that this thread is encoding.
    fn digest_in_key(&self) -> Result<Digest, EncodeError> {
        let fingerprints = fingerprints_of_keys();
        if fingerprints == Fingerprints::Xxh3 {
            return Ok(self.0.digest);
        }
        if let Some(digest) = self.0.in_keys.get() {
            return Ok(*digest);
        }
        let mut encoded = Vec::new();
        in_key(false, || codec::encode_into(&self.0.value, &mut encoded))?;
        Ok(*self.0.in_keys.get_or_init(|| fingerprints.digest(&encoded)))
    }
}

impl<T> Digested<T> {
    /// Returns the digest of the value's encoding. It is the same in every process, for as long as the type encodes alike.
    #[must_use]
    pub fn digest(&self) -> u128 {
        u128::from_le_bytes(self.0.digest.to_bytes())
    }

    /// Returns the value: moved out if nothing else shares it, or else cloned.
    #[must_use]
    pub fn into_inner(self) -> T
    where
        T: Clone,
    {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.value.clone(), |inner| inner.value)
    }
}

impl<T: Serialize> From<T> for Digested<T> {
    /// Digests a value, as [`Digested::new`] does.
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T> Deref for Digested<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> AsRef<T> for Digested<T> {
    fn as_ref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Clone for Digested<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for Digested<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.digest == other.0.digest && self.0.value == other.0.value)
    }
}
impl<T: Eq> Eq for Digested<T> {}

impl<T> Hash for Digested<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest() as u64);
    }
}

impl<T: fmt::Debug> fmt::Debug for Digested<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Digested<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

/// The digest in a key, and the value anywhere else.
impl<T: Serialize> Serialize for Digested<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if IN_KEY.get() {
            let digest = self.digest_in_key().map_err(serde::ser::Error::custom)?;
            digest.to_bytes().serialize(serializer)
        } else {
            self.0.value.serialize(serializer)
        }
    }
}

/// From the value. A key does not hold it.
impl<'de, T: Serialize + Deserialize<'de>> Deserialize<'de> for Digested<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        if IN_KEY.get() {
            return Err(D::Error::custom("a key holds the digest of this value alone"));
        }
        Self::try_new(T::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<T: Weigh> Weigh for Digested<T> {
    fn weigh(&self) -> usize {
        size_of::<Inner<T>>() + self.0.value.weigh()
    }
}
