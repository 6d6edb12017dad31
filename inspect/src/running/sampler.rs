//! Memory by function over time, measured by a thread while a page follows.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use larder::{MemoryUse, Runtime};
use serde_json::{Value, json};

use super::recorder::Recorder;

/// Samples that are kept.
const KEPT: usize = 600;
/// The least time between two samples.
const PAUSE: Duration = Duration::from_secs(1);
/// A sample takes at most one part in so many of the time.
const PARTS: u32 = 50;

/// The thread that measures, and what it has found.
pub(super) struct Sampler {
    samples: Arc<Mutex<VecDeque<(f64, MemoryUse)>>>,
    /// Its drop ends the thread. That is not waited for: a sample may wait for an update, which may wait for the session in which this is dropped.
    _end: Sender<()>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Samples are added whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sampler {
    pub(super) fn start(runtime: Runtime, recorder: Arc<Recorder>) -> io::Result<Self> {
        let samples = Arc::<Mutex<VecDeque<_>>>::default();
        let (into, began) = (samples.clone(), Instant::now());
        let (_end, ended) = channel();
        std::thread::Builder::new().name("larder-inspect-memory".to_owned()).spawn(move || {
            recorder.ignore_this_thread();
            let mut pause = Duration::from_millis(100);
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if !recorder.is_followed() {
                    pause = Duration::from_millis(100);
                    continue;
                }
                let start = Instant::now();
                let memory = runtime.memory();
                pause = PAUSE.max(start.elapsed() * PARTS);
                let mut samples = held(&into);
                if samples.len() == KEPT {
                    samples.pop_front();
                }
                samples.push_back((began.elapsed().as_secs_f64(), memory));
            }
        })?;
        Ok(Self { samples, _end })
    }

    /// Returns the times, the bytes in all, and the bytes of each function, the greatest first.
    pub(super) fn answer(&self) -> Value {
        let samples = held(&self.samples);
        let mut functions: BTreeMap<&str, (usize, Vec<usize>)> = BTreeMap::new();
        for (place, (_, memory)) in samples.iter().enumerate() {
            for of in &memory.functions {
                let (tasks, bytes) = functions.entry(of.path).or_insert_with(|| (0, vec![0; samples.len()]));
                // Functions that are generic have one path.
                bytes[place] += of.bytes;
                if place + 1 == samples.len() {
                    *tasks += of.tasks;
                }
            }
        }
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by_key(|(_, (_, bytes))| std::cmp::Reverse(bytes.last().copied()));
        let functions: Vec<Value> = functions
            .into_iter()
            .map(|(path, (tasks, bytes))| json!({ "path": path, "tasks": tasks, "bytes": bytes }))
            .collect();
        let times: Vec<f64> = samples.iter().map(|(at, _)| (at * 10.0).round() / 10.0).collect();
        let bytes: Vec<usize> = samples.iter().map(|(_, memory)| memory.bytes).collect();
        json!({ "times": times, "bytes": bytes, "functions": functions })
    }
}
