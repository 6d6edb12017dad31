//! `Local`: what a thread keeps for an engine, and the current-task record that reads are noted in.
//!
//! A thread has one `Local` per engine, found through a thread-local list at session entry and through one
//! thread-local pointer ([`Local::current`]) during the session. Only its own thread touches it, but for the counters, which
//! are atomics that others read.
//!
//! The *frame* is the record of the body that runs now: its execution number, where its reads begin in the thread's
//! stack of reads, and the *prediction*: a cursor into what the body read when it ran last. A call that asks for
//! just the read that comes next is answered without hashing anything.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::hash_map::Entry as MapEntry;
use rustc_hash::{FxBuildHasher, FxHashSet};

use crate::carry::{Arrived, Sink};
use crate::counters::CounterTable;
use crate::cycle::Cycles;
use crate::edges::Edge;
use crate::emit::EmittedValue;
use crate::engine::Engine;
use crate::execute::Payload;
use crate::failure::{CycleError, TaskError};
use crate::flight::Thrown;
use crate::node::NodeRef;
use crate::strand::{Gathered, Lineage, new_strand};
use crate::task_fn::RawTaskFn;
use crate::thread_cache::ThreadCache;
use crate::token::CancelToken;

thread_local! {
    static CURRENT: Cell<*const Local> = const { Cell::new(ptr::null()) };
    static LOCALS: RefCell<Vec<Arc<Local>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Local {
    // The hot part.
    predicted: Cell<*const Edge>,
    predicted_end: Cell<*const Edge>,
    execution: Cell<u64>,
    cache: ThreadCache,
    reads: UnsafeCell<Vec<Edge>>,
    pub(crate) counters: CounterTable,
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
    totals: Arc<CounterTable>,
    sessions: Cell<usize>,
    /// Whether this thread is inside of an update.
    pub(crate) updating: Cell<bool>,
    generation: Cell<u64>,
    last_execution: Cell<u64>,
    // The strand (`strand.rs`).
    /// Names this thread of control in claims. A multiple of four.
    pub(crate) strand: Cell<u64>,
    /// Who waits for this strand by construction.
    pub(crate) lineage: RefCell<Option<Arc<Lineage>>>,
    /// Whose stack this strand stands on.
    pub(crate) beneath: RefCell<Option<Arc<Lineage>>>,
    /// The number of the outermost demand that is under way.
    pub(crate) demand: Cell<u64>,
    /// What may cancel the session, beside an update.
    pub(crate) token: RefCell<Option<CancelToken>>,
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
    emitted: RefCell<Vec<EmittedValue>>,
    /// The length of `emitted`.
    emitted_count: Cell<usize>,
    functions: RefCell<hashbrown::HashMap<std::any::TypeId, u32, FxBuildHasher>>,
    seen: RefCell<FxHashSet<Edge>>,
    /// Empty lists for the claims of flights that are put on.
    pub(crate) spare_claims: RefCell<Vec<Vec<NodeRef>>>,
}

// SAFETY: a `Local` is reachable from other threads only as `Weak<Local>` in its engine's list, through which nothing but
// `counters` (atomics) is touched; everything else is used by the thread in whose list it stands.
unsafe impl Sync for Local {}
// SAFETY: as above; the last reference may be dropped by another thread, which touches no interior state but to free it.
unsafe impl Send for Local {}

/// A claimed task that lies on a cycle, or is to be given up.
pub(crate) struct Poisoned {
    depth: usize,
    /// The depth of the outermost task that it is known to depend on.
    low: usize,
    error: TaskError,
}

/// Where a failed task's cycle closes: at this depth of the claims, as long as this task stands there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    depth: usize,
    node: NodeRef,
}

/// What has to be put back when a frame ends.
pub(crate) struct SavedFrame {
    predicted: *const Edge,
    predicted_end: *const Edge,
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
        // SAFETY: 1. the pointer is set from an `Arc` that stands in this thread's list until the thread ends; 2. it is
        // reset when the session is left.
        CURRENT.with(|current| unsafe { current.get().as_ref() })
    }

    /// This thread's record for `engine`, made if need be.
    pub(crate) fn of(engine: &Engine) -> Arc<Self> {
        LOCALS.with_borrow_mut(|locals| {
            if let Some(local) = locals.iter().find(|local| local.engine_id == engine.id) {
                return local.clone();
            }
            // Records of engines that are gone are held by nobody else's list any more.
            locals.retain(|local| {
                local.sessions.get() > 0 || local.updating.get() || Arc::weak_count(local) > 0
            });
            let local = Arc::new(Self::new(engine));
            engine.locals.lock().push(Arc::downgrade(&local));
            locals.push(local.clone());
            local
        })
    }

    fn new(engine: &Engine) -> Self {
        Self {
            predicted: Cell::new(ptr::null()),
            predicted_end: Cell::new(ptr::null()),
            execution: Cell::new(0),
            cache: ThreadCache::default(),
            reads: UnsafeCell::new(Vec::new()),
            counters: CounterTable::default(),
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
            totals: engine.totals.clone(),
            sessions: Cell::new(0),
            updating: Cell::new(false),
            generation: Cell::new(engine.generation.load(Ordering::Acquire)),
            last_execution: Cell::new(0),
            strand: Cell::new(new_strand()),
            lineage: RefCell::default(),
            beneath: RefCell::default(),
            demand: Cell::new(0),
            token: RefCell::default(),
            cancelled: Cell::new(false),
            poisoned: RefCell::default(),
            last_panic: RefCell::default(),
            claimed: RefCell::default(),
            escaped: RefCell::default(),
            cycles: RefCell::default(),
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
        let generation = engine.generation.load(Ordering::Acquire);
        if self.generation.replace(generation) != generation {
            self.cache.clear();
        }
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
        }
        self.sessions.set(self.sessions.get() - 1);
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

    // ---- the hot path ----

    /// The node of the read that the current body made at this point when it ran last, if that is the one asked for.
    #[inline(always)]
    pub(crate) fn predicted(&self, is: impl FnOnce(NodeRef) -> bool) -> Option<NodeRef> {
        let next = self.predicted.get();
        if next == self.predicted_end.get() {
            return None;
        }
        // SAFETY: between the two pointers lies the rest of the claimed node's `Deps`, which do not change before its
        // frame ends.
        let edge = unsafe { *next };
        let node = edge.node();
        if !node.state.is_fresh() || edge.reads_effects() || !is(node) {
            return None;
        }
        // SAFETY: `next` is not the end.
        self.predicted.set(unsafe { next.add(1) });
        self.push(edge);
        self.counters.thread_hit(node.function);
        Some(node)
    }

    /// The fresh node that this thread remembers for a hash, recorded as read by the current body.
    #[inline(always)]
    pub(crate) fn cached(&self, hash: u64, is: impl Fn(NodeRef) -> bool) -> Option<NodeRef> {
        if self.cache.is_bypassed() {
            return None;
        }
        let (node, recorded_by, entry) = self.cache.find(hash, |node| node.state.is_fresh() && is(node))?;
        if recorded_by != self.execution.get() {
            entry.set_recorded(node, self.execution.get());
            self.record(Edge::value_of(node), recorded_by > self.execution.get() || self.predicting.get());
        }
        self.counters.thread_hit(node.function);
        Some(node)
    }

    #[inline(always)]
    fn push(&self, edge: Edge) {
        // SAFETY: this thread alone touches `reads`, and no reference into it outlives a method of this type.
        let reads = unsafe { &mut *self.reads.get() };
        if reads.len() == reads.capacity() {
            self.make_room();
        }
        reads.push(edge);
    }

    /// A body that goes on reading the same must not take more and more memory.
    #[cold]
    fn make_room(&self) {
        // SAFETY: as in `push`.
        let reads = unsafe { &mut *self.reads.get() };
        if self.duplicates.get() && reads.len() - self.base.get() > 4096 {
            self.keep_each_once(reads);
            self.repeated.set(self.base.get());
        }
        reads.reserve((reads.capacity() / 2).max(64));
    }

    /// Drops what the current frame has noted more than once.
    fn keep_each_once(&self, reads: &mut Vec<Edge>) {
        let mut seen = self.seen.borrow_mut();
        let base = self.base.get();
        let mut kept = base;
        for index in base..reads.len() {
            if seen.insert(reads[index]) {
                reads[kept] = reads[index];
                kept += 1;
            }
        }
        reads.truncate(kept);
        seen.clear();
    }

    /// Notes a read of the current body. `perhaps_again` says that the body may have noted it before.
    #[inline]
    pub(crate) fn record(&self, edge: Edge, perhaps_again: bool) {
        if !self.recording.get() {
            return;
        }
        if perhaps_again {
            if self.is_repeated(edge) {
                return;
            }
            self.duplicates.set(true);
        }
        if self.carrying.get() {
            self.record_arrived();
        }
        let next = self.predicted.get();
        if next != self.predicted_end.get() {
            self.resynchronise(next, edge);
        }
        self.push(edge);
    }

    /// Whether `edge` is the next of the reads that the body has noted already and now goes through again, in a loop over
    /// more nodes than the thread cache remembers. Such a loop would note each of them each time.
    #[inline]
    fn is_repeated(&self, edge: Edge) -> bool {
        // SAFETY: as in `push`.
        let reads = unsafe { &*self.reads.get() };
        let (base, next) = (self.base.get(), self.repeated.get());
        let found = if reads.get(next) == Some(&edge) {
            next
        } else if reads.get(base) == Some(&edge) {
            base
        } else if next == base {
            return false;
        } else {
            // The thread cache may have answered some in between.
            let ahead = reads.get(next + 1..).unwrap_or_default().iter().take(8);
            let Some(skipped) = ahead.copied().position(|read| read == edge) else {
                self.repeated.set(base);
                return false;
            };
            next + 1 + skipped
        };
        self.repeated.set(found + 1);
        true
    }

    /// Moves the prediction behind `edge` if it is among the next few.
    fn resynchronise(&self, next: *const Edge, edge: Edge) {
        let mut cursor = next;
        for _ in 0..4 {
            if cursor == self.predicted_end.get() {
                return;
            }
            // SAFETY: `cursor` is before the end of the claimed node's `Deps` (see `predicted`).
            let (found, after) = unsafe { (*cursor == edge, cursor.add(1)) };
            if found {
                return self.predicted.set(after);
            }
            cursor = after;
        }
    }

    // ---- the lookup's end ----

    /// Remembers a node that was made by this call, and notes it as read for the first time.
    #[inline]
    pub(crate) fn record_new(&self, node: NodeRef) {
        self.cache.insert(node, self.execution.get());
        self.record(Edge::value_of(node), false);
    }

    /// Notes a read that the table answered, of a node that the thread cache did not have, and remembers it there.
    #[inline(always)]
    pub(crate) fn record_from_table(&self, node: NodeRef) {
        if !self.cache.is_bypassed() {
            self.remember(node);
        }
        self.record(Edge::value_of(node), true);
    }

    #[inline(never)]
    fn remember(&self, node: NodeRef) {
        if !self.cache.insert(node, self.execution.get()) {
            self.cache.note_crowded(self.counters.near_hits(node.function));
        }
    }

    /// Notes a read that was answered through the table, and remembers the node for this thread.
    pub(crate) fn record_and_remember(&self, node: NodeRef) {
        let known = self.cache.find(node.hash, |other| other == node);
        match known {
            Some((_, recorded_by, entry)) => {
                entry.set_recorded(node, self.execution.get());
                if recorded_by != self.execution.get() {
                    self.record(
                        Edge::value_of(node),
                        recorded_by > self.execution.get() || self.predicting.get(),
                    );
                }
            }
            None => {
                self.cache.insert(node, self.execution.get());
                self.record(Edge::value_of(node), true);
            }
        }
    }

    /// The index of a task function in the engine's registry.
    pub(crate) fn function(&self, task_fn: &'static RawTaskFn) -> u32 {
        match self.functions.borrow_mut().entry(task_fn.id) {
            MapEntry::Occupied(known) => *known.get(),
            MapEntry::Vacant(vacant) => *vacant.insert(self.engine().functions.index(task_fn)),
        }
    }

    // ---- frames ----

    /// Begins a frame, predicted to read `before`. Put the returned one back with [`Local::end_frame`].
    pub(crate) fn begin_frame(&self, before: &[Edge], recording: bool) -> SavedFrame {
        let execution = self.last_execution.get() + 1;
        self.last_execution.set(execution);
        // SAFETY: as in `push`.
        let base = unsafe { (*self.reads.get()).len() };
        self.repeated.set(base);
        let range = before.as_ptr_range();
        SavedFrame {
            predicted: self.predicted.replace(range.start),
            predicted_end: self.predicted_end.replace(range.end),
            execution: self.execution.replace(execution),
            recording: self.recording.replace(recording),
            predicting: self.predicting.replace(!before.is_empty()),
            duplicates: self.duplicates.replace(false),
            carried: if self.carrying.replace(false) { self.carried.take() } else { None },
            base: self.base.replace(base),
            emitted_base: self.emitted_base.replace(self.emitted_count.get()),
        }
    }

    /// Begins a frame that goes on with a suspended one.
    pub(crate) fn resume(&self, suspended: &mut Suspended) -> SavedFrame {
        let saved = self.begin_frame(&[], true);
        self.predicted.set(suspended.predicted);
        self.predicted_end.set(suspended.predicted_end);
        self.predicting
            .set(suspended.predicted != suspended.predicted_end || !suspended.gathered.reads.is_empty());
        self.carrying.set(suspended.carried.is_some());
        *self.carried.borrow_mut() = suspended.carried.take();
        saved
    }

    /// Ends a resumed frame that is to go on later.
    pub(crate) fn suspend(&self, suspended: &mut Suspended, saved: SavedFrame) {
        suspended.gathered.append(self.take_gathered());
        suspended.predicted = self.predicted.get();
        suspended.predicted_end = self.predicted_end.get();
        suspended.carried = if self.carrying.replace(false) { self.carried.take() } else { None };
        self.end_frame(saved);
    }

    /// Puts what a resumed frame gathered before its current stretch back in front: the frame is about to end.
    pub(crate) fn recall(&self, suspended: &mut Suspended) {
        if suspended.gathered.is_empty() {
            return;
        }
        self.duplicates.set(true);
        let Gathered { reads, emitted } = std::mem::take(&mut suspended.gathered);
        let base = self.base.get();
        // SAFETY: as in `push`.
        unsafe { (*self.reads.get()).splice(base..base, reads) };
        let base = self.emitted_base.get();
        self.emitted_count.set(self.emitted_count.get() + emitted.len());
        self.emitted.borrow_mut().splice(base..base, emitted);
    }

    /// Stops recording in the current frame: what runs from here on (drops) belongs to nobody.
    pub(crate) fn mute(&self) {
        self.recording.set(false);
        self.predicted.set(self.predicted_end.get());
        let execution = self.last_execution.get() + 1;
        self.last_execution.set(execution);
        self.execution.set(execution);
    }

    /// Ends the current frame, dropping what is left of it.
    pub(crate) fn end_frame(&self, saved: SavedFrame) {
        // SAFETY: as in `push`.
        unsafe { (*self.reads.get()).truncate(self.base.get()) };
        if self.has_emitted() {
            drop(self.take_emitted());
        }
        self.predicted.set(saved.predicted);
        self.predicted_end.set(saved.predicted_end);
        self.execution.set(saved.execution);
        let recorded = self.recording.replace(saved.recording);
        self.predicting.set(saved.predicting);
        self.duplicates.set(saved.duplicates);
        let carried = if self.carrying.replace(saved.carried.is_some()) { self.carried.take() } else { None };
        if saved.carried.is_some() {
            *self.carried.borrow_mut() = saved.carried;
        }
        self.base.set(saved.base);
        self.repeated.set(saved.base);
        self.emitted_base.set(saved.emitted_base);
        // Work that is carried out of a session needs no frame: it holds the session open itself.
        if let (Some(sink), true) = (carried, recorded) {
            sink.close();
        }
    }

    /// Runs `use_reads` with the reads of the current frame, each once, in order. It must not call a task.
    pub(crate) fn with_reads<R>(&self, use_reads: impl FnOnce(&[Edge]) -> R) -> R {
        // SAFETY: as in `push`; `use_reads` is given by `execute.rs`, which runs no code of the user's in it.
        let reads = unsafe { &mut *self.reads.get() };
        let base = self.base.get();
        if self.duplicates.get() {
            self.keep_each_once(reads);
        }
        use_reads(&reads[base..])
    }

    /// The sink of the current frame, made if need be. Reads are not predicted from here on: what arrives comes first.
    pub(crate) fn sink(&self) -> Arc<Sink> {
        self.carrying.set(true);
        self.predicted.set(self.predicted_end.get());
        self.carried.borrow_mut().get_or_insert_default().clone()
    }

    /// Records what work that was carried out of this frame has read so far.
    #[cold]
    fn record_arrived(&self) {
        let Some(sink) = self.carried.borrow().clone() else { return };
        let Arrived { gathered, escaped, cancelled } = sink.take();
        self.carrying.set(false);
        self.record_gathered(gathered);
        self.carrying.set(true);
        self.inherit(cancelled, &escaped);
    }

    /// The frame's work is done: takes in what was carried out of it. `false` if some of that still runs.
    pub(crate) fn settle_carried(&self) -> bool {
        if !self.carrying.get() {
            return true;
        }
        let ended = self.carried.borrow().as_ref().is_none_or(|sink| sink.close());
        self.record_arrived();
        ended
    }

    /// Notes a value that the current body emits.
    pub(crate) fn emit(&self, value: EmittedValue) {
        self.emitted.borrow_mut().push(value);
        self.emitted_count.set(self.emitted_count.get() + 1);
    }

    /// Whether the current frame emitted anything.
    #[inline]
    pub(crate) fn has_emitted(&self) -> bool {
        self.emitted_count.get() != self.emitted_base.get()
    }

    /// What the current frame emitted, taken out.
    #[inline(never)]
    pub(crate) fn take_emitted(&self) -> Vec<EmittedValue> {
        self.emitted_count.set(self.emitted_base.get());
        self.emitted.borrow_mut().split_off(self.emitted_base.get())
    }

    /// What the current frame has read (each once per execution number) and emitted, taken out.
    pub(crate) fn take_gathered(&self) -> Gathered {
        if self.carrying.get() {
            self.record_arrived();
        }
        // SAFETY: as in `push`.
        let reads = unsafe { (*self.reads.get()).split_off(self.base.get()) };
        Gathered { reads, emitted: self.take_emitted() }
    }

    /// Records in the current frame what work on its behalf has read and emitted elsewhere.
    pub(crate) fn record_gathered(&self, gathered: Gathered) {
        if self.recording.get() {
            for edge in gathered.reads {
                self.record(edge, true);
            }
            gathered.emitted.into_iter().for_each(|value| self.emit(value));
        }
    }

    // ---- demands and failures ----

    /// Numbers the outermost demand of this thread of control, uniquely among all.
    pub(crate) fn begin_demand(&self) {
        self.demand.set((((self.demand.get() & 0xffff_ffff) + 1) & 0xffff_ffff) | (self.strand.get() << 32));
        self.last_panic.take();
    }

    /// The error that a failed run of `node` is known by: a foreign panic is named after the innermost task.
    pub(crate) fn name_failure(&self, payload: &Payload, node: NodeRef) -> TaskError {
        if payload.is::<TaskError>() {
            return TaskError::of_payload(&**payload, node);
        }
        if let Some(error) = self.named(payload) {
            return error;
        }
        let error = TaskError::of_payload(&**payload, node);
        *self.last_panic.borrow_mut() = Some((address_of(payload), error.clone()));
        error
    }

    /// The name of a panic that began in a task further in. One that was caught on the way has another payload; should
    /// the next one lie in the same place, it says something else.
    fn named(&self, payload: &Payload) -> Option<TaskError> {
        let last = self.last_panic.borrow();
        let (address, error) = last.as_ref()?;
        (*address == address_of(payload) && error.says(&**payload)).then(|| error.clone())
    }

    /// The error that this thread's session ended with.
    pub(crate) fn take_failure(&self, payload: &Payload) -> TaskError {
        let named = self.named(payload);
        self.last_panic.take();
        named.unwrap_or_else(|| TaskError::of_payload(&**payload, "the session"))
    }

    /// A task on a cycle has no value, even if its body catches the error: its frame will fail again. Tasks that such a
    /// body asks for afterwards do not lie on this cycle.
    pub(crate) fn poison_cycle(&self, cycle: &Arc<CycleError>) {
        if self.lineage.borrow().is_some() {
            self.escaped.borrow_mut().push(cycle.clone());
        }
        let first = self.claimed.borrow().iter().position(|node| cycle.members.contains(&node.address()));
        if let Some(low) = first {
            self.poison_from(low, &TaskError::Cycle(cycle.clone()));
        }
    }

    /// A task was read that has failed in this demand. If its cycle closes at a task that is still claimed, all from there on
    /// lie on it, too: whether they do must not depend on the order in which the tasks of a cycle were asked for.
    pub(crate) fn poison_through(&self, head: Option<Head>, error: &TaskError) {
        if let (Some(Head { depth, node }), TaskError::Cycle(_)) = (head, error)
            && self.claimed.borrow().get(depth) == Some(&node)
        {
            self.poison_from(depth, error);
        }
    }

    /// All claimed tasks from a depth on fail with `error`, whatever their bodies return.
    pub(crate) fn poison_from(&self, low: usize, error: &TaskError) {
        let mut poisoned = self.poisoned.borrow_mut();
        for depth in low..self.claimed.borrow().len() {
            match poisoned.iter_mut().find(|other| other.depth == depth) {
                Some(other) => other.low = other.low.min(low),
                None => poisoned.push(Poisoned { depth, low, error: error.clone() }),
            }
        }
    }

    /// Where the cycle of the innermost claimed node closes, if that is further out.
    pub(crate) fn head_of_innermost(&self) -> Option<Head> {
        let claimed = self.claimed.borrow();
        let innermost = claimed.len().checked_sub(1)?;
        let poisoned = self.poisoned.borrow();
        let depth = poisoned.iter().find(|poisoned| poisoned.depth == innermost)?.low;
        (depth < innermost).then(|| Head { depth, node: claimed[depth] })
    }

    /// A flight that the current strand waited for has thrown: the payload, to go on with here.
    pub(crate) fn take_over(&self, (payload, named): Thrown) -> Payload {
        *self.last_panic.borrow_mut() = named;
        match payload.downcast_ref() {
            // The tasks of this strand that lie on the cycle have no value either.
            Some(TaskError::Cycle(cycle)) => self.poison_cycle(cycle),
            Some(TaskError::Cancelled) => self.share_cancellation(),
            _ => {}
        }
        payload
    }

    /// A flight that the current strand waited for has been cancelled: what the tasks of this strand make of that, they cannot
    /// keep either, even if this strand never comes to look whether its own session is to end. The session is not touched.
    fn share_cancellation(&self) {
        self.poison_from(0, &TaskError::Cancelled);
        if self.lineage.borrow().is_some() {
            // Some of those tasks may wait for this strand to end.
            self.poison_all();
        }
    }

    /// The session of this thread is over: nothing that it still finishes is kept.
    pub(crate) fn poison_all(&self) {
        self.cancelled.set(true);
    }

    /// The part of the session that was cancelled has ended.
    pub(crate) fn end_cancellation(&self) {
        self.cancelled.set(false);
    }

    /// The error that the innermost claimed node must fail with, although its body has returned.
    pub(crate) fn poison_of_innermost(&self) -> Option<TaskError> {
        if self.cancelled.get() {
            return Some(TaskError::Cancelled);
        }
        let poisoned = self.poisoned.borrow();
        let innermost = self.claimed.borrow().len().checked_sub(1)?;
        let poisoned = poisoned.iter().find(|poisoned| poisoned.depth == innermost)?;
        Some(poisoned.error.clone())
    }

    /// Ends the innermost claim, and its poison with it.
    pub(crate) fn pop_claim(&self, node: NodeRef) {
        let mut claimed = self.claimed.borrow_mut();
        let ended = claimed.pop();
        debug_assert_eq!(ended.map(NodeRef::address), Some(node.address()), "claims end in reverse order");
        self.poisoned.borrow_mut().retain(|poisoned| poisoned.depth < claimed.len());
    }

    /// Whether reads are being recorded for a task (and not for the session itself).
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.get()
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

/// A session (or a stretch of it) that is current on this thread.
pub(crate) struct Entered {
    before: *const Local,
    frame: Option<SavedFrame>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.totals.absorb(&self.counters);
    }
}
