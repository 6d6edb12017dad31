//! Carry: the current task, taken along to threads that the user starts, to rayon's, and to futures that are spawned.
//!
//! A [`Carried`] remembers where it was made: the engine, the strand that waits for the carried work, and the [`Sink`] of the
//! frame that records there. Work that is run with it becomes a strand under that one. Its reads and emitted values go to the
//! sink, and from there to the frame: before the frame records anything else, and at the latest when its task ends.
//!
//! * The sink of a task is closed when the task ends; work that comes later fails loudly. Work that has begun and not ended then, a
//!   suspended future, too, makes the task fail: its value may depend on reads that were not recorded.
//! * What is carried out of carried work belongs to the same task, and may outlive the work that it was carried out of (`sink.rs`).
//! * A `Carried` is part of its session: it holds the gate until it is dropped.
//! * Rayon runs stolen jobs on top of a thread that waits for others. The strand below then waits for the job above,
//!   although it does not depend on it. The wait graph knows (`Strand::beneath`), and if a wait would close a cycle of which
//!   such a step is part, the task asked for is run apart (`apart.rs`) instead of being waited for. Where the strand below is
//!   outside of carried work at the time, nothing can know: such waits end by patience (`stall.rs`).

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::context::engine::{Engine, Hold};
use crate::context::local::{Entered, Local, SavedFrame};
use crate::context::outside::outside_of_session;
use crate::context::sink::{Arrived, Sink};
use crate::context::strand::{Gathered, Lineage, Strand};

/// The current task, to be taken along to other threads. Cheap to clone.
///
/// Made by [`current`]. While one exists, its session is open: an update waits.
#[derive(Clone)]
pub struct Carried(Arc<Inner>);

struct Inner {
    hold: Hold,
    lineage: Arc<Lineage>,
    sink: Arc<Sink>,
    recording: bool,
}

/// Returns the task that runs now (or the session, outside of a task), to be carried to threads of your own, to rayon's, or into
/// futures that are spawned.
///
/// ```
/// # use larder_backend::{Config, Engine, current};
/// # let engine = Engine::new(&Config::default());
/// # engine.run(None, || {
/// let carried = current();
/// std::thread::scope(|s| {
///     s.spawn(|| carried.run(|| { /* calls of task functions; their results become dependencies of this task */ }));
/// });
/// # });
/// ```
///
/// # Panics
/// Outside of a session.
#[must_use]
#[track_caller]
pub fn current() -> Carried {
    let Some(local) = Local::current() else {
        outside_of_session(
            format_args!("`larder::current()` was called outside of a session"),
            format_args!(""),
        )
    };
    Carried(Arc::new(Inner {
        hold: Hold::join(local.engine_arc()),
        lineage: local.lineage(),
        sink: local.sink(),
        recording: local.is_recording(),
    }))
}

impl Carried {
    /// Runs `work` as part of the carried task, on whichever thread this is. The reads and emitted values of `work` belong to that
    /// task. The task has to wait for `work` to end: if it ends first, it fails.
    ///
    /// # Panics
    /// With the panic of `work`; if the carried task has ended.
    #[track_caller]
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let mut strand = self.strand();
        self.begin();
        let outcome = {
            let _piece = Piece::begin();
            self.run_as(&mut strand, self.0.recording, work)
        };
        self.0.sink.end();
        match outcome {
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// A strand that works for the carried task.
    pub(crate) fn strand(&self) -> Strand {
        Strand { foreign: true, ..Strand::under(&self.0.lineage) }
    }

    /// Begins work for the task, which `self.0.sink.end()` ends.
    #[track_caller]
    fn begin(&self) {
        if !self.0.sink.begin() {
            ended()
        }
    }

    /// Runs one stretch of `strand`, whose work has begun.
    fn run_as<R>(
        &self,
        strand: &mut Strand,
        recording: bool,
        work: impl FnOnce() -> R,
    ) -> std::thread::Result<R> {
        let inner = &*self.0;
        let engine = inner.hold.engine();
        let local = Local::of(engine);
        let below = local.in_session().then(|| local.lineage());
        if below.as_ref().is_none_or(|below| !inner.lineage.is_akin_to(below)) {
            local.hosts_carried.set(true);
        }
        strand.beneath = below.filter(|below| !inner.lineage.covers(below));
        let stretch = Stretch::begin(&local, engine, recording, strand);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let sink = local.take_sink();
        let gathered = stretch.end(&local, strand);
        let cancelled = strand.cancelled;
        inner.sink.deliver(Arrived { gathered, escaped: std::mem::take(&mut strand.escaped), cancelled });
        // The work that was carried out of this stretch goes on as part of the task, and its reads from now on come behind.
        if let Some(sink) = sink {
            sink.hand_on(&inner.sink);
        }
        outcome
    }
}

thread_local! {
    /// The pieces of carried work on this thread's stack, of all engines.
    static PIECES: Cell<usize> = const { Cell::new(0) };
}

/// A piece of carried work on this thread's stack.
struct Piece;

impl Piece {
    fn begin() -> Self {
        PIECES.set(PIECES.get() + 1);
        Self
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        PIECES.set(PIECES.get() - 1);
    }
}

/// Whether carried work stands on this thread's stack, so that this may be a thread of a pool which others need meanwhile.
pub(super) fn is_on_a_pool() -> bool {
    PIECES.get() > 0
}

#[cold]
#[track_caller]
fn ended() -> ! {
    panic!(
        "the task that was carried here has ended; a task has to wait for all work that is carried out of it"
    )
}

/// Work of a carried task that is done in several stretches, on whichever threads.
///
/// It is under way from its first stretch until it is dropped.
pub struct Stint {
    carried: Carried,
    strand: Strand,
    has_begun: bool,
}

impl Stint {
    /// Begins work for the carried task.
    #[must_use]
    pub fn new(carried: &Carried) -> Self {
        Self { carried: carried.clone(), strand: carried.strand(), has_begun: false }
    }

    /// Does one stretch.
    ///
    /// # Errors
    /// The panic of `work`.
    ///
    /// # Panics
    /// If the carried task has ended.
    #[track_caller]
    pub fn stretch<R>(&mut self, work: impl FnOnce() -> R) -> std::thread::Result<R> {
        if self.has_begun {
            if self.carried.0.sink.is_closed() {
                ended()
            }
        } else {
            self.carried.begin();
            self.has_begun = true;
        }
        self.carried.run_as(&mut self.strand, self.carried.0.recording, work)
    }

    /// Drops what the stretches worked on, by `work`: as part of the carried task, if that goes on and a stretch was done. The reads of
    /// drops belong to no task.
    ///
    /// # Errors
    /// The panic of `work`.
    pub fn give_up(&mut self, work: impl FnOnce()) -> std::thread::Result<()> {
        if self.has_begun && !self.carried.0.sink.is_closed() {
            self.carried.run_as(&mut self.strand, false, work)
        } else {
            catch_unwind(AssertUnwindSafe(work))
        }
    }
}

impl Drop for Stint {
    fn drop(&mut self) {
        if self.has_begun {
            self.carried.0.sink.end();
        }
    }
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.lineage.claimed.last() {
            Some(task) => write!(f, "Carried({task:?})"),
            None => f.write_str("Carried(the session)"),
        }
    }
}

/// A stretch of a strand that is current on this thread, with a frame of its own.
pub(crate) struct Stretch {
    entered: Entered,
    frame: SavedFrame,
}

impl Stretch {
    pub(crate) fn begin(local: &Local, engine: &Engine, recording: bool, strand: &mut Strand) -> Self {
        let entered = local.enter(engine);
        local.switch(strand);
        Self { entered, frame: local.begin_frame(&[], recording) }
    }

    /// A stretch of a session itself: its reads belong to no task.
    pub(crate) fn of_session(local: &Local, engine: &Engine, strand: &mut Strand) -> Self {
        let entered = local.enter(engine);
        local.switch(strand);
        Self { entered, frame: local.begin_frame(&[], false) }
    }

    pub(crate) fn end(self, local: &Local, strand: &mut Strand) -> Gathered {
        let gathered = local.take_gathered();
        local.end_frame(self.frame);
        local.switch(strand);
        local.leave(self.entered);
        gathered
    }
}
