use std::any::TypeId;

use super::ThreadCache;
use super::far::SIZES as FAR_SIZES;
use crate::call::args::ByVal;
use crate::call::slot::StackMagicAnySlot;
use crate::graph::claim::{Phase, StateWord};
use crate::graph::node::{Header, NodeRef};
use crate::graph::task_fn::{Site, TaskFn};

static LEAF: TaskFn<(u32,), u32> =
    TaskFn::leaf(TypeId::of::<Nodes>(), Site { name: "node", path: "tests::node", file: "", line: 0 });

/// Nodes, freed at the end.
struct Nodes(Vec<NodeRef>);

impl Nodes {
    /// With hashes as of sequential keys.
    fn new(number: u32) -> Self {
        let node = |number: u32| {
            let hash = u64::from(number).wrapping_mul(0xf135_7aea_2e62_a9c5).rotate_left(26);
            let header = Header::new(LEAF.raw(), 0, hash, StateWord::new(Phase::Empty));
            // SAFETY: the slot's key is the descriptor's.
            unsafe { NodeRef::allocate(LEAF.raw(), header, &mut StackMagicAnySlot::new((ByVal(number),))) }
        };
        Self((0..number).map(node).collect())
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in self.0.drain(..) {
            // SAFETY: the caches of these tests are not asked any more.
            unsafe { node.free() };
        }
    }
}

/// Asks for a node as a call does, with a table that has them all. Returns which part answered.
fn ask(cache: &ThreadCache, node: NodeRef, hits: &mut u64) -> &'static str {
    if let Some((found, ..)) = cache.find(node.hash, |other| other == node) {
        assert_eq!(found, node);
        *hits += 1;
        return "near";
    }
    if cache.has_far() && cache.find_far(node.hash) == Some(node) {
        *hits += 1;
        cache.remember_far(node, 1, || *hits);
        return "far";
    }
    cache.remember(node, 1, || *hits);
    "table"
}

fn count(cache: &ThreadCache, nodes: &[NodeRef], hits: &mut u64, who: &str) -> usize {
    // Like the beginning of a session.
    cache.take_room();
    nodes.iter().filter(|node| ask(cache, **node, hits) == who).count()
}

#[test]
fn what_fits_into_the_near_part_is_found_there() {
    let (nodes, cache, mut hits) = (Nodes::new(16), ThreadCache::default(), 0);
    for _ in 0..3 {
        count(&cache, &nodes.0, &mut hits, "near");
    }
    let near = count(&cache, &nodes.0, &mut hits, "near");
    assert!(near >= if cfg!(miri) { 8 } else { 16 }, "{near}");
}

#[test]
fn the_far_part_grows_to_what_is_asked_for() {
    let number = if cfg!(miri) { 40 } else { 60_000 };
    let rounds = if cfg!(miri) { 120 } else { 8 };
    let (nodes, cache, mut hits) = (Nodes::new(number), ThreadCache::default(), 0);
    for _ in 0..rounds {
        count(&cache, &nodes.0, &mut hits, "table");
    }
    let missed = count(&cache, &nodes.0, &mut hits, "table");
    assert!(missed * 5 < nodes.0.len(), "{missed} of {number} came from the table");
}

#[test]
fn the_far_part_is_left_alone_if_it_cannot_hold_what_is_asked_for() {
    let largest = FAR_SIZES[FAR_SIZES.len() - 1] * 8;
    let number = u32::try_from(largest * if cfg!(miri) { 8 } else { 3 }).expect("a small number");
    let (nodes, cache, mut hits) = (Nodes::new(number), ThreadCache::default(), 0);
    let mut alone = 0;
    for _ in 0..if cfg!(miri) { 60 } else { 6 } {
        count(&cache, &nodes.0, &mut hits, "near");
        alone += usize::from(!cache.has_far());
    }
    assert!(alone > 0, "it was in use at the end of each round");
}

/// Room is taken between sessions. Until then a part that is too small is in the way.
#[test]
#[cfg_attr(miri, ignore = "the sizes that Miri is given are too close to each other")]
fn the_far_part_is_left_alone_while_it_waits_for_room() {
    let holds = FAR_SIZES[FAR_SIZES.len() - 2] * 8;
    let number = u32::try_from(holds * 2).expect("a small number");
    let (nodes, cache, mut hits) = (Nodes::new(number), ThreadCache::default(), 0);
    cache.far.provide_for(nodes.0.len());
    let rounds = if cfg!(miri) { 200 } else { 40 };
    let in_one_session = |asked: &[NodeRef], hits: &mut u64| {
        let calls = holds / 2 * if cfg!(miri) { 800 } else { 40 };
        asked.iter().cycle().take(calls).for_each(|node| _ = ask(&cache, *node, hits));
        cache.has_far()
    };
    assert!(in_one_session(&nodes.0[..holds / 2], &mut hits), "it holds as many");
    assert!(!in_one_session(&nodes.0, &mut hits), "it cannot hold as many");
    cache.take_room();
    assert!(in_one_session(&nodes.0, &mut hits), "it has grown");
    cache.clear();
    // It comes to use sizes again that it was left alone from.
    let others = Nodes::new(number);
    for _ in 0..rounds {
        count(&cache, &others.0[..holds / 2], &mut hits, "far");
        assert!(nodes.0.iter().all(|node| cache.find_far(node.hash) != Some(*node)));
    }
    assert!(cache.has_far());
}

#[test]
fn a_cache_that_is_cleared_has_nothing() {
    let number = if cfg!(miri) { 40 } else { 40_000 };
    let (nodes, cache, mut hits) = (Nodes::new(number), ThreadCache::default(), 0);
    for rounds in [1, 5, 9] {
        for _ in 0..rounds {
            count(&cache, &nodes.0, &mut hits, "near");
        }
        cache.clear();
        assert_eq!(count(&cache, &nodes.0[..1], &mut hits, "table"), 1);
        assert!(nodes.0[1..].iter().all(|node| cache.find(node.hash, |_| true).is_none()));
        assert!(nodes.0.iter().all(|node| cache.find_far(node.hash).is_none()));
        cache.clear();
    }
}

/// A comparison may call tasks, which come to the cache, too.
#[test]
fn an_entry_that_has_another_node_by_now_is_not_marked_as_recorded() {
    let (nodes, cache) = (Nodes::new(1), ThreadCache::default());
    let [node] = nodes.0[..] else { unreachable!("one was asked for") };
    cache.insert(node, 1);
    let found = cache.find(node.hash, |_| {
        cache.clear();
        true
    });
    let (found, recorded_by, entry) = found.expect("it was there");
    assert_eq!((found, recorded_by), (node, 1));
    let others = Nodes::new(1);
    cache.insert(others.0[0], 2);
    entry.set_recorded(node, 3);
    let now = cache.find(node.hash, |_| true).map(|(other, recorded_by, _)| (other, recorded_by));
    assert_eq!(now, Some((others.0[0], 2)));
}
