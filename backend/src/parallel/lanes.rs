//! Lanes: the numbers of a scope's items, divided among its participants.
//!
//! A participant occupies a lane, and goes through it from the front, one *ration* at a time. An empty lane is refilled with the
//! next batch; when there are no more batches, with the rear half of another lane. The rest of a ration is given back when
//! others have nothing to do.
//!
//! ```text
//! one that has a ration                         one that finds nothing
//! says that it has one, takes it                raises `sought`
//! runs an item, looks at `sought`               looks for items, and for rations
//! gives the rest back, calls                    none: leaves.  A ration: waits for the call, if it is the caller of the scope
//! ends its ration, looks at `sought`, calls
//! ```
//! All of it is SeqCst, so one of the two sees the other. A helper never waits: its thread may be needed by what an item of another
//! participant waits for. It leaves, and is called again with the crew's tickets.

use std::ops::Range;

use crate::base::sync::{AtomicUsize, Condvar, Mutex, Ordering::Relaxed, Ordering::SeqCst};
use crate::parallel::lane::Lane;

pub(crate) struct Lanes {
    len: usize,
    batch: usize,
    next: AtomicUsize,
    lanes: Box<[Lane]>,
    /// Above 0: participants look between any two items whether they are to stop or to give some back. It counts participants
    /// that have found nothing to do, and reasons to stop.
    sought: AtomicUsize,
    /// Helpers that have found nothing to do, and have left.
    absent: AtomicUsize,
    /// The caller waits here for items that are given back.
    waiting: Mutex<()>,
    given_back: Condvar,
    /// No item from this number on is begun.
    limit: AtomicUsize,
}

impl Lanes {
    /// So many items for so many participants at once, of which each puts `batch` into its lane at a time.
    pub(crate) fn new(len: usize, participants: usize, batch: usize) -> Self {
        Self {
            len,
            batch,
            next: AtomicUsize::new(0),
            lanes: (0..participants).map(|_| Lane::default()).collect(),
            sought: AtomicUsize::new(0),
            absent: AtomicUsize::new(0),
            waiting: Mutex::default(),
            given_back: Condvar::default(),
            limit: AtomicUsize::new(usize::MAX),
        }
    }

    /// Occupies a free lane.
    pub(crate) fn occupy(&self) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.occupy())
    }

    /// The next items for a lane, up to `most`. [`Lanes::end_ration`] follows.
    pub(crate) fn take(&self, lane: &Lane, most: usize) -> Option<Range<usize>> {
        loop {
            let items = match lane.take_first(most) {
                Some(items) => items,
                None if self.refill(lane) => continue,
                None => {
                    self.end_ration(lane);
                    return None;
                }
            };
            // Items before a failing one still run: its error is only the outcome if none of them fails.
            if items.start < self.limit() {
                return Some(items);
            }
        }
    }

    fn refill(&self, lane: &Lane) -> bool {
        if self.next.load(Relaxed) < self.len {
            let begin = self.next.fetch_add(self.batch, Relaxed);
            if begin < self.len {
                lane.put(begin..(begin + self.batch).min(self.len));
                return true;
            }
        }
        let mut others = self.lanes.iter().filter(|other| !std::ptr::eq(*other, lane));
        match others.find_map(Lane::take_rear_half) {
            Some(items) => {
                lane.put(items);
                true
            }
            None => false,
        }
    }

    /// Nothing of the lane's ration can be given back any more.
    pub(crate) fn end_ration(&self, lane: &Lane) {
        if lane.is_rationed() {
            lane.end_ration();
            if self.is_sought() {
                self.call();
            }
        }
    }

    /// Whether there is something to look at between two items. A hint, for the one that has to be quick.
    #[inline(always)]
    pub(crate) fn may_be_sought(&self) -> bool {
        self.sought.load(Relaxed) > 0
    }

    pub(crate) fn is_sought(&self) -> bool {
        self.sought.load(SeqCst) > 0
    }

    /// Gives the rest of a lane's ration back. Returns how many helpers are to be called again.
    pub(crate) fn give_back(&self, lane: &Lane, rest: Range<usize>) -> usize {
        lane.give_back(rest);
        self.call();
        let absent = self.absent.swap(0, SeqCst);
        self.sought.fetch_sub(absent, SeqCst);
        absent
    }

    fn call(&self) {
        drop(self.waiting.lock());
        self.given_back.notify_all();
    }

    /// The caller has found nothing to do. Waits while some of what others have taken may be given back; returns whether some was.
    pub(crate) fn waits(&self, is_cancelled: impl Fn() -> bool) -> bool {
        self.sought.fetch_add(1, SeqCst);
        let mut waiting = self.waiting.lock();
        let has_items = loop {
            if is_cancelled() || self.limit() == 0 {
                break false;
            }
            if self.lanes.iter().any(Lane::has_items) {
                break true;
            }
            if !self.lanes.iter().any(Lane::is_rationed) {
                break false;
            }
            self.given_back.wait(&mut waiting);
        };
        drop(waiting);
        self.sought.fetch_sub(1, SeqCst);
        has_items
    }

    /// A helper has found nothing to do, and leaves.
    pub(crate) fn leave(&self) {
        self.sought.fetch_add(1, SeqCst);
        self.absent.fetch_add(1, SeqCst);
    }

    /// Lets participants look between any two items, from here on.
    pub(crate) fn disturb(&self) {
        self.sought.fetch_add(1, SeqCst);
    }

    /// Lets no item from this number on be begun.
    pub(crate) fn stop_at(&self, item: usize) {
        self.limit.fetch_min(item, Relaxed);
        self.disturb();
    }

    /// No item from this number on is begun.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }
}
