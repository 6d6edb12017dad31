//! Buckets: the values of the nodes of a map, each a list of rows or the parts below.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::InputMap;
use crate::collections::place::digit;

/// The value of a node.
pub enum Bucket<K, V, D> {
    /// A list, in the order of hashes.
    Rows(Arc<Vec<Row<K, V>>>),
    /// Eight parts, by the next digit of the hash.
    Inner(Arc<[InputMap<K, V, D>]>),
}

/// An entry, with the hash of its key.
#[derive(Clone, PartialEq)]
pub struct Row<K, V> {
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
}

impl<K: Clone, V: Clone, D> Bucket<K, V, D> {
    pub(super) fn empty() -> Self {
        Self::Rows(Arc::default())
    }

    /// The part below, for an entry of this hash.
    pub(super) fn part_of(&self, hash: u64, depth: usize) -> Option<InputMap<K, V, D>> {
        match self {
            Self::Rows(_) => None,
            Self::Inner(parts) => Some(parts[digit(hash, depth as u32)].clone()),
        }
    }

    pub(super) fn rows(&self) -> &[Row<K, V>] {
        match self {
            Self::Rows(rows) => rows,
            Self::Inner(_) => unreachable!("rows are looked for in lists"),
        }
    }

    pub(super) fn rows_mut(&mut self) -> &mut Vec<Row<K, V>> {
        match self {
            Self::Rows(rows) => Arc::make_mut(rows),
            Self::Inner(_) => unreachable!("rows are looked for in lists"),
        }
    }
}

/// Where the row of a key is, or would be.
pub(super) fn position<K: Eq, V>(rows: &[Row<K, V>], hash: u64, key: &K) -> Result<usize, usize> {
    let first = rows.partition_point(|row| row.hash < hash);
    let equal = rows[first..].iter().take_while(|row| row.hash == hash);
    let mut after = first;
    for row in equal {
        if row.key == *key {
            return Ok(after);
        }
        after += 1;
    }
    Err(after)
}

pub(super) fn insert<K: Eq, V>(rows: &mut Vec<Row<K, V>>, row: Row<K, V>) -> Option<V> {
    match position(rows, row.hash, &row.key) {
        Ok(at) => Some(std::mem::replace(&mut rows[at].value, row.value)),
        Err(at) => {
            rows.insert(at, row);
            None
        }
    }
}

impl<K, V, D> Clone for Bucket<K, V, D> {
    fn clone(&self) -> Self {
        match self {
            Self::Rows(rows) => Self::Rows(rows.clone()),
            Self::Inner(parts) => Self::Inner(parts.clone()),
        }
    }
}
impl<K: PartialEq, V: PartialEq, D> PartialEq for Bucket<K, V, D> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rows(one), Self::Rows(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::Inner(one), Self::Inner(other)) => one == other,
            _ => false,
        }
    }
}
/// Rows by key and value, parts by name: that is all that readers see.
impl<K: Serialize, V: Serialize, D> Serialize for Bucket<K, V, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => {
                let rows: Vec<(&K, &V)> = rows.iter().map(|row| (&row.key, &row.value)).collect();
                serializer.serialize_newtype_variant("Bucket", 0, "Rows", &rows)
            }
            Self::Inner(parts) => serializer.serialize_newtype_variant("Bucket", 1, "Inner", &**parts),
        }
    }
}
