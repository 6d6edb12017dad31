//! Expiry: results that may be used for some time only (`ttl`). Judged when a session opens alone, so that they stand still in
//! each session; while sessions overlap, the gate sees to such a moment (`chores.rs`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::graph::node::NodeRef;

/// When results expire. Each node stands here at most once.
pub(crate) struct Expiries {
    start: Instant,
    /// Nanoseconds that a test has let pass.
    advanced: AtomicU64,
    /// The nanoseconds from `start` to the first expiry; the greatest number if there is none.
    first: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_time: BTreeMap<(u64, usize), NodeRef>,
    of_node: FxHashMap<usize, u64>,
}

impl Default for Expiries {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            advanced: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            state: Mutex::default(),
        }
    }
}

impl Expiries {
    fn now(&self) -> u64 {
        nanos(self.start.elapsed()).saturating_add(self.advanced.load(Relaxed))
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, time: Duration) {
        self.advanced.fetch_add(nanos(time), Relaxed);
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
        self.start.checked_add(Duration::from_nanos(first.saturating_sub(self.advanced.load(Relaxed))))
    }

    /// Takes out the nodes whose results have expired.
    pub(crate) fn take_due(&self) -> Vec<NodeRef> {
        if !self.is_due() {
            return Vec::new();
        }
        let now = self.now();
        let mut state = self.state.lock();
        let later = state.by_time.split_off(&(now.saturating_add(1), 0));
        let due = std::mem::replace(&mut state.by_time, later);
        for (_, address) in due.keys() {
            state.of_node.remove(address);
        }
        self.note_first(&state);
        due.into_values().collect()
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
        self.first.store(state.by_time.keys().next().map_or(u64::MAX, |(at, _)| *at), Relaxed);
    }
}

impl State {
    fn remove(&mut self, node: NodeRef) {
        if let Some(at) = self.of_node.remove(&node.address()) {
            self.by_time.remove(&(at, node.address()));
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
