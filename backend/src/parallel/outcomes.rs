//! Left: what the participants of a scope leave behind for the task that called it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::base::sync::Mutex;
use crate::context::engine::Engine;
use crate::context::local::{Local, SavedFrame};
use crate::context::sink::Sink;
use crate::context::strand::{Gathered, Lineage, Strand};
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::stop::Stop;

/// The results and failures that participants leave behind.
#[derive(Default)]
pub(crate) struct Outcomes {
    stretches: Mutex<Vec<(usize, Gathered)>>,
    /// Where what was carried out of items arrives, by the stretches' first items.
    sinks: Mutex<Vec<(usize, Arc<Sink>)>>,
    failed: Mutex<Option<Failed>>,
    escaped: Mutex<Vec<Arc<CycleError>>>,
    cancelled: AtomicBool,
}

impl Outcomes {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Keeps what the current frame of `local`, begun at item `first`, has read and emitted, and ends the frame.
    pub(crate) fn end_stretch(&self, local: &Local, first: usize, frame: SavedFrame) {
        self.keep_sink(local, first);
        let gathered = local.take_gathered();
        local.end_frame(frame);
        if !gathered.is_empty() {
            self.stretches.lock().push((first, gathered));
        }
    }

    /// Keeps the sink of the current frame of `local`, begun at item `first`: what was carried out of the frame belongs to the task that
    /// called the scope, and may go on when the frame has ended.
    pub(crate) fn keep_sink(&self, local: &Local, first: usize) {
        if let Some(sink) = local.take_sink() {
            self.sinks.lock().push((first, sink));
        }
    }

    /// Keeps the panic of an item, if it is the first in the order of the items.
    pub(crate) fn fail(&self, local: &Local, index: usize, stop: Stop) {
        if stop.is_given_up() {
            self.cancel();
        }
        let failure = Failed { index, stop, named: local.last_panic.take() };
        let mut failed = self.failed.lock();
        // The payload that is not kept is the user's to drop, not under the lock.
        let dropped = match &*failed {
            Some(earlier) if earlier.index <= index => Some(failure),
            _ => failed.replace(failure),
        };
        drop(failed);
        drop(dropped);
    }

    /// When all participants have left: records in the current frame what they read, in the order of the items and up to
    /// item `end`, and returns the panic to go on with.
    pub(crate) fn hand_over(&self, local: &Local, end: usize) -> Option<Failed> {
        let mut stretches = std::mem::take(&mut *self.stretches.lock());
        stretches.sort_unstable_by_key(|(first, _)| *first);
        for (_, gathered) in stretches.into_iter().filter(|(first, _)| *first <= end) {
            local.record_gathered(gathered);
        }
        for (first, sink) in std::mem::take(&mut *self.sinks.lock()) {
            if first <= end {
                sink.hand_on(&local.sink());
            } else {
                sink.close();
            }
        }
        local.inherit(self.is_cancelled(), &self.escaped.lock());
        let failed = self.failed.lock().take();
        if self.is_cancelled() {
            return Some(Failed { index: 0, stop: Stop::Cancelled, named: None });
        }
        failed
    }

    /// Runs `work` on the current crew thread, as a strand under `lineage`.
    pub(crate) fn as_helper(&self, engine: &Engine, lineage: &Arc<Lineage>, work: impl FnOnce(&Local)) {
        let local = Local::of(engine);
        let entered = local.enter(engine);
        self.as_strand(&local, lineage, work);
        local.leave(entered);
    }

    /// Runs `work` as a strand under `lineage`. Its items' panics are caught one by one; `work` itself throws nothing.
    pub(crate) fn as_strand(&self, local: &Local, lineage: &Arc<Lineage>, work: impl FnOnce(&Local)) {
        let mut strand = Strand::under(lineage);
        local.switch(&mut strand);
        let outcome = catch_unwind(AssertUnwindSafe(|| work(local)));
        local.switch(&mut strand);
        debug_assert!(outcome.is_ok(), "items' panics are caught one by one");
        if strand.cancelled {
            self.cancel();
        }
        self.escaped.lock().append(&mut strand.escaped);
    }
}

/// A panic of an item.
pub(crate) struct Failed {
    index: usize,
    stop: Stop,
    /// The panic named after the innermost task that it came through.
    named: Option<(usize, TaskError)>,
}

impl Failed {
    pub(crate) fn go_on(self, local: &Local) -> ! {
        *local.last_panic.borrow_mut() = self.named;
        self.stop.throw()
    }
}
