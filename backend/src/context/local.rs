//! `Local`: what a thread keeps for an engine, and the current-task record that reads are noted in.
//!
//! A thread has one `Local` per engine, found through a thread-local list at session entry and through one
//! thread-local pointer ([`Local::current`]) during the session. Only its own thread touches it, but for the counters and its
//! presence at the gate, which are atomics that others read.
//!
//! The *frame* is the record of the body that runs now: its execution number, where its reads begin in the thread's
//! stack of reads, and the *prediction*: a cursor into what the body read when it ran last. A call that asks for
//! just the read that comes next is answered without hashing anything.

mod failures;
mod frames;
mod reads;

use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::base::counters::CounterTable;
use crate::base::stack::on_enough_stack;
use crate::context::component::Cycles;
use crate::context::engine::Engine;
use crate::context::generation::Generation;
use crate::context::session_data::SessionData;
use crate::context::sink::Sink;
use crate::context::strand::{Gathered, Lineage};
use crate::context::thread_cache::ThreadCache;
use crate::context::threads::Threads;
use crate::context::token::CancelToken;
use crate::context::watch::Presence;
use crate::graph::depth::Depth;
use crate::graph::edges::Edge;
use crate::graph::emitted::EmittedValue;
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::flags::Keeping;
use crate::graph::footprint;
use crate::graph::node::NodeRef;
use crate::graph::stop::{Payload, Stop};
use crate::graph::strand_id::{DemandId, StrandId};

thread_local! {
    static CURRENT: Cell<*const Local> = const { Cell::new(ptr::null()) };
    /// The session that is out of sight while names of tasks are printed.
    static NAMES: Cell<*const Local> = const { Cell::new(ptr::null()) };
    static LOCALS: RefCell<Vec<Arc<Local>>> = const { RefCell::new(Vec::new()) };
    /// Records that are in use while the thread ends: the destructor of another thread-local may open a session when `LOCALS` has been
    /// dropped. It has no destructor itself.
    static LATE: ManuallyDrop<RefCell<Vec<Weak<Local>>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

pub(crate) struct Local {
    // The hot part.
    predicted: Cell<*const Edge>,
    predicted_end: Cell<*const Edge>,
    /// The first of the predicted reads before `predicted` that `reads` does not have yet.
    followed: Cell<*const Edge>,
    execution: Cell<u64>,
    cache: ThreadCache,
    reads: UnsafeCell<Vec<Edge>>,
    pub(crate) counters: CounterTable,
    /// Whether uses of nodes are counted (`memory.rs`).
    counts_uses: Cell<bool>,
    /// The bytes that tasks take more than the engine has been told.
    bytes: Cell<isize>,
    /// Whether new nodes are listed.
    lists_new: Cell<bool>,
    /// Nodes that this thread has made, and the engine has not been told of.
    new: RefCell<Vec<NodeRef>>,
    // The frame, continued.
    recording: Cell<bool>,
    predicting: Cell<bool>,
    duplicates: Cell<bool>,
    carrying: Cell<bool>,
    base: Cell<usize>,
    /// The position in `reads` from which the body may go through them again (`is_repeated`).
    repeated: Cell<usize>,
    emitted_base: Cell<usize>,
    /// Where work that was carried out of the frame leaves its reads. `carrying` says that there is one.
    carried: RefCell<Option<Arc<Sink>>>,
    // The thread.
    engine: Cell<*const Engine>,
    engine_id: u64,
    threads: Arc<Threads>,
    sessions: Cell<usize>,
    /// Whether this thread is inside of an update.
    pub(crate) updating: Cell<bool>,
    /// Since when it has a session or an update under way, for reports.
    pub(crate) presence: Presence,
    /// Whether this thread has done work that was carried to it.
    pub(crate) hosts_carried: Cell<bool>,
    /// The strand and the depth of its claims at which waits are for nodes that no twin can stand for.
    pub(crate) needs_node: Cell<Option<(StrandId, usize)>>,
    generation: Cell<Generation>,
    last_execution: Cell<u64>,
    // The strand (`strand.rs`).
    /// Names this thread of control in claims.
    pub(crate) strand: Cell<StrandId>,
    /// The strands that wait for this one by construction.
    pub(crate) lineage: RefCell<Option<Arc<Lineage>>>,
    /// Whose stack this strand stands on.
    pub(crate) beneath: RefCell<Option<Arc<Lineage>>>,
    /// The number of the outermost demand that is under way.
    pub(crate) demand: Cell<DemandId>,
    /// Whether frames of other tasks may stand below the strand's work (`stall.rs`).
    pub(crate) foreign: Cell<bool>,
    /// The token that may cancel the session, beside an update.
    pub(crate) token: RefCell<Option<CancelToken>>,
    /// The data of the session (`session_data.rs`).
    pub(crate) data: RefCell<Option<SessionData>>,
    /// The session has been cancelled: nothing that its frames still finish is kept.
    pub(crate) cancelled: Cell<bool>,
    /// The tasks among `claimed` that lie on a cycle: they must not swallow the error.
    pub(crate) poisoned: RefCell<Vec<Poisoned>>,
    /// The panic that was last named after the task where it began, and where its payload lies.
    pub(crate) last_panic: RefCell<Option<(usize, TaskError)>>,
    /// The claimed nodes of this thread of control, outermost first.
    pub(crate) claimed: RefCell<Vec<NodeRef>>,
    /// Cycles through tasks of the lineage.
    pub(crate) escaped: RefCell<Vec<Arc<CycleError>>>,
    /// The cycles that are being resolved.
    pub(crate) cycles: RefCell<Cycles>,
    // The rest.
    /// Whether it stands in `LATE`.
    is_late: bool,
    emitted: RefCell<Vec<EmittedValue>>,
    /// The length of `emitted`.
    emitted_count: Cell<usize>,
    functions: RefCell<hashbrown::HashMap<std::any::TypeId, u32, FxBuildHasher>>,
    seen: RefCell<FxHashSet<Edge>>,
    /// Empty lists for the claims of async runs that are put on.
    pub(crate) spare_claims: RefCell<Vec<Vec<NodeRef>>>,
}

// SAFETY: a `Local` is reachable from other threads only as `Weak<Local>` in its engine's list, through which nothing but
// `counters` and `presence` (atomics) is touched; everything else is used by the thread in whose list it stands.
unsafe impl Sync for Local {}
// SAFETY: as above; the last reference may be dropped by another thread, which touches no interior state but to free it.
unsafe impl Send for Local {}

/// Claimed tasks, one inside of the other, that lie on a cycle or are to be given up. A list of these is in the order of their
/// depths, and reaches no further than the claims do.
pub(crate) struct Poisoned {
    depths: Range<Depth>,
    /// The depth of the outermost task that it is known to depend on.
    low: Depth,
    stop: Stop,
}

/// The state to put back when a frame ends.
pub(crate) struct SavedFrame {
    predicted: *const Edge,
    predicted_end: *const Edge,
    followed: *const Edge,
    execution: u64,
    recording: bool,
    predicting: bool,
    duplicates: bool,
    carried: Option<Arc<Sink>>,
    base: usize,
    emitted_base: usize,
}

/// A frame between two stretches of its body.
pub(crate) struct Suspended {
    predicted: *const Edge,
    predicted_end: *const Edge,
    gathered: Gathered,
    carried: Option<Arc<Sink>>,
}

impl Default for Suspended {
    fn default() -> Self {
        Self::predicting(&[])
    }
}

impl Suspended {
    /// A frame that has not begun, predicted to read `before`: the reads of a node that stays claimed.
    pub(crate) fn predicting(before: &[Edge]) -> Self {
        let range = before.as_ptr_range();
        Self {
            predicted: range.start,
            predicted_end: range.end,
            gathered: Gathered::default(),
            carried: None,
        }
    }
}

impl Local {
    /// The record of the session that is open on this thread, if there is one.
    ///
    /// The reference is good as long as the session stays open, which is longer than any call made in it.
    #[inline(always)]
    pub(crate) fn current<'a>() -> Option<&'a Self> {
        // SAFETY: 1. the pointer is set from an `Arc` that stands in this thread's list until the thread ends, or is held by
        // the code that has the session open; 2. it is reset when the session is left.
        CURRENT.with(|current| unsafe { current.get().as_ref() })
    }

    /// Returns the record as [`Local::current`] does, also while observers are told of something. For names of tasks alone.
    pub(crate) fn of_names<'a>() -> Option<&'a Self> {
        // SAFETY: as in `current`: the session goes on below on the stack, and ends when `Naming` is gone.
        Self::current().or_else(|| NAMES.with(|names| unsafe { names.get().as_ref() }))
    }

    /// This thread's record for `engine`, made if need be.
    pub(crate) fn of(engine: &Engine) -> Arc<Self> {
        // Dropped when the list is not borrowed any more.
        let mut gone = Vec::new();
        let found = LOCALS.try_with(|locals| {
            let locals = &mut *locals.borrow_mut();
            if let Some(local) = locals.iter().find(|local| local.engine_id == engine.id) {
                return local.clone();
            }
            // Records of engines that are gone are held by no other list any more.
            gone.extend(locals.extract_if(.., |local| {
                local.sessions.get() == 0 && !local.updating.get() && Arc::weak_count(local) == 0
            }));
            let local = Self::listed(engine, false);
            locals.push(local.clone());
            local
        });
        found.unwrap_or_else(|_| Self::late(engine))
    }

    /// Returns the record as [`Local::of`] does, while the thread ends. The record lives as long as it is in use.
    #[cold]
    fn late(engine: &Engine) -> Arc<Self> {
        LATE.with(|late| {
            let late = &mut *late.borrow_mut();
            let used = late.iter().filter_map(Weak::upgrade).find(|local| local.engine_id == engine.id);
            used.unwrap_or_else(|| {
                let local = Self::listed(engine, true);
                late.push(Arc::downgrade(&local));
                local
            })
        })
    }

    fn listed(engine: &Engine, is_late: bool) -> Arc<Self> {
        // Its parts are large, and are built on the stack.
        let local = on_enough_stack(|| Arc::new(Self::new(engine, is_late)));
        engine.threads.enter(&local);
        local
    }

    /// Drops this thread's record for an engine that ends. Other threads drop theirs when they next meet a new engine, or end.
    pub(crate) fn forget_engine(id: u64) {
        // Fails while the thread ends; and in the middle of `of`, which drops nothing of the user's.
        let gone = LOCALS.try_with(|locals| {
            let mut locals = locals.try_borrow_mut().ok()?;
            let at = locals.iter().position(|local| local.engine_id == id && !local.in_session())?;
            Some(locals.swap_remove(at))
        });
        drop(gone);
    }

    fn new(engine: &Engine, is_late: bool) -> Self {
        Self {
            predicted: Cell::new(ptr::null()),
            predicted_end: Cell::new(ptr::null()),
            followed: Cell::new(ptr::null()),
            execution: Cell::new(0),
            cache: ThreadCache::default(),
            reads: UnsafeCell::new(Vec::new()),
            counters: CounterTable::default(),
            counts_uses: Cell::new(false),
            bytes: Cell::new(0),
            lists_new: Cell::new(false),
            new: RefCell::default(),
            recording: Cell::new(false),
            predicting: Cell::new(false),
            duplicates: Cell::new(false),
            carrying: Cell::new(false),
            carried: RefCell::default(),
            base: Cell::new(0),
            repeated: Cell::new(0),
            emitted_base: Cell::new(0),
            engine: Cell::new(engine),
            engine_id: engine.id,
            threads: engine.threads.clone(),
            sessions: Cell::new(0),
            updating: Cell::new(false),
            presence: Presence::new(),
            hosts_carried: Cell::new(false),
            needs_node: Cell::new(None),
            generation: Cell::new(engine.generation.get(Ordering::Acquire)),
            last_execution: Cell::new(0),
            strand: Cell::new(StrandId::new()),
            lineage: RefCell::default(),
            beneath: RefCell::default(),
            demand: Cell::new(DemandId::default()),
            foreign: Cell::new(false),
            token: RefCell::default(),
            data: RefCell::default(),
            cancelled: Cell::new(false),
            poisoned: RefCell::default(),
            last_panic: RefCell::default(),
            claimed: RefCell::default(),
            escaped: RefCell::default(),
            cycles: RefCell::default(),
            is_late,
            emitted: RefCell::default(),
            emitted_count: Cell::new(0),
            functions: RefCell::default(),
            seen: RefCell::default(),
            spare_claims: RefCell::default(),
        }
    }

    /// Makes this record the current one of its thread. Returns what to give to [`Local::leave`].
    ///
    /// `engine` must be the one that the record was made for, at the address where it now lives.
    pub(crate) fn enter(&self, engine: &Engine) -> Entered {
        debug_assert_eq!(self.engine_id, engine.id);
        self.engine.set(engine);
        let generation = engine.generation.get(Ordering::Acquire);
        if self.generation.replace(generation) != generation {
            self.cache.clear();
        }
        self.cache.take_room();
        self.counts_uses.set(engine.memory.counts());
        self.lists_new.set(engine.memory.counts() && engine.memory.cap().is_some());
        let sessions = self.sessions.replace(self.sessions.get() + 1);
        // Back from another engine's session, inside of a session of this one: what is read belongs to the body that runs.
        let frame = (sessions == 0).then(|| {
            self.cancelled.set(false);
            self.begin_frame(&[], false)
        });
        Entered { before: CURRENT.replace(self), frame }
    }

    /// Ends what [`Local::enter`] began.
    pub(crate) fn leave(&self, entered: Entered) {
        CURRENT.set(entered.before);
        if let Some(frame) = entered.frame {
            self.end_frame(frame);
            self.tell_memory();
        }
        self.sessions.set(self.sessions.get() - 1);
    }

    /// Notes a node that this thread has made.
    #[inline]
    pub(crate) fn add_node(&self, node: NodeRef) {
        if self.lists_new.get() {
            node.keep(Keeping::ON_PROBATION, true);
            self.new.borrow_mut().push(node);
        }
        self.add_memory(footprint::fixed(node).cast_signed());
    }

    /// Notes that tasks take so many bytes more.
    #[inline]
    pub(crate) fn add_memory(&self, bytes: isize) {
        const MOST: usize = 1 << 16;
        self.bytes.set(self.bytes.get() + bytes);
        if self.bytes.get().unsigned_abs() > MOST {
            self.tell_memory();
        }
    }

    #[inline]
    fn tell_memory(&self) {
        if self.bytes.get() != 0 {
            self.engine().add_memory(self.bytes.take());
        }
        if self.lists_new.get() {
            self.engine().list_new(&mut self.new.borrow_mut());
        }
    }

    /// Notes that a node was used, as far as uses are counted.
    #[inline]
    pub(crate) fn note_use(&self, node: NodeRef) {
        if self.counts_uses.get() {
            node.note_use();
        }
    }

    /// Whether a session is open on this thread.
    pub(crate) fn in_session(&self) -> bool {
        self.sessions.get() > 0
    }

    pub(crate) fn engine(&self) -> &Engine {
        // SAFETY: set at session entry to the engine whose gate the session holds; sessions own a reference to it.
        unsafe { &*self.engine.get() }
    }

    /// The engine, to be kept beyond the current call.
    pub(crate) fn engine_arc(&self) -> Arc<Engine> {
        self.engine().me.upgrade().expect("the session that is open holds a reference to the engine")
    }

    pub(crate) fn engine_id(&self) -> u64 {
        self.engine_id
    }
}

fn address_of(payload: &Payload) -> usize {
    (&raw const **payload).cast::<()>().addr()
}

/// While this lives, no session is seen on this thread.
pub(crate) struct OutOfSight(*const Local);

impl OutOfSight {
    pub(crate) fn begin() -> Self {
        Self(CURRENT.replace(ptr::null()))
    }
}

impl Drop for OutOfSight {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// While this lives, no session is seen on this thread but by what prints names of tasks: [`Local::of_names`].
pub(crate) struct Naming {
    _session: OutOfSight,
    before: *const Local,
}

impl Naming {
    pub(crate) fn begin() -> Self {
        let (session, before) = (CURRENT.get(), NAMES.get());
        NAMES.set(if session.is_null() { before } else { session });
        Self { _session: OutOfSight::begin(), before }
    }
}

impl Drop for Naming {
    fn drop(&mut self) {
        NAMES.set(self.before);
    }
}

/// A session (or a stretch of it) that is current on this thread.
pub(crate) struct Entered {
    before: *const Local,
    frame: Option<SavedFrame>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.threads.leave(self);
        if self.is_late {
            LATE.with(|late| {
                let late = &mut *late.borrow_mut();
                late.retain(|local| local.strong_count() > 0);
                if late.is_empty() {
                    // Nothing frees it later.
                    *late = Vec::new();
                }
            });
        }
    }
}
