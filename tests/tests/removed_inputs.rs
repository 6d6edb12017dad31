//! Inputs that are removed, and made again: what their readers see, what handles say that are left, and what a store makes of it.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use larder::storage::{MemoryStorage, Table};
use larder::{Input, Runtime, TaskError, task_fn};
use larder_tests::deadline::in_time;

#[task_fn]
fn length(of: &Input<String>) -> usize {
    of.with(String::len)
}

#[task_fn]
fn parity(of: &Input<String>) -> usize {
    length(of) % 2
}

fn runs(runtime: &Runtime) -> u64 {
    runtime.stats().runs()
}

fn stored(store: &MemoryStorage) -> Runtime {
    Runtime::builder().storage(store.clone()).code_identity("removed_inputs").try_build().unwrap()
}

fn message(work: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

/// A removed input could not be made again: `input` gave back the node that had no value any more, and reading it was a panic.
#[test]
fn an_input_that_was_removed_can_be_made_again() {
    let runtime = Runtime::new();
    for round in 1..5 {
        let input = runtime.input("x", "a".repeat(round));
        assert_eq!(runtime.run(|| parity(&input)), round % 2);
        runtime.update(|update| update.remove(&input)).unwrap();
        let input = runtime.input("x", "b".repeat(round + 1));
        assert_eq!(runtime.run(|| parity(&input)), (round + 1) % 2);
        runtime.update(|update| update.remove(&input)).unwrap();
    }
    // Of another type as well.
    let input = runtime.input("x", 7_u64);
    assert_eq!(runtime.run(|| input.get()), 7);
}

#[test]
fn a_handle_that_is_left_says_that_the_input_was_removed() {
    let runtime = Runtime::new();
    let old = runtime.input("the name", "abc".to_owned());
    let before = runtime.run(|| length(&old));
    runtime.update(|update| update.remove(&old)).unwrap();
    let new = runtime.input("the name", "abcde".to_owned());
    assert_ne!(old, new);
    for _ in 0..2 {
        let error = runtime.try_run(|| length(&old)).unwrap_err();
        assert!(
            matches!(&error, TaskError::Panicked { task, message, .. }
            if task == "input(\"the name\")" && message == "the input has been removed"),
            "{error}"
        );
        let said = message(|| runtime.run(|| _ = old.get()));
        assert!(said.contains("the name") && said.contains("removed"), "{said}");
        assert_eq!(runtime.run(|| length(&new)), before + 2);
    }
}

#[test]
fn a_removed_input_that_is_set_is_the_input_of_its_name_again_if_that_is_free() {
    let runtime = Runtime::new();
    let old = runtime.input("x", "abc".to_owned());
    runtime.run(|| parity(&old));
    runtime.update(|update| update.remove(&old)).unwrap();
    runtime.update(|update| update.set(&old, "abcd".to_owned())).unwrap();
    assert_eq!(runtime.run(|| parity(&old)), 0);
    assert_eq!(runtime.input("x", "something else".to_owned()), old);

    runtime.update(|update| update.remove(&old)).unwrap();
    let new = runtime.input("x", "a".to_owned());
    let said = message(|| runtime.update(|update| update.set(&old, "abc".to_owned())).unwrap());
    assert!(said.contains("\"x\"") && said.contains("removed"), "{said}");
    assert_eq!(runtime.run(|| parity(&new)), 1, "the update that panicked has changed nothing");
    // The new one goes, so the name is free.
    runtime
        .update(|update| {
            update.remove(&new);
            update.set(&old, "ab".to_owned());
        })
        .unwrap();
    assert_eq!(runtime.run(|| parity(&old)), 0);
    assert_eq!(runtime.input("x", String::new()), old);
    runtime.try_run(|| parity(&new)).unwrap_err();
}

#[test]
fn removing_twice_or_setting_and_removing_at_once_is_removing() {
    let runtime = Runtime::new();
    let input = runtime.input("x", "abc".to_owned());
    runtime.run(|| parity(&input));
    runtime
        .update(|update| {
            update.set(&input, "abcd".to_owned());
            update.remove(&input);
            update.remove(&input);
        })
        .unwrap();
    runtime.update(|update| update.remove(&input)).unwrap();
    runtime.try_run(|| parity(&input)).unwrap_err();
    runtime
        .update(|update| {
            update.remove(&input);
            update.set(&input, "a".to_owned());
        })
        .unwrap();
    assert_eq!(runtime.run(|| parity(&input)), 1);
}

static CAUGHT: AtomicUsize = AtomicUsize::new(0);

#[task_fn(transient)]
fn or_zero(of: &Input<String>) -> usize {
    catch_unwind(AssertUnwindSafe(|| length(of))).unwrap_or_else(|_| {
        CAUGHT.fetch_add(1, SeqCst);
        0
    })
}

#[test]
fn who_has_caught_that_an_input_is_removed_sees_that_it_is_set_again() {
    let runtime = Runtime::new();
    let input = runtime.input("x", "abc".to_owned());
    assert_eq!(runtime.run(|| or_zero(&input)), 3);
    runtime.update(|update| update.remove(&input)).unwrap();
    assert_eq!(runtime.run(|| or_zero(&input)), 0);
    assert_eq!(runtime.run(|| or_zero(&input)), 0);
    assert_eq!(CAUGHT.load(SeqCst), 1, "nothing has changed in between");
    runtime.update(|update| update.set(&input, "ab".to_owned())).unwrap();
    assert_eq!(runtime.run(|| or_zero(&input)), 2);
}

/// With a store: the readers are marked, in memory and on disk; and the same name with the same value later is found in the same
/// state, by the fingerprints of its readers.
#[test]
fn with_a_store_an_input_that_is_made_again_is_a_new_one() {
    let store = MemoryStorage::new();
    let runtime = stored(&store);
    let input = runtime.input("x", "abc".to_owned());
    assert_eq!(runtime.run(|| parity(&input)), 1);
    runtime.flush().unwrap();
    runtime.update(|update| update.remove(&input)).unwrap();
    drop(input);
    let input = runtime.input("x", "abc".to_owned());
    assert_eq!(runtime.run(|| parity(&input)), 1);
    assert_eq!(runs(&runtime), 4, "the records went with the tasks");
    runtime.update(|update| update.remove(&input)).unwrap();
    drop(input);
    drop(runtime);

    let runtime = stored(&store);
    let input = runtime.input("x", "abc".to_owned());
    assert_eq!(runtime.run(|| parity(&input)), 1);
    assert_eq!(runs(&runtime), 0, "there was no session in which they could go");
    runtime.update(|update| update.remove(&input)).unwrap();
    // The tasks over the old one are in memory still, and give up their names in the store.
    let other = runtime.input("x", "ab".to_owned());
    assert_eq!(runtime.run(|| parity(&other)), 0);
    runtime.try_run(|| parity(&input)).unwrap_err();
    drop((input, other, runtime));

    let runtime = stored(&store);
    let input = runtime.input("x", "ab".to_owned());
    assert_eq!(runtime.run(|| (length(&input), parity(&input))), (2, 0));
    assert_eq!(runs(&runtime), 0, "what was computed from the new one was stored");
    drop((input, runtime));

    let runtime = stored(&store);
    let input = runtime.input("x", "abcd".to_owned());
    assert_eq!(runtime.run(|| (length(&input), parity(&input))), (4, 0));
}

/// Bytes of keys and records, by table.
fn records(runtime: &Runtime) -> [u64; Table::ALL.len()] {
    runtime.flush().unwrap();
    let report = runtime.storage_report().unwrap().unwrap();
    assert!(report.is_sound(), "{report:?}");
    report.bytes
}

/// The records of tasks over removed inputs stayed, 243 bytes for each: a program that goes to and fro between two sets of files filled its
/// disk.
#[test]
fn inputs_that_come_and_go_leave_nothing_in_the_store() {
    in_time(|| {
        let store = MemoryStorage::new();
        let come_and_go = |runtime: &Runtime, round: usize, reads: bool, names: &str| {
            let inputs: Vec<_> = (0..50)
                .map(|n| runtime.input(&format!("{names}{n}"), format!("{round}").repeat(n)))
                .collect();
            if reads {
                runtime.run(|| inputs.iter().map(parity).sum::<usize>());
            }
            runtime.flush().unwrap();
            runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
            drop(inputs);
            for _ in 0..3 {
                runtime.run(|| ());
                runtime.flush().unwrap();
            }
        };
        // Lists of dependents are swept behind a flush.
        let settles_at = |runtime: &Runtime, before: [u64; Table::ALL.len()]| {
            while records(runtime) != before {
                std::thread::yield_now();
            }
        };
        let runtime = stored(&store);
        let stays = runtime.input("stays", "abc".to_owned());
        runtime.run(|| parity(&stays));
        let before = records(&runtime);
        for round in 0..4 {
            come_and_go(&runtime, round, true, "");
            settles_at(&runtime, before);
            come_and_go(&runtime, round, true, &format!("in round {round} "));
            settles_at(&runtime, before);
        }
        // An earlier process has read inputs that are removed in this one before they are read.
        let inputs: Vec<_> = (0..50).map(|n| runtime.input(&format!("{n}"), "a".repeat(n))).collect();
        runtime.run(|| inputs.iter().map(length).sum::<usize>());
        drop((inputs, stays, runtime));
        let runtime = stored(&store);
        let stays = runtime.input("stays", "abc".to_owned());
        assert_eq!(runtime.run(|| parity(&stays)), 1);
        // Known to the store alone.
        come_and_go(&runtime, 7, false, "");
        settles_at(&runtime, before);
        assert_eq!(runs(&runtime), 0, "what reads others is as it was");
    });
}

#[task_fn]
fn first_or_second(first: &Input<String>, second: &Input<String>) -> usize {
    if first.with(String::is_empty) { second.with(String::len) } else { 0 }
}

/// A record that has read a removed input before, and does not read it any more, is as good as any.
#[test]
fn a_task_that_has_come_to_read_something_else_is_still_found_in_the_store() {
    let store = MemoryStorage::new();
    let runtime = stored(&store);
    let first = runtime.input("first", String::new());
    let second = runtime.input("second", "ab".to_owned());
    assert_eq!(runtime.run(|| first_or_second(&first, &second)), 2);
    runtime.flush().unwrap();
    runtime.update(|update| update.set(&first, "a".to_owned())).unwrap();
    assert_eq!(runtime.run(|| first_or_second(&first, &second)), 0);
    drop((first, second, runtime));
    let runtime = stored(&store);
    let first = runtime.input("first", "a".to_owned());
    let second = runtime.input("second", "ab".to_owned());
    let other = runtime.input("other", "ab".to_owned());
    runtime.update(|update| update.remove(&other)).unwrap();
    runtime.update(|update| update.remove(&second)).unwrap();
    let second = runtime.input("second", "ab".to_owned());
    assert_eq!(runtime.run(|| first_or_second(&first, &second)), 0);
    assert_eq!(runs(&runtime), 0);
}

/// A removed input of an earlier process is no input of the next one: nothing may be found that was computed from it.
#[test]
fn with_a_store_a_removed_input_that_is_restored_is_stale() {
    let store = MemoryStorage::new();
    let runtime = stored(&store);
    let input = runtime.input("x", "abc".to_owned());
    runtime.run(|| parity(&input));
    drop((input, runtime));

    // Restored, so that the store alone knows what was read.
    let runtime = stored(&store);
    let input = runtime.input("x", "abc".to_owned());
    runtime.run(|| parity(&input));
    assert_eq!(runs(&runtime), 0);
    runtime.update(|update| update.remove(&input)).unwrap();
    runtime.try_run(|| parity(&input)).unwrap_err();
    runtime.update(|update| update.set(&input, "ab".to_owned())).unwrap();
    assert_eq!(runtime.run(|| parity(&input)), 0);
    runtime.update(|update| update.remove(&input)).unwrap();
    runtime.flush().unwrap();
    // Work that is not ended well here.
    std::mem::forget(runtime);
    let copy = store.clone();
    let runtime = stored(&copy);
    let input = runtime.input("x", "abcdefg".to_owned());
    assert_eq!(runtime.run(|| (length(&input), parity(&input))), (7, 1));
}

#[test]
fn a_transient_input_may_take_the_name_of_one_that_was_stored_and_removed() {
    let store = MemoryStorage::new();
    for _ in 0..2 {
        let runtime = stored(&store);
        let input = runtime.input("x", "abc".to_owned());
        assert_eq!(runtime.run(|| parity(&input)), 1);
        runtime.update(|update| update.remove(&input)).unwrap();
        let input = runtime.transient_input("x", "abcd".to_owned());
        assert_eq!(runtime.run(|| parity(&input)), 0);
        runtime.update(|update| update.remove(&input)).unwrap();
        let input = runtime.input("x", "abcde".to_owned());
        assert_eq!(runtime.run(|| parity(&input)), 1);
    }
}

#[test]
fn inputs_that_are_removed_have_no_record() {
    let store = MemoryStorage::new();
    let runtime = stored(&store);
    let inputs: Vec<_> = (0..50).map(|n| runtime.input(&n.to_string(), "a".repeat(n))).collect();
    runtime.run(|| inputs.iter().map(parity).sum::<usize>());
    runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    runtime.flush().unwrap();
    let report = runtime.storage_report().unwrap().unwrap();
    let of = |table| report.records[Table::ALL.iter().position(|other| *other == table).unwrap()];
    assert_eq!(of(Table::Inputs), 0, "{:?}", report.records);
}

/// The handles in keys to a removed input stood in one list, which was gone through again for each task of it that went, and for each
/// handle: 60,000 tasks took minutes.
#[test]
fn many_tasks_over_a_removed_input_go_in_linear_time() {
    const MANY: usize = 60_000;
    #[task_fn(transient)]
    fn plus(of: &Input<String>, n: usize) -> usize {
        length(of) + n
    }
    in_time(|| {
        let runtime = Runtime::new();
        let input = runtime.transient_input("hub", "text".to_owned());
        assert_eq!(runtime.run(|| (0..MANY).map(|n| plus(&input, n)).max()), Some(MANY + 3));
        runtime.update(|update| update.remove(&input)).expect("an update");
        drop(input);
        (0..3).for_each(|_| runtime.run(|| ()));
        assert_eq!(runtime.activity().tasks, 0);
    });
}

/// All tasks over an input that was removed were searched for handles to it, the same ones for each input: this took minutes.
#[test]
fn inputs_that_are_removed_one_by_one_below_many_tasks_go_in_linear_time() {
    const INPUTS: usize = 2_000;
    const ABOVE: usize = 100_000;
    #[task_fn(transient)]
    fn all(root: &Input<Vec<Input<String>>>) -> usize {
        root.with(|inputs| inputs.iter().map(length).sum())
    }
    #[task_fn(transient)]
    fn above(root: &Input<Vec<Input<String>>>, n: usize) -> usize {
        all(root) + n
    }
    in_time(|| {
        let runtime = Runtime::new();
        let inputs: Vec<_> =
            (0..INPUTS).map(|n| runtime.transient_input(&format!("{n}"), "x".to_owned())).collect();
        let root = runtime.transient_input("root", inputs.clone());
        assert_eq!(runtime.run(|| (0..ABOVE).map(|n| above(&root, n)).max()), Some(INPUTS + ABOVE - 1));
        runtime.update(|update| update.set(&root, Vec::new())).expect("an update");
        for input in inputs {
            runtime.update(|update| update.remove(&input)).expect("an update");
        }
        assert_eq!(runtime.run(|| above(&root, 7)), 7);
        // Further updates do the work that was put off.
        for n in 0..200 {
            runtime.update(|update| update.set(&root, Vec::new())).expect("an update");
            assert_eq!(runtime.run(|| above(&root, n)), n);
        }
        assert_eq!(runtime.activity().tasks, ABOVE + 1);
    });
}

#[task_fn]
fn says_nothing(n: u64) -> u64 {
    n
}

/// Not stored, and neither is what reads it.
#[task_fn]
fn collects(n: u64) -> usize {
    says_nothing::collect::<u64>(n).len()
}

#[task_fn]
fn chooses(of: &Input<String>) -> usize {
    match of.with(String::len) {
        0 => 0,
        even if even % 2 == 0 => even,
        odd => odd + collects(5),
    }
}

/// A task was stored, then stale, and its node freed or its name given to another one before the mark was committed: of this, only the
/// node knew. So a task of the same name found what had been stored, and took it for current.
#[test]
fn a_mark_that_is_not_committed_outlives_its_node() {
    for (held, runs_between, again) in
        (0..12).map(|n| (n / 4, n & 1 != 0, if n & 2 != 0 { "abcd" } else { "abc" }))
    {
        let store = MemoryStorage::new();
        let runtime = Runtime::builder()
            .storage(store.clone())
            .code_identity("removed_inputs")
            .max_commit_delay(std::time::Duration::from_secs(3600))
            .try_build()
            .unwrap();
        let input = runtime.input("x", String::new());
        assert_eq!(runtime.run(|| chooses(&input)), 0);
        runtime.flush().unwrap();
        if runs_between {
            runtime.update(|update| update.set(&input, "abc".to_owned())).unwrap();
            assert_eq!(runtime.run(|| chooses(&input)), 3);
        }
        let task = (held == 2).then(|| runtime.run(|| chooses::task(&input)));
        runtime.update(|update| update.remove(&input)).unwrap();
        let old = (held == 1).then_some(input);
        for _ in 0..3 {
            runtime.run(|| ());
        }
        let input = runtime.input("x", again.to_owned());
        let case = format!("held: {held}, runs between: {runs_between}, {again}");
        assert_eq!(runtime.run(|| chooses(&input)), again.len(), "{case}");
        drop((old, task));
    }
}
