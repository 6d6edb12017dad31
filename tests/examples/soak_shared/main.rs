//! The soak of the shared cache: machines come and go, for weeks in short, behind a network that breaks. `ci/soak-shared.sh` runs it.
//!
//! In a *round* a writer edits some files, computes and pushes; then a reader with a checkout of its own, and nothing in its store, computes the same; both
//! through a proxy that has one fault at a time: pieces that come late, connections that hang, are cut off, or drip, all of them or every second one. Each value has to
//! be what the files say. No process waits for the cache longer than its budget. Counted between rounds are bytes that are alive, file
//! descriptors and threads: the last rounds have to leave what the first ones did.
//!
//! `LARDER_SOAK_ROUNDS=n`: how many rounds; `LARDER_SOAK_SECONDS=n`: as many as begin in this time.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a soak that fails here says where")]

#[path = "../soak/counting.rs"]
mod counting;
mod engine;
#[path = "../../../shared/tests/engines/proxy.rs"]
mod proxy;

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use larder::shared::{Namespace, Shared, SharedStats, SigningKey};
use larder::storage::MemoryStorage;
use larder::{Runtime, fs, task_fn};

use engine::Client;
use proxy::{Fault, Proxy};

const FILES: u64 = 40;
/// Files that a round edits.
const EDITS: u64 = 3;
/// The budget for records, and the one for packs.
const BUDGET: Duration = Duration::from_millis(1900);
/// The time that a process may wait in all: both budgets, and as much again for a machine that is busy.
const MOST: Duration = Duration::from_secs(8);
/// The faults of the rounds, and of how many connections one has them.
const FAULTS: [(Fault, usize); 10] = [
    (Fault::None, 1),
    (Fault::Delay(Duration::from_millis(30)), 1),
    (Fault::Hang, 2),
    (Fault::CutAfter(2000), 1),
    (Fault::None, 1),
    (Fault::Hang, 1),
    (Fault::Drip(Duration::from_millis(1)), 1),
    (Fault::CutAfter(10), 2),
    (Fault::Delay(Duration::from_millis(400)), 2),
    (Fault::Drip(Duration::from_millis(20)), 2),
];

#[task_fn]
fn words(path: &str) -> u64 {
    thread::sleep(Duration::from_millis(2));
    fs::read_to_string(path).map_or(0, |text| text.split_whitespace().count() as u64)
}

#[task_fn]
fn total(files: u64) -> u64 {
    (0..files).map(|file| words(&format!("{file}"))).sum()
}

#[task_fn]
fn page(files: u64) -> String {
    format!("{:>2000}", total(files))
}

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (rounds, seconds) = (number("LARDER_SOAK_ROUNDS"), number("LARDER_SOAK_SECONDS"));
    let rounds = rounds.unwrap_or(if seconds.is_some() { u64::MAX } else { 20 });
    match soak(rounds, seconds.map(Duration::from_secs)) {
        Ok(done) => {
            println!("soak of the shared cache: {done}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("soak of the shared cache: {what}");
            ExitCode::FAILURE
        }
    }
}

fn soak(rounds: u64, time: Option<Duration>) -> Result<String, String> {
    let began = Instant::now();
    let proxy = Proxy::before(engine::serve().map_err(|error| error.to_string())?);
    let base = counting::live_bytes();
    let key = SigningKey::generate("ci").map_err(|error| error.to_string())?;
    let writer = Machine::new()?;
    let (mut left, mut bodies, mut came, mut longest, mut openings) = (Vec::new(), 0, 0, Duration::ZERO, 0);
    for round in 0..rounds {
        if time.is_some_and(|time| began.elapsed() > time) {
            break;
        }
        let (fault, each) = FAULTS[round as usize % FAULTS.len()];
        proxy.set(fault, each);
        writer.edit(round)?;
        let shared = || {
            let namespace = Namespace::new("acme/soak").expect("it is one");
            Shared::new(Client(proxy.address), namespace).trust(key.public()).budget(BUDGET / 8, BUDGET)
        };
        let pushing = shared().writer(key.clone()).push_within(Duration::from_secs(2));
        let written = writer.run(pushing, round)?;
        let reader = Machine::new()?;
        reader.edit_up_to(round)?;
        let read = reader.run(shared(), round)?;
        for stats in [&written.1, &read.1] {
            longest = longest.max(stats.waited);
            if stats.waited > MOST {
                return Err(format!("round {round}, {fault:?}: a process has waited {:?}", stats.waited));
            }
        }
        bodies += read.0;
        came += FILES + 2 - read.0.min(FILES + 2);
        openings += read.1.openings;
        drop(reader);
        if round as usize % FAULTS.len() == FAULTS.len() - 1 {
            left.push(Left::settled(&proxy, base)?);
            println!("round {}: {:?}, longest wait {longest:?}", round + 1, left.last());
        }
    }
    if came == 0 || bodies == 0 {
        return Err(format!("{came} results came and {bodies} bodies ran: one of these was not tried"));
    }
    compare(&left)?;
    let cycles = left.len();
    Ok(format!(
        "{cycles} times all faults; readers were given {came} results and ran {bodies} bodies; the breaker has opened {openings} times; the \
         longest that a process waited is {longest:?}; nothing has grown"
    ))
}

/// A checkout and a store.
struct Machine {
    base: tempfile::TempDir,
    store: MemoryStorage,
}

impl Machine {
    fn new() -> Result<Self, String> {
        let base = tempfile::tempdir().map_err(|error| error.to_string())?;
        (0..FILES).try_for_each(|file| write(base.path(), file, file))?;
        Ok(Self { base, store: MemoryStorage::new() })
    }

    fn edit(&self, round: u64) -> Result<(), String> {
        edits(round).try_for_each(|(file, words)| write(self.base.path(), file, words))
    }

    fn edit_up_to(&self, round: u64) -> Result<(), String> {
        (0..=round).try_for_each(|round| self.edit(round))
    }

    /// Runs the program as a process would. Returns how many bodies have run.
    fn run(&self, shared: Shared, round: u64) -> Result<(u64, SharedStats), String> {
        let builder = Runtime::builder().base(self.base.path()).storage(self.store.clone());
        let runtime = builder.code_identity("soak").shared(shared).build();
        let page = runtime.run(|| page(FILES));
        let expected = (0..FILES).map(|file| expected(file, round)).sum::<u64>();
        if page.trim().parse() != Ok(expected) {
            return Err(format!("round {round}: {} is not {expected}", page.trim()));
        }
        // A push that the network does not take is no failure of the program.
        _ = runtime.flush_shared(Duration::from_secs(2));
        let stats = runtime.shared_stats().ok_or("there is a shared cache")?;
        Ok((runtime.stats().runs(), stats))
    }
}

/// The edits of a round: files, and how many words they have then. Each tenth round goes back to what the files were at first.
fn edits(round: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..EDITS).map(move |edit| {
        let file = (round * EDITS + edit) % FILES;
        (file, if round % 10 == 9 { file } else { file + round % 50 + 1 })
    })
}

fn expected(file: u64, round: u64) -> u64 {
    let edits = (0..=round).rev().flat_map(edits);
    edits.into_iter().find(|(edited, _)| *edited == file).map_or(file, |(_, words)| words)
}

fn write(base: &Path, file: u64, words: u64) -> Result<(), String> {
    std::fs::write(base.join(file.to_string()), "word ".repeat(words as usize))
        .map_err(|error| error.to_string())
}

/// The state after all faults. The content of the server grows with each edit that is pushed, and is not counted.
#[derive(Clone, Copy, Debug)]
struct Left {
    live: u64,
    descriptors: u64,
    threads: u64,
}

impl Left {
    fn now(base: i64) -> Self {
        let entries = |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count() as u64);
        Self {
            live: u64::try_from(counting::live_bytes() - base)
                .unwrap_or(0)
                .saturating_sub(engine::kept_bytes()),
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
        }
    }

    /// The state when the threads of connections that were given up have ended: the proxy's and the server's, which stand in this process.
    fn settled(proxy: &Proxy, base: i64) -> Result<Self, String> {
        proxy.set(Fault::None, 1);
        for _ in 0..600 {
            let now = Self::now(base);
            if now.threads <= THREADS {
                return Ok(now);
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(format!(
            "after a minute without faults: {:?}; {} connections were made",
            Self::now(base),
            proxy.connections()
        ))
    }
}

/// The threads of the program, the server and the proxy, and some that take their time to end.
const THREADS: u64 = 6;

/// A name, and which of the numbers it is.
type Count = (&'static str, fn(&Left) -> u64);

/// Fails if the last cycles have left more than the first ones did, once the writer's store has all runs that it keeps of each task, which takes some
/// 110 rounds: bytes by a fifth, threads and descriptors by one or two that come and go.
fn compare(all: &[Left]) -> Result<(), String> {
    if all.is_empty() {
        return Ok(());
    }
    const SETTLED: usize = 12;
    let settled = all.get(SETTLED - 1..).unwrap_or_default();
    let some = (settled.len() / 2).min(5);
    if some == 0 {
        println!("too few rounds to tell whether bytes grow: {}0 are needed", SETTLED + 1);
    }
    let least = |cycles: &[Left], of: fn(&Left) -> u64| cycles.iter().map(of).min().unwrap_or(0);
    let counts: [Count; 3] = [
        ("bytes", |left| left.live),
        ("descriptors", |left| left.descriptors),
        ("threads", |left| left.threads),
    ];
    for (what, of) in counts {
        let (first, last) = match some {
            // Threads and descriptors are the same from the first cycle on.
            0 if what == "bytes" => continue,
            0 => (of(&all[0]), of(&all[all.len() - 1])),
            some => (least(&settled[..some], of), least(&settled[settled.len() - some..], of)),
        };
        println!("{what}: {first} in the first cycles that are settled, {last} in the last");
        if last > first + (first / 5).max(2) {
            return Err(format!("{what} have grown from {first} to {last}"));
        }
    }
    Ok(())
}
