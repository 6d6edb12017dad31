//! Spans for subscribers of `tracing`: their names, fields and parents, and that each is left and closed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;

use larder::storage::MemoryStorage;
use larder::{CancelToken, Input, Runtime, task_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    /// The spans that are entered on this thread.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Takes down spans and events.
#[derive(Clone)]
struct Notes {
    least: Level,
    next: Arc<AtomicU64>,
    open: Arc<Mutex<BTreeMap<u64, Noted>>>,
    /// Spans that are closed, and events, in the order of their ends.
    lines: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Default)]
struct Noted {
    name: &'static str,
    parent: Option<u64>,
    fields: BTreeMap<String, String>,
    entered: u32,
    inside: u32,
}

impl Visit for Noted {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl Noted {
    fn title(&self) -> String {
        let Self { name, fields, .. } = self;
        fields.get("task").map_or_else(|| (*name).to_owned(), |task| format!("{name} {task}"))
    }
}

impl Notes {
    fn new(least: Level) -> Self {
        Self { least, next: Arc::default(), open: Arc::default(), lines: Arc::default() }
    }

    /// All that was noted, after all spans have been closed.
    fn take(&self) -> Vec<String> {
        let open: Vec<_> = self.open.lock().unwrap().values().map(Noted::title).collect();
        assert_eq!(open, [""; 0], "spans are open");
        assert_eq!(ENTERED.with_borrow(Vec::len), 0, "all that were entered are left");
        std::mem::take(&mut *self.lines.lock().unwrap())
    }

    fn line(&self, noted: &Noted, without: &[&str]) -> String {
        let mut line = noted.title();
        for (name, value) in noted.fields.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
            write!(line, " {name}={value}").unwrap();
        }
        let open = self.open.lock().unwrap();
        if let Some(parent) = noted.parent {
            write!(line, " in {}", open[&parent].title()).unwrap();
        }
        line
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "larder" && *metadata.level() <= self.least
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let number = self.next.fetch_add(1, Relaxed) + 1;
        let parent = ENTERED.with_borrow(|entered| entered.last().copied());
        let mut noted = Noted { name: attributes.metadata().name(), parent, ..Noted::default() };
        attributes.record(&mut noted);
        self.open.lock().unwrap().insert(number, noted);
        Id::from_u64(number)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(self.open.lock().unwrap().get_mut(&id.into_u64()).expect("it is open"));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let parent = ENTERED.with_borrow(|entered| entered.last().copied());
        let mut noted = Noted { name: "event", parent, ..Noted::default() };
        event.record(&mut noted);
        let line =
            format!("{} {}", event.metadata().level(), self.line(&noted, &["task", "elapsed_us", "cause"]));
        self.lines.lock().unwrap().push(line);
    }

    fn enter(&self, id: &Id) {
        let number = id.into_u64();
        ENTERED.with_borrow_mut(|entered| entered.push(number));
        let mut open = self.open.lock().unwrap();
        let noted = open.get_mut(&number).expect("it is open");
        (noted.entered, noted.inside) = (noted.entered + 1, noted.inside + 1);
    }

    fn exit(&self, id: &Id) {
        let left = ENTERED.with_borrow_mut(Vec::pop);
        assert_eq!(left, Some(id.into_u64()), "spans nest on a thread");
        self.open.lock().unwrap().get_mut(&id.into_u64()).expect("it is open").inside -= 1;
    }

    fn try_close(&self, id: Id) -> bool {
        let mut noted = self.open.lock().unwrap()[&id.into_u64()].clone();
        assert_eq!(noted.inside, 0, "it was left before");
        noted.fields.insert("entered".to_owned(), noted.entered.to_string());
        let line = self.line(&noted, &["task", "function", "cause"]);
        self.lines.lock().unwrap().push(line);
        self.open.lock().unwrap().remove(&id.into_u64());
        true
    }
}

#[task_fn(transient)]
fn half(input: &Input<u64>) -> u64 {
    assert!(input.get() < 100, "too large");
    input.get() / 2
}

#[task_fn(transient)]
fn top(input: &Input<u64>) -> u64 {
    half(input) + 1
}

/// Runs `work` with a traced runtime and a subscriber, and returns what was noted.
fn noted(least: Level, runtime: &Runtime, work: impl FnOnce()) -> Vec<String> {
    let notes = Notes::new(least);
    tracing::subscriber::with_default(notes.clone(), || {
        let _traced = runtime.trace_events();
        work();
    });
    notes.take()
}

#[test]
fn bodies_nest_and_hits_have_no_spans() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let notes = noted(Level::DEBUG, &runtime, || {
        runtime.run(|| (top(&input), top(&input), half(&input)));
        runtime.run(|| top(&input));
    });
    assert_eq!(
        notes,
        [
            r#"run half(input("i")) entered=1 outcome=New in run top(input("i"))"#,
            r#"run top(input("i")) entered=1 outcome=New"#,
        ]
    );
}

#[test]
fn updates_and_verifications_have_spans_around_what_they_run() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    runtime.run(|| top(&input));
    let notes = noted(Level::TRACE, &runtime, || {
        runtime.update(|update| update.set(&input, 11)).unwrap();
        runtime.run(|| top(&input));
        runtime.update(|update| update.set(&input, 12)).unwrap();
        runtime.run(|| top(&input));
        runtime.update(|update| update.set(&input, 12)).unwrap();
    });
    assert_eq!(
        notes,
        [
            "update changed=1 entered=1 marked=2 number=1",
            r#"verify half(input("i")) entered=1 outcome="Stale" in verify top(input("i"))"#,
            r#"run half(input("i")) entered=1 outcome=CutOff in verify top(input("i"))"#,
            r#"verify top(input("i")) entered=1 outcome="Current""#,
            "update changed=1 entered=1 marked=2 number=2",
            r#"verify half(input("i")) entered=1 outcome="Stale" in verify top(input("i"))"#,
            r#"run half(input("i")) entered=1 outcome=Changed in verify top(input("i"))"#,
            r#"verify top(input("i")) entered=1 outcome="Stale""#,
            r#"run top(input("i")) entered=1 outcome=Changed"#,
        ]
    );
}

#[test]
fn the_span_of_a_body_that_panics_is_closed_with_a_warning_in_it() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 100);
    let work = || assert!(runtime.try_run(|| top(&input)).is_err());
    let (half, top) = (r#"half(input("i"))"#, r#"top(input("i"))"#);
    let of = |task| format!("WARN event {task} message=failed");
    assert_eq!(
        noted(Level::DEBUG, &runtime, work),
        [
            format!("{} in run {half}", of(half)),
            format!("run {half} entered=1 outcome=Failed in run {top}"),
            format!("{} in run {top}", of(top)),
            format!("run {top} entered=1 outcome=Failed"),
        ]
    );
    // One that wants no spans gets the warnings.
    assert_eq!(noted(Level::WARN, &runtime, work), [of(half), of(top)]);
}

/// Counts how often it is printed.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Printed;

static PRINTED: AtomicU64 = AtomicU64::new(0);

impl Debug for Printed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        PRINTED.fetch_add(1, Relaxed);
        f.write_str("printed")
    }
}

#[task_fn(transient)]
fn plus(_printed: &Printed, input: &Input<u64>) -> u64 {
    input.get() + 1
}

#[test]
fn names_are_printed_for_subscribers_that_want_the_span() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let mut value = 10;
    let mut again = || {
        value += 1;
        runtime.update(|update| update.set(&input, value)).unwrap();
        assert_eq!(runtime.run(|| plus(&Printed, &input)), value + 1);
    };
    assert_eq!(noted(Level::WARN, &runtime, &mut again), [""; 0]);
    let traced = runtime.trace_events();
    tracing::subscriber::with_default(NoSubscriber::new(), &mut again);
    drop(traced);
    assert_eq!(PRINTED.load(Relaxed), 0);
    let notes = noted(Level::DEBUG, &runtime, again);
    assert_eq!(notes[1..], [r#"run plus(printed, input("i")) entered=1 outcome=Changed"#]);
}

#[task_fn(transient)]
fn cancels(input: &Input<u64>, #[skip] token: CancelToken) -> u64 {
    token.cancel();
    half(input)
}

#[test]
fn the_span_of_a_cancelled_body_is_closed() {
    let (runtime, token) = (Runtime::new(), CancelToken::new());
    let input = runtime.input("i", 10);
    let notes = noted(Level::TRACE, &runtime, || {
        let session = runtime.session().token(&token);
        assert!(session.try_run(|| cancels(&input, token.clone())).is_err());
    });
    assert_eq!(notes, [r#"run cancels(input("i"), _) entered=1 outcome=Cancelled"#]);
}

#[task_fn(transient)]
async fn waits(input: &Input<u64>) -> u64 {
    tokio::task::yield_now().await;
    half(input)
}

#[task_fn(transient)]
async fn waits_for(input: &Input<u64>) -> u64 {
    waits(input).await + 1
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn async_bodies_are_entered_at_each_poll_and_closed_when_they_are_dropped() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let notes = noted(Level::DEBUG, &runtime, || {
        let mut asked = pin!(runtime.run_async(waits_for(&input)));
        assert!(!poll(asked.as_mut()), "the body has yielded");
        assert!(ENTERED.with_borrow(Vec::is_empty), "between polls no span is entered");
        assert!(poll(asked));
    });
    assert_eq!(
        notes,
        [
            r#"run half(input("i")) entered=1 outcome=New in run waits(input("i"))"#,
            r#"run waits(input("i")) entered=2 outcome=New in run waits_for(input("i"))"#,
            r#"run waits_for(input("i")) entered=2 outcome=New"#,
        ]
    );
    runtime.update(|update| update.set(&input, 20)).unwrap();
    let notes = noted(Level::DEBUG, &runtime, || {
        let mut asked = Box::pin(runtime.run_async(waits(&input)));
        assert!(!poll(asked.as_mut()));
        drop(asked);
    });
    let cancelled = r#"run waits(input("i")) entered=2 outcome=Cancelled"#;
    assert_eq!(
        notes,
        [r#"run half(input("i")) entered=1 outcome=Changed"#, cancelled],
        "its drop is in the span, too"
    );
}

/// The update waits for the session of another thread.
#[test]
fn waits_at_the_gate_have_spans() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let notes = noted(Level::DEBUG, &runtime, || {
        thread::scope(|scope| {
            let (opened, told) = std::sync::mpsc::channel();
            let runtime = &runtime;
            scope.spawn(move || {
                runtime.run(|| {
                    opened.send(()).unwrap();
                    while runtime.activity().at_gate.is_empty() {
                        thread::yield_now();
                    }
                });
            });
            told.recv().unwrap();
            runtime.update(|update| update.set(&input, 11)).unwrap();
        });
        let mut held = Box::pin(runtime.run_async(std::future::pending::<()>()));
        assert!(!poll(held.as_mut()));
        let mut update = Box::pin(runtime.update_async(|update| update.set(&input, 12)));
        assert!(!poll(update.as_mut()), "it waits for the session");
        drop(update);
    });
    assert_eq!(
        notes,
        [
            "wait_at_gate entered=1 waiter=Update",
            "update changed=1 entered=1 marked=0 number=1",
            "wait_at_gate entered=0 waiter=Update",
        ]
    );
}

/// The writer's thread has the default subscriber of the process, and nothing else of this file is told to that.
#[test]
fn batches_of_the_store_have_spans_on_the_thread_of_the_writer() {
    #[task_fn]
    fn stored(n: u64) -> u64 {
        n
    }
    let notes = Notes::new(Level::DEBUG);
    tracing::subscriber::set_global_default(notes.clone()).unwrap();
    let runtime = Runtime::builder().storage(MemoryStorage::new()).build();
    let traced = runtime.trace_events();
    runtime.run(|| stored(1));
    runtime.flush().unwrap();
    drop(traced);
    drop(runtime);
    let notes = notes.take();
    let batch = notes.iter().find(|line| line.starts_with("store_batch"));
    assert!(batch.is_some_and(|batch| batch.contains("entered=1") && batch.contains("writes=")), "{notes:?}");
}
