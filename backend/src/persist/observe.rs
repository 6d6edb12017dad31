//! Leaves that appear or change in this process, and what that means for the store.

use std::sync::atomic::Ordering::SeqCst;

use rustc_hash::FxHashSet;

use super::walk::{Bereft, MarkInMemory, Walk};
use super::{LeafState, Persistence};
use crate::graph::claim::Phase;
use crate::graph::invalidate::Marking;
use crate::graph::node::{NodeRef, name_of};
use crate::graph::persisted::Persisted;
use crate::graph::task_fn::{Look, Outside, RawLeaf, Replaced, Seen};
use larder_storage::record::{Incomplete, SourceKind, read_dependents, source_key};
use larder_storage::{Digest, Group};

/// A stored source that has no node, and is not any more what it was.
pub(crate) struct Moved {
    key: Digest,
    seen: Seen,
}

/// A leaf of this process that has been set or observed again.
pub(crate) struct Touched {
    pub(crate) node: NodeRef,
    /// Whether its value differs, so that its dependents have been marked in memory.
    pub(crate) differs: bool,
    /// Whether it is an input that was removed.
    pub(crate) removes: bool,
}

/// A leaf whose state was brought up to its node's value.
struct Touch {
    key: Digest,
    /// Its value can be encoded.
    may_be_stored: bool,
    /// The store holds, or will hold, what it was before.
    was_stored: bool,
}

/// Marks restored nodes at once: the gate is held exclusively.
struct Now<'a>(&'a mut Marking);

impl MarkInMemory for Now<'_> {
    fn mark(&mut self, node: NodeRef, reached: &mut Vec<NodeRef>) {
        self.0.mark_restored(node);
        reached.append(&mut self.0.reached());
    }
}

/// Puts restored nodes on a list: sessions are open.
struct Later<'a>(&'a Persistence);

impl MarkInMemory for Later<'_> {
    fn mark(&mut self, node: NodeRef, reached: &mut Vec<NodeRef>) {
        self.0.queued.lock().push(node);
        reached.push(node);
    }
}

impl Persistence {
    // ---- with the gate held exclusively ----

    /// Brings leaves that have been set to the store, and marks what depends on them: in the store, and in memory what only the store
    /// knows to depend on them; the rest of memory is marked already. The members of `components` are marked as well. Returns the nodes
    /// in memory that depend on an input that was removed, as only the store knows.
    pub(crate) fn changed(
        &self,
        touched: &[Touched],
        moved: Vec<Moved>,
        components: &[Digest],
        marking: &mut Marking,
    ) -> Bereft {
        let mut walk = Walk::new(self);
        components.iter().for_each(|component| walk.component(*component));
        let mut keys = Vec::new();
        for Touched { node, differs, removes } in touched {
            if *removes {
                self.drop_leaf(*node, &mut walk);
                continue;
            }
            if node.task_fn.leaf.is_some_and(|leaf| leaf.kind == SourceKind::Deadline) {
                self.drop_deadline(*node, &mut walk);
                continue;
            }
            let Some(Touch { key, may_be_stored, was_stored }) = self.touch(*node, *differs, &mut walk.group)
            else {
                continue;
            };
            keys.push((*node, key, may_be_stored));
            if !was_stored {
                // Makes up for records that were refused before.
                walk.leaf_anew(key);
            } else if *differs {
                walk.leaf(key);
            }
        }
        moved.iter().for_each(|moved| self.note_moved(moved, &mut walk));
        walk.reached(&marking.reached());
        walk.run(&mut Now(marking));
        let bereft = walk.take_bereft();
        let is_stored = walk.hand_over();
        let mut leaves = self.leaves.lock();
        for key in keys.iter().map(|(_, key, _)| key).chain(moved.iter().map(|moved| &moved.key)) {
            if let Some(leaf) = leaves.get_mut(key) {
                leaf.is_stored = is_stored;
            }
        }
        drop(leaves);
        for (node, key, may_be_stored) in keys {
            self.set_leaf(node, key, is_stored && may_be_stored);
        }
        bereft
    }

    /// Brings what was seen of a leaf without a node to its record, and begins to walk from it if that differs.
    fn note_moved(&self, Moved { key, seen }: &Moved, walk: &mut Walk<'_>) {
        let mut leaves = self.leaves.lock();
        // One that has a node by now is looked at through that, the next time.
        let Some(leaf) = leaves.get_mut(key).filter(|leaf| !leaf.in_memory) else { return };
        if leaf.kind == SourceKind::Deadline {
            leaves.remove(key);
            walk.deadline(*key);
            return;
        }
        let differs = std::mem::replace(&mut leaf.seen, *seen).content != seen.content;
        if differs || !leaf.is_stored {
            walk.leaf_anew(*key);
        }
        leaf.record(&[], &mut walk.group);
    }

    /// Removes a leaf that is to go, from the store as well: what the store knows to depend on it is marked in the same group. So no stored task
    /// that is not stale has read a leaf without a record, and the record is not needed any more: should there be such a leaf again,
    /// its readers are verified by the fingerprints in their own records.
    fn drop_leaf(&self, node: NodeRef, walk: &mut Walk<'_>) {
        let Some(mut persisted) = Persisted::of(node) else { return };
        let Some(key) = persisted.key else { return };
        if self.leaves.lock().remove(&key).is_some() {
            walk.group.remove_leaf(key);
            walk.input_that_goes(key, name_of(node));
        }
        self.nodes.remove(Some(key), node);
        persisted.is_stored = false;
        persisted.put(node);
    }

    /// The moment of a deadline has passed. It stays so, and no task reads it again: it goes, and what is stored of its reader does not hold
    /// any more for want of it.
    fn drop_deadline(&self, node: NodeRef, walk: &mut Walk<'_>) {
        let Some(mut persisted) = Persisted::of(node) else { return };
        let Some(key) = persisted.key else { return };
        self.leaves.lock().remove(&key);
        walk.deadline(key);
        self.nodes.remove(Some(key), node);
        persisted.is_stored = false;
        persisted.put(node);
    }

    /// Marks the restored nodes that could not be marked when something changed in the middle of a session.
    pub(crate) fn mark_queued(&self, marking: &mut Marking) {
        let queued = std::mem::take(&mut *self.queued.lock());
        if queued.is_empty() {
            return;
        }
        for node in queued {
            marking.mark_restored(node);
        }
        let mut walk = Walk::new(self);
        walk.reached(&marking.reached());
        walk.run(&mut Now(marking));
        walk.hand_over();
    }

    pub(crate) fn has_queued(&self) -> bool {
        !self.queued.lock().is_empty()
    }

    /// Brings a leaf's state up to its node's value. None if there is nothing to tell the store.
    fn touch(&self, node: NodeRef, differs: bool, group: &mut Group) -> Option<Touch> {
        if let Some(raw) = node.task_fn.leaf {
            return self.touch_source(node, raw, group);
        }
        let persisted = Persisted::of(node)?;
        let key = persisted.key?;
        if !differs {
            // An equal value: readers keep the fingerprint of the one before.
            return None;
        }
        let mut value = Vec::new();
        let content = self.input_content(node, &mut value);
        let mut leaves = self.leaves.lock();
        let leaf = leaves.entry(key).or_insert_with(|| {
            // It had been removed.
            self.nodes.insert(key, node);
            LeafState::new(SourceKind::Input, name_of(node).as_bytes(), Seen::of(unknown()))
        });
        // A value that differs and encodes to the same cannot be recognised by its encoding, and nor can any after it.
        leaf.is_untold |= content == Some(leaf.seen.content);
        let content = content.filter(|_| !leaf.is_untold);
        leaf.seen.content = content.unwrap_or_else(unknown);
        leaf.record(if content.is_some() { &value } else { &[] }, group);
        Some(Touch { key, may_be_stored: content.is_some(), was_stored: leaf.is_stored })
    }

    fn touch_source(&self, node: NodeRef, raw: RawLeaf, group: &mut Group) -> Option<Touch> {
        let key = Persisted::of(node)?.key?;
        // SAFETY: the gate is held exclusively, and the node has just been given a value.
        let seen = unsafe { (raw.seen)(node, self.fingerprints()) };
        let mut leaves = self.leaves.lock();
        let leaf = leaves.get_mut(&key)?;
        leaf.seen = seen;
        leaf.record(&[], group);
        Some(Touch { key, may_be_stored: true, was_stored: leaf.is_stored })
    }

    fn set_leaf(&self, node: NodeRef, key: Digest, is_stored: bool) {
        let fingerprint = self.leaves.fingerprint(key).unwrap_or_default();
        let explored = Persisted::of(node).map_or(0, |persisted| persisted.explored);
        Persisted { fingerprint, is_stored, explored, ..Persisted::named(Some(key)) }.put(node);
    }

    /// A source has no node any more. If something that is stored reads it, it is looked at by its name from here on. Otherwise it
    /// goes from the store, too.
    pub(crate) fn release_source(&self, key: Digest) {
        let is_read = self.is_read_in_store(key);
        let mut leaves = self.leaves.lock();
        let Some(leaf) = leaves.get_mut(&key) else { return };
        leaf.in_memory = false;
        if is_read || !leaf.is_stored {
            return;
        }
        leaves.remove(&key);
        drop(leaves);
        let mut group = self.group();
        group.remove_leaf(key);
        // Refused, its record stays, and is looked at by the next process.
        self.hand_over(&mut group, []);
    }

    /// Whether a task that is stored, or will be, may depend on a leaf that no task in memory reads: it has read the leaf, or a task whose own
    /// record has gone, and whose readers have stayed. For example, `size` reads `text` reads a file. The record of `text` is forgotten: `size`
    /// is found stale by way of the list of `text`, as long as the file is looked at.
    fn is_read_in_store(&self, key: Digest) -> bool {
        const MOST: usize = 64;
        let mut targets = vec![key];
        let mut dependents = Vec::new();
        let mut seen = FxHashSet::from_iter([key]);
        while let Some(target) = targets.pop() {
            dependents.clear();
            match read_dependents(&self.store, target, &mut dependents) {
                Ok(()) => {}
                // A task that is not stored need not have a list.
                Err(Incomplete::NoHead) if target != key => {}
                Err(_) => return true,
            }
            for task in &dependents {
                if self.nodes.get(task.0).is_some()
                    || self.pending.known(&self.store, *task, |_| true).is_some()
                {
                    return true;
                }
                if seen.insert(task.0) {
                    targets.push(task.0);
                }
            }
            if seen.len() > MOST {
                return true;
            }
        }
        false
    }

    /// The fingerprint of an input's value, and the encoded value.
    fn input_content(&self, node: NodeRef, value: &mut Vec<u8>) -> Option<Digest> {
        if node.state.phase() != Phase::Fresh {
            return None;
        }
        let encode = node.task_fn.stored?.encode_value;
        // SAFETY: inputs change only while the gate is held exclusively, and this one is FRESH.
        unsafe { encode(node, value) }.ok()?;
        Some(self.fingerprints().digest(value))
    }

    // ---- with sessions open ----

    /// An input has been named for the first time in this process. No other thread knows its node yet.
    pub(crate) fn adopt_input(&self, node: NodeRef, name: &str) {
        let key = source_key(self.fingerprints(), SourceKind::Input, name.as_bytes());
        let mut value = Vec::new();
        let content = self.input_content(node, &mut value);
        let is_known = self.leaves.fingerprint(key);
        let Some(content) = content.filter(|_| node.task_fn.stored.is_some()) else {
            Persisted::named(None).put(node);
            if is_known.is_some() {
                // A transient one of the same name: what depends on the stored one is not to be trusted.
                self.set_in_session(
                    key,
                    LeafState::new(SourceKind::Input, name.as_bytes(), Seen::of(unknown())),
                    &[],
                );
            }
            return;
        };
        self.nodes.insert(key, node);
        let is_stored = if is_known == Some(content) {
            self.leaves.lock().get_mut(&key).is_some_and(|leaf| leaf.is_stored)
        } else {
            self.set_in_session(
                key,
                LeafState::new(SourceKind::Input, name.as_bytes(), Seen::of(content)),
                &value,
            )
        };
        self.set_leaf(node, key, is_stored);
    }

    /// A source is not any more what it was observed to be.
    pub(crate) fn lose(&self, node: NodeRef) {
        self.nodes.explore_anew();
        Persisted::change(node, |persisted| persisted.is_stored = false);
    }

    /// A source has been observed for the first time in this process. Its node is claimed, and its value in place. Returns an
    /// output that had to be replaced: this session has already seen the source as something else.
    pub(crate) fn adopt_source(&self, node: NodeRef) -> Option<Replaced> {
        let raw = node.task_fn.leaf?;
        // SAFETY: a key may be read at any time.
        let Some(name) = (unsafe { (raw.name)(node) }) else {
            Persisted::named(None).put(node);
            return None;
        };
        let key = source_key(self.fingerprints(), raw.kind, &name);
        // SAFETY: the claim is held, and there is a value.
        let seen = unsafe { (raw.seen)(node, self.fingerprints()) };
        self.nodes.insert(key, node);
        let known = self.leaves.lock().get(&key).map(|leaf| (leaf.seen, leaf.is_stored));
        let (is_stored, replaced) = match known {
            Some((known, is_stored)) if known == seen => (is_stored, None),
            Some((known, _)) if known.content != seen.content && self.has_restored(key) => {
                // SAFETY: as above.
                let replaced = unsafe { (raw.put_changed)(node, known.content) };
                if replaced.is_some() {
                    return self.adopt_changed(node, raw, key, known.content, replaced);
                }
                (self.set_in_session(key, LeafState::new(raw.kind, &name, seen), &[]), None)
            }
            _ => (self.set_in_session(key, LeafState::new(raw.kind, &name, seen), &[]), None),
        };
        if let Some(leaf) = self.leaves.lock().get_mut(&key) {
            leaf.in_memory = true;
        }
        self.set_leaf(node, key, is_stored);
        replaced
    }

    /// The node has been given what stands for "changed": as what was known, if its readers compare that.
    fn adopt_changed(
        &self,
        node: NodeRef,
        raw: RawLeaf,
        key: Digest,
        known: Digest,
        replaced: Option<Replaced>,
    ) -> Option<Replaced> {
        // SAFETY: the claim is held, and there is a value.
        let shown = unsafe { (raw.seen)(node, self.fingerprints()) }.content;
        let mut leaves = self.leaves.lock();
        let is_stored = leaves.get_mut(&key).is_some_and(|leaf| {
            leaf.in_memory = true;
            leaf.is_stored && shown == known
        });
        drop(leaves);
        self.set_leaf(node, key, is_stored);
        replaced
    }

    /// Sets a leaf while sessions are open. Restored nodes that depend on it are marked when none is. Returns whether the
    /// store will hold it.
    fn set_in_session(&self, key: Digest, leaf: LeafState, value: &[u8]) -> bool {
        // SeqCst, before the walk: pairs with the loads of `probe`, which then see the change or are seen by the walk.
        self.changes_in_sessions.fetch_add(1, SeqCst);
        let mut walk = Walk::new(self);
        walk.is_early = true;
        leaf.record(value, &mut walk.group);
        let before = {
            let mut leaves = self.leaves.lock();
            let mut new = leaf.clone();
            // Other threads verify by it meanwhile: a source of which only the stamp is new is as stored as it was.
            new.is_stored = leaves
                .get(&key)
                .is_some_and(|before| before.is_stored && before.seen.content == new.seen.content);
            leaves.insert(key, new)
        };
        if before.is_some_and(|before| before.seen.content != leaf.seen.content || !before.is_stored) {
            walk.leaf_anew(key);
            walk.run(&mut Later(self));
        }
        let is_stored = walk.hand_over();
        self.changes_in_sessions.fetch_add(1, SeqCst);
        if let Some(leaf) = self.leaves.lock().get_mut(&key) {
            leaf.is_stored = is_stored;
        }
        is_stored
    }

    /// Whether something that depends on a leaf by the store's edges is in memory.
    fn has_restored(&self, key: Digest) -> bool {
        struct Any(bool);
        impl MarkInMemory for Any {
            fn mark(&mut self, _: NodeRef, _: &mut Vec<NodeRef>) {
                self.0 = true;
            }
        }
        let mut any = Any(false);
        // A walk that is not handed over leaves nothing behind.
        let mut walk = Walk::new(self);
        walk.leaf_anew(key);
        walk.run(&mut any);
        any.0
    }

    // ---- the world ----

    /// Looks at all stored sources that have no node; returns how many there are, and those that are seen to be something
    /// else, if only by their stamp.
    pub(crate) fn look(&self) -> (usize, Vec<Moved>) {
        let leaves: Vec<_> = {
            let leaves = self.leaves.lock();
            let sources = leaves.iter().filter(|(_, leaf)| leaf.kind != SourceKind::Input && !leaf.in_memory);
            sources.map(|(key, leaf)| (*key, leaf.kind, leaf.name.clone(), leaf.seen)).collect()
        };
        let checked = leaves.len();
        let moved = leaves.into_iter().filter_map(|(key, kind, name, last)| {
            let seen = self.look_at(kind, &name, &last)?;
            (seen != last).then_some(Moved { key, seen })
        });
        (checked, moved.collect())
    }

    /// A stored source without a node, as it is known to be now. None if it is not stored.
    pub(crate) fn moved(&self, key: Digest, seen: Seen) -> Option<Moved> {
        let leaves = self.leaves.lock();
        leaves.get(&key).filter(|leaf| leaf.seen != seen).map(|_| Moved { key, seen })
    }

    /// A source as it is now; none if nothing can have changed. A source without an observer is taken for changed.
    pub(super) fn look_at(&self, kind: SourceKind, name: &[u8], last: &Seen) -> Option<Seen> {
        let Some(observer) = self.observers.iter().find(|observer| observer.kind == kind) else {
            return Some(Seen::of(unknown()));
        };
        let from = Outside {
            base: self.base_dir.as_deref(),
            ahead: self.clock.ahead(),
            fingerprints: self.fingerprints(),
        };
        match (observer.look)(from, name, last) {
            Look::Same => None,
            Look::Seen(seen) => Some(seen),
        }
    }
}

impl Moved {
    /// Whether dependents are affected.
    pub(crate) fn differs(&self, persistence: &Persistence) -> bool {
        persistence.leaves.fingerprint(self.key) != Some(self.seen.content)
    }
}

impl LeafState {
    fn new(kind: SourceKind, name: &[u8], seen: Seen) -> Self {
        let in_memory = kind != SourceKind::Input;
        Self { kind, name: name.into(), seen, is_stored: false, in_memory, is_untold: false }
    }
}

impl Seen {
    fn of(content: Digest) -> Self {
        Self { content, stamp: None, racy: false }
    }

    /// A source that has not been seen.
    pub(super) fn unknown() -> Self {
        Self { racy: true, ..Self::of(unknown()) }
    }
}

/// A content that no reader has recorded.
fn unknown() -> Digest {
    Digest::xxh3(b"larder: nobody knows")
}
