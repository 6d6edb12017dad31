//! Expiry: results that may be used for some time only (`ttl`). Judged when a session opens alone, so that they stand still in
//! each session; while sessions overlap, the gate sees to such a moment (`chores.rs`).
//!
//! With a store, there are deadlines beside the nodes: sources of which it knows, by their keys (`evaluate/stored/deadline.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::base::clock::{Clock, nanos};
use crate::graph::node::NodeRef;
use larder_storage::Digest;

/// When results expire. Each node stands here at most once.
pub(crate) struct Expiries {
    start: Instant,
    clock: Clock,
    /// The nanoseconds from `start` to the first expiry; the greatest number if there is none.
    first: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_time: BTreeMap<(u64, usize), NodeRef>,
    of_node: FxHashMap<usize, u64>,
    deadlines: BTreeSet<(u64, Digest)>,
}

/// Results and deadlines that have expired.
#[derive(Default)]
pub(crate) struct Expired {
    pub(crate) nodes: Vec<NodeRef>,
    /// The keys of deadlines that have passed.
    pub(crate) deadlines: Vec<Digest>,
}

impl Expiries {
    pub(crate) fn new(clock: Clock) -> Self {
        let (start, first) = (Instant::now(), AtomicU64::new(u64::MAX));
        Self { start, clock, first, state: Mutex::default() }
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed()).saturating_add(nanos(self.clock.ahead()))
    }

    /// The time of day, for what is to be known in other processes.
    pub(crate) fn clock(&self) -> SystemTime {
        self.clock.system()
    }

    /// The result of `node`, which has just been computed, expires after `lifetime`; without one, not at all.
    pub(crate) fn set(&self, node: NodeRef, lifetime: Option<Duration>) {
        let at = lifetime.map(|lifetime| self.now().saturating_add(nanos(lifetime)));
        let mut state = self.state.lock();
        state.remove(node);
        if let Some(at) = at {
            state.by_time.insert((at, node.address()), node);
            state.of_node.insert(node.address(), at);
        }
        self.note_first(&state);
    }

    /// The deadline of this key passes after `left`.
    pub(crate) fn set_deadline(&self, key: Digest, left: Duration) {
        let at = self.now().saturating_add(nanos(left));
        let mut state = self.state.lock();
        state.deadlines.insert((at, key));
        self.note_first(&state);
    }

    /// Whether the result of a node is to expire.
    pub(crate) fn holds(&self, node: NodeRef) -> bool {
        node.task_fn.may_expire() && self.state.lock().of_node.contains_key(&node.address())
    }

    /// Whether something has expired. Costs one load if nothing ever does.
    pub(crate) fn is_due(&self) -> bool {
        let first = self.first.load(Relaxed);
        first != u64::MAX && self.now() >= first
    }

    /// When the first result expired, if one has.
    pub(crate) fn due_since(&self) -> Option<Instant> {
        let first = self.first.load(Relaxed);
        if first == u64::MAX || self.now() < first {
            return None;
        }
        self.start.checked_add(Duration::from_nanos(first.saturating_sub(nanos(self.clock.ahead()))))
    }

    /// Takes out what has expired.
    pub(crate) fn take_due(&self) -> Expired {
        if !self.is_due() {
            return Expired::default();
        }
        let now = self.now();
        let mut state = self.state.lock();
        let later = state.by_time.split_off(&(now.saturating_add(1), 0));
        let due = std::mem::replace(&mut state.by_time, later);
        for (_, address) in due.keys() {
            state.of_node.remove(address);
        }
        let later = state.deadlines.split_off(&(now.saturating_add(1), Digest::default()));
        let passed = std::mem::replace(&mut state.deadlines, later);
        self.note_first(&state);
        Expired {
            nodes: due.into_values().collect(),
            deadlines: passed.into_iter().map(|(_, key)| key).collect(),
        }
    }

    /// Takes out nodes that are about to be freed.
    pub(crate) fn forget(&self, nodes: &[NodeRef]) {
        let mut state = self.state.lock();
        for node in nodes {
            state.remove(*node);
        }
        self.note_first(&state);
    }

    fn note_first(&self, state: &State) {
        // Relaxed: a hint; an action on it takes the lock.
        let node = state.by_time.keys().next().map(|(at, _)| *at);
        let deadline = state.deadlines.first().map(|(at, _)| *at);
        self.first.store(node.into_iter().chain(deadline).min().unwrap_or(u64::MAX), Relaxed);
    }
}

impl State {
    fn remove(&mut self, node: NodeRef) {
        if let Some(at) = self.of_node.remove(&node.address()) {
            self.by_time.remove(&(at, node.address()));
        }
    }
}
