//! Share: the items of a scope, and how participants divide them.
//!
//! * Items are numbered; `lanes.rs` divides the numbers. The participant that takes a number runs that item: a number is taken once.
//! * *Rations.* To take a number costs as much as a short item. So a participant takes as many at once as it runs in some
//!   microseconds, by what the last ones took. Should one of them be slow, the others are not held up by it for longer than it runs:
//!   a participant that finds nothing to do raises `sought`, and the one with the ration looks at that between two items, gives
//!   the rest back to its lane, and calls.
//!   For example: 1,000 files, of which the last 30 have changed. A helper runs 64 hits in a microsecond, and has 64 more, among
//!   them the 30, when the caller comes to the end of its own. After the first of the 30, the caller takes half of the others.
//! * A stretch of consecutive items of one participant has one frame. Its reads and emitted values are kept by its first number,
//!   and recorded for the calling task in the order of the items when all participants have left.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::crew::{Offer, Work};
use crate::base::sync::{Condvar, Mutex};
use crate::context::cancelled::{check_cancelled, is_to_end};
use crate::context::engine::Engine;
use crate::context::local::{Local, SavedFrame};
use crate::context::strand::Lineage;
use crate::graph::stop::Stop;
use crate::parallel::lane::Lane;
use crate::parallel::lanes::Lanes;
use crate::parallel::outcomes::{Failed, Outcomes};
use crate::parallel::{crew_of, is_helped};

/// The most items that are taken at once.
const RATION: usize = 64;

/// A ration that takes less time is followed by a larger one.
const SHORT: Duration = Duration::from_micros(4);

/// A ration that takes more time is followed by a smaller one, and is given back if its rest is sought.
const LONG: Duration = Duration::from_micros(16);

/// How a course ended, if no item panicked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// There are no more items, or the rest is to be looked at first.
    Well,
    /// The last item that was begun has failed.
    Badly,
}

/// Whether later items are begun after one failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    GoOn,
    Stop,
}

/// Items that a participant has taken, and runs one after the other.
pub(crate) struct Course<'a> {
    items: Range<usize>,
    has_begun: bool,
    share: &'a Share<'a>,
    local: &'a Local,
}

impl Course<'_> {
    /// The next item to run. The first one comes in any case.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<usize> {
        let index = self.items.start;
        if index >= self.items.end || self.has_begun && self.is_disturbed() {
            return None;
        }
        self.has_begun = true;
        self.items.start = index + 1;
        Some(index)
    }

    #[inline(always)]
    fn is_disturbed(&self) -> bool {
        self.share.lanes.may_be_sought() || is_to_end(self.local)
    }
}

/// The items of a scope, for the threads that work on them.
pub(crate) struct Share<'a> {
    run: &'a (dyn Fn(&mut Course<'_>) -> Ended + Sync),
    on_failure: OnFailure,
    engine: &'a Engine,
    lineage: Arc<Lineage>,
    recording: bool,
    len: usize,
    lanes: Lanes,
    pub(crate) left: Outcomes,
    pub(crate) finished: Option<&'a Finished>,
}

impl<'a> Share<'a> {
    pub(crate) fn new(
        local: &'a Local,
        len: usize,
        run: &'a (dyn Fn(&mut Course<'_>) -> Ended + Sync),
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
            lanes: Lanes::new(len, threads, batch(len, threads, on_failure)),
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
        self.left.as_strand(local, &self.lineage, |local| {
            self.work(local, &mut || {});
            while self.lanes.waits(|| self.left.is_cancelled()) {
                self.work(local, &mut || {});
            }
        });
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
                    self.lanes.stop_at(0);
                    return false;
                }
            }
            missing > 0
        };
        self.left.as_strand(local, &self.lineage, |local| {
            self.work(local, &mut || {
                deliver_ready();
            });
            while self.lanes.limit() > 0 && !self.left.is_cancelled() && deliver_ready() {
                finished.wait(|| self.left.is_cancelled());
            }
        });
        drop(offer);
        self.left.hand_over(local, self.end())
    }

    /// Runs items until none is left to begin; `between` runs after each if they are delivered one by one.
    fn work(&self, local: &Local, between: &mut dyn FnMut()) {
        let Some(lane) = self.lanes.occupy() else { return };
        let mut pace = Pace::new(self.finished.is_none());
        let mut stretch: Option<(Range<usize>, SavedFrame)> = None;
        while let Some(items) = self.lanes.take(lane, pace.most) {
            if self.is_cancelled(local) {
                break;
            }
            match &stretch {
                Some((range, _)) if range.end == items.start => {}
                _ => {
                    self.end_stretch(local, stretch.take());
                    stretch = Some((items.start..items.start, local.begin_frame(&[], self.recording)));
                }
            }
            let mut course = Course { items, has_begun: false, share: self, local };
            let is_whole = self.run(lane, &mut course, &mut pace);
            if let Some((range, _)) = &mut stretch {
                range.end = course.items.start;
            }
            if !is_whole || self.finished.is_some() {
                // A failed item is the last of its stretch. The callback's reads are not this stretch's.
                self.end_stretch(local, stretch.take());
            }
            if self.finished.is_some() {
                between();
            }
        }
        self.end_stretch(local, stretch);
        self.lanes.end_ration(lane);
        lane.vacate();
    }

    /// Runs what has been taken, or as much of it as is not given back. Returns false if it ended with an item that failed, and none
    /// behind that is to run.
    fn run(&self, lane: &Lane, course: &mut Course<'_>, pace: &mut Pace) -> bool {
        let is_whole = self.run_items(lane, course, pace);
        self.lanes.end_ration(lane);
        pace.adapt();
        is_whole
    }

    fn run_items(&self, lane: &Lane, course: &mut Course<'_>, pace: &Pace) -> bool {
        while !course.items.is_empty() {
            course.has_begun = false;
            let ended = catch_unwind(AssertUnwindSafe(|| (self.run)(course)));
            let last = course.items.start - 1;
            let failed = match ended {
                Ok(Ended::Well) => false,
                Ok(Ended::Badly) => true,
                Err(payload) => {
                    self.left.fail(course.local, last, Stop::caught(payload));
                    true
                }
            };
            if failed && self.on_failure == OnFailure::Stop {
                self.lanes.stop_at(last);
                return false;
            }
            let rest = course.items.clone();
            if rest.is_empty() || self.is_cancelled(course.local) || self.lanes.limit() <= rest.start {
                break;
            }
            if pace.is_slow() && self.lanes.is_sought() {
                for _ in 0..self.lanes.give_back(lane, rest) {
                    self.engine.crew.call_another(self);
                }
                break;
            }
        }
        true
    }

    fn end_stretch(&self, local: &Local, stretch: Option<(Range<usize>, SavedFrame)>) {
        if let Some((items, frame)) = stretch {
            self.left.end_stretch(local, items.start, frame);
        }
    }

    /// The last item that a sequential loop would have come to.
    pub(crate) fn end(&self) -> usize {
        match self.on_failure {
            OnFailure::GoOn => usize::MAX,
            OnFailure::Stop => self.lanes.limit(),
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
        self.lanes.disturb();
        if let Some(finished) = self.finished {
            finished.interrupt();
        }
    }
}

/// How many items a participant puts into its lane at once. Where a failure ends all, items are begun about in their order.
fn batch(items: usize, threads: usize, on_failure: OnFailure) -> usize {
    match on_failure {
        OnFailure::GoOn => (items / (4 * threads)).max(1),
        OnFailure::Stop => (items / (8 * threads)).clamp(1, 64),
    }
}

impl Work for Share<'_> {
    fn help(&self) {
        self.left.as_helper(self.engine, &self.lineage, |local| self.work(local, &mut || {}));
        self.lanes.leave();
    }
}

/// How many items are taken at once, by the time that the last ones took.
struct Pace {
    most: usize,
    adapts: bool,
    began: Instant,
}

impl Pace {
    fn new(adapts: bool) -> Self {
        Self { most: 1, adapts, began: Instant::now() }
    }

    /// Whether the ration takes long.
    fn is_slow(&self) -> bool {
        self.began.elapsed() > LONG
    }

    /// The ration has been run.
    fn adapt(&mut self) {
        if !self.adapts {
            return;
        }
        let now = Instant::now();
        let took = now - std::mem::replace(&mut self.began, now);
        if took < SHORT {
            self.most = (2 * self.most).min(RATION);
        } else if took > LONG {
            self.most = (self.most / 4).max(1);
        }
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
