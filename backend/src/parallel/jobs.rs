//! Jobs: a scope in which a few closures of different kinds run beside each other. See `scope.rs` for the rest.

use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::base::crew::{Offer, OwnedWork, Work, forget_lifetime};
use crate::base::sync::Mutex;
use crate::context::cancelled::check_cancelled;
use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::context::outside::outside_of_session;
use crate::context::strand::Lineage;
use crate::graph::stop::Stop;
use crate::parallel::outcomes::Outcomes;
use crate::parallel::{crew_of, is_helped};

/// Where jobs are started that may borrow from outside of the [`scope`]. Stays on the thread that opened it, so that the
/// order of the jobs is the order in which they were started.
pub struct Scope<'scope, 'env: 'scope> {
    jobs: &'scope Jobs,
    offer: &'scope Offer<'scope>,
    is_helped: bool,
    started: Cell<usize>,
    // Like in `std::thread::Scope`: neither lifetime may be shrunk or grown.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

struct Jobs {
    queue: Mutex<VecDeque<(usize, OwnedWork)>>,
    engine: Arc<Engine>,
    lineage: Arc<Lineage>,
    recording: bool,
    left: Outcomes,
}

/// Runs `body`, which may start jobs by [`Scope::spawn`], and waits for all of them.
///
/// The reads and emitted values of the jobs belong to the task that called `scope`, in the order in which they were started, after
/// what `body` itself read. Jobs give their results by writing to variables that they borrow. This is for a few jobs of
/// different kinds; for many of one kind, [`par_map`](crate::par_map) costs less.
///
/// # Panics
/// Outside of a session. If `body` panics, or else if jobs do: after all jobs have ended, with the panic of `body`, or of the
/// job that was started first. If the session is cancelled: no further job is begun.
#[track_caller]
pub fn scope<'env, R>(body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
    let Some(local) = Local::current() else {
        outside_of_session(format_args!("`scope` was called outside of a session"), format_args!(""))
    };
    let jobs = Jobs {
        queue: Mutex::default(),
        engine: local.engine_arc(),
        lineage: local.lineage(),
        recording: local.is_recording(),
        left: Outcomes::default(),
    };
    let offer = crew_of(&jobs.engine).offer_later(&jobs);
    let scope = Scope {
        jobs: &jobs,
        offer: &offer,
        is_helped: is_helped(&jobs.engine),
        started: Cell::new(0),
        scope: PhantomData,
        env: PhantomData,
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    jobs.left.as_strand(local, &jobs.lineage, |local| jobs.work(local));
    offer.join();
    let failed = jobs.left.hand_over(local, usize::MAX);
    match (outcome, failed) {
        (Err(payload), _) => resume_unwind(payload),
        (Ok(_), Some(failed)) => failed.go_on(local),
        (Ok(result), None) => result,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a job. It runs on a thread of the crew, or on the calling thread when the body of the scope has ended.
    pub fn spawn(&'scope self, job: impl FnOnce() + Send + 'scope) {
        let number = self.started.get();
        self.started.set(number + 1);
        // SAFETY: `scope` does not return before all jobs have been run or dropped, and `'scope` lasts until then.
        let job = unsafe { forget_lifetime(Box::new(job)) };
        let waiting = {
            let mut queue = self.jobs.queue.lock();
            queue.push_back((number, job));
            queue.len()
        };
        // With more jobs than that waiting, all helpers have been called.
        if self.is_helped && waiting <= self.jobs.engine.crew.threads() {
            self.offer.call_another();
        }
    }
}

impl Jobs {
    fn work(&self, local: &Local) {
        loop {
            let Some((number, job)) = self.queue.lock().pop_front() else { return };
            if self.left.is_cancelled() || check_cancelled(local).is_err() {
                self.left.cancel();
                // Dropped, not run: as `job` ends here.
                continue;
            }
            let frame = local.begin_frame(&[], self.recording);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(job)) {
                self.left.fail(local, number, Stop::caught(payload));
            }
            self.left.end_stretch(local, number, frame);
        }
    }
}

impl Work for Jobs {
    fn help(&self) {
        self.left.as_helper(&self.engine, &self.lineage, |local| self.work(local));
    }
}
