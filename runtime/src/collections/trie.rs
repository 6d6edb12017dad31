//! `Trie`: a map from groups to results that is cheap to clone and shares with its older versions what has not changed.
//!
//! A tree of hashes, like `InputMap`, in memory. Two versions are compared by going down where they do not share a node. Its shape follows
//! from what is in it: a node that has no more than [`MOST`] entries is a list.

use std::sync::Arc;

use super::input_map::digit;

/// The most entries of a list.
const MOST: usize = 16;
/// The digits of a hash.
const DIGITS: u32 = 16;

pub(super) struct Trie<G, R>(Arc<Node<G, R>>);

/// An entry: the hash of its group, the group, the result.
pub(super) type Entry<G, R> = (u64, G, R);

enum Node<G, R> {
    /// In the order of hashes.
    List(Vec<Entry<G, R>>),
    Inner(usize, Box<[Trie<G, R>]>),
}

impl<G: Clone + Eq, R: Clone> Trie<G, R> {
    /// Makes a map of entries in the order of their hashes.
    pub(super) fn of_sorted(entries: Vec<Entry<G, R>>) -> Self {
        Self::at(0, entries)
    }

    fn at(depth: u32, entries: Vec<Entry<G, R>>) -> Self {
        if entries.len() <= MOST || depth == DIGITS {
            return Self(Arc::new(Node::List(entries)));
        }
        let len = entries.len();
        let mut lists: [Vec<Entry<G, R>>; 16] = Default::default();
        for entry in entries {
            lists[digit(entry.0, depth)].push(entry);
        }
        let nodes = lists.into_iter().map(|entries| Self::at(depth + 1, entries)).collect();
        Self(Arc::new(Node::Inner(len, nodes)))
    }

    pub(super) fn get(&self, hash: u64, group: &G) -> Option<&R> {
        let (mut node, mut depth) = (&self.0, 0);
        loop {
            match &**node {
                Node::Inner(_, nodes) => node = &nodes[digit(hash, depth)].0,
                Node::List(entries) => return position(entries, hash, group).ok().map(|at| &entries[at].2),
            }
            depth += 1;
        }
    }

    /// The map with this result for a group, or without the group.
    pub(super) fn with(&self, hash: u64, group: &G, result: Option<R>) -> Self {
        self.with_at(0, hash, group, result)
    }

    fn with_at(&self, depth: u32, hash: u64, group: &G, result: Option<R>) -> Self {
        match &*self.0 {
            Node::List(entries) => {
                let mut entries = entries.clone();
                match (position(&entries, hash, group), result) {
                    (Ok(at), Some(result)) => entries[at].2 = result,
                    (Ok(at), None) => drop(entries.remove(at)),
                    (Err(at), Some(result)) => entries.insert(at, (hash, group.clone(), result)),
                    (Err(_), None) => {}
                }
                Self::at(depth, entries)
            }
            Node::Inner(len, nodes) => {
                let mut nodes = nodes.clone();
                let node = &mut nodes[digit(hash, depth)];
                let before = node.len();
                *node = node.with_at(depth + 1, hash, group, result);
                let len = len - before + node.len();
                if len <= MOST {
                    let mut entries = Vec::with_capacity(len);
                    nodes.iter().for_each(|node| node.each(&mut |entry| entries.push(entry.clone())));
                    return Self(Arc::new(Node::List(entries)));
                }
                Self(Arc::new(Node::Inner(len, nodes)))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match &*self.0 {
            Node::List(entries) => entries.len(),
            Node::Inner(len, _) => *len,
        }
    }

    /// The nodes below, if it is no list.
    pub(super) fn nodes(&self) -> Option<&[Self]> {
        match &*self.0 {
            Node::List(_) => None,
            Node::Inner(_, nodes) => Some(nodes),
        }
    }

    /// Calls `each` with all entries in the order of hashes.
    pub(super) fn each(&self, each: &mut dyn FnMut(&Entry<G, R>)) {
        match &*self.0 {
            Node::List(entries) => entries.iter().for_each(each),
            Node::Inner(_, nodes) => nodes.iter().for_each(|node| node.each(each)),
        }
    }
}

impl<G: Clone + Eq, R: Clone + PartialEq> Trie<G, R> {
    /// Calls `each` with the groups of which two maps have different results.
    pub(super) fn differences(&self, other: &Self, each: &mut dyn FnMut(u64, &G)) {
        self.differences_at(0, other, each);
    }

    fn differences_at(&self, depth: u32, other: &Self, each: &mut dyn FnMut(u64, &G)) {
        if Arc::ptr_eq(&self.0, &other.0) {
            return;
        }
        if let (Some(ones), Some(others)) = (self.nodes(), other.nodes()) {
            for (one, other) in ones.iter().zip(others) {
                one.differences_at(depth + 1, other, each);
            }
            return;
        }
        self.each(&mut |(hash, group, result)| {
            if other.get_at(depth, *hash, group) != Some(result) {
                each(*hash, group);
            }
        });
        other.each(&mut |(hash, group, _)| {
            if self.get_at(depth, *hash, group).is_none() {
                each(*hash, group);
            }
        });
    }

    fn get_at(&self, mut depth: u32, hash: u64, group: &G) -> Option<&R> {
        let mut node = self;
        while let Some(nodes) = node.nodes() {
            node = &nodes[digit(hash, depth)];
            depth += 1;
        }
        let Node::List(entries) = &*node.0 else { return None };
        position(entries, hash, group).ok().map(|at| &entries[at].2)
    }
}

fn position<G: Eq, R>(entries: &[Entry<G, R>], hash: u64, group: &G) -> Result<usize, usize> {
    let first = entries.partition_point(|entry| entry.0 < hash);
    let mut at = first;
    while at < entries.len() && entries[at].0 == hash {
        if entries[at].1 == *group {
            return Ok(at);
        }
        at += 1;
    }
    Err(at)
}

impl<G, R> Clone for Trie<G, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<G: PartialEq, R: PartialEq> PartialEq for Trie<G, R> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || match (&*self.0, &*other.0) {
                (Node::List(one), Node::List(other)) => one == other,
                (Node::Inner(one_len, one), Node::Inner(other_len, other)) => {
                    one_len == other_len && one == other
                }
                _ => false,
            }
    }
}
