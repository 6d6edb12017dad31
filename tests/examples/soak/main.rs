//! The soak: for a time, everything at once and at random; then nothing may be left over. `ci/soak.sh` runs it.
//!
//! A *life* is one runtime under random sessions, futures, updates, cancellations, panics and forgotten tasks, on threads
//! that come and go. At its end all tasks are forgotten, and it is counted: tasks, claims, executions, waits, futures, and,
//! when the runtime is gone, threads and bytes. The first life makes what a process makes once, so later ones are compared
//! with the state after it.
//!
//! `LARDER_SOAK_SECONDS=n`: how long, in all. `LARDER_SEED=n`: begins with this seed, which a failure prints. Threads take
//! turns as they like, so a seed tells what is tried and not what happens.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

mod counting;
mod deeds;
mod tasks;

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder::Runtime;

use deeds::{Random, World};

/// How long a life lasts.
const LIFE: Duration = Duration::from_secs(5);
/// How many threads work at once.
const THREADS: usize = 6;
/// How long nothing may happen before it counts as a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many more bytes may be alive than after the first life: buffers of the standard library's and of the executors'.
const SLACK: i64 = 64 << 10;

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seconds = number("LARDER_SOAK_SECONDS").unwrap_or(600);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
    let seed = number("LARDER_SEED").unwrap_or(now);
    println!("soak: {seconds} s, LARDER_SEED={seed}");
    // Panics are part of it.
    std::panic::set_hook(Box::new(|_| {}));
    match soak(Duration::from_secs(seconds), seed) {
        Ok(lives) => {
            println!("soak: {lives} lives, nothing left over");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("soak: LARDER_SEED={seed}: {what}");
            ExitCode::FAILURE
        }
    }
}

fn soak(time: Duration, seed: u64) -> Result<u64, String> {
    let begun = Instant::now();
    let mut first: Option<Left> = None;
    let mut lives = 0;
    while first.is_none() || begun.elapsed() < time {
        let seed = seed.wrapping_add(lives);
        let (done, is_done) = channel();
        let life = thread::spawn(move || done.send(live(seed)));
        let outcome = match is_done.recv_timeout(LIFE + PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => return Err(format!("life {lives} hangs; {}", tasks::told())),
            Err(RecvTimeoutError::Disconnected) => return Err(format!("life {lives} panicked")),
        };
        let deeds = outcome.map_err(|what| format!("life {lives}: {what}"))?;
        life.join().map_err(|_| "a life panicked at its end")?.map_err(|_| "nobody waits for a life")?;
        let left = Left::now();
        println!("soak: life {lives}: {deeds} deeds; {left:?}; {}", tasks::told());
        match &first {
            None => first = Some(left),
            Some(first) => left.compare(first).map_err(|what| format!("life {lives}: {what}"))?,
        }
        lives += 1;
    }
    Ok(lives)
}

/// The state between two lives.
#[derive(Debug)]
struct Left {
    threads: usize,
    bytes: i64,
}

impl Left {
    fn now() -> Left {
        // A thread that has been joined may still stand in the system's list for a moment.
        thread::sleep(Duration::from_millis(50));
        let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        Left { threads, bytes: counting::live_bytes() }
    }

    fn compare(&self, first: &Left) -> Result<(), String> {
        if self.threads > first.threads || self.bytes > first.bytes + SLACK {
            return Err(format!("{self:?} are left over, {first:?} after the first life"));
        }
        Ok(())
    }
}

/// One life; how many deeds were done in it.
fn live(seed: u64) -> Result<u64, String> {
    let end = Instant::now() + LIFE;
    let world = World::new(Runtime::builder().threads(3).build());
    let mut random = Random::new(seed);
    let mut deeds = 0;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        while Instant::now() < end {
            while threads.len() < THREADS {
                let (world, random, number) = (&world, random.split(), random.below(300));
                threads.push(scope.spawn(move || world.work(random, number, end)));
            }
            // The one that has worked for longest goes.
            deeds += threads.remove(0).join().map_err(|_| "a deed panicked")?;
        }
        threads.into_iter().try_for_each(|thread| {
            deeds += thread.join().map_err(|_| "a deed panicked")?;
            Ok(())
        })
    })
    .map_err(|what: &str| what.to_owned())?;
    world.end()?;
    Ok(deeds)
}
