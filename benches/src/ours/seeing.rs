//! The costs of being seen: observers, checks of bodies, and answers about a store of a million tasks.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use larder::events::{Event, TaskRef};
use larder::{Input, Runtime, task_fn};
use larder_inspect::Inspector;
use larder_inspect::stored::{Explained, Functions, stats_json};
use larder_storage::TaskKey;
use larder_storage::inspect::StoreReader;
use larder_storage::{Digest, Visit};
use tempfile::TempDir;

use super::stored::{arithmetic_of_10_us, folder, open};
use crate::allocation::LiveBytes;
use crate::lane::{Lane, timed};

// ---- while it runs ----

/// Half of the tasks work as census's do, and the other half read them.
const TASKS: u32 = 2_000;

fn worked(seed: u64) -> u64 {
    (0..3).fold(seed, |seed, _| arithmetic_of_10_us(seed))
}

#[task_fn(transient)]
fn working(input: &Input<u64>, number: u32) -> u64 {
    worked(input.get() ^ u64::from(number))
}

#[task_fn(transient)]
fn reading(input: &Input<u64>, number: u32) -> u64 {
    working(input, number) + 1
}

/// How a runtime is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Not at all.
    Not,
    /// By an observer that counts.
    Observed,
    /// All bodies run twice.
    Checked,
}

/// Seconds of a first build of all tasks, and of running all of them again after an edit. [`Seen::Not`] is the same without.
#[must_use]
pub fn builds(seen: Seen) -> f64 {
    let share = if seen == Seen::Checked { 1.0 } else { 0.0 };
    let runtime = Runtime::builder().check_determinism(share).build();
    let told = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&told);
    let observing = (seen == Seen::Observed).then(|| {
        runtime.observe(move |event: &Event<TaskRef<'_>>| {
            if let Event::Ran(_) = event {
                counted.fetch_add(1, Relaxed);
            }
        })
    });
    let input = runtime.input("input", 1_u64);
    let all = || runtime.run(|| (0..TASKS).for_each(|number| _ = black_box(reading(&input, number))));
    let start = Instant::now();
    all();
    runtime.update(|update| update.set(&input, 2)).expect("no session is open");
    all();
    let seconds = start.elapsed().as_secs_f64();
    drop(observing);
    let wanted = if seen == Seen::Observed { u64::from(TASKS) * 4 } else { 0 };
    assert_eq!(told.load(Relaxed), wanted, "an event for each run");
    assert!(runtime.impure().is_empty(), "the bodies are pure");
    seconds
}

/// Seconds of the bodies of [`builds`] by themselves.
#[must_use]
pub fn bodies() -> f64 {
    let start = Instant::now();
    for input in [1_u64, 2] {
        (0..TASKS).for_each(|number| _ = black_box(worked(black_box(input ^ u64::from(number)))));
    }
    start.elapsed().as_secs_f64()
}

#[task_fn(transient)]
fn hit(key: u64) -> u64 {
    key
}

/// Hits of 1,000 keys, with an observer or without one. Unit: one hit.
#[must_use]
pub fn hits(observed: bool) -> Lane {
    const KEYS: u64 = 1_000;
    let runtime = Runtime::new();
    let observing = observed.then(|| {
        runtime.observe(|event: &Event<TaskRef<'_>>| {
            black_box(event);
        })
    });
    Box::new(move || {
        let _observing = &observing;
        runtime.run(|| {
            (0..KEYS).for_each(|key| _ = black_box(hit(key)));
            timed(100_000, || (0..100_000).for_each(|number| _ = black_box(hit(black_box(number % KEYS)))))
        })
    })
}

// ---- a store ----

const STORED: u32 = 1_000_000;
const INPUTS: u32 = 1_000;

#[task_fn(version = 1)]
fn leaf(input: &Input<u64>, number: u32) -> u64 {
    input.get() ^ u64::from(number)
}

#[task_fn(version = 1)]
fn some(input: &Input<u64>, from: u32) -> u64 {
    (from..STORED).step_by(INPUTS as usize).map(|number| leaf(input, number)).fold(0, u64::wrapping_add)
}

/// A store of a million tasks, some of which have run twice.
pub struct Million {
    path: PathBuf,
    _folder: TempDir,
}

impl Million {
    /// Fills one.
    #[must_use]
    pub fn fill() -> Self {
        let folder = folder();
        let path = folder.path().join("store.redb");
        let runtime = open(&path);
        let inputs: Vec<_> =
            (0..INPUTS).map(|number| runtime.input(&format!("input {number}"), 0_u64)).collect();
        for (input, from) in inputs.iter().zip(0..) {
            runtime.run(|| _ = black_box(some(input, from)));
        }
        runtime.update(|update| update.set(&inputs[7], 1)).expect("no session is open");
        runtime.run(|| _ = black_box(some(&inputs[7], 7)));
        drop((inputs, runtime));
        Self { path, _folder: folder }
    }

    fn reader(&self) -> StoreReader {
        StoreReader::open(&self.path).expect("a store that was closed can be read")
    }

    /// Seconds and the most live bytes of `larder stats`.
    #[must_use]
    pub fn stats(&self) -> (f64, f64) {
        let (live, start) = (LiveBytes::begin(), Instant::now());
        let reader = self.reader();
        let measure = reader.measure().expect("the store can be read");
        let tasks: u64 = measure.functions.iter().map(|function| function.tasks).sum();
        assert!(tasks >= u64::from(STORED), "{tasks} tasks are in the store");
        _ = black_box(stats_json(&reader, &measure).to_string());
        (start.elapsed().as_secs_f64(), live.peak() as f64)
    }

    /// The keys of the task that reads a thousand others and has run twice, and of one of these.
    fn tasks(&self) -> [TaskKey; 2] {
        let reader = self.reader();
        let (mut top, mut low) = (None, None);
        let mut looked_at = |key: TaskKey| -> Option<()> {
            let run = reader.last_run(key, 2).ok()??;
            match run.steps.len() {
                2 if !run.is_complete => top = Some(key),
                2 => low = Some(key),
                _ => {}
            }
            top.and(low).map(|_| ())
        };
        let found = reader.tasks(None, |key, record| {
            let has_run_twice = record.older().len() > 0;
            if has_run_twice && looked_at(key).is_some() { Visit::Stop } else { Visit::Continue }
        });
        found.expect("the store can be read");
        [top, low].map(|key| key.expect("an input was set twice"))
    }

    /// Milliseconds of `larder explain` for two tasks, opening the store each time.
    #[must_use]
    pub fn explanations(&self) -> Vec<f64> {
        let explain = |key: TaskKey| {
            let start = Instant::now();
            let reader = self.reader();
            let functions = Functions::of(&reader).expect("the store can be read");
            let explained = Explained::of(&reader, &functions, key, (None, 100_000, 50));
            let explained = explained.expect("the store can be read").expect("the task is there");
            assert!(explained.last.is_some(), "it has run");
            _ = black_box(explained.json().expect("the store can be read").to_string());
            start.elapsed().as_secs_f64() * 1e3
        };
        self.tasks().map(explain).into()
    }

    /// Milliseconds of each page of the inspector, by its name.
    #[must_use]
    pub fn pages(&self) -> Vec<(String, f64)> {
        let keys = self.tasks().map(|key| Digest::to_string(&key.0));
        let inspector = Inspector::new().token(TOKEN);
        let serving = inspector.store(&self.path, "127.0.0.1:0").expect("an address of this machine is free");
        let address = serving.address();
        let mut pages = Vec::new();
        let mut ask = |name: &str, query: &str| {
            let start = Instant::now();
            let answer = get(address, &format!("/api/{query}")).expect("the server answers");
            assert!(answer.starts_with("HTTP/1.1 200"), "{query}: {}", &answer[..answer.len().min(300)]);
            pages.push((name.to_owned(), start.elapsed().as_secs_f64() * 1e3));
            answer
        };
        ask("about", "about");
        ask("the functions, while they are counted", "functions");
        while !get(address, "/api/functions").expect("the server answers").contains("\"ready\":true") {
            thread::sleep(Duration::from_millis(20));
        }
        ask("the functions", "functions");
        ask("50 tasks of a function", "tasks?function=larder_benches::ours::seeing::leaf&limit=50");
        ask("200 tasks, whatever they are", "tasks?limit=200");
        ask("sources by name", "sources?text=input+77&limit=50");
        for (key, what) in keys.iter().zip(["a task of 1,000 reads", "one of its reads"]) {
            ask(what, &format!("task?id={key}"));
            ask(&format!("{what}, explained"), &format!("explain?id={key}"));
            ask(&format!("{what}, graph of 400"), &format!("graph?id={key}&depth=3&most=400"));
        }
        pages
    }

    /// Milliseconds of a search for a text that no task has.
    #[must_use]
    pub fn search(&self) -> f64 {
        let inspector = Inspector::new().token(TOKEN);
        let serving = inspector.store(&self.path, "127.0.0.1:0").expect("an address of this machine is free");
        let start = Instant::now();
        let answer = get(serving.address(), "/api/tasks?text=nowhere&limit=50").expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        start.elapsed().as_secs_f64() * 1e3
    }

    /// The length of its file.
    #[must_use]
    pub fn file_bytes(&self) -> f64 {
        length(&self.path) as f64
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).expect("the store's file is there").len()
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Asks the inspector, and returns head and body of the answer.
fn get(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
