//! Traces for timelines, and progress.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use larder::storage::MemoryStorage;
use larder::trace::Chrome;
use larder::{Input, Runtime, par_map, task_fn};
use serde_json::Value;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[task_fn]
fn part(input: &Input<String>, number: u64) -> u64 {
    input.with(|text| text.len() as u64) / 100 + number
}

#[task_fn]
fn whole(input: &Input<String>) -> u64 {
    par_map(0..40, |number| part(input, number)).into_iter().sum()
}

#[task_fn]
async fn waiting(input: &Input<String>) -> u64 {
    tokio::task::yield_now().await;
    whole(input)
}

fn traced(work: impl FnOnce(&Runtime)) -> Vec<Value> {
    let runtime = Runtime::builder().threads(3).storage(MemoryStorage::new()).build();
    let written = Shared::default();
    let trace = Chrome::start(&runtime, written.clone());
    work(&runtime);
    trace.finish().unwrap();
    let bytes = written.0.lock().unwrap().clone();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_trace_is_json_whose_slices_nest() {
    let events = traced(|runtime| {
        let input = runtime.input("quote\" \\ \n", "a".to_owned());
        smol::block_on(runtime.run_async(waiting(&input)));
        runtime.update(|update| update.set(&input, "b".to_owned())).unwrap();
        smol::block_on(runtime.run_async(waiting(&input)));
        runtime.flush().unwrap();
    });
    let of = |category: &str| events.iter().filter(|event| event["cat"] == category).count();
    // An async slice has two entries. 41 bodies, then 40 that are cut off.
    assert_eq!(of("run"), 2 + 41 + 40);
    assert_eq!((of("update"), of("session")), (1, 2));
    assert!(of("store") >= 1 && of("verify") >= 1);
    let named = |name: &str| {
        events.iter().find(|event| event["name"].as_str().is_some_and(|text| text.starts_with(name)))
    };
    assert_eq!(named("whole(").unwrap()["args"]["outcome"], "new");
    // On each thread, slices begin and end inside each other.
    let mut slices: Vec<(u64, f64, f64)> = events
        .iter()
        .filter(|event| event["ph"] == "X" && event["cat"] == "run")
        .map(|event| {
            let start = event["ts"].as_f64().unwrap();
            (event["tid"].as_u64().unwrap(), start, start + event["dur"].as_f64().unwrap())
        })
        .collect();
    slices.sort_by(|one, other| one.partial_cmp(other).unwrap());
    for (at, (thread, start, end)) in slices.iter().enumerate() {
        for (other_thread, other_start, other_end) in &slices[at + 1..] {
            let is_apart = other_thread != thread || *other_start + 0.002 >= *end;
            assert!(
                is_apart || *other_end <= *end + 0.002,
                "{start} to {end} and {other_start} to {other_end}"
            );
        }
    }
}

#[test]
fn a_trace_without_events_is_json_too() {
    assert!(traced(|_| ()).is_empty());
}

struct Full;
impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is full"))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_error_of_the_writer_is_told_at_the_end_and_harms_nothing() {
    let runtime = Runtime::new();
    let input = runtime.input("i", "a".to_owned());
    let trace = Chrome::start(&runtime, Full);
    assert_eq!(runtime.run(|| whole(&input)), 780);
    assert_eq!(trace.finish().unwrap_err().to_string(), "the disk is full");
    drop(Chrome::start(&runtime, Full));
}

#[task_fn(transient)]
fn looks(input: &Input<String>, #[skip] progress: larder::progress::Progress) -> (u64, u64) {
    let _ = part(input, 1000);
    let now = progress.now();
    (now.done, now.running)
}

#[test]
fn progress_counts_what_is_done_and_what_runs() {
    let runtime = Runtime::builder().threads(1).build();
    let input = runtime.input("i", "a".to_owned());
    runtime.run(|| part(&input, 5));
    let (all, parts) = (runtime.progress(Vec::<String>::new()), runtime.progress(["part"]));
    parts.expect(100);
    assert_eq!(runtime.run(|| looks(&input, all.clone())), (1, 1), "one has ended, and this one runs");
    runtime.run(|| whole(&input));
    let now = all.now();
    assert_eq!((now.known, now.done, now.running), (42, 42, 0));
    let now = parts.now();
    assert_eq!((now.known, now.done, now.running), (100, 40, 0));
    runtime.update(|update| update.set(&input, "b".to_owned())).unwrap();
    let again = runtime.progress(Vec::<String>::new());
    runtime.run(|| whole(&input));
    assert_eq!(again.now().done, 41, "40 ran, and one was verified");
}
