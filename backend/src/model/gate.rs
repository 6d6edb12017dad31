//! The gate: sessions beside each other, updates alone.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use super::{drive, explore, on_threads};
use crate::gate::{Gate, UpdatePolicy};

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
