//! Carry: the current task, taken along to threads that the user starts, to rayon's, and to futures that are spawned.
//!
//! A [`Carried`] remembers where it was made: the engine, the strand that waits for the carried work, and the [`Sink`] of the
//! frame that records there. Work that is run with it becomes a strand under that one. What it reads and emits goes to the
//! sink, and from there to the frame: before the frame records anything else, and at the latest when its task ends.
//!
//! * The sink of a task is closed when the task ends; work that comes later fails loudly. Work that is still running then makes the task
//!   fail: its value may depend on reads that nobody noted.
//! * A `Carried` is part of its session: it holds the gate until it is dropped.
//! * Rayon runs stolen jobs on top of a thread that waits for others. The strand below then waits for the job above,
//!   although it does not depend on it. The wait graph knows (`Strand::beneath`), and if a wait would close a cycle of which
//!   such a step is part, the task asked for is run apart (`apart.rs`) instead of being waited for.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::engine::Engine;
use crate::failure::CycleError;
use crate::local::{Entered, Local, SavedFrame};
use crate::strand::{Gathered, Lineage, Strand};
use crate::sync::Mutex;

/// Where the reads of carried work arrive, for one frame.
#[derive(Default)]
pub(crate) struct Sink(Mutex<SinkState>);

#[derive(Default)]
struct SinkState {
    /// Stretches of work that are running now.
    active: usize,
    closed: bool,
    arrived: Arrived,
}

/// What has arrived in a sink.
#[derive(Default)]
pub(crate) struct Arrived {
    pub(crate) gathered: Gathered,
    pub(crate) escaped: Vec<Arc<CycleError>>,
    pub(crate) cancelled: bool,
}

impl Sink {
    pub(crate) fn take(&self) -> Arrived {
        std::mem::take(&mut self.0.lock().arrived)
    }

    /// Lets no more work begin. `false` if some is still running.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.0.lock();
        state.closed = true;
        state.active == 0
    }

    fn begin(&self) -> bool {
        let mut state = self.0.lock();
        state.active += usize::from(!state.closed);
        !state.closed
    }

    fn end(&self, arrived: Arrived) {
        let mut state = self.0.lock();
        state.active -= 1;
        state.arrived.gathered.append(arrived.gathered);
        state.arrived.escaped.extend(arrived.escaped);
        state.arrived.cancelled |= arrived.cancelled;
    }
}

/// A share of an open session's hold on the gate.
pub(crate) struct Hold(Arc<Engine>);

impl Hold {
    /// Holds the gate beyond the current call. A session of `engine` is open on this thread.
    pub(crate) fn join(engine: Arc<Engine>) -> Self {
        engine.gate.join();
        Self(engine)
    }

    /// A hold that the opener of a session has taken already.
    pub(crate) fn of_opened(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.gate.close();
    }
}

/// The current task, to be taken along to other threads. Cheap to clone.
///
/// Made by [`current`]. As long as one exists, its session is open: an update waits.
#[derive(Clone)]
pub struct Carried(Arc<Inner>);

struct Inner {
    hold: Hold,
    lineage: Arc<Lineage>,
    sink: Arc<Sink>,
    recording: bool,
}

/// The task that runs now (or the session, outside of a task), to be carried to threads of your own, to rayon's, or into
/// futures that are spawned.
///
/// ```
/// # use larder_backend::{Config, Engine, current};
/// # let engine = Engine::new(&Config::default());
/// # engine.run(|| {
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
        panic!("`current` was called outside of a session; call it inside `runtime.run(|| ...)`")
    };
    Carried(Arc::new(Inner {
        hold: Hold::join(local.engine_arc()),
        lineage: local.lineage(),
        sink: local.sink(),
        recording: local.is_recording(),
    }))
}

impl Carried {
    /// Runs `work` as part of the carried task, on whichever thread this is. What `work` reads and emits belongs to that
    /// task. The task has to wait for `work` to end: if it ends first, it fails.
    ///
    /// # Panics
    /// With the panic of `work`; if the carried task has ended.
    #[track_caller]
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let mut strand = self.strand();
        let outcome = self.run_as(&mut strand, work);
        match outcome {
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// A strand that works for the carried task.
    pub(crate) fn strand(&self) -> Strand {
        Strand::under(&self.0.lineage)
    }

    /// Runs one stretch of `strand`.
    #[track_caller]
    pub(crate) fn run_as<R>(&self, strand: &mut Strand, work: impl FnOnce() -> R) -> std::thread::Result<R> {
        let inner = &*self.0;
        assert!(
            inner.sink.begin(),
            "the task that was carried here has ended; a task has to wait for all work that is carried out of it"
        );
        let engine = inner.hold.engine();
        let local = Local::of(engine);
        let below = local.in_session().then(|| local.lineage());
        strand.beneath = below.filter(|below| !inner.lineage.includes(below.strand));
        let stretch = Stretch::begin(&local, engine, inner.recording, strand);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let gathered = stretch.end(&local, strand);
        let cancelled = strand.cancelled;
        inner.sink.end(Arrived { gathered, escaped: std::mem::take(&mut strand.escaped), cancelled });
        outcome
    }
}

/// Work of a carried task that is done in several stretches, on whichever threads.
pub struct Stint {
    carried: Carried,
    strand: Strand,
}

impl Stint {
    /// Begins work for the carried task.
    #[must_use]
    pub fn new(carried: &Carried) -> Self {
        Self { carried: carried.clone(), strand: carried.strand() }
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
        self.carried.run_as(&mut self.strand, work)
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

    /// A stretch of a session itself: what it reads is nobody's.
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
