//! A process that is killed loses nothing of a state that it has flushed: asked for that state again, no body runs.
//!
//! A child computes one state after the other, flushes each, says so, and goes on; it is killed at a random moment. Its heir is
//! put into the last state that was flushed and asked for everything: it runs nothing, and every value is right. Then it becomes
//! the next child. Longer by `LARDER_KILLS`; `LARDER_SEED` repeats a failure's choices, as far as a kill can be repeated.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails here says where, and children report"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use larder::storage::RedbStorage;
use larder::{Input, Runtime, emit, task_fn};

static RUNS: AtomicU64 = AtomicU64::new(0);

fn ran() {
    RUNS.fetch_add(1, Relaxed);
}

const STORE: &str = "LARDER_TEST_STORE";
const FROM: &str = "LARDER_TEST_FROM";
const LEAVES: u32 = 24;

#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
struct Note(u32);

/// Three inputs, and a folder of files; of both a state sets some.
#[derive(Clone, Hash, PartialEq, Eq, serde::Serialize)]
struct World {
    inputs: [Input<u32>; 3],
    files: PathBuf,
}

const FILES: u32 = 4;

fn name(files: &Path, number: u32) -> PathBuf {
    files.join(format!("file-{number}"))
}

fn text_of(state: u32, number: u32) -> String {
    format!("{}", value_of(state + number, number as usize % 3))
}

/// Writes those files that differ from what they are in a state.
fn write(files: &Path, state: u32) {
    for number in 0..FILES {
        let (path, text) = (name(files, number), text_of(state, number));
        if std::fs::read_to_string(&path).ok().as_deref() != Some(&text) {
            std::fs::write(path, text).unwrap();
        }
    }
}

#[task_fn]
fn parsed(world: &World, number: u32) -> u32 {
    ran();
    larder::fs::read_to_string(name(&world.files, number)).unwrap().parse::<u32>().unwrap() / 2
}

fn value_of(state: u32, input: usize) -> u32 {
    match input {
        0 => state,
        // Changes seldom, and goes back and forth.
        1 => state / 3 % 4,
        _ => state % 5,
    }
}

#[task_fn]
fn leaf(world: &World, number: u32) -> u32 {
    ran();
    let value = world.inputs[number as usize % 3].get() + parsed(world, number % FILES);
    if number.is_multiple_of(6) {
        emit(Note(value));
    }
    // Many stay equal when their input changes.
    value / (1 + number % 4) + number
}

#[task_fn]
fn long(world: &World, number: u32) -> String {
    ran();
    format!("{:>1500}", leaf(world, number) + leaf(world, (number + 1) % LEAVES))
}

#[task_fn]
fn chain(world: &World, number: u32) -> u64 {
    ran();
    let before = if number == 0 { 0 } else { chain(world, number - 1) };
    before + long(world, number).trim().parse::<u64>().unwrap() % 7
}

#[task_fn]
fn top(world: &World) -> u64 {
    ran();
    (0..LEAVES).map(|number| chain(world, number) * u64::from(number + 1)).sum()
}

fn expected(state: u32) -> u64 {
    let parsed = |number: u32| text_of(state, number % FILES).parse::<u32>().unwrap() / 2;
    let leaf =
        |number: u32| (value_of(state, number as usize % 3) + parsed(number)) / (1 + number % 4) + number;
    let mut chain = 0;
    (0..LEAVES)
        .map(|number| {
            chain += u64::from(leaf(number) + leaf((number + 1) % LEAVES)) % 7;
            chain * u64::from(number + 1)
        })
        .sum()
}

fn open(path: &Path) -> Runtime {
    let storage = RedbStorage::open(path).unwrap();
    assert_eq!(storage.set_aside(), None);
    Runtime::builder()
        .storage(storage)
        .code_identity("test")
        .max_commit_delay(Duration::from_millis(2))
        .try_build()
        .unwrap()
}

/// Puts a runtime into a state and asks for everything, with two threads. The number of bodies that ran.
fn enter(runtime: &Runtime, files: &Path, state: u32) -> u64 {
    let inputs = [0, 1, 2].map(|number| runtime.input(["a", "b", "c"][number], value_of(state, number)));
    // At times one after the other, so that there are states in between.
    if state.is_multiple_of(2) {
        runtime
            .update(|update| (0..3).for_each(|number| update.set(&inputs[number], value_of(state, number))))
            .unwrap();
    } else {
        for (number, input) in inputs.iter().enumerate() {
            runtime.update(|update| update.set(input, value_of(state, number))).unwrap();
        }
    }
    write(files, state);
    runtime.refresh().unwrap();
    let world = World { inputs, files: files.to_owned() };
    RUNS.store(0, Relaxed);
    std::thread::scope(|scope| {
        // Some are asked for by themselves, in an order that differs from state to state.
        scope.spawn(|| runtime.run(|| assert!(chain(&world, state * 7 % LEAVES) > 0 || state > 0)));
        scope.spawn(|| runtime.run(|| assert_eq!(top(&world), expected(state), "state {state}")));
    });
    runtime.run(|| (0..LEAVES).for_each(|number| drop(long(&world, (number * 5 + state) % LEAVES))));
    RUNS.load(Relaxed)
}

#[test]
fn child_that_is_killed() {
    let Some(path) = std::env::var_os(STORE).map(PathBuf::from) else { return };
    let from: u32 = std::env::var(FROM).unwrap().parse().unwrap();
    let files = path.with_file_name("files");
    let runtime = open(&path);
    for state in from.. {
        enter(&runtime, &files, state);
        runtime.flush().unwrap();
        println!("\nflushed {state}");
    }
}

fn child(path: &Path, from: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_flushed_state_runs_nothing_after_a_kill() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (path, files) = (folder.path().join("store.redb"), folder.path().join("files"));
    std::fs::create_dir(&files).unwrap();
    let mut random = number("LARDER_SEED", 0x2545_f491);
    let mut last = None;
    for kill in 0..number("LARDER_KILLS", 15) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = child(&path, last.map_or(0, |last| last + 1));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut flushed = lines.filter_map(|line| line.trim().strip_prefix("flushed ")?.parse::<u32>().ok());
        // At times before the first state is complete, or while the store is opened.
        let wait = (random >> 33) as usize % 8 + usize::from(last.is_none());
        last = flushed.by_ref().take(wait).last().or(last);
        std::thread::sleep(Duration::from_micros((random >> 40) % if wait == 0 { 60_000 } else { 8_000 }));
        child.kill().unwrap();
        child.wait().unwrap();
        last = flushed.last().or(last);

        let state = last.unwrap();
        write(&files, state);
        let runtime = open(&path);
        let ran = enter(&runtime, &files, state);
        let stats = runtime.stats().storage.unwrap();
        assert_eq!(
            ran, 0,
            "kill {kill}, seed {random}: bodies of the flushed state {state} ran again; {stats}"
        );
        assert!(runtime.storage_report().unwrap().unwrap().is_sound());
        // And it goes on from there.
        if kill % 3 == 0 {
            enter(&runtime, &files, state + 100);
        }
    }
}
