//! Share: the items of a scope, and how participants divide them.
//!
//! * Items are numbered. A participant (the caller is number 0, helpers follow) has a *lane*: a range of item numbers
//!   that it goes through. An empty lane is refilled with the next batch; when there are no more batches, with the
//!   rear half of another lane of the same scope. So a slow item holds up no item of another lane.
//! * The participant that takes a number out of a lane runs that item: a number is taken once.
//! * A stretch of consecutive items of one participant has one frame. Its reads and emitted values are kept by its first number,
//!   and recorded for the calling task in the order of the items when all participants have left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::base::crew::{Offer, Work};
use crate::base::sync::{Condvar, Mutex};
use crate::context::cancelled::check_cancelled;
use crate::context::engine::Engine;
use crate::context::local::{Local, SavedFrame};
use crate::context::strand::Lineage;
use crate::graph::stop::Stop;
use crate::parallel::outcomes::{Failed, Outcomes};
use crate::parallel::{crew_of, is_helped};

/// How an item ended, if it did not panic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Badly,
}

/// Whether later items are begun after one failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    GoOn,
    Stop,
}

/// The items of a scope, for the threads that work on them.
pub(crate) struct Share<'a> {
    run: &'a (dyn Fn(usize) -> Ended + Sync),
    on_failure: OnFailure,
    engine: &'a Engine,
    lineage: Arc<Lineage>,
    recording: bool,
    len: usize,
    batch: usize,
    next: AtomicUsize,
    lanes: Box<[Lane]>,
    /// No item from this number on is begun.
    pub(crate) limit: AtomicUsize,
    pub(crate) left: Outcomes,
    pub(crate) finished: Option<&'a Finished>,
}

impl<'a> Share<'a> {
    pub(crate) fn new(
        local: &'a Local,
        len: usize,
        run: &'a (dyn Fn(usize) -> Ended + Sync),
        on_failure: OnFailure,
    ) -> Self {
        assert!(len < u32::MAX as usize, "a scope has fewer than 2^32 items");
        let threads = local.engine().crew.threads();
        Self {
            run,
            on_failure,
            engine: local.engine(),
            lineage: local.lineage(),
            recording: local.is_recording(),
            len,
            batch: batch(len, threads),
            next: AtomicUsize::new(0),
            lanes: (0..threads).map(|_| Lane::default()).collect(),
            limit: AtomicUsize::new(usize::MAX),
            left: Outcomes::default(),
            finished: None,
        }
    }

    /// Calls the crew to help.
    fn offer(&self) -> Offer<'_> {
        let helpers = if is_helped(self.engine) { self.len - 1 } else { 0 };
        crew_of(self.engine).offer(self, helpers)
    }

    /// Works on all items, with the crew's help; returns the panic to go on with. The calling task has recorded the reads.
    pub(crate) fn work_through(&self, local: &Local) -> Option<Failed> {
        let offer = self.offer();
        self.left.as_strand(local, &self.lineage, |local| self.work(local, 0, &mut || {}));
        drop(offer);
        self.left.hand_over(local, self.end())
    }

    /// Works through the items as [`Share::work_through`] does, delivering results between the caller's own items and while it waits.
    pub(crate) fn work_through_and(
        &self,
        local: &Local,
        finished: &Finished,
        deliver: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Failed> {
        let offer = self.offer();
        let mut missing = self.len;
        let mut deliver_ready = || {
            for index in finished.take() {
                missing -= 1;
                if !deliver(index) {
                    self.limit.store(0, Relaxed);
                    return false;
                }
            }
            missing > 0
        };
        self.left.as_strand(local, &self.lineage, |local| {
            self.work(local, 0, &mut || {
                deliver_ready();
            });
            while self.limit.load(Relaxed) > 0 && !self.left.is_cancelled() && deliver_ready() {
                finished.wait(|| self.left.is_cancelled());
            }
        });
        drop(offer);
        self.left.hand_over(local, self.end())
    }

    /// Runs items until none is left to begin; `between` runs after each if they are delivered one by one.
    fn work(&self, local: &Local, lane: usize, between: &mut dyn FnMut()) {
        let mut stretch: Option<(usize, usize, SavedFrame)> = None;
        while let Some(index) = self.take(lane) {
            if self.is_cancelled(local) {
                break;
            }
            match &mut stretch {
                Some((_, last, _)) if *last + 1 == index => *last = index,
                _ => {
                    self.end_stretch(local, stretch.take());
                    stretch = Some((index, index, local.begin_frame(&[], self.recording)));
                }
            }
            let ended = catch_unwind(AssertUnwindSafe(|| (self.run)(index)));
            let failed = match ended {
                Ok(Ended::Well) => false,
                Ok(Ended::Badly) => true,
                Err(payload) => {
                    self.left.fail(local, index, Stop::caught(payload));
                    true
                }
            };
            if failed && self.on_failure == OnFailure::Stop {
                self.limit.fetch_min(index, Relaxed);
                self.end_stretch(local, stretch.take());
            }
            if self.finished.is_some() {
                // The callback's reads are not this stretch's.
                self.end_stretch(local, stretch.take());
                between();
            }
        }
        self.end_stretch(local, stretch);
    }

    fn end_stretch(&self, local: &Local, stretch: Option<(usize, usize, SavedFrame)>) {
        if let Some((first, _, frame)) = stretch {
            self.left.end_stretch(local, first, frame);
        }
    }

    /// The last item that a sequential loop would have come to.
    fn end(&self) -> usize {
        match self.on_failure {
            OnFailure::GoOn => usize::MAX,
            OnFailure::Stop => self.limit.load(Relaxed),
        }
    }

    fn is_cancelled(&self, local: &Local) -> bool {
        if check_cancelled(local).is_err() {
            self.cancel();
        }
        self.left.is_cancelled()
    }

    fn cancel(&self) {
        self.left.cancel();
        if let Some(finished) = self.finished {
            finished.interrupt();
        }
    }

    /// The next item for a lane.
    fn take(&self, lane: usize) -> Option<usize> {
        loop {
            let index = match self.lanes[lane].take_first() {
                Some(index) => index,
                None if self.refill(lane) => continue,
                None => return None,
            };
            // Items before a failing one still run: its error is only the outcome if none of them fails.
            if index < self.limit.load(Relaxed) {
                return Some(index);
            }
        }
    }

    fn refill(&self, lane: usize) -> bool {
        if self.next.load(Relaxed) < self.len {
            let begin = self.next.fetch_add(self.batch, Relaxed);
            if begin < self.len {
                self.lanes[lane].put(begin, (begin + self.batch).min(self.len));
                return true;
            }
        }
        let others = self.lanes.iter().enumerate().filter(|(other, _)| *other != lane);
        for (_, other) in others {
            if let Some((begin, end)) = other.take_rear_half() {
                self.lanes[lane].put(begin, end);
                return true;
            }
        }
        false
    }
}

/// How many items a participant takes at once.
fn batch(items: usize, threads: usize) -> usize {
    (items / (8 * threads)).clamp(1, 64)
}

impl Work for Share<'_> {
    fn help(&self, helper: usize) {
        self.left.as_helper(self.engine, &self.lineage, |local| self.work(local, helper, &mut || {}));
    }
}

/// A range of item numbers in one word. Alone on its cache line.
#[repr(align(128))]
#[derive(Default)]
struct Lane(AtomicU64);

impl Lane {
    fn pack(begin: usize, end: usize) -> u64 {
        (begin as u64) << 32 | end as u64
    }
    fn unpack(word: u64) -> (usize, usize) {
        ((word >> 32) as usize, (word & 0xffff_ffff) as usize)
    }

    // Relaxed throughout: a lane hands over numbers only. The items were written before the helpers were let in, and
    // what became of them is read after they have left; both go through the crew's lock.

    fn take_first(&self) -> Option<usize> {
        let mut word = self.0.load(Relaxed);
        loop {
            let (begin, end) = Self::unpack(word);
            if begin >= end {
                return None;
            }
            match self.0.compare_exchange_weak(word, Self::pack(begin + 1, end), Relaxed, Relaxed) {
                Ok(_) => return Some(begin),
                Err(now) => word = now,
            }
        }
    }

    fn take_rear_half(&self) -> Option<(usize, usize)> {
        let mut word = self.0.load(Relaxed);
        loop {
            let (begin, end) = Self::unpack(word);
            if begin >= end {
                return None;
            }
            let middle = begin + (end - begin) / 2;
            match self.0.compare_exchange_weak(word, Self::pack(begin, middle), Relaxed, Relaxed) {
                Ok(_) => return Some((middle, end)),
                Err(now) => word = now,
            }
        }
    }

    fn put(&self, begin: usize, end: usize) {
        self.0.store(Self::pack(begin, end), Relaxed);
    }
}

/// Numbers of items that have ended, for the caller to pick up.
#[derive(Default)]
pub(crate) struct Finished {
    ready: Mutex<Vec<usize>>,
    changed: Condvar,
}

impl Finished {
    /// Says when it is dropped that an item has ended, well or not.
    pub(crate) fn guard(&self, index: usize) -> impl Drop {
        struct Guard<'a>(&'a Finished, usize);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.ready.lock().push(self.1);
                self.0.changed.notify_all();
            }
        }
        Guard(self, index)
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.ready.lock())
    }

    fn interrupt(&self) {
        drop(self.ready.lock());
        self.changed.notify_all();
    }

    fn wait(&self, interrupted: impl Fn() -> bool) {
        let mut ready = self.ready.lock();
        while ready.is_empty() && !interrupted() {
            self.changed.wait(&mut ready);
        }
    }
}
