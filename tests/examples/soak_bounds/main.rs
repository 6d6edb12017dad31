//! The soak of bounds: a program that runs for weeks, in short. `ci/soak-bounds.sh` runs it.
//!
//! A *round* streams new keys of ten times the cap on memory through a runtime with a store, on several threads: stored tasks and
//! transient ones, bodies that are async, results that expire, keys that fail, inputs that come, change and go. At its end all that
//! expires has done so. Counted is then: bytes that are alive, bytes in the store and in its file, file descriptors,
//! threads. The last rounds have to leave what those from the third one on did.
//!
//! `LARDER_SOAK_ROUNDS=n`: how many rounds. Nothing is measured in time.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

#[path = "../soak/counting.rs"]
mod counting;
mod tasks;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use larder::storage::{RedbOptions, StoreReport};
use larder::testing::advance_clock;
use larder::{Input, Runtime, Task};

use larder_tests::executor::block_on;
use tasks::{
    HOUR, PAGE, ROUND, count, draft, fails, fetched, is_dear, length, page, parsed, price, price_elsewhere,
    total,
};

/// The cap on memory.
const CAP: usize = 256 << 10;
/// The cap on the store.
const STORED: u64 = 1 << 20;
/// The store's own cache.
const CACHE: usize = 256 << 10;
const THREADS: u64 = 4;
/// The new keys of a thread's round: ten times the cap, in pages, on all threads together.
const KEYS: u64 = (10 * CAP / PAGE) as u64 / THREADS;
/// The new keys of a session.
const AT_ONCE: u64 = 50;
/// The keys that are asked for in each round.
const KNOWN: u64 = 100;
const INPUTS: u64 = 50;
/// The first round that leaves what all others leave: lists, tables and the file have the room that a round takes.
const SETTLED: usize = 3;

fn main() -> ExitCode {
    let rounds = std::env::var("LARDER_SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds: u64 = rounds.unwrap_or(100);
    match soak(rounds) {
        Ok(()) => {
            println!("soak of bounds: {rounds} rounds, nothing has grown");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("soak of bounds: {what}");
            ExitCode::FAILURE
        }
    }
}

fn soak(rounds: u64) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("there is no room for a folder: {error}"))?;
    let path = folder.path().join("store");
    // The cache of pages is bounded by itself; a small one is full from the first rounds on.
    let options = RedbOptions::new().cache_bytes(CACHE);
    let storage = options.open(&path).map_err(|error| error.to_string())?;
    let runtime =
        Runtime::builder().memory_cap(CAP).threads(2).storage(storage).max_stored_bytes(STORED).build();
    let handles = hold(&runtime);
    let mut all = Vec::new();
    for number in 1..=rounds {
        ROUND.store(number, Relaxed);
        round(&runtime, number);
        settle(&runtime, number)?;
        let left = Left::now(&runtime, &path)?;
        println!("round {number}: {left:?}");
        all.push(left);
    }
    compare(&all)?;
    drop(handles);
    runtime.shrink_to(0).map_err(|error| error.to_string())?;
    let tasks = runtime.activity().tasks;
    // One is that of the input which `settle` sets.
    if tasks > 1 { Err(format!("{tasks} tasks are left, which nothing holds")) } else { Ok(()) }
}

/// Handles that outlive all rounds.
fn hold(runtime: &Runtime) -> Vec<Task<usize>> {
    runtime.run(|| (0..10).map(length::task).collect())
}

fn round(runtime: &Runtime, number: u64) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                inputs_come_and_go(runtime, number, thread);
                let first = (number * THREADS + thread) << 32;
                for session in 0..KEYS / AT_ONCE {
                    let keys = first + session * AT_ONCE..first + (session + 1) * AT_ONCE;
                    keys_come(runtime, session, keys);
                }
            });
        }
    });
}

/// A session that asks for new keys, and for some of those that are asked for again and again.
fn keys_come(runtime: &Runtime, session: u64, keys: std::ops::Range<u64>) {
    let is = |text: &str, key: u64| text.trim_start().parse() == Ok(key);
    let known = session * 7 % KNOWN;
    runtime.run(|| {
        assert!(is(&page(known), known) && is_dear(known), "a key that is known");
        assert!(is(&price(known), known + ROUND.load(Relaxed)), "a price of this round");
        for key in keys.clone() {
            match key % 10 {
                0..4 => assert_eq!(length(key), PAGE),
                4 | 5 => assert!(is(&draft(key), key)),
                6 => assert!(is_dear(key)),
                7 => assert_eq!(fetched::task(key).get().len(), PAGE),
                8 => assert!(parsed(key).is_err()),
                _ => assert!(fails::task(key).try_get().is_err()),
            }
        }
    });
    let answers = runtime.run_async(async {
        let mut sum = 0;
        for key in keys.clone().step_by(10) {
            assert!(is(&fetched(key).await, key));
            sum += price_elsewhere(key).await - key;
        }
        sum
    });
    assert_eq!(block_on(answers), ROUND.load(Relaxed) * keys.step_by(10).count() as u64);
}

/// New inputs, read, changed, read again and removed.
fn inputs_come_and_go(runtime: &Runtime, number: u64, thread: u64) {
    let name = |n: u64| format!("{number} {thread} {n}");
    let texts: Vec<Input<String>> =
        (0..INPUTS).map(|n| runtime.input(&name(n), "x".repeat(n as usize))).collect();
    let sum = (0..INPUTS as usize).sum::<usize>();
    assert_eq!(runtime.run(|| total(&texts)), sum);
    runtime
        .update(|update| update.set(&texts[0], "xx".to_owned()))
        .expect("no session of this thread is open");
    assert_eq!(runtime.run(|| (total(&texts), count(&texts[0]))), (sum + 2, 2));
    let removed = runtime.update(|update| texts.iter().for_each(|text| update.remove(text)));
    removed.expect("no session of this thread is open");
}

/// Lets all that expires do so, and waits until all that is to go has gone.
fn settle(runtime: &Runtime, number: u64) -> Result<(), String> {
    advance_clock(runtime, HOUR);
    let beat = runtime.input("beat", String::new());
    let mut before = 0;
    for n in 0.. {
        runtime.run(|| ());
        let text = format!("{number:>10} {n:>10}");
        runtime.update(|update| update.set(&beat, text)).map_err(|error| error.to_string())?;
        runtime.flush().map_err(|error| error.to_string())?;
        // Before each batch goes a slice of what the writer's thread sweeps. It may find more to be swept.
        if n % 20 == 19 {
            let records = report(runtime)?.records.iter().sum();
            if std::mem::replace(&mut before, records) == records {
                break;
            }
        }
    }
    let memory = runtime.memory();
    if memory.bytes > CAP || memory.missed > 0 {
        return Err(format!("round {number}: the cap is missed: {memory}"));
    }
    // Between two sweeps a sixteenth of the cap comes and goes.
    runtime.shrink_to(CAP / 2).map_err(|error| error.to_string())?;
    Ok(())
}

fn report(runtime: &Runtime) -> Result<StoreReport, String> {
    let report = runtime.storage_report().ok_or("there is a store")?.map_err(|error| error.to_string())?;
    if report.is_sound() { Ok(report) } else { Err(format!("the store is damaged: {:?}", report.damage)) }
}

/// The state after a round.
#[derive(Clone, Copy, Debug)]
struct Left {
    live: u64,
    stored: u64,
    file: u64,
    descriptors: u64,
    threads: u64,
}

impl Left {
    fn now(runtime: &Runtime, path: &Path) -> Result<Left, String> {
        let entries = |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
        let stored = report(runtime)?.total_bytes();
        Ok(Left {
            live: u64::try_from(counting::live_bytes()).unwrap_or(0),
            stored,
            file: std::fs::metadata(path).map_err(|error| error.to_string())?.len(),
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
        })
    }

    /// The least of each over some rounds: buffers that are used again are now longer and now shorter.
    fn least(rounds: &[Left]) -> Left {
        let least = |of: fn(&Left) -> u64| rounds.iter().map(of).min().unwrap_or(0);
        Left {
            live: least(|left| left.live),
            stored: least(|left| left.stored),
            file: least(|left| left.file),
            descriptors: least(|left| left.descriptors),
            threads: least(|left| left.threads),
        }
    }
}

/// Fails if the last rounds have left more than a fiftieth beyond what the first ones did, once all had settled; or more than a fifth, of so
/// few rounds that the length of some buffer tells more than what stays.
fn compare(rounds: &[Left]) -> Result<(), String> {
    let rounds = rounds.get(SETTLED - 1..).unwrap_or_default();
    let some = (rounds.len() / 2).min(10);
    let (first, last) = (Left::least(&rounds[..some]), Left::least(&rounds[rounds.len() - some..]));
    println!("the first {some} from round {SETTLED} on: {first:?}\nthe last {some}: {last:?}");
    let part = if some < 10 { 5 } else { 50 };
    let is_as_small = |of: fn(&Left) -> u64| of(&last) <= of(&first) + of(&first) / part;
    let counts: [fn(&Left) -> u64; 5] = [
        |left| left.live,
        |left| left.stored,
        |left| left.file,
        |left| left.descriptors,
        |left| left.threads,
    ];
    if counts.into_iter().all(is_as_small) { Ok(()) } else { Err("the last rounds leave more".to_owned()) }
}
