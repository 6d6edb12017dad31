//! Traces: what happened when and on which thread, for viewers of timelines.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Instant;

use larder_backend::json::Quoted;

use crate::Runtime;
use crate::events::{Cause, Event, Observer, Observing, Outcome, Ran, TaskRef};

/// Writes what happens in a runtime as a Chrome trace: JSON that <https://ui.perfetto.dev> and `chrome://tracing` open. It is written as long as
/// this lives.
///
/// There is a slice for each run of a body and each verification, with its cause and outcome, for each session, update, wait at the gate and
/// batch of the store. Async bodies, which are suspended in between, are slices beside the threads.
///
/// ```
/// use larder::trace::Chrome;
/// use larder::{Runtime, task_fn};
///
/// #[task_fn]
/// fn double(n: u32) -> u32 {
///     n * 2
/// }
///
/// let runtime = Runtime::new();
/// let mut written = Vec::new();
/// # let (sink, source) = std::io::pipe().map(|(source, sink)| (sink, source))?;
/// // In a program: `File::create("trace.json")?`.
/// let trace = Chrome::start(&runtime, sink);
/// runtime.run(|| double(4));
/// trace.finish()?;
/// # let mut source = source;
/// std::io::Read::read_to_end(&mut source, &mut written)?;
/// assert!(String::from_utf8_lossy(&written).contains("double(4)"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is written any more when this is dropped"]
pub struct Chrome<W: Write + Send + 'static> {
    file: Arc<File<W>>,
    observing: Option<Observing>,
}

impl<W: Write + Send + 'static> Chrome<W> {
    /// Begins to write. Each event is one call of `writer`, so a file needs no buffer of its own.
    pub fn start(runtime: &Runtime, writer: W) -> Self {
        let state = State {
            writer: Some(writer),
            threads: HashMap::new(),
            pending: "[".to_owned(),
            error: None,
            next: 0,
        };
        let file = Arc::new(File { start: Instant::now(), state: std::sync::Mutex::new(state) });
        let observing = Some(runtime.engine.observe(file.clone()));
        Self { file, observing }
    }

    /// Ends the trace. Dropping it does the same, and tells of no error.
    ///
    /// # Errors
    /// The first error of the writer; after that, nothing more was written.
    pub fn finish(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        if self.observing.take().is_none() {
            return Ok(());
        }
        let mut state = self.file.state();
        state.pending.push_str("\n]\n");
        state.flush();
        let writer = state.writer.take();
        let outcome = state.error.take().map_or(Ok(()), Err);
        drop(state);
        outcome.and_then(|()| writer.map_or(Ok(()), |mut writer| writer.flush()))
    }
}

impl<W: Write + Send + 'static> Drop for Chrome<W> {
    fn drop(&mut self) {
        // `finish` tells of errors.
        let _ = self.end();
    }
}

#[derive(Debug)]
struct File<W> {
    start: Instant,
    state: std::sync::Mutex<State<W>>,
}

/// How many bytes gather before they are written.
const GATHERED: usize = 1 << 15;

#[derive(Debug)]
struct State<W> {
    /// None when the trace has ended.
    writer: Option<W>,
    /// Threads by the numbers that viewers know them by.
    threads: HashMap<ThreadId, usize>,
    pending: String,
    error: Option<io::Error>,
    /// The number of the next slice beside the threads.
    next: u64,
}

impl<W: Write> State<W> {
    fn flush(&mut self) {
        if let (Some(writer), None) = (&mut self.writer, &self.error) {
            self.error = writer.write_all(self.pending.as_bytes()).err();
        }
        self.pending.clear();
    }

    /// The number of a thread; one that is new is named. Events are told on the thread that they are of.
    fn thread(&mut self, thread: ThreadId) -> usize {
        let next = self.threads.len() + 1;
        let number = *self.threads.entry(thread).or_insert(next);
        if number == next {
            let current = std::thread::current();
            let name = current.name().filter(|_| current.id() == thread).unwrap_or("thread");
            self.entry(&format!(
                "\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":{number},\"args\":{{\"name\":{}}}",
                Quoted(name)
            ));
        }
        number
    }

    fn entry(&mut self, fields: &str) {
        let comma = if self.pending == "[" { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(self.pending, "{comma}\n{{{fields}}}");
        if self.pending.len() > GATHERED {
            self.flush();
        }
    }
}

/// A stretch of time on a thread.
struct Slice<'a> {
    name: String,
    category: &'a str,
    thread: ThreadId,
    start: Instant,
    end: Instant,
    args: String,
    is_async: bool,
}

impl<W> File<W> {
    fn state(&self) -> std::sync::MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.start).as_secs_f64() * 1e6
    }
}

impl<W: Write + Send + 'static> Observer for File<W> {
    fn event(&self, event: &Event<TaskRef<'_>>) {
        // The names are printed before the lock is taken: that runs the user's `Debug`.
        let Some(slice) = slice(event) else { return };
        let (start, end) = (self.micros(slice.start), self.micros(slice.end));
        let Slice { name, category, thread, args, is_async, .. } = slice;
        let mut state = self.state();
        if state.writer.is_none() {
            return;
        }
        let thread = state.thread(thread);
        let fields = format!("\"name\":{},\"cat\":\"{category}\",\"pid\":1,\"tid\":{thread}", Quoted(&name));
        if is_async {
            let number = state.next;
            state.next += 1;
            state.entry(&format!(
                "{fields},\"id\":{number},\"ph\":\"b\",\"ts\":{start:.3},\"args\":{{{args}}}"
            ));
            state.entry(&format!("{fields},\"id\":{number},\"ph\":\"e\",\"ts\":{end:.3}"));
        } else {
            let duration = end - start;
            state.entry(&format!(
                "{fields},\"ph\":\"X\",\"ts\":{start:.3},\"dur\":{duration:.3},\"args\":{{{args}}}"
            ));
        }
    }
}

fn slice<'a>(event: &Event<TaskRef<'_>>) -> Option<Slice<'a>> {
    let new = |name: String, category, thread, start, end| Slice {
        name,
        category,
        thread,
        start,
        end,
        args: String::new(),
        is_async: false,
    };
    Some(match event {
        Event::Ran(ran) => Slice {
            args: args_of(ran),
            is_async: ran.task.is_async(),
            ..new(ran.task.to_string(), "run", ran.thread, ran.start, ran.end)
        },
        Event::Verified(verified) => Slice {
            is_async: verified.task.is_async(),
            ..new(
                format!("verify {}", verified.task),
                "verify",
                verified.thread,
                verified.start,
                verified.end,
            )
        },
        Event::Restored(restored) => {
            new(format!("restore {}", restored.task), "restore", restored.thread, restored.at, restored.at)
        }
        Event::SessionClosed(closed) => {
            new("session".to_owned(), "session", closed.thread, closed.start, closed.end)
        }
        Event::Updated(updated) => Slice {
            args: format!("\"changed\":{},\"marked\":{}", updated.changed.len(), updated.marked),
            ..new(format!("update {}", updated.number), "update", updated.thread, updated.start, updated.end)
        },
        Event::Waited(waited) => {
            let name = format!("wait at the gate ({:?})", waited.waiter).to_lowercase();
            new(name, "gate", waited.thread, waited.start, waited.end)
        }
        Event::Committed(committed) => Slice {
            args: format!("\"writes\":{},\"bytes\":{}", committed.writes, committed.bytes),
            ..new("store a batch".to_owned(), "store", committed.thread, committed.start, committed.end)
        },
        _ => return None,
    })
}

fn args_of(ran: &Ran<TaskRef<'_>>) -> String {
    let cause = match &ran.cause {
        Cause::Read { position, read } => format!("read {position}, {read}, had changed"),
        Cause::StoredRead { read: Some(read), .. } => format!("{read} differs"),
        Cause::StoredRead { .. } => "a stored read differs".to_owned(),
        other => format!("{other:?}"),
    };
    let outcome = match ran.outcome {
        Outcome::New => "new",
        Outcome::Changed => "changed",
        Outcome::CutOff => "equal",
        Outcome::Held => "last good",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        _ => "provisional",
    };
    let changed = ran.changed.as_ref();
    let changed =
        changed.map(|read| format!(",\"changed\":{}", Quoted(&read.to_string()))).unwrap_or_default();
    format!("\"cause\":{}{changed},\"outcome\":\"{outcome}\"", Quoted(&cause))
}
