//! A cap on memory, without a store.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use larder::{Input, Runtime, UpdateError, par_map, task_fn};

use super::{outputs_of, runs_of, tasks_of};

const KIB: usize = 1024;

#[task_fn(transient)]
fn page(number: u32) -> String {
    format!("{number:>1000}")
}

#[task_fn(transient)]
fn length(number: u32) -> usize {
    page(number).len()
}

#[task_fn(transient)]
fn of_input(text: Input<String>) -> Vec<u8> {
    text.get().to_uppercase().into_bytes()
}

#[task_fn(transient)]
fn is_empty(text: Input<String>) -> bool {
    of_input(text).is_empty()
}

#[test]
fn what_is_used_stays_below_the_cap_however_many_keys_there_are() {
    let cap = 200 * KIB;
    let runtime = Runtime::builder().memory_cap(cap).build();
    for round in 0..50 {
        runtime.run(|| (round * 100..round * 100 + 100).for_each(|number| assert_eq!(length(number), 1000)));
        runtime.run(|| ());
        let memory = runtime.memory();
        assert!(memory.bytes <= cap, "{memory}");
        assert_eq!(memory.missed, 0);
        let sum: usize = memory.functions.iter().map(|function| function.bytes).sum();
        assert!(sum <= memory.bytes, "{sum} of {memory}");
    }
    let memory = runtime.memory();
    assert_eq!(memory.cap, Some(cap));
    assert!(memory.freed >= 9_000, "{memory}");
    assert_eq!(runs_of(&runtime, "page"), 5000);
    assert!(runtime.stats().tasks < 400);
}

#[test]
fn what_is_asked_for_again_and_again_outlives_a_scan() {
    let runtime = Runtime::builder().memory_cap(200 * KIB).build();
    for round in 0..200 {
        runtime.run(|| {
            (0..20).for_each(|hot| _ = page(hot));
            (0..50).for_each(|number| _ = page(1000 + round * 50 + number));
        });
    }
    let runs = runs_of(&runtime, "page");
    assert!(runs <= 10_000 + 100, "hot pages were computed {} times", runs - 10_000);
    assert!(tasks_of(&runtime, "page") < 250);
}

#[test]
fn readers_stay_current_when_what_they_have_read_goes() {
    let runtime = Runtime::builder().memory_cap(10 * KIB).build();
    let texts: Vec<_> =
        (0..100).map(|number| runtime.input(&format!("t{number}"), "x".repeat(500))).collect();
    let handles: Vec<_> = runtime.run(|| texts.iter().map(|text| is_empty::task(text.clone())).collect());
    let ask = || runtime.run(|| handles.iter().filter(|handle| handle.with(|is_empty| *is_empty)).count());
    assert_eq!(ask(), 0);
    assert_eq!(ask(), 0);
    // The outputs have gone, their tasks are read.
    assert_eq!((outputs_of(&runtime, "of_input"), tasks_of(&runtime, "of_input")), (0, 100));
    assert_eq!(runtime.memory().dropped, 100);
    assert_eq!((runs_of(&runtime, "of_input"), runs_of(&runtime, "is_empty")), (100, 100));
    // A change is seen all the same; there is nothing to compare with, so the reader runs.
    runtime.update(|update| update.set(&texts[7], "y".repeat(500))).expect("no session is open");
    assert_eq!(ask(), 0);
    assert_eq!((runs_of(&runtime, "of_input"), runs_of(&runtime, "is_empty")), (101, 101));
    runtime.update(|update| update.set(&texts[7], String::new())).expect("no session is open");
    assert_eq!(ask(), 1);
}

#[test]
fn handles_and_keep_hold_what_they_name_and_the_cap_is_missed_openly() {
    #[task_fn(transient, keep)]
    fn kept(number: u32) -> String {
        format!("{number:>1000}")
    }
    let runtime = Runtime::builder().memory_cap(0).build();
    let handle = runtime.run(|| {
        _ = (kept(1), page(2));
        page::task(3)
    });
    runtime.run(|| assert_eq!(handle.with(String::len), 1000));
    runtime.run(|| ());
    assert_eq!((tasks_of(&runtime, "kept"), tasks_of(&runtime, "page")), (1, 1));
    let memory = runtime.memory();
    assert!(memory.missed > 2000 && memory.missed == memory.bytes, "{memory}");
    // It is tried again, though nothing more is used.
    drop(handle);
    (0..5).for_each(|_| runtime.run(|| ()));
    assert_eq!((tasks_of(&runtime, "kept"), tasks_of(&runtime, "page")), (1, 0));
    assert_eq!(runs_of(&runtime, "kept"), 1);
}

/// The cap was tried again only after as many sessions as it would have been if nothing had gone meanwhile, and the figure stayed.
#[test]
fn a_cap_that_was_met_by_other_means_is_not_missed_any_more() {
    let cap = 20 * KIB;
    let runtime = Runtime::builder().memory_cap(cap).build();
    let hold = || runtime.run(|| (0..100).map(page::task).collect::<Vec<_>>());
    for round in 0..2 {
        let handles = hold();
        (0..70).for_each(|_| runtime.run(|| handles.iter().for_each(|handle| _ = handle.get())));
        assert!(runtime.memory().missed > 50 * KIB, "{}", runtime.memory());
        drop(handles);
        if round == 0 {
            runtime.shrink_to(0).expect("no session is open");
        } else {
            runtime.run(|| (0..100).for_each(|number| _ = page::forget(number)));
            runtime.run(|| ());
        }
        let memory = runtime.memory();
        assert_eq!((memory.missed, memory.bytes), (0, 0), "{memory}");
        runtime.run(|| (0..100).for_each(|number| _ = page(number)));
        runtime.run(|| ());
        assert!(runtime.memory().bytes <= cap, "{}", runtime.memory());
    }
}

#[test]
fn a_program_shrinks_at_its_word() {
    let runtime = Runtime::new();
    runtime.run(|| (0..10_000).for_each(|number| _ = length(number)));
    let all = runtime.memory().bytes;
    assert!(all > 10_000 * 1000);
    let swept = runtime.shrink_to(all / 2).expect("no session is open");
    assert!(swept.before == all && swept.after <= all / 2, "{swept:?}");
    assert_eq!(runtime.memory().bytes, swept.after);
    let swept = runtime.shrink_to(0).expect("no session is open");
    assert_eq!((swept.after, runtime.stats().tasks), (0, 0));
    let error = runtime.run(|| runtime.shrink_to(0));
    assert!(matches!(error, Err(UpdateError::InSession)));
    runtime.run(|| assert_eq!(length(5), 1000));
}

#[test]
fn sessions_that_overlap_do_not_keep_the_cap_from_being_kept() {
    let cap = 500 * KIB;
    let runtime = Runtime::builder().memory_cap(cap).patience(Duration::from_millis(1)).build();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2u32 {
            let (runtime, ends) = (&runtime, &ends);
            scope.spawn(move || {
                let mut number = thread << 24;
                while !ends.load(Relaxed) {
                    runtime.run(|| {
                        (0..100).for_each(|_| {
                            number += 1;
                            _ = page(number);
                        });
                    });
                }
            });
        }
        // Bounded by the number of tasks that go, not by time.
        while runtime.memory().freed < 20_000 {
            std::thread::yield_now();
        }
        ends.store(true, Relaxed);
    });
    runtime.run(|| ());
    assert!(runtime.memory().bytes <= cap);
}

#[test]
fn values_are_right_at_a_cap_of_nothing_on_all_threads() {
    #[task_fn(transient)]
    fn sum(from: u32) -> usize {
        par_map(from..from + 20, length).into_iter().sum()
    }
    let runtime = Runtime::builder().memory_cap(0).threads(2).build();
    for round in 0..100 {
        assert_eq!(runtime.run(|| sum(round)), 20_000);
    }
    runtime.run(|| ());
    assert_eq!(runtime.stats().tasks, 0);
}

#[test]
fn a_weight_is_what_its_function_says() {
    struct Picture(u32);
    #[task_fn(transient, no_eq, weight = |picture| picture.0 as usize * 1000)]
    fn picture(width: u32) -> std::sync::Arc<Picture> {
        std::sync::Arc::new(Picture(width))
    }
    #[task_fn(transient, weight = |_| panic!("no weight"))]
    fn weightless(width: u32) -> u32 {
        width
    }
    let runtime = Runtime::new();
    runtime.run(|| (picture(64), weightless(1)));
    let memory = runtime.memory();
    let bytes = memory.get("picture").map(|function| function.bytes).unwrap_or_default();
    assert!((60_000..70_000).contains(&bytes), "{memory}");
    assert!(memory.get("weightless").is_some_and(|function| function.bytes < 200));
    assert!(memory.to_string().contains("picture"), "{memory}");
}

#[test]
fn async_tasks_go_and_come_back() {
    #[task_fn(transient)]
    async fn fetched(number: u32) -> String {
        std::future::ready(format!("{number:>1000}")).await
    }
    let cap = 50 * KIB;
    let runtime = Runtime::builder().memory_cap(cap).build();
    for round in 0..3 {
        for number in 0..200 {
            let text = larder_tests::executor::block_on(runtime.run_async(fetched(number)));
            assert_eq!(text.trim(), number.to_string(), "round {round}");
        }
    }
    runtime.run(|| ());
    assert!(runtime.memory().bytes <= cap);
}
