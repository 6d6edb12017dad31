//! The observer: the last event of each task, and the last sessions, updates and waits.
//!
//! Each event has a place, from 1. A task stands at the place of its last event: an event moves it there. A follower that has seen all up to a
//! place is given the tasks behind it, in order, however many at a time. So a follower that is slow misses events and never the last one of a
//! task, and memory is bounded by the tasks that are kept. The tasks whose last event is longest ago go first, and their number is told.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use larder::events::{Changed, Event, Observer, Ran, TaskId, TaskRef};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::names::Names;
use super::spans::{Span, Spans};
use super::told::{News, Told as LastEvent, cause, outcome};
use crate::source::{Live, TasksQuestion};
use crate::stored::LookError;

/// Tasks that are kept.
const KEPT: usize = 20_000;
/// Tasks in one message to a follower.
const AT_ONCE: usize = 2000;
/// Steps of an explanation.
const STEPS: usize = 50;
/// A page follows if it has asked within this time.
const FOLLOWED: Duration = Duration::from_secs(8);

/// Notes what happens in a runtime.
pub(super) struct Recorder {
    began: Instant,
    state: Mutex<State>,
    signal: watch::Sender<u64>,
    /// The thread that measures memory, whose sessions are not the program's.
    ignored: OnceLock<ThreadId>,
    /// When a page last asked for what has happened, in milliseconds since the beginning; 0 for never.
    followed: AtomicU64,
}

#[derive(Default)]
struct State {
    events: u64,
    /// The place of the last event.
    last_place: u64,
    forgotten: u64,
    names: Names,
    tasks: HashMap<u64, LastEvent>,
    /// The number of the task that stands at a place.
    places: BTreeMap<u64, u64>,
    spans: Spans,
}

/// The recorder as an observer.
pub(super) struct Told(pub(super) std::sync::Arc<Recorder>);

impl Observer for Told {
    fn event(&self, event: &Event<TaskRef<'_>>) {
        self.0.note(event);
    }
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            state: Mutex::default(),
            signal: watch::Sender::new(0),
            ignored: OnceLock::new(),
            followed: AtomicU64::new(0),
        }
    }

    /// Says that what happens on this thread is of the inspector.
    pub(super) fn ignore_this_thread(&self) {
        // Called once, by the one thread that measures.
        let _ = self.ignored.set(std::thread::current().id());
    }

    pub(super) fn is_followed(&self) -> bool {
        let followed = Duration::from_millis(self.followed.load(Relaxed));
        !followed.is_zero() && self.began.elapsed().saturating_sub(followed) < FOLLOWED
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: &Event<TaskRef<'_>>) {
        // Printed before the lock is taken: that runs the user's `Debug`.
        let noted = Noted::of(event, self.ignored.get().copied());
        if noted.is_empty() {
            return;
        }
        let mut state = self.state();
        state.events += 1;
        state.last_place += 1;
        for (task, news) in noted.tasks {
            state.tell(task, news);
        }
        if let Some(span) = noted.span {
            state.spans.add(span);
        }
        let events = state.events;
        drop(state);
        self.signal.send_replace(events);
    }
}

/// The text of an event.
#[derive(Default)]
struct Noted {
    tasks: Vec<(TaskId, News)>,
    span: Option<Span>,
}

impl Noted {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.span.is_none()
    }

    fn of(event: &Event<TaskRef<'_>>, ignored: Option<ThreadId>) -> Self {
        let one = |task: &TaskRef<'_>, state, nanos| {
            let news = News { state, because: String::new(), read: None, nanos };
            Self { tasks: vec![(task.id(), news)], span: None }
        };
        let span = |kind, thread, (start, end), text: String| Self {
            tasks: Vec::new(),
            span: (Some(thread) != ignored).then(|| Span {
                kind,
                thread: thread_name(thread),
                start,
                end,
                text,
            }),
        };
        match event {
            Event::Ran(_) => {
                let Event::Ran(ran) = event.to_owned() else { return Self::default() };
                Self::ran(ran)
            }
            Event::Verified(of) => one(&of.task, "verified", Some(nanos(of.start, of.end))),
            Event::Restored(of) => one(&of.task, "restored", None),
            Event::Settled(of) | Event::Resolved(of) => {
                one(&of.task, if of.changed { "settled" } else { "verified" }, None)
            }
            Event::SessionClosed(of) => span("session", of.thread, (of.start, of.end), "session".to_owned()),
            Event::Waited(of) => {
                span("wait", of.thread, (of.start, of.end), format!("{:?} waited at the gate", of.waiter))
            }
            Event::Committed(of) => {
                let text = format!("{} records, {} bytes to the store", of.writes, of.bytes);
                span("commit", of.thread, (of.start, of.end), text)
            }
            Event::Updated(of) => {
                let text =
                    format!("update {}: {} changed, {} marked stale", of.number, of.changed.len(), of.marked);
                let tasks = of.changed.iter().map(|changed| leaf(changed, of.number)).collect();
                Self { tasks, ..span("update", of.thread, (of.start, of.end), text) }
            }
            _ => Self::default(),
        }
    }

    fn ran(ran: Ran<TaskId>) -> Self {
        let (mut because, mut read) = cause(&ran.cause);
        if let Some(changed) = ran.changed {
            because = format!("{because}, and a read has changed as well: {changed}");
            read = Some(changed);
        }
        let (state, nanos) = (outcome(ran.outcome), Some(nanos(ran.start, ran.end)));
        Self { tasks: vec![(ran.task, News { state, because, read, nanos })], span: None }
    }
}

fn leaf(changed: &Changed<TaskRef<'_>>, update: u64) -> (TaskId, News) {
    let state = if changed.removed { "removed" } else { "changed" };
    let mut because = format!("{} by update {update}", if changed.removed { "removed" } else { "set" });
    if let (Some(before), Some(after)) = (changed.before, changed.after) {
        because = format!("{because}: {before:.12} before, {after:.12} now");
    }
    (changed.leaf.id(), News { state, because, read: None, nanos: None })
}

fn nanos(start: Instant, end: Instant) -> u64 {
    u64::try_from(end.saturating_duration_since(start).as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the name of a thread. Events are told on the thread that they are of, nearly always.
fn thread_name(thread: ThreadId) -> String {
    let current = std::thread::current();
    match current.name().filter(|_| current.id() == thread) {
        Some(name) => name.to_owned(),
        None => format!("{thread:?}"),
    }
}

impl State {
    fn tell(&mut self, task: TaskId, news: News) {
        // A reason that is not kept any more, or never was told of, is a name and no link.
        let read = news.read.as_ref().and_then(|read| self.names.known(read));
        let id = self.names.told(&task);
        self.last_place += 1;
        let place = self.last_place;
        let before = self.tasks.remove(&id);
        if let Some(before) = &before {
            self.places.remove(&before.place);
        }
        let events = before.map_or(0, |before| before.events) + 1;
        let News { state, because, nanos, .. } = news;
        self.tasks.insert(id, LastEvent { id, name: task, place, state, because, read, nanos, events });
        self.places.insert(place, id);
        if self.tasks.len() > KEPT
            && let Some((_, oldest)) = self.places.pop_first()
            && let Some(oldest) = self.tasks.remove(&oldest)
        {
            self.names.forget(&oldest.name);
            self.forgotten += 1;
        }
    }

    fn find(&self, id: &str) -> Result<&LastEvent, LookError> {
        let found = id.parse().ok().and_then(|id: u64| self.tasks.get(&id));
        found.ok_or_else(|| LookError::Name("the program was not told of this task lately".to_owned()))
    }
}

impl Recorder {
    /// Returns a page of tasks, the last ones first.
    pub(super) fn tasks(&self, question: &TasksQuestion) -> Result<Value, LookError> {
        let state = self.state();
        let before: u64 = match &question.after {
            Some(after) => state.find(after)?.place,
            None => u64::MAX,
        };
        let fits = |told: &&LastEvent| {
            question
                .function
                .as_deref()
                .is_none_or(|function| told.name.path() == function || told.name.function() == function)
                && question.text.as_deref().is_none_or(|text| told.name.as_str().contains(text))
        };
        let mut found =
            state.places.range(..before).rev().filter_map(|(_, id)| state.tasks.get(id)).filter(fits);
        let tasks: Vec<&LastEvent> = found.by_ref().take(question.limit).collect();
        let next = found.next().and(tasks.last()).map(|told| told.id.to_string());
        let tasks: Vec<Value> = tasks.into_iter().map(LastEvent::json).collect();
        Ok(json!({ "tasks": tasks, "next": next, "forgotten": state.forgotten }))
    }

    /// Returns the name of a task that was told of, or met in the graph.
    pub(super) fn name(&self, id: &str) -> Result<TaskId, LookError> {
        let state = self.state();
        let met = id.parse().ok().and_then(|id| state.names.of_met(id));
        met.map_or_else(|| Ok(state.find(id)?.name.clone()), |met| Ok(met.clone()))
    }

    /// Returns what was told of a task last, and a number by which the page names it.
    pub(super) fn row(&self, task: &TaskId) -> Value {
        let mut state = self.state();
        let id = state.names.met(task);
        state.tasks.get(&id).map_or_else(|| LastEvent::untold(id, task), LastEvent::json)
    }

    /// Whether the last run of a task had a read as its reason.
    pub(super) fn is_reason(&self, task: &TaskId, read: &TaskId) -> bool {
        let state = self.state();
        let told = state.names.known(task).and_then(|id| state.tasks.get(&id));
        told.is_some_and(|told| told.read.is_some() && told.read == state.names.known(read))
    }

    /// Follows the reasons from a task down to the first one.
    pub(super) fn explain(&self, id: &str) -> Result<Value, LookError> {
        let state = self.state();
        if let Some(met) = id.parse().ok().and_then(|id| state.names.of_met(id)) {
            let mut step = LastEvent::untold(0, met);
            step["name"] = met.as_str().into();
            step["text"] = "has not run, and was not verified, since this page is served".into();
            return Ok(json!({ "steps": [step] }));
        }
        let (mut steps, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = Some(state.find(id)?);
        while let Some(told) = next.filter(|told| steps.len() < STEPS && seen.insert(told.id)) {
            let mut step = told.json();
            step["name"] = told.name.as_str().into();
            step["text"] = match (told.state, &*told.because) {
                (state, "") => state.into(),
                ("verified", _) => "was verified: no body ran".into(),
                (state, because) => format!("{state}, because: {because}").into(),
            };
            steps.push(step);
            next = told.read.and_then(|read| state.tasks.get(&read));
        }
        Ok(json!({ "steps": steps }))
    }

    /// Returns the tasks around one along the reasons of their last runs: what made it run, and what it made run.
    pub(super) fn graph(&self, id: &str, depth: usize, most: usize) -> Result<Value, LookError> {
        let state = self.state();
        let root = state.find(id)?;
        let mut made_run: HashMap<u64, Vec<u64>> = HashMap::new();
        for told in state.places.values().filter_map(|id| state.tasks.get(id)) {
            made_run.entry(told.read.unwrap_or(0)).or_default().push(told.id);
        }
        let (mut nodes, mut edges) = (vec![root.id], BTreeSet::new());
        let (mut queue, mut is_cut) = (VecDeque::from([(root.id, 0)]), false);
        while let Some((id, steps)) = queue.pop_front() {
            if steps == depth {
                continue;
            }
            let reason = state.tasks.get(&id).and_then(|told| told.read);
            let reasons = reason.filter(|read| state.tasks.contains_key(read)).map(|read| (read, (id, read)));
            let effects = made_run.get(&id).into_iter().flatten().map(|reader| (*reader, (*reader, id)));
            for (next, edge) in reasons.into_iter().chain(effects) {
                if !nodes.contains(&next) {
                    if nodes.len() == most {
                        is_cut = true;
                        continue;
                    }
                    nodes.push(next);
                    queue.push_back((next, steps + 1));
                }
                edges.insert(edge);
            }
        }
        let place = |id: u64| nodes.iter().position(|node| *node == id);
        let edges: Vec<_> =
            edges.into_iter().filter_map(|(reader, read)| place(reader).zip(place(read))).collect();
        let root = root.id.to_string();
        let nodes: Vec<Value> =
            nodes.iter().filter_map(|id| state.tasks.get(id)).map(LastEvent::json).collect();
        Ok(json!({ "root": root, "nodes": nodes, "edges": edges, "cut": is_cut, "in_memory": false }))
    }

    pub(super) fn timeline(&self) -> Value {
        self.state().spans.json(self.began)
    }
}

impl Live for Recorder {
    fn since(&self, cursor: u64) -> Option<(Value, u64)> {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.followed.store(now.max(1), Relaxed);
        let state = self.state();
        let end = state.last_place;
        if end <= cursor {
            return None;
        }
        let behind = state.places.range(cursor + 1..).take(AT_ONCE);
        let told: Vec<&LastEvent> = behind.filter_map(|(_, id)| state.tasks.get(id)).collect();
        let cursor = match told.last() {
            Some(last) if told.len() == AT_ONCE => last.place,
            _ => end,
        };
        let tasks: Vec<Value> = told.into_iter().map(LastEvent::json).collect();
        let (events, forgotten) = (state.events, state.forgotten);
        Some((json!({ "tasks": tasks, "events": events, "forgotten": forgotten }), cursor))
    }

    fn signal(&self) -> watch::Receiver<u64> {
        self.signal.subscribe()
    }
}
