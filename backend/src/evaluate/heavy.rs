//! Heavy: async runs of bodies that would keep an executor's thread too long. A crew thread runs them; waiters only wait.
//!
//! The claim is made by the strand that asks, as for any async run; the crew thread puts on the async run's strand and verifies and runs as
//! a thread does. A body that has begun runs to its end; one that has no waiter any more is not begun.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use crate::base::crew::OwnedWork;
use crate::base::sync::Mutex;
use crate::context::async_runs::{DriveAsyncRun, SeatId};
use crate::context::engine::Hold;
use crate::context::local::Local;
use crate::context::strand::Strand;
use crate::evaluate::async_run::{Waiters, with_waker};
use crate::evaluate::cycle;
use crate::evaluate::demand::{Visit, verify};
use crate::graph::stop::{Stop, Thrown};

#[derive(Default)]
struct HeavyFlight {
    waiters: Mutex<Waiters>,
    failure: Mutex<Option<Thrown>>,
}

/// The job that goes to the crew thread.
struct Parcel {
    async_run: Arc<HeavyFlight>,
    hold: Hold,
    strand: Strand,
    visit: Visit,
}

// SAFETY: the raw pointers in it (marks) belong to the node that the strand has claimed, and go with the claim.
unsafe impl Send for Parcel {}

/// Makes the async run of a node that has just been claimed by `strand`, and the work for a crew thread.
pub(crate) fn launch_heavy(hold: Hold, strand: Strand, visit: Visit) -> (Arc<dyn DriveAsyncRun>, OwnedWork) {
    let async_run = Arc::<HeavyFlight>::default();
    let parcel = Parcel { async_run: async_run.clone(), hold, strand, visit };
    (async_run, Box::new(move || parcel.open()))
}

impl Parcel {
    /// Runs the async run on this crew thread.
    fn open(self) {
        let Self { async_run, hold, mut strand, mut visit } = self;
        let engine = hold.engine();
        let local = Local::of(engine);
        let entered = local.enter(engine);
        strand.claimed.push(visit.node);
        local.switch(&mut strand);
        // A strand that asks from here on waits for the claim's end.
        let this = engine.async_runs.land(visit.node);
        let is_wanted = async_run.waiters.lock().seats > 0;
        if is_wanted {
            let _runs = engine.runners.begin();
            let outcome = catch_unwind(AssertUnwindSafe(|| verify(&local, visit)));
            // Where it has given way to another strand, the waiters look again.
            if let Err(stop) = outcome.unwrap_or_else(|payload| Err(Stop::caught(payload)))
                && !(cycle::is_giving_way(&local) && cycle::wait_for_way(&local).is_ok())
            {
                *async_run.failure.lock() = Some((stop, local.last_panic.take()));
            }
        } else {
            visit.put_back(&local);
        }
        local.switch(&mut strand);
        local.leave(entered);
        let wakers = {
            let mut waiters = async_run.waiters.lock();
            waiters.over = true;
            std::mem::take(&mut waiters.wakers)
        };
        wakers.wake();
        drop(this);
    }
}

impl DriveAsyncRun for HeavyFlight {
    fn join(&self) -> Option<SeatId> {
        self.waiters.lock().join()
    }

    fn poll(self: Arc<Self>, seat: SeatId, waker: &Waker) -> bool {
        let (_replaced, waiters) = with_waker(&self.waiters, seat, waker);
        waiters.over
    }

    /// One that runs is found no more (`Parcel::open`).
    fn is_driven(&self) -> bool {
        false
    }

    fn wake_waiters(&self) {
        let wakers = std::mem::take(&mut self.waiters.lock().wakers);
        wakers.wake();
    }

    fn leave(&self, seat: SeatId) {
        let waker = self.waiters.lock().leave(seat);
        drop(waker);
    }

    fn take_failure(&self) -> Option<Thrown> {
        self.failure.lock().take()
    }
}
