//! `Keys`: a list, cut by content into a tree whose nodes have digests.
//!
//! A list ends after a key whose digest ends in five zero bits, if it has 32 keys or more; a node above after a child whose digest ends in
//! four, if it has 16 or more. So where a cut is made depends on what stands there and just before, and a key that is inserted changes one
//! list and the nodes above it. (Rarely it moves a cut, and the lists after it change, until a cut is where it was.) A node that finds no
//! cut ends at eight times its least length.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::FusedIterator;
use std::sync::{Arc, OnceLock};

use larder_backend::codec::{self, EncodeError};
use larder_backend::storage::Fingerprints;
use larder_backend::{PersistKey, digest, fingerprints_of_keys};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kinds::{Bytes, MapKey, Transient};
use super::parts::Part;

/// Where nodes of a level end.
#[derive(Clone, Copy)]
struct Cut {
    /// The bits of a digest that are zero.
    zeros: u128,
    /// The fewest entries of a node, but for the last one.
    least: usize,
}

const OF_KEYS: Cut = Cut { zeros: 31, least: 32 };
const ABOVE: Cut = Cut { zeros: 15, least: 16 };

impl Cut {
    fn is_after(self, digest: u128, len: usize) -> bool {
        (len >= self.least && digest & self.zeros == 0) || len == 8 * self.least
    }
}

/// A list of keys that is cheap to clone, to hash and to compare: made once, it can be an argument of task functions, their output, or
/// the value of an input, and be folded ([`fold`](crate::fold)) in time proportional to what has changed.
///
/// ```
/// use larder::{Keys, Runtime, task_fn};
///
/// #[task_fn]
/// fn pages(up_to: u32) -> Keys<String> {
///     (0..up_to).map(|number| format!("page {number}")).collect()
/// }
///
/// #[task_fn]
/// fn length(page: &str) -> usize {
///     page.len()
/// }
///
/// #[task_fn]
/// fn total(up_to: u32) -> usize {
///     larder::fold(pages(up_to), 0, |page| length(page), |a, b| a + b)
/// }
///
/// let runtime = Runtime::new();
/// assert_eq!(runtime.run(|| total(10_000)), 88_890);
/// assert_eq!(runtime.run(|| pages(10_000).len()), 10_000);
/// ```
///
/// Making it looks at each key: encodes it, as a store would, and digests that (tens of nanoseconds for a string). So hand the same `Keys`
/// to each call instead of making them again from a slice: return them from a task function that runs when the list has changed.
///
/// A type of keys that is not `Serialize` takes [`Keys::transient`].
pub struct Keys<K>(Arc<Tree<K>>);

struct Tree<K> {
    digest: u128,
    len: usize,
    /// How a key is encoded, if the digest is one of encoded keys, by which the tree is the same in each process.
    encode: Option<Encode<K>>,
    /// The digest in keys of stores whose fingerprints cannot be forged, when there has been such a key.
    in_keys: OnceLock<u128>,
    nodes: Nodes<K>,
}

type Encode<K> = fn(&K, &mut Vec<u8>) -> Result<(), EncodeError>;

enum Nodes<K> {
    Keys(Box<[K]>),
    Inner(Box<[Keys<K>]>),
}

impl<K> Keys<K> {
    /// Makes a list, cut by what its keys are encoded as.
    pub fn new(keys: impl IntoIterator<Item = K>) -> Self
    where
        K: Hash + PersistKey,
    {
        let mut bytes = Bytes(Vec::new());
        let mut encode: Option<Encode<K>> = Some(codec::encode_into::<K>);
        let digested = keys.into_iter().map(|key| {
            bytes.0.clear();
            // For example, a path that is not UTF-8. The list is one of this process then.
            if codec::encode_into(&key, &mut bytes.0).is_err() {
                encode = None;
                bytes.0.clear();
                key.hash(&mut bytes);
            }
            (digest(&bytes.0), key)
        });
        let leaves = leaves(digested);
        Self::above(leaves, encode)
    }

    /// Makes a list of keys that need not be `Serialize`, cut by their `Hash`. Results over it are not stored.
    pub fn transient(keys: impl IntoIterator<Item = K>) -> Self
    where
        K: Hash,
    {
        let mut bytes = Bytes(Vec::new());
        let digested = keys.into_iter().map(|key| {
            bytes.0.clear();
            key.hash(&mut bytes);
            (digest(&bytes.0), key)
        });
        let leaves = leaves(digested);
        Self::above(leaves, None)
    }

    /// Puts nodes above the lists, level by level.
    fn above(mut level: Vec<Tree<K>>, encode: Option<Encode<K>>) -> Self {
        level.iter_mut().for_each(|tree| tree.encode = encode);
        while level.len() > 1 {
            let digested = level.into_iter().map(|tree| (tree.digest, Self(Arc::new(tree))));
            level = cut(digested, ABOVE, |digest, nodes| Tree {
                digest,
                len: nodes.iter().map(Self::len).sum(),
                encode,
                in_keys: OnceLock::new(),
                nodes: Nodes::Inner(nodes.into()),
            });
        }
        Self(Arc::new(level.pop().unwrap_or_else(|| Tree::of_keys(0, Vec::new()))))
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Returns the keys in order.
    #[must_use]
    pub fn iter(&self) -> KeysIter<'_, K> {
        KeysIter { left: self.len(), keys: [].iter(), above: vec![std::slice::from_ref(self).iter()] }
    }
}

fn leaves<K>(keys: impl Iterator<Item = (u128, K)>) -> Vec<Tree<K>> {
    cut(keys, OF_KEYS, Tree::of_keys)
}

impl<K> Tree<K> {
    fn of_keys(digest: u128, keys: Vec<K>) -> Self {
        let (len, nodes) = (keys.len(), Nodes::Keys(keys.into()));
        Self { digest, len, encode: None, in_keys: OnceLock::new(), nodes }
    }

    /// Returns the digest of the keys below, of these fingerprints: that of their encodings, or of the digests of the nodes below.
    fn digest_in_key(&self, fingerprints: Fingerprints, encode: Encode<K>) -> Result<u128, EncodeError> {
        if fingerprints == Fingerprints::Xxh3 {
            return Ok(self.digest);
        }
        if let Some(digest) = self.in_keys.get() {
            return Ok(*digest);
        }
        let mut bytes = Vec::new();
        match &self.nodes {
            Nodes::Keys(keys) => {
                bytes.push(0);
                for key in keys {
                    let start = bytes.len();
                    bytes.extend_from_slice(&[0; 8]);
                    encode(key, &mut bytes)?;
                    let len = (bytes.len() - start - 8) as u64;
                    bytes[start..start + 8].copy_from_slice(&len.to_le_bytes());
                }
            }
            Nodes::Inner(nodes) => {
                bytes.push(1);
                for node in nodes {
                    bytes.extend_from_slice(&node.0.digest_in_key(fingerprints, encode)?.to_le_bytes());
                }
            }
        }
        Ok(*self.in_keys.get_or_init(|| fingerprints.digest(&bytes).0))
    }
}

/// Cuts one level of a tree. `make` takes the digest of a node and what is in it.
fn cut<N, T>(digested: impl Iterator<Item = (u128, N)>, at: Cut, make: impl Fn(u128, Vec<N>) -> T) -> Vec<T> {
    let (mut made, mut nodes, mut digests) = (Vec::new(), Vec::new(), Vec::<u8>::new());
    for (one, node) in digested {
        nodes.push(node);
        digests.extend_from_slice(&one.to_le_bytes());
        if at.is_after(one, nodes.len()) {
            made.push(make(digest(&digests), std::mem::take(&mut nodes)));
            digests.clear();
        }
    }
    if !nodes.is_empty() {
        made.push(make(digest(&digests), nodes));
    }
    made
}

impl<K> Clone for Keys<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// By the digest.
impl<K> Hash for Keys<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        #[expect(clippy::cast_possible_truncation, reason = "half of the digest is enough for a hash")]
        state.write_u64(self.0.digest as u64);
    }
}

/// The keys are compared, where two lists of equal digests do not share them.
impl<K: PartialEq> PartialEq for Keys<K> {
    fn eq(&self, other: &Self) -> bool {
        let (one, other) = (&self.0, &other.0);
        Arc::ptr_eq(one, other)
            || one.digest == other.digest
                && one.len == other.len
                && match (&one.nodes, &other.nodes) {
                    (Nodes::Keys(one), Nodes::Keys(other)) => one == other,
                    (Nodes::Inner(one), Nodes::Inner(other)) => one == other,
                    _ => false,
                }
    }
}
impl<K: Eq> Eq for Keys<K> {}

impl<K: fmt::Debug> fmt::Debug for Keys<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<K: Hash + PersistKey> Default for Keys<K> {
    fn default() -> Self {
        Self::new([])
    }
}
impl<K: Hash + PersistKey> FromIterator<K> for Keys<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        Self::new(keys)
    }
}
impl<K: Hash + PersistKey> From<Vec<K>> for Keys<K> {
    fn from(keys: Vec<K>) -> Self {
        Self::new(keys)
    }
}
impl<K: Hash + PersistKey + Clone> From<&Vec<K>> for Keys<K> {
    fn from(keys: &Vec<K>) -> Self {
        Self::new(keys.iter().cloned())
    }
}
impl<K: Hash + PersistKey + Clone> From<&[K]> for Keys<K> {
    fn from(keys: &[K]) -> Self {
        Self::new(keys.iter().cloned())
    }
}
impl<K: Hash + PersistKey + Clone> From<&Arc<[K]>> for Keys<K> {
    fn from(keys: &Arc<[K]>) -> Self {
        Self::new(keys.iter().cloned())
    }
}
impl<K: Hash + PersistKey + Clone, const N: usize> From<&[K; N]> for Keys<K> {
    fn from(keys: &[K; N]) -> Self {
        Self::new(keys.iter().cloned())
    }
}
impl<K> From<&Keys<K>> for Keys<K> {
    fn from(keys: &Keys<K>) -> Self {
        keys.clone()
    }
}

impl<'a, K> IntoIterator for &'a Keys<K> {
    type Item = &'a K;
    type IntoIter = KeysIter<'a, K>;
    fn into_iter(self) -> KeysIter<'a, K> {
        self.iter()
    }
}

/// The keys of [`Keys`], in order.
pub struct KeysIter<'a, K> {
    left: usize,
    keys: std::slice::Iter<'a, K>,
    above: Vec<std::slice::Iter<'a, Keys<K>>>,
}

impl<'a, K> Iterator for KeysIter<'a, K> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        loop {
            if let Some(key) = self.keys.next() {
                self.left -= 1;
                return Some(key);
            }
            match self.above.last_mut()?.next() {
                None => drop(self.above.pop()),
                Some(node) => match &node.0.nodes {
                    Nodes::Keys(keys) => self.keys = keys.iter(),
                    Nodes::Inner(nodes) => self.above.push(nodes.iter()),
                },
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K> ExactSizeIterator for KeysIter<'_, K> {}
impl<K> FusedIterator for KeysIter<'_, K> {}

impl<K> fmt::Debug for KeysIter<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysIter").field("left", &self.left).finish_non_exhaustive()
    }
}

/// Serializes it as a list.
impl<K: Serialize> Serialize for Keys<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}
impl<'de, K: Hash + Serialize + Deserialize<'de>> Deserialize<'de> for Keys<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

/// A node of the tree as an argument of the tasks over it: in a store it is its digest, or else each level would hold the keys once more.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeysPart<K>(pub(super) Keys<K>);

impl<K> Hash for KeysPart<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K> Serialize for KeysPart<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let tree = &*self.0.0;
        let Some(encode) = tree.encode else { return Err(S::Error::custom("the keys are not encoded")) };
        let digest = tree.digest_in_key(fingerprints_of_keys(), encode).map_err(S::Error::custom)?;
        (digest, tree.len as u64).serialize(serializer)
    }
}

impl<K: MapKey> Part for KeysPart<K> {
    type Key = K;
    type Value = ();
    type Hashing = Transient;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        match &self.0.0.nodes {
            Nodes::Keys(_) => false,
            Nodes::Inner(nodes) => {
                nodes.iter().for_each(|keys| each(&Self(keys.clone())));
                true
            }
        }
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &K, &())) {
        if let Nodes::Keys(keys) = &self.0.0.nodes {
            keys.iter().for_each(|key| each(0, key, &()));
        }
    }

    fn find(&self, _: u64, key: &K) -> Option<()> {
        self.0.iter().find(|one| *one == key).map(|_| ())
    }
}
