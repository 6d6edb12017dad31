//! Wakes: waking wakers without recursion.
//!
//! The waker that an async body is polled with is its async run; waking it wakes the waiters of the async run, which are bodies of other
//! async runs. So a wake of the innermost of 100,000 nested tasks goes up 100,000 steps. Each step is taken from one loop:
//!
//! ```text
//!   timer ── wake ──► async run of `leaf` ── wake_all ──► loop: the waker of `down(1)` ── wake ──► its async run ── wake_all: deferred
//!                                                       ▲                                                        │
//!                                                       └──────────────── next ◄─────────────────────────────────┘
//! ```
//!
//! * `wake_all` inside of a waker that another `wake_all` of the same thread wakes only defers: the outer one wakes the rest when that
//!   waker has returned.
//! * A waker may be an executor that polls at once, inside of `wake`. The futures that it polls may wait, and for something that was deferred. So
//!   before larder polls a body or puts a thread to sleep, the deferred wakers are woken; and inside of a poll nothing is deferred to
//!   a loop outside of it ([`Inside`]).
//! * A panic of a waker stays with it.
//!
//! The thread-local has no destructor, so wakes work while a thread ends, too.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakers to be woken when the one has returned that is being woken now. One is the usual number: that needs no allocation.
struct Deferred {
    first: Option<Waker>,
    rest: VecDeque<Waker>,
}

impl Deferred {
    const fn new() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }

    fn push(&mut self, waker: Waker) {
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(waker);
        } else {
            self.rest.push_back(waker);
        }
    }

    fn pop(&mut self) -> Option<Waker> {
        self.first.take().or_else(|| self.rest.pop_front())
    }
}

struct Waking {
    /// Whether a waker is being woken by the loop of this thread.
    under_way: Cell<bool>,
    deferred: ManuallyDrop<RefCell<Deferred>>,
}

thread_local! {
    static WAKING: Waking = const {
        Waking { under_way: Cell::new(false), deferred: ManuallyDrop::new(RefCell::new(Deferred::new())) }
    };
}

/// Wakes all, even if one waker panics; or leaves it to the loop that is under way on this thread.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    WAKING.with(|waking| {
        if waking.under_way.get() {
            wakers.into_iter().for_each(|waker| waking.deferred.borrow_mut().push(waker));
            return;
        }
        waking.under_way.set(true);
        wakers.into_iter().for_each(|waker| {
            wake(waker);
            waking.wake_deferred();
        });
        waking.deferred.borrow_mut().rest = VecDeque::new();
        waking.under_way.set(false);
    });
}

/// Wakes what has been deferred: this thread is about to sleep, inside of a waker perhaps.
pub(crate) fn wake_before_sleep() {
    WAKING.with(|waking| {
        if waking.under_way.get() {
            waking.wake_deferred();
        }
    });
}

/// While this lives, the thread runs a user's code inside of a poll: it defers no wakes to a loop that is outside of the poll.
pub(crate) struct Inside {
    was_under_way: bool,
}

impl Inside {
    pub(crate) fn begin() -> Self {
        WAKING.with(|waking| {
            let was_under_way = waking.under_way.get();
            if was_under_way {
                waking.wake_deferred();
                waking.under_way.set(false);
            }
            Self { was_under_way }
        })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        WAKING.with(|waking| waking.under_way.set(self.was_under_way));
    }
}

impl Waking {
    fn wake_deferred(&self) {
        loop {
            let next = self.deferred.borrow_mut().pop();
            match next {
                Some(waker) => wake(waker),
                None => return,
            }
        }
    }
}

/// Neither the waker's panic goes on, nor one of its payload's drop.
fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        std::mem::forget(payload);
    }
}

#[cfg(all(test, not(larder_model)))]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    /// Wakes the next of a row, and counts how deep the wakes of this thread nest.
    struct Link {
        next: Option<Waker>,
        counts: Arc<Counts>,
    }

    #[derive(Default)]
    struct Counts {
        woken: AtomicUsize,
        depth: AtomicUsize,
        deepest: AtomicUsize,
    }

    impl Wake for Link {
        fn wake(self: Arc<Self>) {
            self.counts.woken.fetch_add(1, Relaxed);
            let depth = self.counts.depth.fetch_add(1, Relaxed) + 1;
            self.counts.deepest.fetch_max(depth, Relaxed);
            wake_all(self.next.clone());
            self.counts.depth.fetch_sub(1, Relaxed);
            if self.counts.woken.load(Relaxed).is_multiple_of(3) {
                resume_unwind(Box::new("wakers may panic"));
            }
        }
    }

    #[test]
    fn a_row_of_wakers_is_woken_from_one_loop() {
        let counts = Arc::new(Counts::default());
        let mut next = None;
        for _ in 0..1000 {
            next = Some(Waker::from(Arc::new(Link { next, counts: counts.clone() })));
        }
        wake_all(next.clone());
        assert_eq!((counts.woken.load(Relaxed), counts.deepest.load(Relaxed)), (1000, 1));
    }

    struct Polls(Arc<Counts>);

    impl Wake for Polls {
        fn wake(self: Arc<Self>) {
            // Deferred wakers are woken before a body is polled, and what a body wakes is woken at once.
            wake_all([Waker::from(Arc::new(Link { next: None, counts: self.0.clone() }))]);
            assert_eq!(self.0.woken.load(Relaxed), 0);
            let inside = Inside::begin();
            assert_eq!(self.0.woken.load(Relaxed), 1);
            wake_all([Waker::from(Arc::new(Link { next: None, counts: self.0.clone() }))]);
            assert_eq!(self.0.woken.load(Relaxed), 2);
            drop(inside);
            wake_all([Waker::from(Arc::new(Link { next: None, counts: self.0.clone() }))]);
            assert_eq!(self.0.woken.load(Relaxed), 2);
            wake_before_sleep();
            assert_eq!(self.0.woken.load(Relaxed), 3);
        }
    }

    #[test]
    fn a_waker_that_polls_finds_nothing_deferred() {
        let counts = Arc::new(Counts::default());
        wake_all([Waker::from(Arc::new(Polls(counts.clone())))]);
        assert_eq!(counts.woken.load(Relaxed), 3);
    }
}
