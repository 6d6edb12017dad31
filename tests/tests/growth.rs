//! Tasks that come and go leave nothing behind: live bytes are counted before and after many equal rounds.
//!
//! A round begins and ends with nothing but the runtime. Lists, tables and thread caches may keep the room that a round took at
//! most, so a few rounds go before the first count; from then on more rounds must not take more memory.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use larder::storage::{MemoryStorage, Table};
use larder::{CancelToken, Input, Runtime, Task, emit, task_fn};
use std::sync::{Mutex, MutexGuard};

/// Counts the bytes that are allocated and not freed.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: passes everything on to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(size(layout), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(size(layout), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time, as all of the process is counted.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// How many of what comes and goes there are in a round.
const MANY: u64 = 200;

/// Fails if rounds leave something behind, be it a few bytes of each thing. Each round is on a thread of its own, whose caches end
/// with it: these grow and shrink as it suits them.
fn check(name: &str, round: impl Fn(u64) + Sync) {
    let _alone = alone();
    let live = |rounds: std::ops::Range<u64>| {
        for number in rounds {
            std::thread::scope(|scope| {
                let round = scope.spawn(|| round(number));
                round.join().unwrap_or_else(|_| panic!("{name}: round {number} failed"));
            });
        }
        LIVE.load(Relaxed)
    };
    let before = live(0..8);
    let after = live(8..28);
    // A list may have more room than before; but there are hundreds of things in all, mostly thousands.
    let left = after - before;
    if left >= 8192 {
        // A table that has grown for a while has as much room from then on; what stays behind goes on growing.
        let left = live(28..108) - after;
        assert!(left < 16384, "{name}: 80 rounds leave {left} bytes behind");
    }
}

/// Fails if rounds of a runtime leave something behind, in memory or among its tasks.
fn check_in(name: &str, runtime: &Runtime, round: impl Fn(&Runtime, u64) + Sync) {
    let before = runtime.activity().tasks;
    check(name, |number| {
        round(runtime, number);
        // The last one left something to others: values that are dropped let go of further handles.
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    assert_eq!(runtime.activity().tasks, before, "{name}: tasks stay");
}

#[task_fn(transient)]
fn small(n: u64) -> u64 {
    n
}

#[task_fn(transient)]
fn text(n: u64) -> String {
    format!("a text of some length, number {n}")
}

#[task_fn(transient)]
fn length(of: &Input<String>) -> u64 {
    of.with(|text| text.len() as u64)
}

#[task_fn(transient)]
fn twice(of: &Input<String>) -> u64 {
    length(of) * 2
}

#[task_fn(transient)]
fn all(of: &[Input<String>]) -> u64 {
    of.iter().map(twice).sum()
}

#[task_fn(transient)]
fn fails(n: u64) -> u64 {
    if n < u64::MAX {
        // The panic hook would print, and what tests print is kept in memory.
        std::panic::resume_unwind(Box::new("as it should"));
    }
    n
}

#[task_fn(transient)]
fn in_a_ring(n: u64, left: u64) -> u64 {
    if left == 0 { in_a_ring(n, 5) } else { in_a_ring(n, left - 1) + 1 }
}

#[task_fn(transient, cycle_initial = 0)]
fn resolved(n: u64, left: u64) -> u64 {
    if left == 0 { resolved(n, 5).min(7) } else { resolved(n, left - 1) }
}

#[task_fn(transient)]
fn emits(n: u64) -> u64 {
    emit(format!("emitted by {n}"));
    n
}

#[task_fn(transient)]
fn handles(n: u64) -> Vec<Task<u64>> {
    (0..4).map(|k| small::task(n * 4 + k)).collect()
}

#[task_fn(transient)]
fn size_of(path: &Path) -> usize {
    larder::fs::read(path).map_or(0, |bytes| bytes.len())
}

#[task_fn(transient)]
async fn later(n: u64) -> u64 {
    std::future::ready(n).await
}

#[task_fn(transient)]
async fn later_twice(n: u64) -> u64 {
    later(n).await * 2
}

#[test]
fn threads_that_come_and_go_leave_nothing() {
    let runtime = Runtime::new();
    runtime.run(|| (0..2000).map(small).sum::<u64>());
    check_in("threads", &runtime, |runtime, _| {
        for _ in 0..MANY / 20 {
            // One that asks for few tasks, one for as many as take a far part of its cache, one inside of a nested runtime, and
            // one that drives futures.
            std::thread::scope(|scope| {
                let threads = [
                    scope.spawn(|| runtime.run(|| small(1))),
                    scope.spawn(|| {
                        runtime.run(|| (0..2000).map(small).sum::<u64>());
                        runtime.run(|| (0..2000).map(small).sum::<u64>())
                    }),
                    scope.spawn(|| Runtime::new().run(|| runtime.run(|| small(2)))),
                    scope.spawn(|| smol::block_on(runtime.run_async(async { small(3) }))),
                ];
                // The end of a scope does not wait for what threads drop at their end.
                threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
            });
        }
    });
}

#[test]
fn runtimes_that_are_dropped_leave_nothing() {
    check("runtimes", |_| {
        for _ in 0..MANY / 20 {
            let runtime = Runtime::new();
            let input = runtime.transient_input("x", "a text".to_owned());
            runtime.run(|| (twice(&input), small(1), text(1), small::task(7).get(), handles(3)));
            runtime.run(|| (text::forget(1), small::forget(1), handles::forget(3)));
            runtime.update(|update| update.remove(&input)).unwrap();
        }
    });
}

fn inputs(runtime: &Runtime, round: u64) -> Vec<Input<String>> {
    (0..MANY).map(|n| runtime.transient_input(&format!("{round} {n}"), "x".repeat(100))).collect()
}

#[test]
fn inputs_that_are_removed_leave_nothing() {
    check_in("inputs, forgotten", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(twice).sum::<u64>());
        runtime.run(|| inputs.iter().for_each(|input| _ = (twice::forget(input), length::forget(input))));
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    check_in("inputs, forgotten from below", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(twice).sum::<u64>());
        runtime.run(|| inputs.iter().for_each(|input| _ = (length::forget(input), twice::forget(input))));
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    check_in("inputs, removed before their tasks are forgotten", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(twice).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        runtime.run(|| inputs.iter().for_each(|input| _ = (length::forget(input), twice::forget(input))));
    });
    check_in("inputs that only direct readers have", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(length).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    check_in("inputs that are made again", &Runtime::new(), |runtime, round| {
        for times in 0..3 {
            let inputs: Vec<_> = (0..MANY)
                .map(|n| runtime.transient_input(&n.to_string(), format!("{round} {times}")))
                .collect();
            runtime.run(|| inputs.iter().map(length).sum::<u64>());
            runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        }
    });
    check_in("inputs that are not read", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    let runtime = Runtime::new();
    let root = runtime.transient_input("root", Vec::<Input<String>>::new());
    #[task_fn(transient)]
    fn through(root: &Input<Vec<Input<String>>>) -> u64 {
        root.with(|inputs| inputs.iter().map(length).sum())
    }
    runtime.run(|| through(&root));
    check_in("inputs below a task that stays", &runtime, |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.update(|update| update.set(&root, inputs.clone())).unwrap();
        runtime.run(|| through(&root));
        runtime
            .update(|update| {
                update.set(&root, Vec::new());
                inputs.iter().for_each(|input| update.remove(input));
            })
            .unwrap();
        runtime.run(|| through(&root));
    });
}

#[test]
fn handles_leave_nothing() {
    check_in("dropped before the task is forgotten", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).map(|n| text::task(round * MANY + n).get().len()).sum::<usize>());
        runtime.run(|| (0..MANY).for_each(|n| _ = text::forget(round * MANY + n)));
    });
    check_in("dropped after the task is forgotten", &Runtime::new(), |runtime, round| {
        let handles: Vec<_> = runtime.run(|| (0..MANY).map(|n| text::task(round * MANY + n)).collect());
        runtime.run(|| handles.iter().map(|handle| handle.get().len()).sum::<usize>());
        runtime.run(|| (0..MANY).for_each(|n| _ = text::forget(round * MANY + n)));
        runtime.run(|| ());
        drop(handles);
    });
    check_in("dropped on several threads at once", &Runtime::new(), |runtime, round| {
        let handles: Vec<_> = runtime.run(|| (0..MANY).map(|n| text::task(round * MANY + n)).collect());
        runtime.run(|| handles.iter().map(|handle| handle.get().len()).sum::<usize>());
        let clones = handles.clone();
        std::thread::scope(|scope| {
            let forgets = scope.spawn(|| {
                runtime.run(|| (0..MANY).for_each(|n| _ = text::forget(round * MANY + n)));
            });
            let drops = [scope.spawn(move || drop(clones)), scope.spawn(move || drop(handles))];
            drops.into_iter().chain([forgets]).for_each(|thread| thread.join().unwrap());
        });
    });
    check_in("never asked for their value", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| drop(text::task(round * MANY + n))));
    });
    check_in("in the outputs of tasks", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| _ = handles(round * MANY + n)));
        runtime.run(|| (0..MANY).for_each(|n| _ = handles::forget(round * MANY + n)));
    });
    #[task_fn(transient)]
    fn over(below: Option<Task<u64>>, n: u64) -> u64 {
        below.map_or(0, |task| task.get()) + n
    }
    check_in("in the arguments of tasks, in a chain", &Runtime::new(), |runtime, round| {
        runtime.run(|| {
            let mut chain: Vec<Task<u64>> = Vec::new();
            for n in 0..20 {
                chain.push(over::task(chain.last().cloned(), round * 1000 + n));
            }
            assert!(chain.last().unwrap().get() > 0);
            for n in (0..20).rev() {
                let below = (n > 0).then(|| chain[n as usize - 1].clone());
                over::forget(below, round * 1000 + n);
            }
        });
    });
}

#[test]
fn forgotten_tasks_leave_nothing_whatever_became_of_them() {
    check_in("failed", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| _ = fails::task(round * MANY + n).try_get().unwrap_err()));
        runtime.run(|| (0..MANY).for_each(|n| _ = fails::forget(round * MANY + n)));
    });
    check_in("on a cycle", &Runtime::new(), |runtime, round| {
        for n in 0..MANY / 20 {
            let n = round * MANY + n;
            runtime.try_run(|| in_a_ring(n, 3)).unwrap_err();
            runtime.run(|| (0..6).for_each(|left| _ = in_a_ring::forget(n, left)));
        }
    });
    check_in("on a cycle, forgotten one after the other", &Runtime::new(), |runtime, round| {
        runtime.try_run(|| in_a_ring(round, 3)).unwrap_err();
        (0..6).for_each(|left| _ = runtime.run(|| in_a_ring::forget(round, left)));
    });
    check_in("in a component", &Runtime::new(), |runtime, round| {
        for n in 0..MANY / 20 {
            let n = round * MANY + n;
            runtime.run(|| resolved(n, 3));
            runtime.run(|| resolved::forget(n, 2));
        }
    });
    check_in("cancelled", &Runtime::new(), |runtime, round| {
        #[task_fn(transient)]
        fn cancelled_in_time(n: u64) -> u64 {
            (0..MANY).map(|k| twice_small(n, k)).sum()
        }
        #[task_fn(transient)]
        fn twice_small(n: u64, k: u64) -> u64 {
            if k == MANY / 2 {
                TOKEN.lock().unwrap().iter().for_each(CancelToken::cancel);
            }
            small(n + k) * 2
        }
        static TOKEN: Mutex<Option<CancelToken>> = Mutex::new(None);
        let token = CancelToken::new();
        *TOKEN.lock().unwrap() = Some(token.clone());
        let n = round * 1_000_000;
        runtime.session().token(&token).try_run(|| cancelled_in_time(n)).unwrap_err();
        // Not those that were cancelled: they have never been there.
        let ended = 0..MANY / 2;
        runtime.run(|| ended.for_each(|k| _ = (twice_small::forget(n, k), small::forget(n + k))));
    });
    check_in("emitting", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| _ = emits::collect::<String>(round * MANY + n)));
        runtime.run(|| (0..MANY).for_each(|n| _ = emits::forget(round * MANY + n)));
    });
    check_in("async", &Runtime::new(), |runtime, round| {
        smol::block_on(runtime.run_async(async {
            for n in 0..MANY {
                assert_eq!(later_twice(round * MANY + n).await, (round * MANY + n) * 2);
            }
        }));
        runtime.run(|| {
            (0..MANY)
                .for_each(|n| _ = (later::forget(round * MANY + n), later_twice::forget(round * MANY + n)))
        });
    });
    check_in("readers of one that stays", &Runtime::new(), |runtime, round| {
        #[task_fn(transient)]
        fn reader(n: u64) -> u64 {
            small(u64::MAX) - n
        }
        runtime.run(|| (0..MANY).for_each(|n| _ = reader(round * MANY + n)));
        runtime.run(|| (0..MANY).for_each(|n| _ = reader::forget(round * MANY + n)));
        runtime.run(|| small::forget(u64::MAX));
    });
}

#[test]
fn tasks_that_were_made_stale_leave_nothing() {
    let runtime = Runtime::new();
    let switch = runtime.transient_input("switch", "on".to_owned());
    check_in("waves", &runtime, |runtime, round| {
        // Marks name the tasks in which the staleness begins, and these are forgotten before the marks are looked at.
        #[task_fn(transient)]
        fn first(switch: &Input<String>, n: u64) -> u64 {
            length(switch) + n
        }
        #[task_fn(transient)]
        fn second(switch: &Input<String>, n: u64) -> u64 {
            first(switch, n) + 1
        }
        runtime.run(|| (0..MANY).for_each(|n| _ = second(&switch, round * MANY + n)));
        runtime.update(|update| update.set(&switch, format!("round {round}"))).unwrap();
        runtime.run(|| {
            (0..MANY).for_each(|n| {
                _ = (first::forget(&switch, round * MANY + n), second::forget(&switch, round * MANY + n));
            });
            length::forget(&switch);
        });
    });
}

#[test]
fn tokens_and_empty_sessions_leave_nothing() {
    let runtime = Runtime::new();
    check_in("tokens", &runtime, |runtime, _| {
        for n in 0..MANY {
            let token = CancelToken::with_timeout(Duration::from_secs(60 + n));
            runtime.session().token(&token).try_run(|| ()).unwrap();
            let token = CancelToken::new();
            token.cancel();
            runtime.session().token(&token).try_run(|| ()).unwrap_err();
        }
    });
}

#[test]
fn slices_of_inputs_leave_nothing() {
    check_in("a key of many inputs", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| all(&inputs));
        runtime.run(|| {
            all::forget(&inputs);
            inputs.iter().for_each(|input| _ = (length::forget(input), twice::forget(input)));
        });
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
}

#[test]
fn sources_that_are_not_read_any_more_are_not_looked_at_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..10).map(|n| folder.path().join(format!("file {n}"))).collect();
    paths.iter().for_each(|path| std::fs::write(path, "content").unwrap());
    let runtime = Runtime::new();
    check_in("sources", &runtime, |runtime, _| {
        runtime.run(|| paths.iter().map(|path| size_of(path)).sum::<usize>());
        runtime.run(|| paths.iter().for_each(|path| _ = size_of::forget(path)));
        runtime.run(|| ());
        runtime.refresh().unwrap();
        runtime.run(|| ());
        assert_eq!(runtime.refresh().unwrap().checked, 0);
    });
}

#[task_fn(transient)]
fn slow(of: &Input<String>, n: u64) -> u64 {
    (0..n).map(|k| step(of, k)).sum()
}

#[task_fn(transient)]
fn step(of: &Input<String>, k: u64) -> u64 {
    of.with(|text| text.len() as u64) + k
}

#[test]
fn tasks_over_inputs_that_were_removed_go_when_no_call_can_reach_them() {
    check_in("not forgotten", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(|input| slow(input, 3) + twice(input)).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    check_in("asked for once more", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(|input| slow(input, 3)).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        for input in &inputs[..10] {
            runtime.run(|| slow::task(input, 3).try_get().unwrap_err());
        }
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    check_in("several in a key, removed one after the other", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| all(&inputs));
        let (some, others) = inputs.split_at(20);
        for input in some {
            runtime.update(|update| update.remove(input)).unwrap();
        }
        runtime.update(|update| others.iter().for_each(|input| update.remove(input))).unwrap();
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    let runtime = Runtime::new();
    let root = runtime.transient_input("root", Vec::<Input<String>>::new());
    #[task_fn(transient)]
    fn through(root: &Input<Vec<Input<String>>>) -> u64 {
        root.get().iter().map(|input| slow(input, 2)).sum()
    }
    runtime.run(|| through(&root));
    check_in("below a task that stays", &runtime, |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.update(|update| update.set(&root, inputs.clone())).unwrap();
        runtime.run(|| through(&root));
        runtime
            .update(|update| {
                update.set(&root, Vec::new());
                inputs.iter().for_each(|input| update.remove(input));
            })
            .unwrap();
        drop(inputs);
        runtime.run(|| through(&root));
        (0..3).for_each(|_| runtime.run(|| ()));
    });
}

/// A task that marks may name waits until a quarter of all tasks do; and what it has read waits with it: 40,000 tasks below a hundred.
#[test]
fn tasks_that_marks_may_name_do_not_keep_ever_more_below_them() {
    let _alone = alone();
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| (0..2000).map(small).max()), Some(1999));
    for round in 0..100 {
        let inputs = inputs(&runtime, round);
        runtime.run(|| all(&inputs));
        for input in &inputs {
            runtime.update(|update| update.remove(input)).unwrap();
        }
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    }
    let tasks = runtime.activity().tasks;
    assert!(tasks < 8000, "{tasks} tasks stay");
}

#[task_fn]
fn stored_size(path: &Path) -> usize {
    larder::fs::read(path).map_or(0, |bytes| bytes.len())
}

#[task_fn]
fn stored_size_again(path: &Path) -> usize {
    larder::fs::read(path).map_or(0, |bytes| bytes.len() + 1)
}

/// A source whose last reader in memory has gone is still read by what is only stored: it has to be looked at for those.
#[test]
fn a_source_without_readers_in_memory_is_looked_at_for_those_in_the_store() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "abc").unwrap();
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).code_identity("growth").try_build().unwrap();
    let first = runtime();
    assert_eq!(first.run(|| stored_size(&path)), 3);
    drop(first);
    let second = runtime();
    assert_eq!(second.run(|| stored_size_again(&path)), 4);
    second.run(|| stored_size_again::forget(&path));
    second.run(|| ());
    second.refresh().unwrap();
    second.run(|| ());
    std::fs::write(&path, "abcdef").unwrap();
    assert_eq!(second.refresh().unwrap().checked, 1);
    assert_eq!(second.run(|| stored_size(&path)), 6);
    // Now nothing reads it.
    second.run(|| stored_size::forget(&path));
    second.run(|| ());
    second.flush().unwrap();
    second.refresh().unwrap();
    second.run(|| ());
    assert_eq!(second.refresh().unwrap().checked, 0);
    second.flush().unwrap();
    assert_eq!(records(&second, Table::Sources), 0);
}

fn records(runtime: &Runtime, table: Table) -> u64 {
    let report = runtime.storage_report().unwrap().unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    report.records[Table::ALL.iter().position(|other| *other == table).unwrap()]
}

#[task_fn]
fn stored_slow(of: &Input<String>, n: u64) -> u64 {
    (0..n).map(|k| stored_step(of, k)).sum()
}

#[task_fn]
fn stored_step(of: &Input<String>, k: u64) -> u64 {
    of.with(|text| text.len() as u64) + k
}

#[task_fn]
fn beside(of: &Input<String>, hub: &Input<String>) -> u64 {
    stored_step(of, 0) + stored_step(hub, 1)
}

/// All that there is in a store when what is waiting has been stored and swept.
fn all_records(runtime: &Runtime) -> Vec<u64> {
    // Before each batch goes a slice of the sweep at least.
    for n in 0..60 {
        let input = runtime.input("waits for the sweep", String::new());
        runtime.update(|update| update.set(&input, n.to_string())).unwrap();
        runtime.flush().unwrap();
    }
    // Names of functions stay.
    let tables = Table::ALL.iter().filter(|table| **table != Table::Functions);
    tables.map(|table| records(runtime, *table)).collect()
}

/// Names that came and went left their records: 40,200 inputs and 199,187 lists of dependents for 81,009 tasks.
#[test]
fn in_a_store_inputs_and_tasks_that_come_and_go_leave_no_records() {
    let _alone = alone();
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).code_identity("growth").try_build().unwrap();
    let hub = |runtime: &Runtime| runtime.input("hub", "hub".to_owned());
    let round = |runtime: &Runtime, number: u64, flushes: bool| {
        let hub = hub(runtime);
        let inputs: Vec<_> =
            (0..MANY).map(|n| runtime.input(&format!("{number} {n}"), "x".repeat(n as usize))).collect();
        runtime.run(|| inputs.iter().map(|input| stored_slow(input, 3) + beside(input, &hub)).sum::<u64>());
        if flushes {
            runtime.flush().unwrap();
        }
        runtime.run(|| {
            for input in &inputs {
                // From below as well as from above.
                stored_step::forget(input, 0);
                stored_slow::forget(input, 3);
                beside::forget(input, &hub);
                (1..3).for_each(|k| _ = stored_step::forget(input, k));
            }
        });
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    };
    let first = runtime();
    let hub_of_first = hub(&first);
    first.run(|| stored_step(&hub_of_first, 1));
    let before = all_records(&first);
    for number in 0..6 {
        round(&first, number, number % 2 == 0);
    }
    let after = all_records(&first);
    assert_eq!(after, before, "records by table, after six rounds");
    drop((hub_of_first, first));
    let next = runtime();
    round(&next, 7, false);
    drop(next);
    let last = runtime();
    assert_eq!(all_records(&last), before, "and after a restart");
    // Nothing is distrusted: what is left is used as it is.
    let hub = hub(&last);
    last.run(|| stored_step(&hub, 1));
    assert_eq!(last.stats().runs(), 0);
}

/// The list of a task that is forgotten stays as long as what read it is stored: a change has to find it.
#[test]
fn in_a_store_a_change_behind_a_forgotten_task_reaches_its_readers() {
    let _alone = alone();
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).code_identity("growth").try_build().unwrap();
    #[task_fn]
    fn top(of: &Input<String>) -> u64 {
        stored_slow(of, 2) + 1
    }
    let first = runtime();
    let input = first.input("x", "abc".to_owned());
    assert_eq!(first.run(|| top(&input)), 8);
    first.flush().unwrap();
    first.run(|| {
        (stored_slow::forget(&input, 2), stored_step::forget(&input, 0), stored_step::forget(&input, 1))
    });
    first.run(|| ());
    all_records(&first);
    drop((input, first));
    let second = runtime();
    let input = second.input("x", "abcd".to_owned());
    assert_eq!(second.run(|| top(&input)), 10);
    all_records(&second);
    second.run(|| top::forget(&input));
    second.run(|| ());
    let with_lists = all_records(&second);
    second.run(|| {
        (stored_slow::forget(&input, 2), stored_step::forget(&input, 0), stored_step::forget(&input, 1))
    });
    second.update(|update| update.remove(&input)).unwrap();
    let without = all_records(&second);
    let dependents = Table::ALL.iter().position(|table| *table == Table::Dependents).unwrap();
    assert!(without[dependents] < with_lists[dependents], "{with_lists:?} {without:?}");
    assert_eq!(without[dependents], 1, "that of the input that waits for the sweep: {without:?}");
}
