//! Lookups: two threads that insert one task, and thread caches against nodes that are freed. Table, thread cache and gate are the
//! real ones; threads change between their steps.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use crate::base::sync::Mutex;
use crate::call::args::ByVal;
use crate::call::slot::StackMagicAnySlot;
use crate::context::gate::{Alone, Gate, GaveUp, Kind, UpdatePolicy, Vigil, Work};
use crate::context::thread_cache::ThreadCache;
use crate::graph::claim::{Phase, StateWord};
use crate::graph::node::{Header, NodeRef};
use crate::graph::table::{Inserted, Table};

use super::{LEAF, explore, on_threads};

/// All keys have this hash: those that differ are told apart by comparison.
const HASH: u64 = 0;

/// A table, with all nodes that were ever made for it.
struct Shelf {
    table: Table,
    made: Mutex<Vec<NodeRef>>,
}

impl Shelf {
    fn new() -> Self {
        Self { table: Table::new(2), made: Mutex::default() }
    }

    /// The node of a key, as `lookup.rs` finds or makes it.
    fn node(&self, key: u32) -> NodeRef {
        // SAFETY: all nodes here are of `LEAF`.
        let is_it = |node: NodeRef| unsafe { node.key::<(u32,), u32>() }.0 == key;
        if let Some(node) = self.table.find(HASH, is_it) {
            return node;
        }
        thread::yield_now();
        let mut made = None;
        let inserted = self.table.find_or_insert(HASH, is_it, || *made.insert(make(key)));
        self.made.lock().extend(made);
        let (Inserted::New(node) | Inserted::Existing(node)) = inserted;
        node
    }
}

fn make(key: u32) -> NodeRef {
    let header = Header::new(LEAF.raw(), 0, 0, StateWord::new(Phase::Empty));
    // SAFETY: the slot's key is the descriptor's.
    unsafe { NodeRef::allocate(LEAF.raw(), header, &mut StackMagicAnySlot::new((ByVal(key),))) }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for node in self.made.get_mut().drain(..) {
            // SAFETY: all threads that use the nodes have ended.
            unsafe { node.free() };
        }
    }
}

#[test]
fn threads_that_insert_one_key_make_one_node_and_losers_make_nothing() {
    explore(|| {
        let shelf = Arc::new(Shelf::new());
        let shared = shelf.clone();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        on_threads(4, move |number| {
            let key = number as u32 % 2;
            let node = shared.node(key);
            thread::yield_now();
            assert_eq!(node, shared.node(key), "a key has one node");
            counted.fetch_add(1, SeqCst);
        });
        assert_eq!(calls.load(SeqCst), 4);
        assert_eq!((shelf.table.len(), shelf.made.lock().len()), (2, 2), "a lost race has made a node");
    });
}

/// An opener without chores that waits as long as it takes.
struct Nothing;

impl Alone for Nothing {
    fn due_since(&self) -> Option<Instant> {
        None
    }
    fn work(&mut self) -> Work {
        Work::Done
    }
}

impl Vigil for Nothing {
    fn look(&mut self, _now: Instant, _open: usize) -> Result<Option<Instant>, GaveUp> {
        Ok(None)
    }
}

/// Sessions that look into caches of their own, and a thread that frees nodes in between.
struct Library {
    shelf: Shelf,
    gate: Arc<Gate>,
    generation: AtomicU64,
    freed: Mutex<HashSet<NodeRef>>,
}

impl Library {
    /// A session, as `Local::enter` and a call go through it.
    fn session(&self, cache: &ThreadCache, generation: &mut u64) {
        assert!(self.gate.open(&mut Nothing, &mut Nothing).is_ok());
        let now = self.generation.load(SeqCst);
        if std::mem::replace(generation, now) != now {
            cache.clear();
        }
        thread::yield_now();
        let known = cache.find(HASH, |node| {
            assert!(!self.freed.lock().contains(&node), "a cache has kept a node that was freed");
            true
        });
        let node = match known {
            Some((node, ..)) => node,
            None => {
                let node = self.shelf.node(7);
                cache.insert(node, 1);
                node
            }
        };
        thread::yield_now();
        assert!(!self.freed.lock().contains(&node), "a node was freed under a session");
        self.gate.close();
    }

    /// Frees all nodes, as `reclaim.rs` does. (They are kept, so that no address comes twice.)
    fn free_all(&self) {
        let ticket = self.gate.request(UpdatePolicy::Wait, Kind::Thread);
        assert!(self.gate.lock(ticket, &mut Nothing).is_ok());
        let nodes = self.shelf.table.nodes();
        nodes.iter().for_each(|node| self.shelf.table.remove(*node));
        thread::yield_now();
        self.generation.fetch_add(1, SeqCst);
        self.gate.unlock();
        self.freed.lock().extend(nodes);
    }
}

#[test]
fn a_thread_cache_never_finds_a_node_that_was_freed() {
    explore(|| {
        let library = Arc::new(Library {
            shelf: Shelf::new(),
            gate: Gate::new(None),
            generation: AtomicU64::new(1),
            freed: Mutex::default(),
        });
        on_threads(3, move |number| {
            if number == 0 {
                library.free_all();
                library.free_all();
            } else {
                let (cache, mut generation) = (ThreadCache::default(), 0);
                (0..3).for_each(|_| library.session(&cache, &mut generation));
            }
        });
    });
}
