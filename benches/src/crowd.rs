//! Several threads hitting at once.
//!
//! The members start together by spinning (a thread that sleeps at a barrier wakes up late and has the keys to
//! itself), and the cost is counted from the first start to the last end. A sample in which the system took the
//! processor away from a member, as `/proc` tells, is taken again, a few times at most.

use crate::lane::{Lane, Sample, in_turn};
use crate::work::CROWD_HITS;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// How often a spoiled sample is taken again before it is accepted as it is.
const RETRIES: u32 = 20;

/// Where the members of a crowd meet before they start.
pub struct Meeting {
    missing: AtomicU32,
}

/// When a member began and ended, and whether it was undisturbed.
pub struct Stint {
    begun: Instant,
    ended: Instant,
    undisturbed: bool,
}

impl Meeting {
    /// Warms up with every key, meets the others, and performs [`CROWD_HITS`] hits.
    pub fn hits(&self, keys: u32, mut hit: impl FnMut(u32) -> u64) -> Stint {
        in_turn(keys, keys, &mut hit);
        let before = preemptions();
        // Pairs with the load below: no thread starts before all are warm.
        self.missing.fetch_sub(1, Ordering::Release);
        while self.missing.load(Ordering::Acquire) > 0 {
            spin_loop();
        }
        let begun = Instant::now();
        in_turn(keys, CROWD_HITS, hit);
        let ended = Instant::now();
        Stint { begun, ended, undisturbed: preemptions() == before }
    }
}

/// The lane of a crowd. Each `member` calls [`Meeting::hits`] once. The cost is that of one hit at the throughput
/// of them all.
pub fn crowd<M>(threads: u32, mut member: impl FnMut() -> M + 'static) -> Option<Lane>
where
    M: FnOnce(&Meeting) -> Stint + Send,
{
    Some(Box::new(move || {
        for _ in 0..RETRIES {
            let (sample, undisturbed) = gather(threads, &mut member);
            if undisturbed {
                return sample;
            }
        }
        gather(threads, &mut member).0
    }))
}

fn gather<M>(threads: u32, member: &mut impl FnMut() -> M) -> (Sample, bool)
where
    M: FnOnce(&Meeting) -> Stint + Send,
{
    let meeting = &Meeting { missing: AtomicU32::new(threads) };
    let members: Vec<M> = (0..threads).map(|_| member()).collect();
    let stints: Vec<Stint> = std::thread::scope(|scope| {
        let running: Vec<_> = members
            .into_iter()
            .enumerate()
            .map(|(number, run)| {
                scope.spawn(move || {
                    stay_on(number);
                    run(meeting)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a member of the crowd panicked")).collect()
    });
    let begun = stints.iter().map(|stint| stint.begun).min().expect("a crowd has members");
    let ended = stints.iter().map(|stint| stint.ended).max().expect("a crowd has members");
    let hits = f64::from(CROWD_HITS) * f64::from(threads);
    let cost = (ended - begun).as_nanos() as f64 / hits;
    (Sample { cost, ..Sample::default() }, stints.iter().all(|stint| stint.undisturbed))
}

/// Keeps this thread on the processor of that number, if there is one: two members that are put on the same one, as
/// happens when another program is busy, would take turns instead of meeting. Where it cannot be had, it is left.
fn stay_on(number: usize) {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return };
    let mut ours = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    if let Some(cpu) = ours.nth(number) {
        let mut only = rustix::thread::CpuSet::new();
        only.set(cpu);
        let _ = rustix::thread::sched_setaffinity(None, &only);
    }
}

/// How often this thread has lost its processor against its will; 0 where the system does not tell.
fn preemptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
