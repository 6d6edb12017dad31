//! A sweep: slices that free what nothing reads or holds, against sessions that open, find, claim and close, handles that are dropped at any time,
//! and thread caches of an earlier generation. Chores, lists, gate, table, claims, handles and thread caches are the real ones.
//!
//! The task of key 1 reads that of key 0. A cap of nothing lets both go whenever no session is open and no handle is left. Nodes that slices
//! free are kept, so that no address comes twice, and looked at whenever a session has a node in its hands.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::time::Instant;

use shuttle::thread;

use super::explore_deep;
use crate::base::sync::Mutex;
use crate::call::args::ByVal;
use crate::call::slot::StackMagicAnySlot;
use crate::context::engine::{Config, Engine};
use crate::context::gate::{GaveUp, Vigil};
use crate::context::generation::Generation;
use crate::context::thread_cache::ThreadCache;
use crate::evaluate::handle::Task;
use crate::graph::claim::{Phase, StateWord};
use crate::graph::edges::{Dependent, Deps, Edge};
use crate::graph::footprint;
use crate::graph::node::{Header, NodeRef, replace_value};
use crate::graph::table::Inserted;
use crate::graph::task_fn::{Site, TaskFn, type_id};
use crate::session::opener::Opener;

struct Marker;

static TASK: TaskFn<(u32,), u32> = TaskFn::new(
    type_id::<Marker>(),
    Site { name: "task", path: "model::task", file: "", line: 0 },
    |(key,): &(u32,)| key + 7,
);

/// Waits as long as it takes.
struct ForEver;

impl Vigil for ForEver {
    fn look(&mut self, _now: Instant, _open: usize) -> Result<Option<Instant>, GaveUp> {
        Ok(None)
    }
}

/// An engine, and what its slices have freed.
struct Swept {
    engine: Arc<Engine>,
    freed: Mutex<HashSet<NodeRef>>,
}

impl Swept {
    fn new() -> Arc<Self> {
        let config = Config { memory_cap: Some(0), threads: 1, shards: 2, ..Config::default() };
        Arc::new(Self { engine: Engine::new(&config), freed: Mutex::default() })
    }

    /// A session opens, and does the chores that there are, slice by slice, as `Session::enter_gate` does.
    fn open(&self) {
        let mut slices = 0;
        loop {
            let mut opener = Opener::of(&self.engine);
            assert!(self.engine.gate.open(&mut opener, &mut ForEver).is_ok());
            let comes_again = opener.comes_again(&mut slices);
            if let Some(garbage) = &mut opener.garbage {
                self.freed.lock().extend(garbage.take_nodes());
            }
            if !comes_again {
                self.engine.begin_session();
                return;
            }
            self.engine.gate.close();
        }
    }

    /// A session on a thread with this cache asks for a task, as a call does. It may take a handle with it.
    fn session(
        &self,
        cache: &ThreadCache,
        generation: &mut Option<Generation>,
        key: u32,
        holds: bool,
    ) -> Option<Task<u32>> {
        self.open();
        let now = self.engine.generation.get(Acquire);
        if generation.replace(now) != Some(now) {
            cache.clear();
        }
        thread::yield_now();
        let node = self.ask(cache, key);
        let handle = holds.then(|| Task::to(&self.engine, node));
        thread::yield_now();
        self.check(node, key);
        self.engine.gate.close();
        handle
    }

    /// The node of a key, FRESH: out of the cache, the table, or new.
    fn ask(&self, cache: &ThreadCache, key: u32) -> NodeRef {
        let is_it = |node: NodeRef| {
            assert!(!self.freed.lock().contains(&node), "a node was found that had been freed");
            // SAFETY: all nodes here are of `TASK`.
            unsafe { node.key::<(u32,), u32>() }.0 == key
        };
        let hash = u64::from(key);
        if let Some((node, ..)) = cache.find(hash, |node| is_it(node) && node.state.is_fresh()) {
            return node;
        }
        let node = match self.engine.table.find(hash, is_it) {
            Some(node) => node,
            None => self.insert(hash, key, is_it),
        };
        self.make_fresh(cache, node, key);
        cache.insert(node, 1);
        node
    }

    fn insert(&self, hash: u64, key: u32, is_it: impl Fn(NodeRef) -> bool) -> NodeRef {
        thread::yield_now();
        let made = || {
            let header = Header::new(TASK.raw(), 0, hash, StateWord::new(Phase::Empty));
            // SAFETY: the slot's key is the descriptor's.
            unsafe { NodeRef::allocate(TASK.raw(), header, &mut StackMagicAnySlot::new((ByVal(key),))) }
        };
        match self.engine.table.find_or_insert(hash, is_it, made) {
            Inserted::New(node) => {
                self.engine.add_memory(footprint::fixed(node).cast_signed());
                node
            }
            Inserted::Existing(node) => node,
        }
    }

    /// Claims a node and runs its body, or waits for the thread that does.
    fn make_fresh(&self, cache: &ThreadCache, node: NodeRef, key: u32) {
        loop {
            match node.state.phase() {
                Phase::Fresh => return,
                Phase::Running => node.state.wait(&self.engine.lot, node.address(), None, || false),
                phase @ (Phase::Empty | Phase::Stale) => {
                    if node.state.try_claim(phase) {
                        self.run(cache, node, key);
                        return;
                    }
                }
            }
        }
    }

    fn run(&self, cache: &ThreadCache, node: NodeRef, key: u32) {
        thread::yield_now();
        // SAFETY: the claim is held.
        let has_read = !unsafe { node.deps() }.as_slice().is_empty();
        if key == 1 && !has_read {
            let read = Edge::value_of(self.ask(cache, 0));
            read.node().with_dependents(|readers| readers.push(Dependent::new(node, 0, read)));
            // SAFETY: the claim is held.
            unsafe { *node.deps.get() = Deps::from_slice(&[read]) };
            self.engine.add_memory(footprint::EDGE.cast_signed());
        }
        // SAFETY: the claim is held, and the types are the node's.
        unsafe { replace_value::<(u32,), u32>(node, key + 7) };
        node.take_off(crate::graph::flags::Leaving::ABANDONED);
        node.clear_flag(crate::graph::flags::Flags::FORGOTTEN);
        node.end_claim(Phase::Fresh, &self.engine.lot);
    }

    /// A node that a session has found stays as it is until it closes.
    fn check(&self, node: NodeRef, key: u32) {
        assert!(!self.freed.lock().contains(&node), "a node was freed under a session");
        assert!(node.state.is_fresh(), "an output has gone under a session");
        // SAFETY: it is FRESH in the open session, and the types are the node's.
        assert_eq!(unsafe { node.value::<(u32,), u32>() }, &(key + 7));
        // SAFETY: as above.
        for read in unsafe { node.deps() }.as_slice() {
            assert!(!self.freed.lock().contains(&read.node()), "a node was freed that is read");
        }
    }

    /// All threads have ended, and sessions go on: nothing is left.
    fn end(&self) {
        for _ in 0..64 {
            self.open();
            self.engine.gate.close();
        }
        assert_eq!(
            (self.engine.table.len(), self.engine.memory.used()),
            (0, 0),
            "something stays that nothing holds"
        );
        for node in self.freed.lock().drain() {
            // SAFETY: it was freed, and all threads that could have known it have ended.
            unsafe { node.free() };
        }
    }
}

/// Runs `work` on so many threads, each with a cache of its own.
fn on_threads(
    swept: &Arc<Swept>,
    threads: u32,
    work: impl Fn(&Swept, &ThreadCache, u32) + Send + Sync + 'static,
) {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..threads)
        .map(|number| {
            let (swept, work) = (swept.clone(), work.clone());
            thread::spawn(move || work(&swept, &ThreadCache::default(), number))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
}

#[test]
fn a_session_keeps_what_it_has_found_and_no_cache_finds_what_has_gone() {
    explore_deep(|| {
        let swept = Swept::new();
        on_threads(&swept, 3, |swept, cache, number| {
            let mut generation = None;
            for round in 0..3 {
                swept.session(cache, &mut generation, (number + round) % 2, false);
            }
        });
        swept.end();
    });
}

#[test]
fn a_handle_pins_its_node_and_what_that_has_read_until_it_is_dropped() {
    explore_deep(|| {
        let swept = Swept::new();
        on_threads(&swept, 3, |swept, cache, number| {
            let mut generation = None;
            let handle = swept.session(cache, &mut generation, 1, number < 2);
            let node = handle.as_ref().map(|handle| handle.cell.node);
            thread::yield_now();
            swept.session(cache, &mut generation, 0, false);
            if let Some(node) = node {
                assert!(!swept.freed.lock().contains(&node), "a node was freed that is held");
            }
            // With no session open on this thread, and any on others.
            drop(handle);
            swept.session(cache, &mut generation, 1, false);
        });
        swept.end();
    });
}
