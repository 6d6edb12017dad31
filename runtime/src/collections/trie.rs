//! `Trie`: a map from groups to results that is cheap to clone and shares with its older versions what has not changed.
//!
//! A tree of hashes, like `InputMap`, in memory. Two versions are compared by going down where they do not share a node. Its shape follows
//! from what is in it: a node that has no more than [`MOST`] entries is a list.

use std::sync::Arc;

use super::place::{DIGITS, WAYS, digit};

/// The most entries of a list.
const MOST: usize = 32;

pub(super) struct Trie<G, R>(Arc<Node<G, R>>);

/// The result of a group.
#[derive(Clone)]
pub(super) struct Entry<G, R> {
    pub(super) hash: u64,
    pub(super) group: G,
    pub(super) result: R,
    /// The parts that the group occurs in, a bit for each. It saves looking into the others, and is no part of the value.
    pub(super) parts: u8,
}

/// Another result of a group; none if the group has gone.
pub(super) type Change<G, R> = Entry<G, Option<R>>;

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
        let mut lists: [Vec<Entry<G, R>>; WAYS] = Default::default();
        for entry in entries {
            lists[digit(entry.hash, depth)].push(entry);
        }
        let nodes = lists.into_iter().map(|entries| Self::at(depth + 1, entries)).collect();
        Self(Arc::new(Node::Inner(len, nodes)))
    }

    /// The result of a group, in a map that is the part of another one at this depth.
    pub(super) fn get(&self, depth: u32, hash: u64, group: &G) -> Option<&R> {
        self.entry(depth, hash, group).map(|entry| &entry.result)
    }

    /// The entry of a group.
    pub(super) fn entry(&self, mut depth: u32, hash: u64, group: &G) -> Option<&Entry<G, R>> {
        let mut node = &self.0;
        loop {
            match &**node {
                Node::Inner(_, nodes) => node = &nodes[digit(hash, depth)].0,
                Node::List(entries) => return position(entries, hash, group).ok().map(|at| &entries[at]),
            }
            depth += 1;
        }
    }

    /// The part with the groups whose hash has this digit.
    pub(super) fn part(&self, which: usize, depth: u32) -> Self {
        match &*self.0 {
            Node::Inner(_, nodes) => nodes[which].clone(),
            Node::List(entries) => {
                let is_in = |entry: &&Entry<G, R>| digit(entry.hash, depth) == which;
                Self(Arc::new(Node::List(entries.iter().filter(is_in).cloned().collect())))
            }
        }
    }

    /// The map with other results of some groups, in the order of their hashes; a group that has none is left out.
    pub(super) fn with(&self, changes: &[Change<G, R>]) -> Self {
        self.with_at(0, changes)
    }

    fn with_at(&self, depth: u32, changes: &[Change<G, R>]) -> Self {
        if changes.is_empty() {
            return self.clone();
        }
        match &*self.0 {
            Node::List(entries) => {
                let mut entries = entries.clone();
                changes.iter().for_each(|change| apply(&mut entries, change));
                Self::at(depth, entries)
            }
            Node::Inner(_, nodes) => {
                let mut nodes = nodes.clone();
                let in_one_node = |one: &Change<G, R>, other: &Change<G, R>| {
                    digit(one.hash, depth) == digit(other.hash, depth)
                };
                for changes in changes.chunk_by(in_one_node) {
                    let node = &mut nodes[digit(changes[0].hash, depth)];
                    *node = node.with_at(depth + 1, changes);
                }
                let len = nodes.iter().map(Self::len).sum();
                if len <= MOST {
                    let mut entries = Vec::with_capacity(len);
                    nodes.iter().for_each(|node| node.each(&mut |entry| entries.push(entry.clone())));
                    return Self(Arc::new(Node::List(entries)));
                }
                Self(Arc::new(Node::Inner(len, nodes)))
            }
        }
    }

    /// Whether two maps are one version.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
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
        if self.is(other) {
            return;
        }
        if let (Some(ones), Some(others)) = (self.nodes(), other.nodes()) {
            for (one, other) in ones.iter().zip(others) {
                one.differences_at(depth + 1, other, each);
            }
            return;
        }
        if let (Node::List(one), Node::List(other)) = (&*self.0, &*other.0) {
            return differences(one, other, each);
        }
        self.each(&mut |entry| {
            if other.get(depth, entry.hash, &entry.group) != Some(&entry.result) {
                each(entry.hash, &entry.group);
            }
        });
        other.each(&mut |entry| {
            if self.get(depth, entry.hash, &entry.group).is_none() {
                each(entry.hash, &entry.group);
            }
        });
    }
}

/// Calls `each` with the groups of which two lists have different results.
fn differences<G: Eq, R: PartialEq>(
    one: &[Entry<G, R>],
    other: &[Entry<G, R>],
    each: &mut dyn FnMut(u64, &G),
) {
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    loop {
        let next = match (ones.peek(), others.peek()) {
            (Some(one), Some(other)) if one == other => {
                ones.next();
                others.next();
                continue;
            }
            (Some(one), Some(other)) if one.hash == other.hash && one.group == other.group => {
                others.next();
                ones.next()
            }
            (Some(one), Some(other)) if one.hash <= other.hash => ones.next(),
            (Some(_), None) => ones.next(),
            (_, Some(_)) => others.next(),
            (None, None) => return,
        };
        if let Some(entry) = next {
            each(entry.hash, &entry.group);
        }
    }
}

fn apply<G: Clone + Eq, R: Clone>(entries: &mut Vec<Entry<G, R>>, change: &Change<G, R>) {
    let Entry { hash, group, result, parts } = change.clone();
    match (position(entries, hash, &group), result) {
        (Ok(at), Some(result)) => entries[at] = Entry { hash, group, result, parts },
        (Ok(at), None) => drop(entries.remove(at)),
        (Err(at), Some(result)) => entries.insert(at, Entry { hash, group, result, parts }),
        (Err(_), None) => {}
    }
}

fn position<G: Eq, R>(entries: &[Entry<G, R>], hash: u64, group: &G) -> Result<usize, usize> {
    let first = entries.partition_point(|entry| entry.hash < hash);
    let mut at = first;
    while at < entries.len() && entries[at].hash == hash {
        if entries[at].group == *group {
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

impl<G: PartialEq, R: PartialEq> PartialEq for Entry<G, R> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.group == other.group && self.result == other.result
    }
}
