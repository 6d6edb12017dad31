//! Spans: observed work from its begin to its end, for what shows work that is under way, as `tracing` does.
//!
//! - A span is opened where the work begins, entered on each thread that does it, left there, and closed once. For example, the span of an async body
//!   is entered at each poll. Spans that are entered on one thread nest.
//! - Nothing is opened unless something [opens spans](OpensSpans): one load, where an observed run or verification begins. Other work does not come here.
//! - Code of an opener and its spans runs as that of observers does: under no lock of the engine, with no session in sight, its panics caught.
//! - A span that its work drops without an end is left and closed all the same. For example, a verification is given up as the session is cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use crate::context::event::Event;
use crate::context::observers::{aside, caught, is_aside};
use crate::context::watch::GateWaiter;
use crate::graph::cause::Cause;
use crate::graph::task_name::TaskRef;

/// Work that begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Begins<'a> {
    /// A body is about to run.
    Run {
        /// Its task.
        task: TaskRef<'a>,
        /// Why it runs.
        cause: &'a Cause<TaskRef<'a>>,
    },
    /// It is about to be found out whether a task is current.
    Verification {
        /// The task.
        task: TaskRef<'a>,
    },
    /// The changes of an update or a refresh are about to be put in place.
    Update,
    /// A session or an update waits at the gate.
    Wait {
        /// Which of them.
        waiter: GateWaiter,
    },
    /// A batch is about to be committed to the store.
    Batch,
}

/// How observed work has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ends<'a> {
    /// The event of it, which observers are told as well.
    Told(&'a Event<TaskRef<'a>>),
    /// A verification has found out that the body must run.
    Stale,
    /// A verification has found the value in the store.
    Restored,
}

/// A span of one piece of work. It is closed when it is dropped.
pub trait Span: Send + Sync {
    /// Goes on with the work on this thread.
    fn enter(&mut self);
    /// Leaves the work on the thread where it was entered.
    fn exit(&mut self);
    /// Takes note of how the work has ended. It is entered, if this thread has done the work.
    fn ends(&mut self, how: Ends<'_>);
}

/// Opens spans.
pub trait OpensSpans: Send + Sync + 'static {
    /// Opens a span for work that begins on this thread, if it wants one.
    fn open(&self, begins: &Begins<'_>) -> Option<Box<dyn Span>>;
}

/// The openers of spans of an engine.
#[derive(Default)]
pub(crate) struct Openers {
    any: AtomicBool,
    list: RwLock<Vec<(u64, Arc<dyn OpensSpans>)>>,
    /// Distinguishes them.
    next: AtomicU64,
}

impl Openers {
    /// Adds an opener, and returns its number.
    pub(crate) fn add(&self, opener: Arc<dyn OpensSpans>) -> u64 {
        let number = self.next.fetch_add(1, Relaxed);
        let mut list = self.list.write();
        list.push((number, opener));
        self.any.store(true, Relaxed);
        number
    }

    pub(crate) fn remove(&self, number: u64) {
        let mut list = self.list.write();
        let place = list.iter().position(|(of, _)| *of == number);
        let removed = place.map(|place| list.swap_remove(place));
        self.any.store(!list.is_empty(), Relaxed);
        drop(list);
        // It is dropped under no lock.
        drop(removed);
    }

    /// Opens the spans of work that begins on this thread.
    #[inline]
    pub(crate) fn open<'a>(&self, begins: impl FnOnce() -> Begins<'a>) -> OpenSpans {
        if self.any.load(Relaxed) { self.open_some(&begins()) } else { OpenSpans::default() }
    }

    #[cold]
    #[inline(never)]
    fn open_some(&self, begins: &Begins<'_>) -> OpenSpans {
        if is_aside() {
            return OpenSpans::default();
        }
        let openers: Vec<_> = self.list.read().iter().map(|(_, opener)| opener.clone()).collect();
        let opened = aside(move || {
            let opened =
                openers.iter().filter_map(|opener| caught(|| opener.open(begins)).flatten()).collect();
            // Perhaps this is the last use of one that was taken off meanwhile.
            caught(|| drop(openers));
            Opened { spans: opened, is_entered: false }
        });
        OpenSpans((!opened.spans.is_empty()).then(|| Box::new(opened)))
    }
}

/// The open spans of one piece of work: none, as a rule.
#[derive(Default)]
pub(crate) struct OpenSpans(Option<Box<Opened>>);

struct Opened {
    spans: Vec<Box<dyn Span>>,
    is_entered: bool,
}

impl OpenSpans {
    /// Goes on with the work on this thread.
    #[inline]
    pub(crate) fn enter(&mut self) {
        if let Some(opened) = &mut self.0 {
            opened.enter();
        }
    }

    /// Leaves the work, if it was entered.
    #[inline]
    pub(crate) fn exit(&mut self) {
        if let Some(opened) = &mut self.0 {
            opened.exit();
        }
    }

    /// Says how the work has ended, and closes the spans.
    #[inline]
    pub(crate) fn end(self, how: Ends<'_>) {
        if let Self(Some(mut opened)) = self {
            opened.ends(how);
        }
    }
}

impl Opened {
    #[cold]
    fn enter(&mut self) {
        if !self.is_entered {
            self.is_entered = true;
            aside(|| self.spans.iter_mut().for_each(|span| _ = caught(|| span.enter())));
        }
    }

    #[cold]
    fn exit(&mut self) {
        if self.is_entered {
            self.is_entered = false;
            // In reverse: two of one subscriber nest in each other.
            aside(|| self.spans.iter_mut().rev().for_each(|span| _ = caught(|| span.exit())));
        }
    }

    #[cold]
    fn ends(&mut self, how: Ends<'_>) {
        aside(|| self.spans.iter_mut().for_each(|span| _ = caught(|| span.ends(how))));
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.exit();
        let spans = std::mem::take(&mut self.spans);
        aside(|| spans.into_iter().for_each(|span| _ = caught(|| drop(span))));
    }
}
