//! A running program as a source: its counters, and what its observer has been told.
//!
//! Hits have no events, so that they cost nothing: how many there are comes from the counters. Memory is measured once a second while a page
//! follows, in short sessions. The graph around a task is looked up in memory when a page asks for it (`Runtime::around`). At other times the
//! inspector opens no session.

mod around;
mod names;
mod recorder;
mod sampler;
mod spans;
mod told;

use std::net::ToSocketAddrs;
use std::sync::Arc;

use larder::events::Observing;
use larder::{FunctionStats, Runtime};
use serde_json::{Value, json};

use self::recorder::Recorder;
use self::sampler::Sampler;
use crate::serve::{Inspector, ServeError, Serving};
use crate::source::{Live, Question, Source};
use crate::stored::LookError;

/// Shows a running program to its user: [`InspectRuntime::inspect`].
pub trait InspectRuntime {
    /// Serves a page about this runtime on an address of this machine, with a new token, as long as the answer lives: `127.0.0.1:0` takes a free
    /// port. [`Inspector::runtime`] has settings.
    ///
    /// Cost: an observer, as [`Runtime::observe`] says, which prints the arguments of each task that runs, is verified or restored; up to 20,000
    /// of these are kept, the last ones. A hit costs what it costs without. While a page is open, a session each second that looks at each task
    /// in memory, which [`Builder::collect_after`](larder::Builder::collect_after) counts as any other.
    ///
    /// The server keeps the runtime until it is dropped.
    ///
    /// # Errors
    /// If the address cannot be served, or other machines reach it.
    fn inspect(&self, address: impl ToSocketAddrs) -> Result<Serving, ServeError>;
}

impl InspectRuntime for Runtime {
    fn inspect(&self, address: impl ToSocketAddrs) -> Result<Serving, ServeError> {
        Inspector::new().runtime(self, address)
    }
}

impl Inspector {
    /// Serves a page about a runtime of this program, as [`InspectRuntime::inspect`] does.
    ///
    /// # Errors
    /// If the address cannot be served.
    pub fn runtime(self, runtime: &Runtime, address: impl ToSocketAddrs) -> Result<Serving, ServeError> {
        let listener = self.listen(address)?;
        self.serve(listener, RunningSource::start(runtime)?)
    }
}

struct RunningSource {
    runtime: Runtime,
    recorder: Arc<Recorder>,
    sampler: Sampler,
    _observing: Observing,
}

impl RunningSource {
    fn start(runtime: &Runtime) -> Result<Arc<Self>, ServeError> {
        let recorder = Arc::new(Recorder::new());
        let sampler = Sampler::start(runtime.clone(), recorder.clone()).map_err(ServeError::Listen)?;
        let _observing = runtime.observe(recorder::Told(recorder.clone()));
        Ok(Arc::new(Self { runtime: runtime.clone(), recorder, sampler, _observing }))
    }

    fn functions(&self) -> Value {
        let stats = self.runtime.stats();
        let functions: Vec<Value> = stats.functions.iter().map(function).collect();
        json!({ "ready": true, "functions": functions, "tasks": stats.tasks, "long_waits": stats.gate.long_waits })
    }
}

fn function(of: &FunctionStats) -> Value {
    json!({
        "path": of.path, "name": of.name, "is_source": of.is_source, "calls": of.calls, "thread_hits": of.thread_hits,
        "memory_hits": of.memory_hits, "storage_hits": of.storage_hits, "misses": of.misses, "runs": of.runs,
        "verified": of.verified, "cut_off": of.cut_off, "settled": of.settled, "failed": of.failed,
        "time_ns": u64::try_from(of.time.as_nanos()).unwrap_or(u64::MAX),
    })
}

impl Source for RunningSource {
    fn answer(&self, question: &Question) -> Result<Value, LookError> {
        Ok(match question {
            Question::About | Question::Reload => {
                let program = std::env::current_exe().ok();
                let name = program.as_deref().and_then(|path| path.file_name());
                let name = name.map_or_else(|| "a program".into(), |name| name.to_string_lossy());
                json!({ "kind": "runtime", "name": format!("{name}, process {}", std::process::id()) })
            }
            Question::Functions => self.functions(),
            Question::Tasks(tasks) => self.recorder.tasks(tasks)?,
            Question::Sources { .. } => json!({ "sources": [], "cut": false }),
            Question::Task { id, from, limit } => {
                around::task((&self.runtime, &self.recorder), id, *from, *limit)?
            }
            Question::Explain { id } => self.recorder.explain(id)?,
            Question::Graph { id, depth, most } => {
                around::graph((&self.runtime, &self.recorder), id, *depth, *most)?
            }
            Question::Timeline => self.recorder.timeline(),
            Question::Memory => self.sampler.answer(),
        })
    }

    fn live(&self) -> Option<Arc<dyn Live>> {
        Some(self.recorder.clone())
    }
}
