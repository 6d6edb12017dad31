//! The gate: sessions beside each other, updates alone.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use super::{drive, explore, on_threads};
use crate::base::sync::{now, set_pace};
use crate::context::gate::{Alone, Gate, GaveUp, Kind, UpdatePolicy, Vigil, Work};

/// The state that a gate guards, and the sessions that are inside.
struct Guarded {
    gate: Arc<Gate>,
    sessions: AtomicUsize,
    updates: AtomicUsize,
    /// Updates that were ever granted.
    granted: AtomicUsize,
    alone: AtomicUsize,
    /// How often chores were done.
    chores: AtomicUsize,
}

/// The opener of a session: chores are always due.
struct Opener<'a>(&'a Guarded, Instant);

impl Alone for Opener<'_> {
    fn due_since(&self) -> Option<Instant> {
        Some(self.1)
    }

    fn work(&mut self) -> Work {
        let Self(guarded, _) = self;
        assert_eq!(guarded.sessions.load(SeqCst) + guarded.updates.load(SeqCst), 0, "not alone");
        assert_eq!(guarded.alone.fetch_add(1, SeqCst), 0);
        thread::yield_now();
        assert_eq!(guarded.sessions.load(SeqCst) + guarded.updates.load(SeqCst), 0, "not alone any more");
        guarded.alone.fetch_sub(1, SeqCst);
        // Every other time a slice is left.
        if guarded.chores.fetch_add(1, SeqCst) % 2 == 0 { Work::Done } else { Work::Unfinished }
    }
}

/// A waiter that gives up when it has looked so many times.
struct Looks(usize);

impl Vigil for Looks {
    fn look(&mut self, now: Instant, _open: usize) -> Result<Option<Instant>, GaveUp> {
        if self.0 == 0 {
            return Err(GaveUp);
        }
        self.0 -= 1;
        Ok((self.0 < 100).then_some(now))
    }
}

/// A session that counts the updates which are granted while it waits.
struct Counts<'a>(&'a Guarded, Option<usize>);

impl Vigil for Counts<'_> {
    fn look(&mut self, _now: Instant, _open: usize) -> Result<Option<Instant>, GaveUp> {
        self.1.get_or_insert_with(|| self.0.granted.load(SeqCst));
        Ok(None)
    }
}

fn for_ever() -> Looks {
    Looks(usize::MAX)
}

/// Time stands still unless a model says otherwise.
fn guarded(pace: Duration) -> Arc<Guarded> {
    guarded_by(pace, Duration::from_millis(50))
}

fn guarded_by(pace: Duration, patience: Duration) -> Arc<Guarded> {
    set_pace(pace);
    Arc::new(Guarded {
        gate: Gate::new(Some(patience)),
        sessions: AtomicUsize::new(0),
        updates: AtomicUsize::new(0),
        granted: AtomicUsize::new(0),
        alone: AtomicUsize::new(0),
        chores: AtomicUsize::new(0),
    })
}

const STILL: Duration = Duration::ZERO;
const PASSING: Duration = Duration::from_millis(30);

impl Guarded {
    fn opener(&self) -> Opener<'_> {
        Opener(self, now())
    }

    fn open(&self, vigil: &mut impl Vigil) -> bool {
        self.gate.open(&mut self.opener(), vigil).is_ok()
    }

    fn session(&self) {
        assert!(self.open(&mut for_ever()));
        self.in_session();
    }

    fn in_session(&self) {
        self.sessions.fetch_add(1, SeqCst);
        thread::yield_now();
        assert_eq!(self.updates.load(SeqCst) + self.alone.load(SeqCst), 0, "a session beside an update");
        self.sessions.fetch_sub(1, SeqCst);
        self.gate.close();
    }

    fn update(&self, policy: UpdatePolicy) {
        let ticket = self.gate.request(policy, Kind::Thread);
        assert!(self.gate.lock(ticket, &mut for_ever()).is_ok());
        self.in_update();
    }

    fn in_update(&self) {
        self.granted.fetch_add(1, SeqCst);
        assert_eq!(self.updates.fetch_add(1, SeqCst), 0, "two updates");
        thread::yield_now();
        assert_eq!(self.sessions.load(SeqCst) + self.alone.load(SeqCst), 0, "an update beside a session");
        self.updates.fetch_sub(1, SeqCst);
        self.gate.unlock();
    }

    /// A look at the graph: with nothing else in the gate if that can be had, and then as a session.
    fn look(&self) {
        if !self.gate.visit(&mut self.opener()) {
            return;
        }
        if self.gate.upgrade() {
            assert_eq!(self.updates.fetch_add(1, SeqCst), 0, "a look beside an update");
            thread::yield_now();
            assert_eq!(self.sessions.load(SeqCst) + self.alone.load(SeqCst), 0, "a look beside a session");
            self.updates.fetch_sub(1, SeqCst);
            self.gate.downgrade();
        }
        self.in_session();
    }

    fn poll_session(&self, place: &mut Option<u64>, waker: &Waker) -> bool {
        self.gate.poll_open(place, &mut self.opener(), &mut for_ever(), waker).is_some()
    }

    /// Does what alarms do, until `done`.
    fn alarms(&self, done: &AtomicBool) {
        while !done.load(SeqCst) {
            self.gate.tick();
            thread::yield_now();
        }
    }
}

#[test]
fn updates_exclude_sessions_and_each_other_and_nobody_is_forgotten() {
    explore(|| {
        let guarded = guarded(STILL);
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
fn a_look_that_holds_the_gate_alone_excludes_all_others_and_keeps_none_waiting() {
    explore(|| {
        let guarded = guarded(STILL);
        let shared = guarded.clone();
        on_threads(4, move |number| {
            for _ in 0..2 {
                match number {
                    0 => shared.update(UpdatePolicy::Wait),
                    1 => shared.look(),
                    2 => {
                        let mut place = None;
                        drive(|waker| shared.poll_session(&mut place, waker));
                        shared.in_session();
                    }
                    _ => shared.session(),
                }
            }
        });
        assert_eq!(guarded.gate.parts(), 0);
    });
}

#[test]
fn a_session_that_lasts_until_it_is_cancelled_is_cancelled() {
    explore(|| {
        let guarded = guarded(STILL);
        on_threads(3, move |number| match number {
            0 => guarded.update(UpdatePolicy::Cancel),
            1 => guarded.session(),
            _ => {
                assert!(guarded.open(&mut for_ever()));
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

#[test]
fn sessions_and_updates_of_futures_are_woken_and_withdrawn_requests_let_sessions_in() {
    explore(|| {
        let guarded = guarded(STILL);
        on_threads(4, move |number| match number {
            0 => {
                let mut place = None;
                drive(|waker| guarded.poll_session(&mut place, waker));
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
                let ticket = guarded.gate.request(UpdatePolicy::Cancel, Kind::Future);
                drive(|waker| guarded.gate.poll_lock(ticket, &mut for_ever(), waker).is_some());
                guarded.in_update();
            }
            2 => {
                let ticket = guarded.gate.request(UpdatePolicy::Wait, Kind::Future);
                thread::yield_now();
                guarded.gate.withdraw(ticket);
            }
            _ => guarded.session(),
        });
    });
}

/// One update after the other was granted while a session waited: it went in when it happened to be faster.
#[test]
fn a_session_waits_for_one_update() {
    explore(|| {
        let guarded = guarded(STILL);
        on_threads(4, move |number| {
            if number > 1 {
                return (0..2).for_each(|_| guarded.update(UpdatePolicy::Wait));
            }
            let mut counts = Counts(&guarded, None);
            assert!(guarded.open(&mut counts));
            let since = counts.1.map_or(0, |before| guarded.granted.load(SeqCst) - before);
            // The one that worked may not have counted itself when this session came.
            assert!(since <= 2, "{since} updates went first");
            guarded.in_session();
        });
    });
}

/// A session waited for a thread whose session waited for an update, which waited for the first session.
#[test]
fn a_session_that_an_open_one_waits_for_overtakes_an_update() {
    explore(|| {
        let guarded = guarded(PASSING);
        let (shared, done) = (guarded.clone(), Arc::new(AtomicBool::new(false)));
        let over = done.clone();
        let alarms = thread::spawn(move || shared.alarms(&over));
        on_threads(2, move |number| {
            if number == 0 {
                return guarded.update(UpdatePolicy::Wait);
            }
            assert!(guarded.open(&mut for_ever()));
            guarded.sessions.fetch_add(1, SeqCst);
            let shared = guarded.clone();
            thread::spawn(move || shared.session()).join().expect("it goes in");
            let shared = guarded.clone();
            let future = move || {
                let mut place = None;
                drive(|waker| shared.poll_session(&mut place, waker));
                shared.in_session();
            };
            thread::spawn(future).join().expect("it goes in");
            guarded.sessions.fetch_sub(1, SeqCst);
            guarded.gate.close();
        });
        done.store(true, SeqCst);
        alarms.join().expect("no thread panics");
    });
}

#[test]
fn waits_that_are_given_up_leave_nothing_behind() {
    explore(|| {
        let guarded = guarded(PASSING);
        let (shared, done) = (guarded.clone(), Arc::new(AtomicBool::new(false)));
        let over = done.clone();
        let alarms = thread::spawn(move || shared.alarms(&over));
        let shared = guarded.clone();
        on_threads(4, move |number| match number {
            0 if guarded.open(&mut Looks(2)) => guarded.in_session(),
            0 => {}
            1 => {
                let ticket = guarded.gate.request(UpdatePolicy::Cancel, Kind::Thread);
                if guarded.gate.lock(ticket, &mut Looks(2)).is_ok() {
                    guarded.in_update();
                }
            }
            2 => {
                // A future that is called and dropped before it comes.
                let mut place = None;
                if guarded.poll_session(&mut place, Waker::noop()) {
                    guarded.in_session();
                }
                thread::yield_now();
                if let Some(place) = place {
                    guarded.gate.leave(place);
                }
                let ticket = guarded.gate.request(UpdatePolicy::Wait, Kind::Future);
                match guarded.gate.poll_lock(ticket, &mut for_ever(), Waker::noop()) {
                    Some(_) => guarded.in_update(),
                    None => {
                        // It does not come for a long time, and others go on.
                        (0..20).for_each(|_| thread::yield_now());
                        guarded.gate.withdraw(ticket);
                    }
                }
            }
            _ => {
                guarded.session();
                guarded.update(UpdatePolicy::Wait);
            }
        });
        done.store(true, SeqCst);
        alarms.join().expect("no thread panics");
        assert!(!shared.gate.is_cancelling());
        assert_eq!(shared.gate.parts(), 0);
        shared.session();
        shared.update(UpdatePolicy::Wait);
    });
}

/// Time stands still, so the last session to close has to tell those that wait for the chores.
#[test]
fn sessions_that_wait_for_chores_are_told_when_the_last_one_closes() {
    explore(|| {
        let guarded = guarded_by(STILL, Duration::ZERO);
        on_threads(3, move |number| {
            for _ in 0..2 {
                if number == 0 {
                    let mut place = None;
                    drive(|waker| guarded.poll_session(&mut place, waker));
                    guarded.in_session();
                } else {
                    guarded.session();
                }
            }
        });
    });
}

/// Sessions that overlap let the chores be done, and one that waits for another to open is not stuck in that.
#[test]
fn chores_are_done_while_sessions_overlap_and_hold_up_nobody_for_ever() {
    explore(|| {
        let guarded = guarded(PASSING);
        on_threads(3, move |number| {
            for _ in 0..2 {
                assert!(guarded.open(&mut for_ever()));
                guarded.sessions.fetch_add(1, SeqCst);
                thread::yield_now();
                if number == 0 {
                    let shared = guarded.clone();
                    thread::spawn(move || shared.session()).join().expect("it goes in");
                }
                assert_eq!(guarded.alone.load(SeqCst), 0, "a session beside chores");
                guarded.sessions.fetch_sub(1, SeqCst);
                guarded.gate.close();
            }
        });
    });
}
