//! The protocols of `claim`, `gate`, `waits`, flights and lookups, explored by shuttle: many schedules of a few threads, a
//! deadlock being a failure. Run by `ci/model.sh`; `LARDER_SCHEDULES=n` explores more of them.

mod flight;
mod lookup;

use std::sync::Arc;
use std::task::{Wake, Waker};

use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use crate::args::ByVal;
use crate::claim::{Lot, Phase, StateWord};
use crate::gate::{Gate, UpdatePolicy};
use crate::marks;
use crate::node::{Header, NodeRef};
use crate::slot::StackMagicAnySlot;
use crate::strand::Lineage;
use crate::task_fn::{Site, TaskFn, type_id};
use crate::waits::{Refused, WaitGraph, Waiter};

/// Runs `model` under random schedules, and under ones that change threads rarely but at the worst times.
fn explore(model: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules =
        std::env::var("LARDER_SCHEDULES").ok().and_then(|number| number.parse().ok()).unwrap_or(3000);
    shuttle::check_random(model.clone(), schedules);
    shuttle::check_pct(model, schedules, 3);
}

/// Runs `work` on so many threads.
fn on_threads(threads: usize, work: impl Fn(usize) + Send + Sync + 'static) {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..threads)
        .map(|number| {
            let work = work.clone();
            thread::spawn(move || work(number))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
}

/// A state word with a value that only the claim protects.
struct Claimed {
    state: StateWord,
    lot: Lot,
    claims: AtomicUsize,
    inside: AtomicUsize,
    value: AtomicUsize,
}

impl Claimed {
    /// Asks for the value as `demand` does. The first so many runs fail.
    fn ask(&self, failures: usize) {
        loop {
            match self.state.phase() {
                Phase::Fresh => break,
                phase @ (Phase::Empty | Phase::Stale) => {
                    if self.state.try_claim(phase) {
                        assert_eq!(self.inside.fetch_add(1, SeqCst), 0, "two hold the claim");
                        let succeeds = self.claims.fetch_add(1, SeqCst) >= failures;
                        self.value.store(7 * usize::from(succeeds), SeqCst);
                        self.inside.fetch_sub(1, SeqCst);
                        let phase = if succeeds { Phase::Fresh } else { Phase::Empty };
                        self.state.publish(phase, &self.lot, 64);
                    }
                }
                Phase::Running => self.state.wait(&self.lot, 64, None, || false),
            }
        }
        assert!(self.state.is_fresh());
        assert_eq!(self.value.load(SeqCst), 7, "fresh without its value");
    }
}

fn check_claim(from: Phase, failures: usize, threads: usize) {
    explore(move || {
        let claimed = Arc::new(Claimed {
            state: StateWord::new(from),
            lot: Lot::default(),
            claims: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            value: AtomicUsize::new(0),
        });
        let shared = claimed.clone();
        on_threads(threads, move |_| shared.ask(failures));
        assert_eq!(claimed.claims.load(SeqCst), failures + 1);
    });
}

#[test]
fn one_thread_claims_and_all_others_wake() {
    check_claim(Phase::Empty, 0, 3);
    check_claim(Phase::Stale, 0, 4);
}

#[test]
fn after_a_failure_the_next_waiter_claims() {
    check_claim(Phase::Empty, 1, 3);
    check_claim(Phase::Stale, 2, 3);
}

/// What a gate guards, and who is inside.
#[derive(Default)]
struct Guarded {
    gate: Gate,
    sessions: AtomicUsize,
    updates: AtomicUsize,
    alone: AtomicUsize,
}

impl Guarded {
    fn session(&self) {
        self.gate.open_with(|| {
            assert_eq!(self.sessions.load(SeqCst) + self.updates.load(SeqCst), 0, "not alone");
            assert_eq!(self.alone.fetch_add(1, SeqCst), 0);
            thread::yield_now();
            assert_eq!(self.sessions.load(SeqCst) + self.updates.load(SeqCst), 0, "not alone any more");
            self.alone.fetch_sub(1, SeqCst);
        });
        self.sessions.fetch_add(1, SeqCst);
        thread::yield_now();
        assert_eq!(self.updates.load(SeqCst) + self.alone.load(SeqCst), 0, "a session beside an update");
        self.sessions.fetch_sub(1, SeqCst);
        self.gate.close();
    }

    fn update(&self, policy: UpdatePolicy) {
        self.gate.request(policy);
        self.gate.lock(policy);
        assert_eq!(self.updates.fetch_add(1, SeqCst), 0, "two updates");
        thread::yield_now();
        assert_eq!(self.sessions.load(SeqCst) + self.alone.load(SeqCst), 0, "an update beside a session");
        self.updates.fetch_sub(1, SeqCst);
        self.gate.unlock();
    }
}

#[test]
fn updates_exclude_sessions_and_each_other_and_nobody_is_forgotten() {
    explore(|| {
        let guarded = Arc::new(Guarded::default());
        let shared = guarded.clone();
        on_threads(4, move |number| {
            for round in 0..2 {
                match (number, round) {
                    (0, _) => shared.update(UpdatePolicy::Wait),
                    (1, 1) => shared.update(UpdatePolicy::Cancel),
                    _ => shared.session(),
                }
            }
        });
        assert!(!guarded.gate.is_cancelling());
    });
}

#[test]
fn a_session_that_lasts_until_it_is_cancelled_is_cancelled() {
    explore(|| {
        let guarded = Arc::new(Guarded::default());
        on_threads(3, move |number| match number {
            0 => guarded.update(UpdatePolicy::Cancel),
            1 => guarded.session(),
            _ => {
                guarded.gate.open_with(|| ());
                // Bounded, as the update may have come and gone before.
                for _ in 0..20 {
                    if guarded.gate.is_cancelling() {
                        break;
                    }
                    thread::yield_now();
                }
                guarded.gate.close();
            }
        });
    });
}

/// A few nodes, and what is needed to wait for them.
struct Nodes {
    nodes: Vec<NodeRef>,
    waits: WaitGraph,
    lot: Lot,
    cycles: AtomicUsize,
}

struct Marker;

static LEAF: TaskFn<(u32,), u32> =
    TaskFn::leaf(type_id::<Marker>(), Site { name: "node", path: "model::node", file: "", line: 0 });

impl Nodes {
    fn new(number: u32) -> Self {
        let node = |number| {
            let header = Header::new(LEAF.raw(), 0, 0, StateWord::new(Phase::Empty));
            // SAFETY: the slot's key is the descriptor's.
            unsafe { NodeRef::allocate(LEAF.raw(), header, &mut StackMagicAnySlot::new((ByVal(number),))) }
        };
        let nodes = (0..number).map(node).collect();
        Self { nodes, waits: WaitGraph::default(), lot: Lot::default(), cycles: AtomicUsize::new(0) }
    }

    /// Claims the first of `path` and needs the rest, one through the other, as nested calls do.
    fn compute(&self, strand: u64, claimed: &mut Vec<NodeRef>, path: &[usize]) {
        let [number, rest @ ..] = path else { return };
        let node = self.nodes[*number];
        loop {
            match node.state.phase() {
                Phase::Fresh => return,
                Phase::Running => {
                    let waiter = Waiter { strand, claimed, lineage: None, beneath: None };
                    if let Err(refused) = self.waits.block(waiter, node) {
                        let Refused::Cycle(cycle, _) = refused else {
                            panic!("nobody stands on another's stack")
                        };
                        assert!(cycle.contains(&node) && claimed.iter().any(|node| cycle.contains(node)));
                        self.cycles.fetch_add(1, SeqCst);
                        return;
                    }
                    node.state.wait(&self.lot, node.address(), None, || false);
                    self.waits.unblock(strand, node);
                }
                phase => {
                    if node.state.try_claim(phase) {
                        claimed.push(node);
                        marks::take(&node.work, usize::try_from(strand).expect("strands are small"));
                        self.compute(strand, claimed, rest);
                        claimed.pop();
                        marks::take(&node.work, 0);
                        node.state.publish(Phase::Fresh, &self.lot, node.address());
                        return;
                    }
                }
            }
        }
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            // SAFETY: all threads that use the nodes have ended.
            unsafe { node.free() };
        }
    }
}

fn check_waits(paths: &'static [&'static [usize]], cycles: std::ops::RangeInclusive<usize>) {
    explore(move || {
        let nodes = Arc::new(Nodes::new(4));
        let shared = nodes.clone();
        on_threads(paths.len(), move |number| {
            shared.compute((number as u64 + 1) * 4, &mut Vec::new(), paths[number]);
        });
        let found = nodes.cycles.load(SeqCst);
        assert!(cycles.contains(&found), "{found} cycles");
        assert!(nodes.nodes.iter().all(|node| node.state.phase() != Phase::Running));
    });
}

#[test]
fn waits_without_a_cycle_are_never_called_one() {
    check_waits(&[&[0, 1, 2], &[1, 2, 3], &[3], &[2, 3]], 0..=0);
    check_waits(&[&[0, 3], &[1, 3], &[2, 0, 3]], 0..=0);
}

#[test]
fn a_cycle_is_found_when_it_closes_and_nobody_sleeps_for_ever() {
    check_waits(&[&[0, 0], &[1]], 1..=1);
    check_waits(&[&[0, 1, 0], &[1, 0, 1]], 1..=2);
    check_waits(&[&[0, 1, 2, 0], &[1, 2, 0, 1], &[2, 0, 1, 2]], 1..=3);
    check_waits(&[&[0, 1, 0], &[2, 1, 0, 1], &[3, 2]], 1..=2);
}

/// A strand that resolves cycles, as `cycle.rs` and `cycle/way.rs` do: it claims what it meets, keeps what depends on a task that it
/// has claimed until that has ended, and makes way for another strand where it would wait for itself.
struct Walk<'a> {
    nodes: &'a Nodes,
    edges: &'static [&'static [usize]],
    strand: u64,
    claimed: Vec<NodeRef>,
    /// Members whose bodies have ended, with the depth of their component's head.
    parked: Vec<(NodeRef, usize)>,
    given_up: usize,
}

/// All claims from a depth on are given up; then this node is waited for.
struct GivesUp {
    low: usize,
    on: NodeRef,
}

impl Walk<'_> {
    /// Makes a node fresh, or finds that it depends on the claim at the depth that is returned.
    fn demand(&mut self, number: usize) -> Result<Option<usize>, GivesUp> {
        let node = self.nodes.nodes[number];
        loop {
            match node.state.phase() {
                Phase::Fresh => return Ok(None),
                Phase::Running if marks::owner(&node.work) == Some(self.strand) => {
                    return Ok(self.depth_of(node));
                }
                Phase::Running => self.wait_for(node)?,
                phase => {
                    if node.state.try_claim(phase) {
                        let depth = self.claimed.len();
                        self.claimed.push(node);
                        marks::take(&node.work, usize::try_from(self.strand).expect("strands are small"));
                        match self.run(number, depth) {
                            Err(GivesUp { low, on }) if low == depth => self.wait_for_way(on)?,
                            outcome => return outcome,
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, number: usize, depth: usize) -> Result<Option<usize>, GivesUp> {
        let mut low = depth;
        for read in self.edges[number] {
            match self.demand(*read) {
                Ok(reached) => low = low.min(reached.unwrap_or(depth)),
                Err(gives_up) => {
                    self.release(depth, Phase::Empty);
                    return Err(gives_up);
                }
            }
        }
        if low == depth {
            self.release(depth, Phase::Fresh);
            return Ok(None);
        }
        // Whatever is parked further in leads to this task's head, too.
        self.parked.iter_mut().filter(|(_, head)| *head >= low).for_each(|(_, head)| *head = low);
        let node = self.claimed.pop().expect("claimed by the caller");
        self.parked.push((node, low));
        Ok(Some(low))
    }

    fn depth_of(&self, node: NodeRef) -> Option<usize> {
        let parked = self.parked.iter().find(|(other, _)| *other == node).map(|(_, head)| *head);
        parked.or_else(|| self.claimed.iter().position(|other| *other == node))
    }

    /// Ends the innermost claim, which stands at `depth`, and those of the members whose head it is.
    fn release(&mut self, depth: usize, phase: Phase) {
        let node = self.claimed.pop().expect("claimed by the caller");
        let (with_it, others) = self.parked.drain(..).partition(|(_, head)| *head >= depth);
        self.parked = others;
        let with_it: Vec<(NodeRef, usize)> = with_it;
        for node in with_it.into_iter().map(|(node, _)| node).chain([node]) {
            marks::take(&node.work, 0);
            node.state.publish(phase, &self.nodes.lot, node.address());
        }
    }

    fn wait_for(&mut self, node: NodeRef) -> Result<(), GivesUp> {
        let mut claimed = self.claimed.clone();
        claimed.splice(0..0, self.parked.iter().map(|(node, _)| *node));
        let waiter = Waiter { strand: self.strand, claimed: &claimed, lineage: None, beneath: None };
        match self.nodes.waits.block(waiter, node) {
            Ok(()) => {
                node.state.wait(&self.nodes.lot, node.address(), None, || false);
                self.nodes.waits.unblock(self.strand, node);
                Ok(())
            }
            Err(Refused::Cycle(_, closes_at)) => {
                self.given_up += 1;
                let low = self.depth_of(closes_at).expect("it closes at a claim of this strand");
                Err(GivesUp { low, on: node })
            }
            Err(Refused::Stacked) => panic!("nobody stands on another's stack"),
        }
    }

    fn wait_for_way(&mut self, on: NodeRef) -> Result<(), GivesUp> {
        while on.state.phase() == Phase::Running && marks::owner(&on.work) != Some(self.strand) {
            self.wait_for(on)?;
        }
        Ok(())
    }
}

fn check_components(edges: &'static [&'static [usize]], asked: &'static [usize]) {
    explore(move || {
        let nodes = Arc::new(Nodes::new(u32::try_from(edges.len()).expect("a few")));
        let shared = nodes.clone();
        on_threads(asked.len(), move |number| {
            let strand = (number as u64 + 1) * 4;
            let mut walk =
                Walk { nodes: &shared, edges, strand, claimed: Vec::new(), parked: Vec::new(), given_up: 0 };
            let reached = walk.demand(asked[number]).unwrap_or_else(|_| panic!("nothing is left to give up"));
            assert_eq!(reached, None, "the head of all has ended");
            assert!(walk.claimed.is_empty() && walk.parked.is_empty());
            assert!(shared.nodes[asked[number]].state.is_fresh());
            assert!(walk.given_up <= 2 * edges.len(), "{} times given up", walk.given_up);
        });
        assert!(nodes.nodes.iter().all(|node| node.state.phase() != Phase::Running));
    });
}

#[test]
fn strands_that_enter_a_component_by_different_heads_all_come_to_an_end() {
    check_components(&[&[1], &[0]], &[0, 1]);
    check_components(&[&[1], &[2], &[0]], &[0, 1, 2]);
    check_components(&[&[1], &[0, 2], &[3], &[2, 1]], &[0, 3]);
    check_components(&[&[1, 2], &[3], &[0], &[2, 0]], &[0, 1, 3]);
    // Two components, one behind the other, and a task before both.
    check_components(&[&[1], &[0, 2], &[3], &[2], &[3, 0]], &[4, 2, 1]);
}

/// What a future's task sleeps on.
#[derive(Default)]
struct Sleep {
    woken: crate::sync::Mutex<bool>,
    changed: crate::sync::Condvar,
}

impl Sleep {
    fn until_woken(&self) {
        let mut woken = self.woken.lock();
        while !*woken {
            self.changed.wait(&mut woken);
        }
        *woken = false;
    }
}

impl Wake for Sleep {
    fn wake(self: Arc<Self>) {
        *self.woken.lock() = true;
        self.changed.notify_all();
    }
}

/// Calls `poll` until it says yes, sleeping until its waker is woken: a lost wake-up is a deadlock.
fn drive(mut poll: impl FnMut(&Waker) -> bool) {
    let sleep = Arc::<Sleep>::default();
    let waker = Waker::from(sleep.clone());
    while !poll(&waker) {
        sleep.until_woken();
    }
}

#[test]
fn futures_that_wait_for_a_claim_are_woken() {
    explore(|| {
        let claimed = Arc::new(Claimed {
            state: StateWord::new(Phase::Empty),
            lot: Lot::default(),
            claims: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            value: AtomicUsize::new(0),
        });
        let shared = claimed.clone();
        on_threads(4, move |number| match number {
            0 | 1 => shared.ask(1),
            _ => drive(|waker| match shared.state.phase() {
                Phase::Fresh => true,
                Phase::Running => {
                    if shared.state.wait_with(&shared.lot, 64, waker) {
                        return false;
                    }
                    shared.ask(1);
                    true
                }
                _ => {
                    shared.ask(1);
                    true
                }
            }),
        });
        assert!(claimed.state.is_fresh());
    });
}

#[test]
fn sessions_and_updates_of_futures_are_woken_and_withdrawn_requests_let_sessions_in() {
    explore(|| {
        let guarded = Arc::new(Guarded::default());
        on_threads(4, move |number| match number {
            0 => {
                drive(|waker| guarded.gate.poll_open(|| (), waker));
                guarded.sessions.fetch_add(1, SeqCst);
                guarded.gate.join();
                assert_eq!(guarded.updates.load(SeqCst), 0, "a session beside an update");
                guarded.gate.close();
                thread::yield_now();
                assert_eq!(guarded.updates.load(SeqCst), 0, "a session beside an update");
                guarded.sessions.fetch_sub(1, SeqCst);
                guarded.gate.close();
            }
            1 => {
                guarded.gate.request(UpdatePolicy::Cancel);
                drive(|waker| guarded.gate.poll_lock(UpdatePolicy::Cancel, waker));
                assert_eq!(guarded.updates.fetch_add(1, SeqCst), 0, "two updates");
                thread::yield_now();
                assert_eq!(guarded.sessions.load(SeqCst), 0, "an update beside a session");
                guarded.updates.fetch_sub(1, SeqCst);
                guarded.gate.unlock();
            }
            2 => {
                guarded.gate.request(UpdatePolicy::Wait);
                thread::yield_now();
                guarded.gate.withdraw(UpdatePolicy::Wait);
            }
            _ => guarded.session(),
        });
    });
}

/// Two tasks, each of which has its items worked on by a helper that asks for the other task.
#[test]
fn a_cycle_through_the_helpers_of_scopes_is_found() {
    explore(|| {
        let nodes = Arc::new(Nodes::new(2));
        let shared = nodes.clone();
        on_threads(2, move |number| {
            let own = shared.nodes[number];
            let other = shared.nodes[1 - number];
            let strand = (number as u64 + 1) * 4;
            assert!(own.state.try_claim(Phase::Empty));
            marks::take(&own.work, usize::try_from(strand).expect("strands are small"));
            let lineage = Arc::new(Lineage {
                strand,
                claimed: vec![own],
                parent: None,
                beneath: None,
                demand: None,
                token: None,
            });
            let helper = {
                let (shared, lineage) = (shared.clone(), lineage);
                thread::spawn(move || {
                    let waiter =
                        Waiter { strand: strand + 100, claimed: &[], lineage: Some(&lineage), beneath: None };
                    match other.state.phase() {
                        Phase::Running => match shared.waits.block(waiter, other) {
                            Ok(()) => {
                                other.state.wait(&shared.lot, other.address(), None, || false);
                                shared.waits.unblock(strand + 100, other);
                            }
                            Err(_) => {
                                shared.cycles.fetch_add(1, SeqCst);
                            }
                        },
                        _ => {}
                    }
                })
            };
            helper.join().expect("no thread panics");
            marks::take(&own.work, 0);
            own.state.publish(Phase::Fresh, &shared.lot, own.address());
        });
        assert!(nodes.cycles.load(SeqCst) <= 1, "one of the two is told, the other goes on");
    });
}
