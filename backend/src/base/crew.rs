//! The crew: one set of threads per engine that helps with the items of scopes. Started when first needed, kept.
//!
//! ```text
//!   caller                                   crew thread
//!   offer(work, helpers) ── ticket ──►        takes a ticket      (under the lock: `active` + 1)
//!   works on its own items                   work.help()
//!   retire: takes back unused tickets        done                (under the lock: `active` - 1)
//!           waits for `active == 0`
//! ```
//!
//! * A crew thread runs the items of the work whose ticket it took and nothing else until that has no more items.
//! * `retire` returns only when no crew thread is inside the work and none can enter it: so work may borrow from its
//!   caller's stack. It runs on unwinding, too ([`Offer`]'s drop).
//! * No lock is held while work runs.
//! * For example, a scope on 3 threads offers 2 tickets. One crew thread takes one and works; the other is busy elsewhere. The caller comes
//!   to the end of the items, takes the second ticket back, waits for the first thread to leave, and returns.
//!
//! This file is the one place where a lifetime is erased.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::base::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering::Relaxed, Signal};

/// Something that several threads can work on.
pub(crate) trait Work: Sync {
    /// Works on items until none is left to begin. Called by crew threads.
    fn help(&self);
}

/// Work that owns what it needs: a body that was moved off an executor's thread.
pub(crate) type OwnedWork = Box<dyn FnOnce() + Send>;

/// The threads of an engine.
pub(crate) struct Crew {
    shared: Arc<Shared>,
    threads: usize,
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// The process that its threads belong to; 0 before the first is started.
    process: AtomicU32,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when there is something to do, or when the crew is to end.
    work: Signal,
    /// Signalled when the last helper of some work has left it.
    done: Condvar,
}

#[derive(Default)]
struct State {
    offers: Vec<Posted>,
    owned: VecDeque<OwnedWork>,
    started: usize,
    idle: usize,
    ends: bool,
}

/// An offer, as the crew's threads see it.
struct Posted {
    id: usize,
    work: WorkPtr,
    tickets: usize,
    active: usize,
}

/// A pointer to work that is good while its offer is posted.
#[derive(Clone, Copy)]
struct WorkPtr(*const (dyn Work + 'static));

// SAFETY: `Work` is `Sync`, and the pointer is only used to share it.
unsafe impl Send for WorkPtr {}

impl Crew {
    /// A crew of which, with the caller, `threads` threads work at once. No thread is started yet.
    pub(crate) fn new(threads: usize) -> Self {
        let handles = Mutex::new(Vec::new());
        Self { shared: Arc::default(), threads: threads.max(1), handles, process: AtomicU32::new(0) }
    }

    /// Whether its threads are missing: this process was forked off the one that started them. They may have taken locks along.
    pub(crate) fn is_lost(&self) -> bool {
        // Relaxed: a thread that sees 0 starts its own, or finds them under the lock.
        let process = self.process.load(Relaxed);
        process != 0 && process != std::process::id()
    }

    /// How many threads work at once in a scope, the calling one among them.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Lets up to `helpers` crew threads help with `work` until the offer is dropped.
    ///
    /// The caller has found that the crew is not [lost](Self::is_lost).
    pub(crate) fn offer<'a>(&'a self, work: &'a dyn Work, helpers: usize) -> Offer<'a> {
        let helpers = helpers.min(self.threads - 1);
        self.post(work, helpers)
    }

    /// Posts an offer with no helpers at first ([`Offer::call_another`]). See [`Crew::offer`].
    pub(crate) fn offer_later<'a>(&'a self, work: &'a dyn Work) -> Offer<'a> {
        self.post(work, 0)
    }

    /// Lets one more helper into work that is offered, unless there are as many as the crew has threads.
    pub(crate) fn call_another(&self, work: &dyn Work) {
        self.let_another_in(id_of(work));
    }

    fn let_another_in(&self, id: usize) {
        let mut state = self.shared.state.lock();
        let Some(at) = state.offers.iter().position(|offer| offer.id == id) else { return };
        let offer = &mut state.offers[at];
        if offer.tickets + offer.active < self.threads - 1 {
            offer.tickets += 1;
            self.wake(state, 1);
        }
    }

    fn post<'a>(&'a self, work: &'a dyn Work, helpers: usize) -> Offer<'a> {
        let id = id_of(work);
        assert!(!self.is_lost(), "the caller has looked");
        if self.threads > 1 {
            // SAFETY: only the lifetime changes. The pointer is used between taking a ticket and giving it back; `Offer`'s
            // drop, which cannot be skipped while `'a` lasts as the offer stays inside this crate's functions, takes back
            // the tickets that are left and waits for the others.
            let work =
                unsafe { std::mem::transmute::<*const (dyn Work + 'a), *const (dyn Work + 'static)>(work) };
            let mut state = self.shared.state.lock();
            state.offers.push(Posted { id, work: WorkPtr(work), tickets: helpers, active: 0 });
            self.wake(state, helpers);
        }
        Offer { crew: self, id, posted: self.threads > 1 }
    }

    /// Runs `work` on a crew thread, some time.
    pub(crate) fn push(&self, work: OwnedWork) {
        if self.is_lost() {
            return work();
        }
        let mut state = self.shared.state.lock();
        state.owned.push_back(work);
        self.start_missing(&mut state, 1);
        if state.started == 0
            && let Some(work) = state.owned.pop_back()
        {
            // No thread could be started: better late than never.
            drop(state);
            return work();
        }
        self.notify(state, 1);
    }

    /// Wakes up to `count` threads, starting those that are missing.
    fn wake(&self, mut state: MutexGuard<'_, State>, count: usize) {
        self.start_missing(&mut state, count);
        self.notify(state, count);
    }

    fn notify(&self, state: MutexGuard<'_, State>, count: usize) {
        let idle = count.min(state.idle);
        // A thread that is woken takes the lock at once.
        drop(state);
        for _ in 0..idle {
            self.shared.work.notify_one();
        }
    }

    fn start_missing(&self, state: &mut State, count: usize) {
        for _ in state.idle..count {
            // A crew thread is needed for moved bodies even if scopes use none.
            if state.started >= (self.threads - 1).max(1) {
                return;
            }
            let shared = self.shared.clone();
            let name = format!("larder-crew-{}", state.started + 1);
            // A thread that cannot be started is one that does not help: the caller works on its items by itself.
            let Ok(handle) = std::thread::Builder::new().name(name).spawn(move || shared.serve()) else {
                return;
            };
            state.started += 1;
            self.process.store(std::process::id(), Relaxed);
            self.handles.lock().push(handle);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if self.is_lost() {
            return;
        }
        self.shared.state.lock().ends = true;
        self.shared.work.notify_all();
        let me = std::thread::current().id();
        for handle in self.handles.get_mut().drain(..) {
            // The engine may end on one of its own threads, which then ends after this.
            if handle.thread().id() != me {
                // A crew thread catches what its work throws.
                let _ = handle.join();
            }
        }
    }
}

fn id_of(work: &dyn Work) -> usize {
    std::ptr::from_ref(work).cast::<()>().addr()
}

/// Work that is open to helpers. Dropping it waits for those that are inside.
pub(crate) struct Offer<'a> {
    crew: &'a Crew,
    id: usize,
    posted: bool,
}

impl Offer<'_> {
    /// Lets no other helper in, and waits for those that are inside.
    pub(crate) fn join(&self) {
        if !self.posted {
            return;
        }
        let shared = &self.crew.shared;
        let mut state = shared.state.lock();
        loop {
            let Some(at) = state.offers.iter().position(|offer| offer.id == self.id) else { return };
            state.offers[at].tickets = 0;
            if state.offers[at].active == 0 {
                state.offers.swap_remove(at);
                return;
            }
            shared.done.wait(&mut state);
        }
    }

    /// Lets one more helper in, unless there are as many as the crew has threads.
    pub(crate) fn call_another(&self) {
        self.crew.let_another_in(self.id);
    }
}

/// Forgets how long a job may live.
///
/// # Safety
/// The job has to be run or dropped before `'a` ends.
pub(crate) unsafe fn forget_lifetime<'a>(job: Box<dyn FnOnce() + Send + 'a>) -> OwnedWork {
    // SAFETY: only the lifetime changes; the caller vouches for it.
    unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + 'a>, OwnedWork>(job) }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    /// The life of a crew thread.
    fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            // The newest first: that of the innermost scope, which others wait for.
            if let Some(offer) = state.offers.iter_mut().rev().find(|offer| offer.tickets > 0) {
                offer.tickets -= 1;
                offer.active += 1;
                let (id, work) = (offer.id, offer.work);
                drop(state);
                // SAFETY: 1. `active` was raised under the lock while the offer was posted, so the offer's owner waits for this
                // thread to leave; 2. the work is not touched after it is lowered again.
                let outcome = catch_unwind(AssertUnwindSafe(|| unsafe { (*work.0).help() }));
                // Works keep what their items throw; nothing of value can be in here.
                drop(outcome);
                state = self.state.lock();
                self.leave(&mut state, id);
            } else if let Some(work) = state.owned.pop_front() {
                drop(state);
                // Owned work tells its waiters itself what became of it.
                drop(catch_unwind(AssertUnwindSafe(work)));
                state = self.state.lock();
            } else if state.ends {
                return;
            } else {
                state.idle += 1;
                self.work.wait(&mut state);
                state.idle -= 1;
            }
        }
    }

    fn leave(&self, state: &mut State, id: usize) {
        if let Some(offer) = state.offers.iter_mut().find(|offer| offer.id == id) {
            offer.active -= 1;
            if offer.active == 0 {
                self.done.notify_all();
            }
        }
    }
}
