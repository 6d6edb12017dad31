//! Claims: the states of a node, and how threads wait for the one that computes it.
//!
//! ```text
//!            claim                       publish(FRESH)
//!   EMPTY ─────────────► RUNNING ───────────────────────► FRESH
//!     ▲      claim        ▲   │  publish(EMPTY): failed,     │ marked stale, gate held exclusively
//!     │                   │   │  cancelled, not to be kept   ▼
//!     └───────────────────┼───┘◄────────────────────────── STALE
//!                         └──────────────── claim ───────────┘
//! ```
//!
//! * A claim is a compare-exchange to RUNNING: at most one thread of control holds it, and it alone touches the value.
//! * `publish` stores with Release; `is_fresh` loads with Acquire and pairs with it: a thread that sees FRESH sees the value.
//! * A thread that finds RUNNING sets `WAITERS` while it holds its bucket of the [`Lot`], and sleeps there. The publisher
//!   swaps the state first; if the old state had the bit it takes the bucket and wakes all waiters. The bit is
//!   set under the bucket, so the publisher cannot come between the bit and the sleep: no wake-up is lost.
//! * Waiting blocks on that node alone: a waiting thread runs nothing.
//!
//! For example, threads 1 and 2 ask for one EMPTY node. Thread 1 claims it. Thread 2 finds RUNNING, sets the bit and sleeps. Thread 1
//! swaps in FRESH, finds the bit in the old state, and wakes thread 2, which sees FRESH and reads the value.

use std::task::Waker;
use std::time::Instant;

use crate::base::sync::{AtomicU32, Condvar, Mutex, Ordering};
use crate::base::wakes::{wake_all, wake_before_sleep};

/// The phase of a node's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// No current value; running the body is the only way to one.
    Empty = 0,
    /// Current.
    Fresh = 1,
    /// Has a value that must be verified.
    Stale = 2,
    /// Claimed.
    Running = 3,
}

const PHASE: u32 = 0b11;
const WAITERS: u32 = 0b100;
const FRESH: u32 = Phase::Fresh as u32;
const RUNNING: u32 = Phase::Running as u32;

/// The state of a node.
pub(crate) struct StateWord(AtomicU32);

impl StateWord {
    pub(crate) fn new(phase: Phase) -> Self {
        Self(AtomicU32::new(phase as u32))
    }

    /// Whether the value may be read. A FRESH node has no waiters, so this is one load and one comparison.
    #[inline(always)]
    pub(crate) fn is_fresh(&self) -> bool {
        // Acquire: pairs with the Release in `publish`.
        self.0.load(Ordering::Acquire) == FRESH
    }

    pub(crate) fn phase(&self) -> Phase {
        Self::phase_of(self.0.load(Ordering::Acquire))
    }

    fn phase_of(word: u32) -> Phase {
        match word & PHASE {
            0 => Phase::Empty,
            1 => Phase::Fresh,
            2 => Phase::Stale,
            _ => Phase::Running,
        }
    }

    /// Claims a node that was seen in phase `from` (EMPTY or STALE). `false` if another strand was faster.
    pub(crate) fn try_claim(&self, from: Phase) -> bool {
        debug_assert!(matches!(from, Phase::Empty | Phase::Stale));
        // Acquire: pairs with the Release in `publish` of the last owner, whose writes we now build on.
        self.0.compare_exchange(from as u32, RUNNING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Ends a claim. Only its holder calls this.
    pub(crate) fn publish(&self, phase: Phase, lot: &Lot, address: usize) {
        // Release: pairs with the Acquire in `is_fresh`, `phase` and `try_claim`.
        let old = self.0.swap(phase as u32, Ordering::Release);
        debug_assert_eq!(old & PHASE, RUNNING, "only a claim is published");
        if old & WAITERS != 0 {
            lot.wake(address);
        }
    }

    /// Sets the phase while the gate is held exclusively, when no other thread looks at the node.
    pub(crate) fn set_exclusively(&self, phase: Phase) {
        self.0.store(phase as u32, Ordering::Relaxed);
    }

    /// Sleeps until the node is not RUNNING any more, or `stop` says so, which is asked when the waiters are woken and at
    /// `deadline`. Returns at once if it is not RUNNING now.
    pub(crate) fn wait(&self, lot: &Lot, address: usize, deadline: Option<Instant>, stop: impl Fn() -> bool) {
        wake_before_sleep();
        let bucket = lot.bucket(address);
        let mut guard = bucket.mutex.lock();
        loop {
            let word = self.0.load(Ordering::Acquire);
            if word & PHASE != RUNNING || stop() {
                return;
            }
            let told = word & WAITERS != 0
                || self
                    .0
                    .compare_exchange(word, word | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if told {
                match deadline {
                    Some(deadline) => drop(bucket.condvar.wait_until(&mut guard, deadline)),
                    None => bucket.condvar.wait(&mut guard),
                }
            }
        }
    }
}

impl StateWord {
    /// Has `waker` woken when the node is not RUNNING any more. `false` if it is not now.
    pub(crate) fn wait_with(&self, lot: &Lot, address: usize, waker: &Waker) -> bool {
        // Cloned under no lock: a waker is the user's.
        let waker = waker.clone();
        let mut wakers = lot.bucket(address).mutex.lock();
        loop {
            let word = self.0.load(Ordering::Acquire);
            if word & PHASE != RUNNING {
                return false;
            }
            let told = word & WAITERS != 0
                || self
                    .0
                    .compare_exchange(word, word | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if told {
                let known =
                    wakers.iter().any(|(other, known)| *other == address as u64 && known.will_wake(&waker));
                if !known {
                    wakers.push((address as u64, waker));
                }
                return true;
            }
        }
    }
}

const BUCKETS: usize = 64;

#[derive(Default)]
struct Bucket {
    /// The wakers of futures that wait, by the node's address.
    mutex: Mutex<Vec<(u64, Waker)>>,
    condvar: Condvar,
}

/// Where threads sleep that wait for a node, by the node's address.
pub(crate) struct Lot {
    buckets: Box<[Bucket]>,
}

impl Default for Lot {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Bucket::default()).collect() }
    }
}

impl Lot {
    fn bucket(&self, address: usize) -> &Bucket {
        &self.buckets[(address >> 6) % BUCKETS]
    }

    /// Wakes all threads and futures to look again, whatever they wait for.
    pub(crate) fn wake_everybody(&self) {
        for bucket in &self.buckets {
            let wakers = std::mem::take(&mut *bucket.mutex.lock());
            bucket.condvar.notify_all();
            wake_all(wakers.into_iter().map(|(_, waker)| waker));
        }
    }

    /// Wakes the threads that wait for a node, to look whether they still have to.
    pub(crate) fn nudge(&self, address: usize) {
        let bucket = self.bucket(address);
        // Taken and given back: a thread that has looked already sleeps by then.
        drop(bucket.mutex.lock());
        bucket.condvar.notify_all();
    }

    #[cold]
    fn wake(&self, address: usize) {
        let bucket = self.bucket(address);
        let mut wakers = bucket.mutex.lock();
        let (woken, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *wakers).into_iter().partition(|(waits_for, _)| *waits_for == address as u64);
        *wakers = others;
        drop(wakers);
        bucket.condvar.notify_all();
        wake_all(woken.into_iter().map(|(_, waker)| waker));
    }
}
