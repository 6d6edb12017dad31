//! Async run: an async execution under way, driven by any of its waiters.
//!
//! ```text
//!   EMPTY/STALE ── claim by the first waiter's poll ──► RUNNING, its async run in `async_runs.rs`
//!        ▲                                                 │ each poll of any waiter drives it: verifies, then goes on
//!        │ the last waiter leaves: the body is dropped,    │ with the body
//!        └ the claim released as it was                    ▼
//!                                                     FRESH, or EMPTY with the failure
//! ```
//!
//! * An async run is a strand of its own (`strand.rs`). Whichever thread polls puts it on for the length of the poll, with a frame
//!   of its own: reads are kept in the async run between polls.
//! * A *waiter* has a seat from its first poll until it is dropped. One waiter drives at a time. When the body wakes the async run,
//!   all waiters are woken: any of them may be held by a future that does not poll it again. The first to come drives.
//! * Threads wait by driving, too. So no async run depends on one executor, nor on one waiter.
//! * An async run holds the gate: while it is under way, its inputs stand still.
//! * `state` is held while the body runs, by the driver alone: the seats say that there is one, so nothing waits for that lock. The
//!   same goes for the body.
//! * The engine names no future: a body is a [`Deferred`], which the runtime makes of one.
//! * A body whose executor has gone is begun again by another waiter (`lost.rs`).
//! * For example, waiter 1 on tokio polls `page` first: it claims the node, and its poll runs the body up to a timer. Waiter 2 on another
//!   thread takes a seat. The timer wakes both; waiter 2 is polled first, so it drives the body to its end, and waiter 1 finds the value.
//! * An async run and its body are one allocation (`body.rs`), the only one of an async miss beside the node. The steering
//!   is a [`Core`], compiled once; the types come in through [`Parts`].

mod body;
mod lost;
mod seats;
mod thread;
mod verify;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::base::stack::on_enough_stack;
use crate::base::sync::Mutex;
use crate::base::wakes;
use crate::context::async_runs::{Seat, SeatId};
use crate::context::engine::Hold;
use crate::context::local::{Local, Suspended};
use crate::context::strand::Strand;
use crate::evaluate::call_box::CallBox;
use crate::evaluate::complete::{complete, fail};
use crate::evaluate::demand::{Visit, try_claim_for};
use crate::evaluate::execute::cause;
use crate::evaluate::heavy::launch_heavy;
use crate::evaluate::node_wait::NodeWait;
use crate::evaluate::observed::{Begun, is_observed};
use crate::evaluate::timer::Timer;
use crate::graph::claim::Phase;
use crate::graph::failure::TaskError;
use crate::graph::node::NodeRef;
use crate::graph::stop::{Stop, Thrown};
use crate::graph::task_fn::Ran;

pub use body::Deferred;
pub(crate) use body::book;
pub(crate) use lost::{Says, Verdict};
pub(crate) use seats::{Boarded, Seats, Waiters, with_waker};
pub use thread::block_on;
pub(crate) use thread::drive;
use verify::Verified;

/// The body of an async run, whatever its types. Its methods are called by the driver alone, or by the waiter that ended the async run.
trait Parts {
    /// Makes the body, which runs no part of it.
    ///
    /// # Safety
    /// `node` is that of the async run, and its claim is held.
    unsafe fn start(&self, node: NodeRef);
    /// Goes on with the body; puts its output in place, if there is one now, and calls `done`. Returns whether it did.
    ///
    /// # Safety
    /// See [`Parts::start`].
    unsafe fn go_on(&self, node: NodeRef, waker: &Waker, done: &mut dyn FnMut(Ran)) -> bool;
    /// Drops the body.
    fn clear(&self);
}

/// The parts of an async run but for its body.
struct Core {
    seats: Seats,
    state: Mutex<Option<State>>,
    failure: Mutex<Option<Thrown>>,
}

/// The state of the driver.
pub(crate) struct State {
    hold: Hold,
    /// Its claim between polls is that of `root`, which is named while the strand is put on.
    strand: Strand,
    /// The visit of the async run's own node.
    root: Visit,
    /// The reads that are being verified, outermost first. None between polls.
    visits: Vec<Visit>,
    /// The async read that verification waits for.
    awaited: Option<NodeWait>,
    /// Whether that is a read of the async run's own node.
    awaits_own_read: bool,
    stage: Stage,
    frame: Suspended,
    /// The run, if it is observed.
    begun: Option<Box<Begun>>,
    timer: Timer,
}

/// How far an async run has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Verifies,
    /// The body has to run.
    Runs,
    /// The body is there.
    HasBegun,
}

// SAFETY: the raw pointers in it (marks, predicted reads) lead into nodes that the strand has claimed, and follow the async run: one
// thread at a time has the state locked.
unsafe impl Send for State {}

/// Claims a node that is async or heavy and launches its async run: a heavy one on the crew, another one in the box `own`, if it is
/// given. `None` if another strand was faster.
///
/// The launcher has the first seat at once: should it be cancelled before it waits, the async run ends with it. An async run without a
/// seat would have no owner, and hold the gate for ever.
pub(crate) fn try_launch(local: &Local, node: NodeRef, from: Phase, own: Option<&CallBox>) -> Option<Seat> {
    launch_at(local, node, from, if node.task_fn.heavy { Runner::Crew } else { Runner::Waiters(own) })
}

/// Claims an async node and launches an async run that its waiters drive, heavy or not. `None` if another strand was faster.
pub(crate) fn try_launch_here(local: &Local, node: NodeRef, from: Phase) -> Option<Seat> {
    launch_at(local, node, from, Runner::Waiters(None))
}

/// The runner of an async run's body.
enum Runner<'a> {
    Waiters(Option<&'a CallBox>),
    Crew,
}

fn launch_at(local: &Local, node: NodeRef, from: Phase, place: Runner<'_>) -> Option<Seat> {
    let engine = local.engine();
    let mut strand = Strand::new();
    strand.demand = local.demand.get();
    strand.data = local.data.borrow().clone();
    let mut work = None;
    let launched = engine.async_runs.launch(node, || {
        let visit = try_claim_for(local, strand.id, node, from)?;
        let hold = Hold::join(local.engine_arc());
        if let (Runner::Waiters(own), Some(book)) = (place, node.task_fn.book_fn()) {
            let state = State::new(hold, strand, visit);
            return Some(match own.filter(|own| own.has_run()) {
                Some(own) => own.begin(state),
                None => book(None).begin(state),
            });
        }
        let (async_run, for_the_crew) = launch_heavy(hold, strand, visit);
        work = Some(for_the_crew);
        Some(async_run)
    });
    if let Some(work) = work {
        engine.crew.push(work);
    }
    launched
}

enum Driven {
    Over,
    Waits,
}

impl State {
    /// Makes the state for the async run of a node that has just been claimed by `strand`.
    fn new(hold: Hold, strand: Strand, root: Visit) -> Self {
        let (visits, frame) = (Vec::new(), Suspended::default());
        let (awaited, awaits_own_read, stage, begun) = (None, false, Stage::Verifies, None);
        let timer = Timer::default();
        Self { hold, strand, root, visits, awaited, awaits_own_read, stage, frame, begun, timer }
    }

    /// Puts the async run's strand on, runs `work` and takes the strand off again.
    fn as_strand<R>(&mut self, local: &Local, work: impl FnOnce(&mut Self) -> R) -> R {
        let mut claimed = local.spare_claims.borrow_mut().pop().unwrap_or_default();
        debug_assert!(self.visits.is_empty(), "a async_run that gives way keeps its own claim only");
        claimed.push(self.root.node);
        self.strand.claimed = claimed;
        local.switch(&mut self.strand);
        let outcome = on_enough_stack(|| work(self));
        local.switch(&mut self.strand);
        let mut claimed = std::mem::take(&mut self.strand.claimed);
        claimed.clear();
        local.spare_claims.borrow_mut().push(claimed);
        outcome
    }
}

impl Core {
    /// Makes the state for an async run that has not begun: no other strand knows of it.
    fn waiting() -> Self {
        Self { seats: Seats::default(), state: Mutex::default(), failure: Mutex::default() }
    }

    fn begin(&self, state: State) {
        *self.state.lock() = Some(state);
    }

    /// See [`Fly::poll`]; `own` makes the async run's own waker.
    fn poll(&self, parts: &dyn Parts, seat: SeatId, waker: &Waker, own: impl FnOnce() -> Waker) -> bool {
        match self.seats.board(seat, waker) {
            Boarded::Drives => {}
            Boarded::Waits => return false,
            Boarded::Over => return true,
        }
        let over = {
            let mut state = self.state.lock();
            let driven = state.as_mut().map_or(Driven::Over, |state| self.drive(parts, state, seat, &own()));
            matches!(driven, Driven::Over).then(|| state.take())
        };
        self.seats.alight(over.is_some());
        let Some(state) = over else { return false };
        // The finished body's drop is the user's code: under no lock that others take, and nothing waits for it.
        on_enough_stack(|| {
            drop(catch_unwind(AssertUnwindSafe(|| parts.clear())));
            drop(state);
        });
        true
    }

    fn leave(&self, parts: &dyn Parts, seat: SeatId) {
        if self.seats.leave(seat) {
            let state = self.state.lock().take();
            if let Some(state) = state {
                abandon(parts, state);
            }
        }
    }

    fn drive(&self, parts: &dyn Parts, state: &mut State, seat: SeatId, waker: &Waker) -> Driven {
        let _inside = wakes::Inside::begin();
        let engine = state.hold.engine().clone();
        let local = Local::of(&engine);
        // The rest is a matter of the thread.
        state.strand.foreign = local.is_foreign();
        state.as_strand(&local, |state| self.drive_here(parts, &local, state, seat, waker))
    }

    fn drive_here(
        &self,
        parts: &dyn Parts,
        local: &Local,
        state: &mut State,
        seat: SeatId,
        waker: &Waker,
    ) -> Driven {
        loop {
            match state.stage {
                Stage::Verifies => match state.verify(local, waker) {
                    Verified::Waits => return Driven::Waits,
                    Verified::Current => return Driven::Over,
                    Verified::Failed(stop) => {
                        *self.failure.lock() = Some((stop, local.last_panic.take()));
                        return Driven::Over;
                    }
                    Verified::Run => state.stage = Stage::Runs,
                },
                Stage::Runs => {
                    let node = state.root.node;
                    state.begun =
                        is_observed(local).then(|| Box::new(Begun::new(local, node, &state.root.why(local))));
                    state.root.end_stale();
                    state.timer = Timer::start(local, node);
                    // SAFETY: the claim is held.
                    state.frame = Suspended::predicting(unsafe { node.deps() }.as_slice());
                    // Making the body runs no part of it, but `Clone` of the key.
                    // SAFETY: the node is the async run's; the claim is held.
                    let made = catch_unwind(AssertUnwindSafe(|| unsafe { parts.start(node) }));
                    if let Err(payload) = made {
                        return self.failed(local, node, Stop::caught(payload), state.begun.as_deref());
                    }
                    state.stage = Stage::HasBegun;
                }
                Stage::HasBegun => match self.go_on(parts, local, state, seat, waker) {
                    Some(driven) => return driven,
                    None => state.stage = Stage::Runs,
                },
            }
        }
    }

    /// Goes on with the body; `None` if it is to be begun again.
    fn go_on(
        &self,
        parts: &dyn Parts,
        local: &Local,
        state: &mut State,
        seat: SeatId,
        waker: &Waker,
    ) -> Option<Driven> {
        let node = state.root.node;
        let saved = local.resume(&mut state.frame);
        let (frame, begun) = (&mut state.frame, state.begun.as_deref());
        begun.into_iter().for_each(Begun::enter);
        let mut published = false;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut done = |ran| {
                local.recall(frame);
                let this = local.engine().async_runs.land(node);
                complete(local, node, ran, begun);
                published = true;
                drop(this);
            };
            // SAFETY: the node is the async run's; the claim is held.
            unsafe { parts.go_on(node, waker, &mut done) }
        }));
        match outcome {
            Ok(false) => {
                begun.into_iter().for_each(Begun::exit);
                local.suspend(&mut state.frame, saved);
                return Some(Driven::Waits);
            }
            Err(payload) if !published => {
                let stop = Stop::caught(payload);
                match self.judge(local, seat, &stop) {
                    Verdict::Fails => {
                        local.recall(&mut state.frame);
                        self.publish_failure(local, node, stop, state.begun.as_deref());
                    }
                    verdict => {
                        give_up_run(parts, local, stop);
                        state.begun = None;
                        state.frame = Suspended::default();
                        state.stage = Stage::Runs;
                        local.end_frame(saved);
                        let waits = verdict == Verdict::LeavesItToOthers;
                        return waits.then_some(Driven::Waits);
                    }
                }
            }
            // If the drop of the replaced output panicked, the new one is in place.
            _ => {}
        }
        local.end_frame(saved);
        state.timer.stop(local, node);
        Some(Driven::Over)
    }

    /// Judges a panic of the body, in the poll of the waiter at `seat`.
    fn judge(&self, local: &Local, seat: SeatId, stop: &Stop) -> Verdict {
        // Work that still runs can add nothing to this run any more.
        local.settle_carried();
        match Says::of(stop) {
            Some(says) if local.poison_of_innermost().is_none() => self.seats.judge(seat, says),
            _ => Verdict::Fails,
        }
    }

    fn failed(&self, local: &Local, node: NodeRef, stop: Stop, begun: Option<&Begun>) -> Driven {
        let frame = local.begin_frame(&[], true);
        self.publish_failure(local, node, stop, begun);
        local.end_frame(frame);
        Driven::Over
    }

    fn publish_failure(&self, local: &Local, node: NodeRef, stop: Stop, begun: Option<&Begun>) {
        let (mut stop, unseen) = cause(local, stop);
        let this = local.engine().async_runs.land(node);
        // First the failure: strands that see the claim's end look for it.
        let mut place = self.failure.lock();
        fail(local, node, &mut stop, begun);
        *place = Some((stop, local.last_panic.take()));
        drop(place);
        drop(this);
        // A panic of the drop belongs to no task: the failure is told already.
        drop(catch_unwind(AssertUnwindSafe(|| drop(unseen))));
    }
}

/// Drops a body that has panicked, and is to be begun again: in another demand, so that what failed with it is run again, too.
#[cold]
fn give_up_run(parts: &dyn Parts, local: &Local, stop: Stop) {
    local.mute();
    // A panic of a drop belongs to no task.
    drop(catch_unwind(AssertUnwindSafe(|| drop(stop))));
    drop(catch_unwind(AssertUnwindSafe(|| parts.clear())));
    local.begin_demand();
}

/// Ends an async run early: drops the body and releases the claims.
fn abandon(parts: &dyn Parts, mut state: State) {
    let engine = state.hold.engine().clone();
    let local = Local::of(&engine);
    let entered = local.enter(&engine);
    let this = state.as_strand(&local, |state| {
        state.begun.iter().for_each(|begun| begun.enter());
        // The frame is that of the session: reads and panics of drops belong to no task.
        drop(catch_unwind(AssertUnwindSafe(|| parts.clear())));
        drop(catch_unwind(AssertUnwindSafe(|| drop(state.awaited.take()))));
        let this = engine.async_runs.land(state.root.node);
        if let Some(begun) = &state.begun {
            begun.failed(&local, state.root.node, &TaskError::Cancelled);
        }
        state.put_back(&local);
        this
    });
    local.leave(entered);
    drop(this);
}
