//! Claims: one thread computes, all others wake, threads and futures.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{drive, explore, on_threads};
use crate::graph::claim::{Lot, Phase, StateWord};

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
