//! The protocols of `claim`, `gate`, `waits`, `held`, `lanes`, async runs, lookups and sweeps, explored by shuttle: many schedules of a few threads, a
//! deadlock being a failure. Run by `ci/model.sh`; `LARDER_SCHEDULES=n` explores more of them.

mod claims;
mod components;
mod async_run;
mod gate;
mod held;
mod lanes;
mod lookup;
mod stall;
mod sweep;
mod waits;

use std::sync::Arc;
use std::task::{Wake, Waker};

use shuttle::sync::atomic::AtomicUsize;
use shuttle::thread;

use crate::call::args::ByVal;
use crate::call::slot::StackMagicAnySlot;
use crate::context::waits::WaitGraph;
use crate::graph::claim::{Lot, Phase, StateWord};
use crate::graph::node::{Header, NodeRef};
use crate::graph::task_fn::{Site, TaskFn, type_id};

/// Runs `model` under random schedules, and under ones that change threads rarely but at the worst times.
fn explore(model: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(model.clone(), schedules());
    shuttle::check_pct(model, schedules(), 3);
}

fn schedules() -> usize {
    std::env::var("LARDER_SCHEDULES").ok().and_then(|number| number.parse().ok()).unwrap_or(3000)
}

/// Explores as [`explore`] does what calls deeper than the stacks allow that threads have by default.
fn explore_deep(model: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = schedules();
    let config = || {
        let mut config = shuttle::Config::new();
        config.stack_size = 1 << 20;
        config
    };
    shuttle::Runner::new(shuttle::scheduler::RandomScheduler::new(schedules), config()).run(model.clone());
    shuttle::Runner::new(shuttle::scheduler::PctScheduler::new(3, schedules), config()).run(model);
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
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            // SAFETY: all threads that use the nodes have ended.
            unsafe { node.free() };
        }
    }
}

/// The condition that a future's task sleeps on.
#[derive(Default)]
struct Sleep {
    woken: crate::base::sync::Mutex<bool>,
    changed: crate::base::sync::Condvar,
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
