//! Async runs: hand-over, drivers and last waiters that are dropped, cancellation against publication.
//!
//! Seats, async runs, claims and lots are the real ones. The body is a count of pieces, after each of which it waits for the *world*, a
//! thread that wakes it; and a waiter goes through its steps as `Node wait::poll` does, which needs a whole engine.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::{Wake, Waker};

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::base::sync::{Condvar, Mutex};
use crate::context::async_runs::AsyncRuns;
use crate::context::async_runs::DriveAsyncRun;
use crate::context::async_runs::{Seat, SeatId};
use crate::evaluate::async_run::{Boarded, Says, Seats, Verdict};
use crate::graph::claim::Phase;
use crate::graph::stop::Thrown;

use super::{Nodes, drive, explore, on_threads};

/// Pieces of a body.
const PIECES: usize = 2;

struct Sky {
    nodes: Nodes,
    async_runs: AsyncRuns,
    world: World,
    cancelled: AtomicBool,
    begun: AtomicUsize,
    ended: AtomicUsize,
    dropped: AtomicUsize,
    failed: AtomicUsize,
    /// Seats of waiters in whose polls the body panics at its second piece, as they have no executor for it: each with its async run.
    without: Mutex<HashSet<(usize, SeatId)>>,
}

/// The condition that bodies wait for.
#[derive(Default)]
struct World {
    state: Mutex<(Option<Waker>, usize)>,
    changed: Condvar,
}

impl World {
    /// Wakes bodies until so many waiters have gone.
    fn turn(&self, waiters: usize) {
        loop {
            let waker = {
                let mut state = self.state.lock();
                while state.0.is_none() && state.1 < waiters {
                    self.changed.wait(&mut state);
                }
                state.0.take()
            };
            let Some(waker) = waker else { return };
            waker.wake();
        }
    }

    fn wait(&self, waker: Waker) {
        self.state.lock().0 = Some(waker);
        self.changed.notify_all();
    }

    fn leave(&self) {
        self.state.lock().1 += 1;
        self.changed.notify_all();
    }
}

struct Plane {
    sky: Arc<Sky>,
    seats: Seats,
    /// The pieces that are left of the body.
    body: Mutex<Option<usize>>,
}

impl Plane {
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // The next one may stand at the same address.
        let address = self.address();
        self.sky.without.lock().retain(|(plane, _)| *plane != address);
    }
}

impl Wake for Plane {
    fn wake(self: Arc<Self>) {
        self.seats.wake();
    }
}

impl DriveAsyncRun for Plane {
    fn join(&self) -> Option<SeatId> {
        self.seats.join()
    }

    fn poll(self: Arc<Self>, seat: SeatId, waker: &Waker) -> bool {
        match self.seats.board(seat, waker) {
            Boarded::Over => return true,
            Boarded::Waits => return false,
            Boarded::Drives => {}
        }
        let over = loop {
            let mut body = self.body.lock();
            let left = body.as_mut().expect("a async_run that can be boarded has its body");
            let is_without = self.sky.without.lock().contains(&(self.address(), seat));
            if *left == 1 && is_without {
                *left = PIECES;
                match self.seats.judge(seat, Says::Gone) {
                    Verdict::BeginsAgain => continue,
                    Verdict::LeavesItToOthers => break false,
                    Verdict::Fails => {
                        *body = None;
                        self.sky.failed.fetch_add(1, SeqCst);
                        self.sky.end(Phase::Empty);
                        break true;
                    }
                }
            }
            if *left > 0 {
                *left -= 1;
                self.sky.world.wait(Waker::from(self.clone()));
                break false;
            }
            *body = None;
            self.sky.ended.fetch_add(1, SeqCst);
            self.sky.end(Phase::Fresh);
            break true;
        };
        self.seats.alight(over);
        over
    }

    fn is_driven(&self) -> bool {
        self.seats.is_driven()
    }

    fn wake_waiters(&self) {
        self.seats.wake();
    }

    fn leave(&self, seat: SeatId) {
        if self.seats.leave(seat) {
            let body = self.body.lock().take();
            assert!(body.is_some(), "who ends a async_run early finds its body");
            self.sky.dropped.fetch_add(1, SeqCst);
            self.sky.end(Phase::Empty);
        }
    }

    fn take_failure(&self) -> Option<Thrown> {
        None
    }
}

/// Whether a waiter has the executor that the body needs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Executor,
    Nothing,
}

impl Sky {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            nodes: Nodes::new(1),
            async_runs: AsyncRuns::default(),
            world: World::default(),
            cancelled: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            without: Mutex::default(),
        })
    }

    fn end(&self, phase: Phase) {
        let node = self.nodes.nodes[0];
        let this = self.async_runs.land(node);
        assert!(this.is_some(), "a async_run is listed as long as its claim lasts");
        node.state.publish(phase, &self.nodes.lot, node.address());
    }

    /// One poll of a waiter. Whether it has its value, or has been cancelled.
    fn ask(self: &Arc<Self>, seat: &mut Option<Seat>, waker: &Waker) -> bool {
        self.ask_as(seat, waker, Has::Executor)
    }

    fn ask_as(self: &Arc<Self>, seat: &mut Option<Seat>, waker: &Waker, has: Has) -> bool {
        let node = self.nodes.nodes[0];
        loop {
            match node.state.phase() {
                Phase::Fresh => return true,
                phase @ (Phase::Empty | Phase::Stale) => {
                    *seat = None;
                    if self.cancelled.load(SeqCst) {
                        return true;
                    }
                    let launched = self.async_runs.launch(node, || {
                        node.state.try_claim(phase).then(|| {
                            self.begun.fetch_add(1, SeqCst);
                            let body = Mutex::new(Some(PIECES));
                            let plane: Arc<dyn DriveAsyncRun> =
                                Arc::new(Plane { sky: self.clone(), seats: Seats::default(), body });
                            plane
                        })
                    });
                    if launched.is_some() {
                        *seat = launched;
                    }
                }
                Phase::Running => {
                    if self.cancelled.load(SeqCst) {
                        return true;
                    }
                    if seat.is_none() {
                        let async_run = self.async_runs.of(node);
                        *seat = async_run.and_then(Seat::take);
                    }
                    let mut has_landed = false;
                    let waits = match seat {
                        Some(Seat { async_run, seat }) => {
                            if has == Has::Nothing {
                                self.without.lock().insert((Arc::as_ptr(async_run).addr(), *seat));
                            }
                            let over = async_run.clone().poll(*seat, waker);
                            if over && has == Has::Nothing && !node.state.is_fresh() {
                                // It may be that it was the one to see the failure.
                                return true;
                            }
                            has_landed = over;
                            !over
                        }
                        None => node.state.wait_with(&self.nodes.lot, node.address(), waker),
                    };
                    if waits {
                        return self.cancelled.load(SeqCst);
                    }
                    if has_landed {
                        // Another waiter may have begun anew already.
                        *seat = None;
                    }
                }
            }
        }
    }

    /// A waiter that stays until there is a value, or it is cancelled.
    fn stay(self: &Arc<Self>) {
        let mut seat = None;
        drive(|waker| self.ask(&mut seat, waker));
        drop(seat);
        self.world.leave();
    }

    /// A waiter without an executor, which stays until there is a value, or a failure.
    fn stay_without(self: &Arc<Self>) {
        let mut seat = None;
        drive(|waker| self.ask_as(&mut seat, waker, Has::Nothing));
        drop(seat);
        self.world.leave();
    }

    /// A waiter that leaves after so many polls.
    fn leave_after(self: &Arc<Self>, polls: usize) {
        let mut seat = None;
        let mut done = 0;
        drive(|waker| {
            done += 1;
            self.ask(&mut seat, waker) || done == polls
        });
        drop(seat);
        self.world.leave();
    }

    /// Ends the session of all waiters, as an update does that cancels.
    fn cancel(&self) {
        self.cancelled.store(true, SeqCst);
        let node = self.nodes.nodes[0];
        if let Some(async_run) = self.async_runs.of(node) {
            async_run.wake_waiters();
        }
        self.nodes.lot.wake_everybody();
    }

    /// All that began has ended, well or early, and nothing is claimed.
    fn check(&self) {
        let count = |number: &AtomicUsize| number.load(SeqCst);
        assert_eq!(count(&self.begun), count(&self.ended) + count(&self.dropped) + count(&self.failed));
        assert!(count(&self.ended) <= 1, "a body ran to its end twice");
        assert_eq!(self.async_runs.len(), 0);
        assert_ne!(self.nodes.nodes[0].state.phase(), Phase::Running);
    }
}

fn check_waiters(waiters: &'static [fn(&Arc<Sky>)], check: impl Fn(&Sky) + Send + Sync + Copy + 'static) {
    explore(move || {
        let sky = Sky::new();
        let shared = sky.clone();
        on_threads(waiters.len() + 1, move |number| match waiters.get(number) {
            Some(waiter) => waiter(&shared),
            None => shared.world.turn(waiters.len()),
        });
        sky.check();
        check(&sky);
    });
}

fn has_ended(sky: &Sky) {
    assert!(sky.nodes.nodes[0].state.is_fresh() && sky.ended.load(SeqCst) == 1);
}

#[test]
fn any_waiter_drives_and_the_body_runs_once() {
    check_waiters(&[Sky::stay, Sky::stay, Sky::stay], |sky| {
        has_ended(sky);
        assert_eq!(sky.begun.load(SeqCst), 1);
    });
}

#[test]
fn a_driver_that_is_dropped_hands_over() {
    check_waiters(&[|sky| sky.leave_after(1), Sky::stay, Sky::stay], has_ended);
    check_waiters(&[|sky| sky.leave_after(1), |sky| sky.leave_after(2), Sky::stay], has_ended);
}

#[test]
fn the_last_waiter_to_leave_ends_the_flight() {
    check_waiters(&[|sky| sky.leave_after(1), |sky| sky.leave_after(1), |sky| sky.leave_after(2)], |_| {});
}

/// A waiter without an executor leaves driving to those that have one, which begin again; and drives when none of them is left.
#[test]
fn who_has_no_executor_lets_others_drive() {
    check_waiters(&[Sky::stay, Sky::stay_without], |sky| {
        assert!(sky.nodes.nodes[0].state.is_fresh() && sky.ended.load(SeqCst) == 1);
    });
    check_waiters(&[Sky::stay, Sky::stay_without, Sky::stay_without], |sky| {
        assert!(sky.nodes.nodes[0].state.is_fresh());
    });
    check_waiters(&[|sky| sky.leave_after(1), Sky::stay_without, Sky::stay_without], |_| {});
    check_waiters(&[Sky::stay_without, Sky::stay_without], |sky| assert_eq!(sky.ended.load(SeqCst), 0));
}

/// Like an update that cancels: sleepers are woken, and what was published meanwhile stays.
#[test]
fn cancellation_and_publication_leave_no_claim_behind() {
    explore(|| {
        let sky = Sky::new();
        let shared = sky.clone();
        on_threads(4, move |number| match number {
            0 | 1 => shared.stay(),
            2 => shared.world.turn(2),
            _ => shared.cancel(),
        });
        sky.check();
    });
}
