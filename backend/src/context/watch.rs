//! Watch: which sessions hold the gate and which wait for it, so that a wait which does not end can be explained, and ended.
//!
//! A thread notes in its `Local` when it opens a session or begins an update ([`Presence`]): two stores, nothing shared. Sessions of
//! futures go from thread to thread and stand in a list. Waits are registered when they begin, which is off the fast path. One
//! that lasts for a second is *reported*, once, with those that hold the gate then. Times are by the runtime's clock, which a test may put ahead.

mod report;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::clock::{Clock, nanos};

pub use self::report::{GateHolder, GateStats, GateWait, GateWaiter, Held, UpdateError};
use crate::context::cancelled::check_cancelled;
use crate::context::engine::Engine;
use crate::context::event::{Event, Waited};
use crate::context::gate::{GaveUp, Kind, Vigil};
use crate::context::local::Local;
use crate::context::spans::{Begins, Ends, OpenSpans};
use crate::context::token::CancelToken;
use crate::graph::failure::TaskError;

/// A wait that lasts for so long is reported.
const LONG: Duration = Duration::from_secs(1);
/// So many reports are kept.
const KEPT: usize = 16;
/// How often a thread looks at what does not wake it: the sessions of other runtimes that it has open, when it waits here.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// Since when a thread has a session or an update under way.
pub(crate) struct Presence {
    thread: Thread,
    /// Nanoseconds from the watch's beginning, and one; 0 if there is none.
    session: AtomicU64,
    update: AtomicU64,
}

impl Presence {
    /// The presence of the current thread.
    pub(crate) fn new() -> Self {
        Self { thread: std::thread::current(), session: AtomicU64::new(0), update: AtomicU64::new(0) }
    }

    pub(crate) fn open_session(&self, watch: &Watch) {
        // Relaxed, here and below: read for reports only.
        self.session.store(watch.now(), Relaxed);
    }

    pub(crate) fn end_session(&self) {
        self.session.store(0, Relaxed);
    }

    pub(crate) fn begin_update(&self, watch: &Watch) {
        self.update.store(watch.now(), Relaxed);
    }

    pub(crate) fn end_update(&self) {
        self.update.store(0, Relaxed);
    }

    fn holders(&self, watch: &Watch) -> impl Iterator<Item = GateHolder> {
        let (now, thread) = (watch.now(), &self.thread);
        let both = [(Held::Session, &self.session), (Held::Update, &self.update)];
        both.into_iter().filter_map(move |(held, since)| {
            let since = since.load(Relaxed);
            let age = Duration::from_nanos(now.saturating_sub(since));
            (since != 0).then(|| GateHolder { held, thread: name_of(thread), age })
        })
    }
}

fn name_of(thread: &Thread) -> String {
    thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned)
}

/// The sessions and updates that hold the gate of an engine, and those that wait for it.
pub(crate) struct Watch {
    start: Instant,
    clock: Clock,
    futures: Mutex<Listed<(Thread, Since)>>,
    waits: Mutex<Waits>,
}

#[derive(Default)]
struct Waits {
    listed: Listed<Waiting>,
    long_waits: u64,
    last: VecDeque<(u64, GateWait)>,
}

struct Waiting {
    waiter: GateWaiter,
    thread: Thread,
    since: Since,
}

/// When something began, by the system's clock, and how far that of the runtime was ahead.
#[derive(Clone, Copy)]
struct Since(Instant, Duration);

struct Listed<T> {
    next: u64,
    entries: BTreeMap<u64, T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { next: 0, entries: BTreeMap::new() }
    }
}

impl<T> Listed<T> {
    fn insert(&mut self, entry: T) -> u64 {
        self.next += 1;
        self.entries.insert(self.next, entry);
        self.next
    }
}

impl Watch {
    /// Goes by a clock.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { start: Instant::now(), clock, futures: Mutex::default(), waits: Mutex::default() }
    }

    fn now(&self) -> u64 {
        nanos(self.start.elapsed()).saturating_add(nanos(self.clock.ahead())).saturating_add(1)
    }

    fn since(&self, at: Instant) -> Since {
        Since(at, self.clock.ahead())
    }

    /// How long ago something began at a moment of the system's clock.
    fn age(&self, Since(at, ahead): Since, now: Instant) -> Duration {
        now.saturating_duration_since(at).saturating_add(self.clock.ahead().saturating_sub(ahead))
    }

    /// Notes that the session of a future has been opened, until what is returned is dropped.
    pub(crate) fn open_future(self: &Arc<Self>) -> FuturesSession {
        let since = self.since(Instant::now());
        let number = self.futures.lock().insert((std::thread::current(), since));
        FuturesSession { watch: self.clone(), number }
    }

    fn begin_wait(self: &Arc<Self>, waiter: GateWaiter, now: Instant) -> Wait {
        let (thread, since) = (std::thread::current(), self.since(now));
        let number = self.waits.lock().listed.insert(Waiting { waiter, thread, since });
        Wait { watch: self.clone(), number, waiter, since, reported: false, spans: None }
    }
}

/// The session of a future in the list of open ones.
pub(crate) struct FuturesSession {
    watch: Arc<Watch>,
    number: u64,
}

impl Drop for FuturesSession {
    fn drop(&mut self) {
        self.watch.futures.lock().entries.remove(&self.number);
    }
}

/// A registered wait, until it is dropped.
pub(crate) struct Wait {
    watch: Arc<Watch>,
    number: u64,
    waiter: GateWaiter,
    since: Since,
    reported: bool,
    /// None until its begin was told.
    spans: Option<OpenSpans>,
}

impl Wait {
    /// Ends the wait, and tells observers of it.
    pub(crate) fn ends(mut self, engine: &Engine) {
        if engine.observers.any() {
            let event = Event::Waited(Waited {
                waiter: self.waiter,
                thread: std::thread::current().id(),
                start: self.since.0,
                end: Instant::now(),
            });
            engine.observers.tell(&event);
            self.spans.take().into_iter().for_each(|spans| spans.end(Ends::Told(&event)));
        }
    }

    /// Opens the spans of the wait. They are entered if a thread sleeps in it; a future is on no thread meanwhile.
    fn open_spans(&mut self, engine: &Engine, kind: Kind) {
        let spans = engine.observers.openers.open(|| Begins::Wait { waiter: self.waiter });
        let spans = self.spans.insert(spans);
        if kind == Kind::Thread {
            spans.enter();
        }
    }

    /// Adds the wait to the reports.
    fn report(&mut self, engine: &Engine, now: Instant, open: usize) {
        self.reported = true;
        let report = self.describe(engine, now, open);
        let mut waits = self.watch.waits.lock();
        waits.long_waits += 1;
        if waits.last.len() == KEPT {
            waits.last.pop_front();
        }
        waits.last.extend(report.map(|report| (self.number, report)));
    }

    fn describe(&self, engine: &Engine, now: Instant, open: usize) -> Option<GateWait> {
        let held_by = engine.gate_holders();
        let waits = self.watch.waits.lock();
        let waiting = waits.listed.entries.get(&self.number)?;
        Some(waiting.describe(&self.watch, now, held_by, open))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waits = self.watch.waits.lock();
        waits.listed.entries.remove(&self.number);
        let reported = waits.last.iter_mut().filter(|_| self.reported);
        if let Some((_, report)) = reported.into_iter().find(|(number, _)| *number == self.number) {
            report.waited = self.watch.age(self.since, Instant::now());
        }
    }
}

impl Waiting {
    fn describe(&self, watch: &Watch, now: Instant, held_by: Vec<GateHolder>, open: usize) -> GateWait {
        let sessions = held_by.iter().filter(|holder| holder.held != Held::Update).count();
        GateWait {
            waiter: self.waiter,
            thread: name_of(&self.thread),
            waited: watch.age(self.since, now),
            parts: open.saturating_sub(sessions),
            held_by,
        }
    }
}

/// A session or an update that asks for the gate: what ends its wait early.
pub(crate) struct AtGate<'a> {
    engine: &'a Engine,
    waiter: GateWaiter,
    kind: Kind,
    token: Option<&'a CancelToken>,
    wait: &'a mut Option<Wait>,
    /// When a future has to look again.
    pub(crate) again: Option<Instant>,
    /// The wait that was given up.
    pub(crate) given_up: Option<GateWait>,
}

impl<'a> AtGate<'a> {
    /// `wait` keeps the registration; to be put to `None` when the wait has ended.
    pub(crate) fn new(
        engine: &'a Engine,
        waiter: GateWaiter,
        kind: Kind,
        token: Option<&'a CancelToken>,
        wait: &'a mut Option<Wait>,
    ) -> Self {
        Self { engine, waiter, kind, token, wait, again: None, given_up: None }
    }

    /// Tells observers that the wait has begun, unless they know. The gate is not locked.
    pub(crate) fn tell_begin(&mut self) {
        if self.has_news() {
            self.tell();
        }
    }

    /// Why the update was given up.
    pub(crate) fn update_error(self) -> UpdateError {
        match self.given_up {
            Some(wait) if self.engine.is_of_this_process() => UpdateError::Cancelled(Box::new(wait)),
            _ => UpdateError::Forked,
        }
    }

    /// Why the session was not opened.
    pub(crate) fn session_error(self) -> TaskError {
        if self.engine.is_of_this_process() { TaskError::Cancelled } else { TaskError::Forked }
    }

    /// The session of another runtime that this thread has open: should it be cancelled, it does not wait here.
    fn outer(&self) -> Option<&'static Local> {
        Local::current().filter(|_| self.kind == Kind::Thread)
    }
}

impl Vigil for AtGate<'_> {
    fn look(&mut self, now: Instant, open: usize) -> Result<Option<Instant>, GaveUp> {
        let engine = self.engine;
        let wait = self.wait.get_or_insert_with(|| engine.watch.begin_wait(self.waiter, now));
        let left = LONG.saturating_sub(engine.watch.age(wait.since, now));
        if !wait.reported && left.is_zero() {
            wait.report(engine, now, open);
        }
        let outer = self.outer();
        let is_over = self.token.is_some_and(CancelToken::is_cancelled)
            || outer.is_some_and(|outer| check_cancelled(outer).is_err())
            || !engine.is_of_this_process();
        let wait = self.wait.as_ref().ok_or(GaveUp)?;
        if is_over {
            self.given_up = wait.describe(engine, now, open);
            return Err(GaveUp);
        }
        let glance = outer.map(|_| now + GLANCE);
        let report = (!wait.reported).then(|| now + left);
        let deadline = self.token.and_then(CancelToken::deadline);
        self.again = [glance, report, deadline].into_iter().flatten().min();
        Ok(self.again)
    }

    fn has_news(&self) -> bool {
        let is_told = self.wait.as_ref().is_none_or(|wait| wait.spans.is_some());
        !is_told && self.engine.observers.any()
    }

    fn tell(&mut self) {
        if let Some(wait) = &mut *self.wait {
            wait.open_spans(self.engine, self.kind);
        }
    }
}

impl Engine {
    /// Looks whether an update is cancelled before it is announced.
    ///
    /// # Errors
    /// [`UpdateError::Cancelled`].
    pub(crate) fn check_token(&self, token: Option<&CancelToken>) -> Result<(), UpdateError> {
        if !token.is_some_and(CancelToken::is_cancelled) {
            return Ok(());
        }
        let (thread, now) = (std::thread::current(), Instant::now());
        let waiting = Waiting { waiter: GateWaiter::Update, thread, since: self.watch.since(now) };
        let wait = waiting.describe(&self.watch, now, self.gate_holders(), self.gate.parts());
        Err(UpdateError::Cancelled(Box::new(wait)))
    }

    /// The sessions and updates that are under way.
    pub(crate) fn gate_holders(&self) -> Vec<GateHolder> {
        let locals = self.threads.all();
        let mut holders: Vec<_> =
            locals.iter().flat_map(|local| local.presence.holders(&self.watch)).collect();
        let (watch, now) = (&self.watch, Instant::now());
        let futures = watch.futures.lock();
        holders.extend(futures.entries.values().map(|(thread, since)| GateHolder {
            held: Held::AsyncSession,
            thread: name_of(thread),
            age: watch.age(*since, now),
        }));
        drop(futures);
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.age));
        holders
    }

    /// The sessions and updates that wait at the gate.
    pub(crate) fn gate_waits(&self, held_by: &[GateHolder]) -> Vec<GateWait> {
        let (now, open) = (Instant::now(), self.gate.parts());
        let waits = self.watch.waits.lock();
        let waiting = waits.listed.entries.values();
        waiting.map(|waiting| waiting.describe(&self.watch, now, held_by.to_vec(), open)).collect()
    }

    /// The waits at the gate that lasted long.
    pub(crate) fn gate_stats(&self) -> GateStats {
        let waits = self.watch.waits.lock();
        let last = waits.last.iter().map(|(_, wait)| wait.clone()).collect();
        GateStats { long_waits: waits.long_waits, last }
    }
}
