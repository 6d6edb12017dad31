//! The arguments of a part: those of the task that it is a part of, and a key of its own.
//!
//! For example, `index::part(&file, "main", |index, name| index.get(name).cloned())` is a task whose arguments are those of `index`
//! and `"main"`.

use std::hash::Hasher;

use super::{Args, Key, KeyPart, Param, hash_part, same_part};
use larder_storage::codec::EncodeError;

/// The borrowed arguments of a part.
pub struct PartArgs<A, Q> {
    pub(crate) source: A,
    pub(crate) key: Q,
}

/// The owned arguments of a part.
#[derive(Clone)]
pub struct PartKey<K, Q> {
    pub(crate) source: K,
    pub(crate) key: Q,
}

impl<A: Args, Q: Param> Args for PartArgs<A, Q> {
    type Key = PartKey<A::Key, Q::Owned>;
    #[inline(always)]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.source.hash_into(state);
        self.key.hash_into(state);
    }
    #[inline(always)]
    fn matches(&self, key: &Self::Key) -> bool {
        // The own key first: the parts of one task differ in it alone.
        self.key.matches(&key.key) && self.source.matches(&key.source)
    }
    fn is_plain(&self) -> bool {
        self.source.is_plain() && self.key.is_plain()
    }
    fn into_key(self) -> Self::Key {
        PartKey { source: self.source.into_key(), key: self.key.into_owned() }
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        with_length(out, |out| self.key.encode(out))?;
        self.source.encode(out)
    }
    fn encode_key(key: &Self::Key, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        with_length(out, |out| Q::encode_owned(&key.key, out))?;
        A::encode_key(&key.source, out)
    }
}

/// Appends what `encode` does, after its length.
fn with_length(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let at = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    encode(out)?;
    let length = u32::try_from(out.len() - at - LENGTH)
        .map_err(|_| EncodeError::Unsupported("a key of 4 GiB".into()))?;
    out[at..at + LENGTH].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// The bytes of a length.
const LENGTH: usize = 4;

/// Cuts encoded arguments of a part in two: those of its own key, and those of the source's arguments.
pub(crate) fn split(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = encoded.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

impl<K: Key, Q: KeyPart> Key for PartKey<K, Q> {
    #[inline]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        self.source.hash_key(state);
        hash_part(&self.key, state);
    }
    #[inline]
    fn eq_key(&self, other: &Self) -> bool {
        same_part(&self.key, &other.key) && self.source.eq_key(&other.source)
    }
}

/// Owned arguments that are lent to another call. They are cloned on a true miss only.
pub struct ByKeyRef<'a, A: Args>(pub &'a A::Key);

impl<A: Args<Key: Clone>> Args for ByKeyRef<'_, A> {
    type Key = A::Key;
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }
    fn matches(&self, key: &A::Key) -> bool {
        self.0.eq_key(key)
    }
    fn is_plain(&self) -> bool {
        false
    }
    fn into_key(self) -> A::Key {
        self.0.clone()
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        A::encode_key(self.0, out)
    }
    fn encode_key(key: &A::Key, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        A::encode_key(key, out)
    }
}
