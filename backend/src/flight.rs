//! Flight: an async execution under way, driven by whoever waits for it.
//!
//! ```text
//!   EMPTY/STALE ── claim by the first waiter's poll ──► RUNNING, its flight in `flights.rs`
//!        ▲                                                 │ each poll of any waiter drives it: verifies, then goes on
//!        │ the last waiter leaves: the body is dropped,    │ with the body
//!        └ the claim released as it was                    ▼
//!                                                     FRESH, or EMPTY with the failure
//! ```
//!
//! * A flight is a strand of its own (`strand.rs`). Whichever thread polls puts it on for the length of the poll, with a frame
//!   of its own: reads are kept in the flight between polls.
//! * A *waiter* has a seat from its first poll until it is dropped. One waiter drives at a time. When the body wakes the flight,
//!   all waiters are woken: any of them may be held by somebody who does not poll it again. The first to come drives.
//! * Threads wait by driving, too. So no flight depends on one executor, nor on one waiter.
//! * A flight holds the gate: while it is under way, its inputs stand still.
//! * `waiters` is held for moments, and nothing is locked under it. `state` is held while the body runs, by the driver alone:
//!   `Waiters::driven` says that there is one, so nobody waits for that lock.
//! * The engine names no future: a body is a [`Deferred`], which the runtime makes of one.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

use crate::args::Key;
use crate::asker::{Asked, Asker};
use crate::carry::Hold;
use crate::claim::Phase;
use crate::cycle;
use crate::demand::{Patience, Step, Visit, try_claim_as};
use crate::execute::{Payload, complete, execute, fail, on_enough_stack};
use crate::failure::TaskError;
use crate::heavy::launch_heavy;
use crate::local::{Local, Suspended};
use crate::node::NodeRef;
use crate::strand::Strand;
use crate::sync::Mutex;
use crate::task_fn::{finish_deferred, start_deferred};

/// A body that is run in pieces.
pub trait Deferred<O>: Send + 'static {
    /// Goes on until there is the output, or nothing more to do now: `waker` is woken when there is.
    fn go_on(&mut self, waker: &Waker) -> Option<O>;
}

/// A panic that ended a flight: the payload, and how it was named, with where its payload lies.
pub(crate) type Thrown = (Payload, Option<(usize, TaskError)>);

/// A flight, whatever its types.
pub(crate) trait Fly: Send + Sync {
    /// Takes a seat; `None` if the flight is over.
    fn join(&self) -> Option<u64>;
    /// Drives the flight, unless somebody else does. Returns whether it is over; else `waker` is woken when to come again.
    fn poll(self: Arc<Self>, seat: u64, waker: &Waker) -> bool;
    /// Wakes all waiters to look again.
    fn wake_waiters(&self);
    /// Gives up a seat. The last one to leave ends the flight.
    fn leave(&self, seat: u64);
    /// The panic that ended the flight, for the first to ask, and what it is known by.
    fn take_failure(&self) -> Option<Thrown>;
}

#[derive(Default)]
pub(crate) struct Waiters {
    pub(crate) seats: usize,
    next_seat: u64,
    pub(crate) wakers: Wakers,
    driven: bool,
    /// Woken while it was driven.
    woken: bool,
    pub(crate) over: bool,
}

/// The wakers of waiters, by their seats. One is the usual number: that needs no allocation.
#[derive(Default)]
pub(crate) struct Wakers {
    one: Option<(u64, Waker)>,
    more: Vec<(u64, Waker)>,
}

impl Wakers {
    pub(crate) fn wake(self) {
        wake_all(self.one);
        wake_all(self.more);
    }
}

impl Waiters {
    pub(crate) fn join(&mut self) -> Option<u64> {
        if self.over {
            return None;
        }
        self.seats += 1;
        self.next_seat += 1;
        Some(self.next_seat)
    }

    pub(crate) fn set_waker(&mut self, seat: u64, waker: &Waker) {
        let Wakers { one, more } = &mut self.wakers;
        if let Some((_, known)) = one.iter_mut().chain(more.iter_mut()).find(|(other, _)| *other == seat) {
            known.clone_from(waker);
        } else if one.is_none() {
            *one = Some((seat, waker.clone()));
        } else {
            more.push((seat, waker.clone()));
        }
    }

    pub(crate) fn has_had_seats(&self) -> bool {
        self.next_seat > 0
    }

    /// Returns the waker, to be dropped under no lock.
    pub(crate) fn leave(&mut self, seat: u64) -> Option<Waker> {
        self.seats -= 1;
        let Wakers { one, more } = &mut self.wakers;
        if one.as_ref().is_some_and(|(other, _)| *other == seat) {
            return one.take().map(|(_, waker)| waker);
        }
        let at = more.iter().position(|(other, _)| *other == seat)?;
        Some(more.swap_remove(at).1)
    }
}

/// A flight of a task function from `K` to `O` whose body is an `F`.
struct Flight<K, O, F> {
    waiters: Mutex<Waiters>,
    state: Mutex<Option<State<F>>>,
    failure: Mutex<Option<Thrown>>,
    types: PhantomData<fn(&K) -> O>,
}

/// What belongs to the driver.
struct State<F> {
    hold: Hold,
    strand: Strand,
    /// The visit of the flight's own node.
    root: Visit,
    /// Those of its reads that are being verified, outermost first.
    visits: Vec<Visit>,
    /// The async read that verification waits for.
    awaited: Option<Asker>,
    body: Option<F>,
    frame: Suspended,
}

// SAFETY: the raw pointers in it (marks, predicted reads) lead into nodes that the strand has claimed, and follow the flight: one
// thread at a time has the state locked.
unsafe impl<F: Send> Send for State<F> {}

/// Makes the flight of a node that has just been claimed by `strand`.
pub(crate) fn launch<K: Key, O: Clone + Send + Sync + 'static, F: Deferred<O>>(
    hold: Hold,
    strand: Strand,
    visit: Visit,
) -> Arc<dyn Fly> {
    let state = State {
        hold,
        strand,
        root: visit,
        visits: Vec::new(),
        awaited: None,
        body: None::<F>,
        frame: Suspended::default(),
    };
    Arc::new(Flight::<K, O, F> {
        waiters: Mutex::default(),
        state: Mutex::new(Some(state)),
        failure: Mutex::new(None),
        types: PhantomData,
    })
}

/// Claims a node that is async or heavy and launches its flight: a heavy one on the crew. `false` if somebody was faster.
pub(crate) fn try_launch(local: &Local, node: NodeRef, from: Phase) -> bool {
    launch_at(local, node, from, if node.task_fn.heavy { Place::Crew } else { Place::Waiters })
}

/// Claims an async node and launches a flight that its waiters drive, heavy or not. `false` if somebody was faster.
pub(crate) fn try_launch_here(local: &Local, node: NodeRef, from: Phase) -> bool {
    launch_at(local, node, from, Place::Waiters)
}

/// Who runs a flight's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Waiters,
    Crew,
}

fn launch_at(local: &Local, node: NodeRef, from: Phase, place: Place) -> bool {
    let engine = local.engine();
    let mut strand = Strand::new();
    strand.demand = local.demand.get();
    let mut work = None;
    let launched = engine.flights.launch(node, || {
        let visit = try_claim_as(&mut strand, node, from)?;
        let hold = Hold::join(local.engine_arc());
        if let (Some(launch), Place::Waiters) = (node.task_fn.launch, place) {
            return Some(launch(hold, strand, visit));
        }
        let (flight, for_the_crew) = launch_heavy(hold, strand, visit);
        work = Some(for_the_crew);
        Some(flight)
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

impl<K: Key, O: Clone + Send + Sync + 'static, F: Deferred<O>> Flight<K, O, F> {
    fn drive(&self, state: &mut State<F>, waker: &Waker) -> Driven {
        let engine = state.hold.engine().clone();
        let local = Local::of(&engine);
        local.switch(&mut state.strand);
        let driven = on_enough_stack(|| self.drive_here(&local, state, waker));
        local.switch(&mut state.strand);
        driven
    }

    fn drive_here(&self, local: &Local, state: &mut State<F>, waker: &Waker) -> Driven {
        while state.body.is_none() {
            match state.verify(local, waker) {
                Verified::Waits => return Driven::Waits,
                Verified::Current => return Driven::Over,
                Verified::Failed(payload) => {
                    *self.failure.lock() = Some((payload, local.last_panic.take()));
                    return Driven::Over;
                }
                Verified::Run => {
                    let node = state.root.node;
                    // SAFETY: the claim is held.
                    state.frame = Suspended::predicting(unsafe { node.deps() }.as_slice());
                    // Making the body runs no part of it, but `Clone` of the key.
                    let made = catch_unwind(AssertUnwindSafe(|| {
                        // SAFETY: `launch` was made for these types together with the body.
                        unsafe { start_deferred::<K, O, F>(node) }
                    }));
                    match made {
                        Ok(body) => state.body = Some(body),
                        Err(payload) => return self.failed(local, state, payload),
                    }
                }
            }
        }
        self.go_on(local, state, waker)
    }

    fn go_on(&self, local: &Local, state: &mut State<F>, waker: &Waker) -> Driven {
        let node = state.root.node;
        let Some(body) = &mut state.body else { unreachable!("`drive_here` has made it") };
        let frame = local.resume(&mut state.frame);
        let outcome = catch_unwind(AssertUnwindSafe(|| body.go_on(waker)));
        let outcome = match outcome {
            Ok(None) => {
                local.suspend(&mut state.frame, frame);
                return Driven::Waits;
            }
            Ok(Some(output)) => {
                local.recall(&mut state.frame);
                let mut published = false;
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    // SAFETY: the claim is held; the types are the node's.
                    unsafe {
                        finish_deferred::<K, O>(node, output, &mut |ran| {
                            let this = local.engine().flights.land(node);
                            complete(local, node, ran);
                            published = true;
                            drop(this);
                        });
                    }
                }));
                match outcome {
                    Err(payload) if !published => Err(payload),
                    // The drop of the replaced output panicked; the new one is in place.
                    _ => Ok(()),
                }
            }
            Err(payload) => {
                local.recall(&mut state.frame);
                Err(payload)
            }
        };
        if let Err(payload) = outcome {
            self.publish_failure(local, node, payload);
        }
        local.end_frame(frame);
        Driven::Over
    }

    fn failed(&self, local: &Local, state: &mut State<F>, payload: Payload) -> Driven {
        let frame = local.begin_frame(&[], true);
        self.publish_failure(local, state.root.node, payload);
        local.end_frame(frame);
        Driven::Over
    }

    fn publish_failure(&self, local: &Local, node: NodeRef, payload: Payload) {
        let this = local.engine().flights.land(node);
        // First the failure: those who see the claim's end look for it.
        let mut place = self.failure.lock();
        fail(local, node, &payload);
        *place = Some((payload, local.last_panic.take()));
        drop(place);
        drop(this);
    }

    /// Ends the flight early: drops the body and releases the claims.
    fn abandon(mut state: State<F>) {
        let engine = state.hold.engine().clone();
        let local = Local::of(&engine);
        let entered = local.enter(&engine);
        local.switch(&mut state.strand);
        let body = state.body.take();
        on_enough_stack(|| {
            // The frame is that of the session: what drops read belongs to nobody. What they throw, too.
            drop(catch_unwind(AssertUnwindSafe(|| drop(body))));
            drop(catch_unwind(AssertUnwindSafe(|| drop(state.awaited.take()))));
        });
        let this = engine.flights.land(state.root.node);
        state.put_back(&local);
        local.switch(&mut state.strand);
        local.leave(entered);
        drop(this);
    }
}

enum Verified {
    Waits,
    Current,
    Run,
    Failed(Payload),
}

impl<F> State<F> {
    /// Goes on verifying the flight's node; async reads are awaited, others verified and run in place.
    fn verify(&mut self, local: &Local, waker: &Waker) -> Verified {
        loop {
            if let Some(awaited) = &mut self.awaited {
                match awaited.poll(local, waker) {
                    Asked::Waits => return Verified::Waits,
                    Asked::Holds(_) => {}
                    Asked::Failed(payload) if is_cancelled(&payload) => return self.abort(local, payload),
                    // A read that failed counts as changed; the body meets the failure itself.
                    Asked::Failed(_) => self.innermost().must_run(),
                }
                self.awaited = None;
            }
            let is_root = self.visits.is_empty();
            let visit = self.innermost();
            match visit.step(local, Patience::GivesWay) {
                Step::Descend(next) => self.visits.push(next),
                Step::Await(node) => self.awaited = Some(Asker::new(node)),
                Step::Current if is_root => {
                    let this = local.engine().flights.land(visit.node);
                    visit.confirm(local);
                    drop(this);
                    return Verified::Current;
                }
                Step::Current => {
                    visit.confirm(local);
                    self.visits.pop();
                }
                Step::Restored(replaced) if is_root => {
                    let this = local.engine().flights.land(visit.node);
                    visit.end_restored(local);
                    drop(this);
                    drop(replaced);
                    return Verified::Current;
                }
                Step::Restored(replaced) => {
                    visit.end_restored(local);
                    self.visits.pop();
                    drop(replaced);
                }
                Step::Run if is_root => return Verified::Run,
                Step::Run => {
                    let node = visit.node;
                    self.visits.pop();
                    match execute(local, node) {
                        Err(payload) if is_cancelled(&payload) && !self.gives_way(local) => {
                            return self.abort(local, payload);
                        }
                        Err(_) | Ok(()) => {}
                    }
                }
                Step::Abort(_) if self.gives_way(local) => {}
                Step::Abort(payload) => return self.abort(local, payload),
            }
        }
    }

    fn innermost(&mut self) -> &mut Visit {
        self.visits.last_mut().unwrap_or(&mut self.root)
    }

    /// Whether what was visited had to be given up for another strand that works on the same cycle; it is looked at again.
    fn gives_way(&mut self, local: &Local) -> bool {
        let gives_way = cycle::is_giving_way(local);
        while let Some(mut visit) = if gives_way { self.visits.pop() } else { None } {
            visit.put_back(local);
        }
        gives_way && cycle::wait_for_way(local).is_ok()
    }

    /// All visited nodes go back to where they were.
    fn put_back(&mut self, local: &Local) {
        while let Some(mut visit) = self.visits.pop() {
            visit.put_back(local);
        }
        self.root.put_back(local);
    }

    /// Ends verification without an outcome: all visited nodes go back to where they were.
    fn abort(&mut self, local: &Local, payload: Payload) -> Verified {
        let this = local.engine().flights.land(self.root.node);
        self.put_back(local);
        drop(this);
        Verified::Failed(payload)
    }
}

fn is_cancelled(payload: &Payload) -> bool {
    matches!(payload.downcast_ref(), Some(TaskError::Cancelled))
}

impl<K: Key, O: Clone + Send + Sync + 'static, F: Deferred<O>> Fly for Flight<K, O, F> {
    fn join(&self) -> Option<u64> {
        self.waiters.lock().join()
    }

    fn poll(self: Arc<Self>, seat: u64, waker: &Waker) -> bool {
        {
            let mut waiters = self.waiters.lock();
            if waiters.over {
                return true;
            }
            waiters.set_waker(seat, waker);
            if waiters.driven {
                return false;
            }
            waiters.driven = true;
            waiters.woken = false;
        }
        let own = Waker::from(self.clone());
        let over = {
            let mut state = self.state.lock();
            let driven = state.as_mut().map_or(Driven::Over, |state| self.drive(state, &own));
            matches!(driven, Driven::Over).then(|| state.take())
        };
        let wakers = {
            let mut waiters = self.waiters.lock();
            waiters.driven = false;
            waiters.over = over.is_some();
            let wake = waiters.over || waiters.woken;
            if wake { std::mem::take(&mut waiters.wakers) } else { Wakers::default() }
        };
        wakers.wake();
        match over {
            Some(state) => {
                // The finished body's drop is the user's code: under no lock, and nobody waits for it.
                drop(catch_unwind(AssertUnwindSafe(|| drop(state))));
                true
            }
            None => false,
        }
    }

    fn leave(&self, seat: u64) {
        let mut waiters = self.waiters.lock();
        let waker = waiters.leave(seat);
        let ends = waiters.seats == 0 && !waiters.over;
        waiters.over |= ends;
        drop(waiters);
        drop(waker);
        if ends {
            let state = self.state.lock().take();
            if let Some(state) = state {
                Self::abandon(state);
            }
        }
    }

    fn wake_waiters(&self) {
        let wakers = {
            let mut waiters = self.waiters.lock();
            if waiters.driven {
                waiters.woken = true;
                return;
            }
            std::mem::take(&mut waiters.wakers)
        };
        wakers.wake();
    }

    fn take_failure(&self) -> Option<Thrown> {
        self.failure.lock().take()
    }
}

impl<K: Key, O: Clone + Send + Sync + 'static, F: Deferred<O>> Wake for Flight<K, O, F> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_waiters();
    }
}

/// Wakes all, even if one waker panics.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = (u64, Waker)>) {
    for (_, waker) in wakers {
        drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
    }
}

/// Wakes a thread that sleeps until it is woken.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Calls `poll` until it returns something, sleeping in between until the waker is woken.
pub fn block_on<R>(poll: impl FnMut(&Waker) -> Option<R>) -> R {
    block_on_until(None, poll)
}

/// As [`block_on`], waking up at `deadline` in any case; from then on, `poll` is expected to return something.
fn block_on_until<R>(deadline: Option<Instant>, mut poll: impl FnMut(&Waker) -> Option<R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Some(result) = poll(&waker) {
            return result;
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(left) if !left.is_zero() => std::thread::park_timeout(left),
            _ => std::thread::park(),
        }
    }
}

/// Drives the flight of a node on this thread until it is over or `stop` says so, which is asked when the thread is woken and
/// at `deadline`. `false` if the flight is ending already.
pub(crate) fn drive(flight: &Arc<dyn Fly>, deadline: Option<Instant>, stop: impl Fn() -> bool) -> bool {
    let Some(seat) = flight.join() else { return false };
    let _seat = Seat { flight: flight.clone(), seat };
    block_on_until(deadline, |waker| (flight.clone().poll(seat, waker) || stop()).then_some(()));
    true
}

/// A seat in a flight, given up when dropped.
pub(crate) struct Seat {
    pub(crate) flight: Arc<dyn Fly>,
    pub(crate) seat: u64,
}

impl Seat {
    /// Takes a seat; none if the flight is over.
    pub(crate) fn take(flight: Arc<dyn Fly>) -> Option<Self> {
        let seat = flight.join()?;
        Some(Self { flight, seat })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.flight.leave(self.seat);
    }
}
