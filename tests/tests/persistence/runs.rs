//! Results, inputs, handles and versions, across runs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use larder::current;

use super::*;

#[test]
fn a_second_runtime_over_the_same_store_runs_nothing() {
    on_each_store(|open| {
        let first = open();
        assert_eq!(first.run(|| longest("a bcd ef")), "bcd");
        assert_eq!(take_ran(), ["longest a bcd ef", "words a bcd ef"]);
        drop(first);
        let second = open();
        assert_eq!(second.run(|| longest("a bcd ef")), "bcd");
        assert_eq!(second.run(|| words("a bcd ef").len()), 3);
        assert_eq!(take_ran(), [""; 0]);
        let stats = second.stats();
        assert_eq!((stats.runs(), stats.get("longest").unwrap().storage_hits), (0, 1));
        assert_eq!(second.run(|| longest("another")), "another");
        assert_eq!(take_ran(), ["longest another", "words another"]);
    });
}

#[test]
fn inputs_are_durable_by_name_and_only_what_is_affected_runs() {
    on_each_store(|open| {
        let first = open();
        text_is(&first, &Sums::of(&first, 10, 1), 7);
        assert_eq!(take_ran(), ["half_x", "text", "total", "twice_y"]);
        drop(first);
        // Equal values.
        let second = open();
        text_is(&second, &Sums::of(&second, 10, 1), 7);
        assert_eq!(take_ran(), [""; 0]);
        drop(second);
        // Another value that comes to the same. A new process does not know the methods before it calls them, so those that read
        // `half_x` run, too (see `minimal.rs`); in one that has it in memory, one body runs.
        let third = open();
        let sums = Sums::of(&third, 11, 1);
        text_is(&third, &sums, 7);
        assert_eq!(take_ran(), ["half_x", "text", "total"]);
        third.update(|update| update.set(&sums.x, 15)).unwrap();
        text_is(&third, &sums, 9);
        take_ran();
        third.update(|update| update.set(&sums.x, 14)).unwrap();
        text_is(&third, &sums, 9);
        assert_eq!(take_ran(), ["half_x"]);
        drop(third);
        // Another value.
        let fourth = open();
        text_is(&fourth, &Sums::of(&fourth, 12, 1), 8);
        assert_eq!(take_ran(), ["half_x", "text", "total"]);
        drop(fourth);
        // Back to where it was.
        let fifth = open();
        text_is(&fifth, &Sums::of(&fifth, 10, 1), 7);
        assert_eq!(take_ran(), [""; 0]);
        // And forth, and back, in one process.
        let sums = Sums::of(&fifth, 10, 1);
        for (x, total) in [(12, 8), (11, 7), (12, 8), (10, 7)] {
            fifth.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&fifth, &sums, total);
        }
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_state_that_this_process_has_left_is_entered_again_without_running() {
    on_each_store(|open| {
        let runtime = open();
        let sums = Sums::of(&runtime, 0, 0);
        for x in [0, 2, 4] {
            runtime.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&runtime, &sums, x / 2);
        }
        take_ran();
        for x in [2, 0, 4, 2] {
            runtime.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&runtime, &sums, x / 2);
        }
        assert_eq!(take_ran(), [""; 0]);
        // A restored task depends on what it reads, as if it had run.
        runtime.update(|update| update.set(&sums.y, 5)).unwrap();
        text_is(&runtime, &sums, 11);
        assert_eq!(take_ran(), ["text", "total", "twice_y"]);
    });
}

#[test]
fn a_change_in_one_process_is_known_to_the_next_one() {
    on_each_store(|open| {
        let first = open();
        let sums = Sums::of(&first, 2, 0);
        text_is(&first, &sums, 1);
        // No session asks for its readers any more.
        first.update(|update| update.set(&sums.x, 20)).unwrap();
        drop(first);
        take_ran();
        let second = open();
        text_is(&second, &Sums::of(&second, 20, 0), 10);
        assert_eq!(take_ran(), ["half_x", "text", "total"]);
    });
}

#[test]
fn an_update_reaches_what_was_restored_and_what_is_only_stored() {
    on_each_store(|open| {
        let first = open();
        text_is(&first, &Sums::of(&first, 2, 3), 7);
        drop(first);
        take_ran();
        let second = open();
        let sums = Sums::of(&second, 2, 3);
        // `text` is in memory; `total` and what it reads are not.
        text_is(&second, &sums, 7);
        second.update(|update| update.set(&sums.y, 4)).unwrap();
        text_is(&second, &sums, 9);
        assert_eq!(take_ran(), ["text", "total", "twice_y"]);
        second.update(|update| update.set(&sums.y, 4)).unwrap();
        text_is(&second, &sums, 9);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_handle_and_a_forgotten_task_find_their_results() {
    on_each_store(|open| {
        let first = open();
        assert_eq!(first.run(|| words("a b").len()), 2);
        drop(first);
        take_ran();
        let second = open();
        let handle = second.run(|| words::task("a b"));
        assert_eq!(second.run(|| handle.get().len()), 2);
        assert_eq!(take_ran(), [""; 0]);
        // To forget is to forget everywhere.
        assert!(second.run(|| words::forget("a b")));
        assert_eq!(second.run(|| words("a b").len()), 2);
        assert_eq!(take_ran(), ["words a b"]);
        assert!(second.run(|| words::forget("a b")));
        second.run(|| ());
        drop((second, handle));
        let third = open();
        assert_eq!(third.run(|| words("a b").len()), 2);
        assert_eq!(take_ran(), ["words a b"]);
    });
}

mod versions {
    pub(crate) mod old {
        #[larder::task_fn(version = 1)]
        pub(crate) fn declared(x: u32) -> u32 {
            super::super::ran("declared");
            x + 1
        }
    }
}

#[task_fn]
pub(crate) fn by_build(x: u32) -> u32 {
    ran("by_build");
    x + 1
}

#[test]
fn another_build_starts_cold_but_for_declared_versions() {
    let store = MemoryStorage::new();
    let open = |code: &str| Runtime::builder().storage(store.clone()).code_identity(code).build();
    for (code, expected) in [
        ("one", vec!["by_build", "declared"]),
        ("one", vec![]),
        ("two", vec!["by_build"]),
        ("two", vec![]),
        ("one", vec![]),
    ] {
        let runtime = open(code);
        assert_eq!(runtime.run(|| (by_build(1), versions::old::declared(1))), (2, 2));
        assert_eq!(take_ran(), expected, "{code}");
    }
}

#[task_fn]
pub(crate) fn doubled(x: Input<u32>) -> u32 {
    x.get() * 2
}

#[task_fn]
pub(crate) fn quadrupled(x: Input<u32>) -> u32 {
    doubled(x) * 2
}

#[task_fn]
pub(crate) fn described(x: Input<u32>) -> String {
    quadrupled::task(x).get().to_string()
}

#[task_fn]
pub(crate) fn one_more(than: &Task<u32>) -> u32 {
    than.get() + 1
}

/// A task that is in memory for its handle alone, as an argument of a restored one, has no value and knows nothing of what it
/// read. A task that is restored and linked to it is reached by a change behind it all the same, and so are those that read that.
#[test]
fn a_change_behind_a_task_that_is_only_known_by_a_handle_reaches_its_readers() {
    on_each_store(|open| {
        let runtime = open();
        let x = runtime.input("x", 1);
        assert_eq!(runtime.run(|| (quadrupled(x.clone()), one_more(&doubled::task(x)))), (4, 3));
        runtime.flush().unwrap();
        drop(runtime);
        let runtime = open();
        let x = runtime.input("x", 1);
        assert_eq!(
            runtime.run(|| (one_more(&doubled::task(x.clone())), described(x.clone()))),
            (3, "4".into())
        );
        for value in [2, 3, 1] {
            runtime.update(|update| update.set(&x, value)).unwrap();
            assert_eq!(runtime.run(|| described(x.clone())), (value * 4).to_string());
        }
    });
}

/// Which of two threads is ahead of the other, in [`on_two_threads`].
static IS_FIRST_AHEAD: AtomicBool = AtomicBool::new(true);

#[task_fn]
fn on_two_threads(one: &Input<i64>, other: &Input<i64>) -> i64 {
    ran("on_two_threads");
    let (task, turn) = (current(), AtomicUsize::new(0));
    let read = |input: &Input<i64>, place: usize| {
        while turn.load(SeqCst) != place {
            std::thread::yield_now();
        }
        let value = task.run(|| input.get());
        turn.fetch_add(1, SeqCst);
        value
    };
    let is_first_ahead = IS_FIRST_AHEAD.load(SeqCst);
    std::thread::scope(|threads| {
        let one = threads.spawn(|| read(one, usize::from(!is_first_ahead)));
        read(other, usize::from(is_first_ahead)) + one.join().unwrap()
    })
}

/// The reads of carried work are in the order in which threads happen to make them. An older run that had them in another order was not looked at.
#[test]
fn an_older_run_holds_in_whichever_order_its_threads_have_read() {
    on_each_store(|open| {
        let visit = |one: i64, other: i64| {
            let runtime = open();
            let one = runtime.input_or_set("one", one).unwrap();
            let other = runtime.input_or_set("other", other).unwrap();
            runtime.run(|| on_two_threads(&one, &other));
            take_ran().len()
        };
        let states = [(1, 1), (1, 2), (3, 2), (3, 4)];
        for (number, (one, other)) in states.into_iter().enumerate() {
            IS_FIRST_AHEAD.store(number % 2 == 0, SeqCst);
            assert_eq!(visit(one, other), 1);
        }
        for (one, other) in states.into_iter().chain(states.into_iter().rev()) {
            assert_eq!(visit(one, other), 0, "{one}, {other}");
        }
    });
}
