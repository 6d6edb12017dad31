//! Stores that fail, crash, are held by others, or are damaged.

use super::*;
use crate::emitted::{Warning, warns_about_all};
use crate::runs::{by_build, described, doubled, one_more, quadrupled};
use crate::sources::{length, settle};

#[test]
fn errors_at_any_call_are_misses_and_fail_nothing() {
    let mut most = 0;
    for operation in [Operation::Get, Operation::Scan, Operation::Commit] {
        for nth in 1..40 {
            let store = MemoryStorage::new();
            let first = open(&store);
            text_is(&first, &Sums::of(&first, 2, 3), 7);
            drop(first);
            let store = store.crash();
            store.faults().fail_nth(operation, nth);
            if let Ok(second) = Runtime::builder().storage(store.clone()).code_identity("test").try_build() {
                let sums = Sums::of(&second, 4, 3);
                text_is(&second, &sums, 8);
                second.update(|update| update.set(&sums.y, 0)).unwrap();
                text_is(&second, &sums, 2);
                let _ = second.flush();
            }
            most = most.max(store.faults().calls(operation));
            let store = store.crash();
            let third = open(&store);
            text_is(&third, &Sums::of(&third, 2, 0), 1);
            let sums = Sums::of(&third, 2, 0);
            third.update(|update| update.set(&sums.y, 3)).unwrap();
            text_is(&third, &sums, 7);
        }
    }
    assert!(most > 10, "{most} calls");
    take_ran();
}

#[test]
fn a_store_that_takes_nothing_costs_hits_and_no_answers() {
    let store = MemoryStorage::new();
    let first = open(&store);
    text_is(&first, &Sums::of(&first, 2, 3), 7);
    drop(first);
    store.faults().fail_all(Operation::Commit);
    let second = open(&store);
    let sums = Sums::of(&second, 2, 3);
    take_ran();
    text_is(&second, &sums, 7);
    assert_eq!(take_ran(), [""; 0]);
    for x in [4, 6, 2, 4] {
        second.update(|update| update.set(&sums.x, x)).unwrap();
        text_is(&second, &sums, x / 2 + 6);
    }
    assert!(second.flush().is_err());
    assert!(second.take_write_error().is_some());
    assert!(second.take_write_error().is_none());
    let storage = second.stats().storage.unwrap();
    assert!(storage.writer.failing_since.is_some() && !storage.writer.gave_up, "{storage}");
    assert!(storage.to_string().contains("nothing could be stored for"), "{storage}");
    second.update(|update| update.set(&sums.x, 8)).unwrap();
    text_is(&second, &sums, 10);
    drop(second);
    store.faults().heal();
    let third = open(&store);
    text_is(&third, &Sums::of(&third, 8, 3), 10);
    drop(third);
    let fourth = open(&store);
    text_is(&fourth, &Sums::of(&fourth, 2, 3), 7);
    take_ran();
}

/// A disk that was full for a moment switched the store off for the life of the process.
#[test]
fn what_was_computed_while_the_store_took_nothing_is_stored_when_it_does_again() {
    let store = MemoryStorage::new();
    let first = open(&store);
    let sums = Sums::of(&first, 2, 3);
    text_is(&first, &sums, 7);
    first.flush().unwrap();
    store.faults().fail_all(Operation::Commit);
    first.update(|update| update.set(&sums.x, 4)).unwrap();
    text_is(&first, &sums, 8);
    assert!(first.flush().is_err());
    assert!(first.stats().storage.unwrap().writer.failing_since.is_some());
    // It goes on meanwhile, back and forth.
    for x in [6, 2, 4, 10] {
        first.update(|update| update.set(&sums.x, x)).unwrap();
        text_is(&first, &sums, x / 2 + 6);
    }
    store.faults().heal();
    first.flush().unwrap();
    assert!(first.stats().storage.unwrap().writer.failing_since.is_none());
    // Back to the beginning: all of these states are stored.
    let crashed = store.crash();
    drop(first);
    take_ran();
    for store in [crashed, store] {
        let second = open(&store);
        for x in [10, 4, 6, 2] {
            let sums = Sums::of(&second, x, 3);
            second.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&second, &sums, x / 2 + 6);
        }
        assert_eq!(take_ran(), [""; 0]);
    }
}

#[test]
fn a_crash_loses_no_more_than_what_was_not_flushed() {
    let store = MemoryStorage::new();
    let first = Runtime::builder()
        .storage(store.clone())
        .code_identity("test")
        .max_commit_delay(std::time::Duration::from_secs(1000))
        .build();
    let sums = Sums::of(&first, 2, 3);
    text_is(&first, &sums, 7);
    first.flush().unwrap();
    first.update(|update| update.set(&sums.x, 4)).unwrap();
    text_is(&first, &sums, 8);
    take_ran();
    let crashed = store.crash();
    let second = open(&crashed);
    text_is(&second, &Sums::of(&second, 2, 3), 7);
    assert_eq!(take_ran(), [""; 0]);
    drop(second);
    let third = open(&crashed);
    text_is(&third, &Sums::of(&third, 4, 3), 8);
    assert_eq!(take_ran(), ["half_x", "text", "total"]);
}

#[test]
fn a_store_that_is_held_is_a_clear_error_or_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = RedbStorage::open(&path).unwrap();
    let error = RedbStorage::open(&path).err().unwrap();
    assert!(error.is_held(), "{error}");
    drop(first);
}

#[test]
fn an_unusable_store_leaves_a_runtime_without_one_unless_it_was_demanded() {
    let store = MemoryStorage::new();
    store.faults().fail_all(Operation::Commit);
    let runtime = Runtime::builder().storage(store.clone()).build();
    assert!(runtime.open_error().is_some());
    assert_eq!(runtime.run(|| by_build(1)), 2);
    assert!(runtime.stats().storage.is_none());
    assert!(Runtime::builder().storage(store).try_build().is_err());
    take_ran();
}

#[test]
fn a_report_names_functions_and_finds_the_store_sound() {
    let store = MemoryStorage::new();
    let first = open(&store);
    text_is(&first, &Sums::of(&first, 2, 3), 7);
    let report = first.storage_report().unwrap().unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    let text = report.functions.iter().find(|(_, size)| size.path.ends_with("::text")).unwrap();
    assert!(text.1.tasks == 1 && text.1.bytes > 2000, "{text:?}");
    assert_eq!(store.len(Table::Tasks), 4);
    take_ran();
}

#[test]
fn a_cap_drops_what_was_not_used() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    let first = open(1 << 20);
    first.run(|| (0..100).for_each(|x| assert_eq!(long(x).len(), 3000)));
    drop(first);
    let second = open(100_000);
    second.run(|| assert_eq!(long(5).len(), 3000));
    drop(second);
    take_ran();
    let third = open(100_000);
    third.run(|| assert_eq!(long(5).len(), 3000));
    assert_eq!(take_ran(), [""; 0]);
    third.run(|| (0..100).for_each(|x| assert_eq!(long(x).len(), 3000)));
    assert!(take_ran().len() > 50);
}

#[task_fn]
fn long(x: u32) -> String {
    ran("long");
    format!("{x:>3000}")
}

#[test]
fn flipped_bits_never_give_a_wrong_value() {
    let flips = std::env::var("LARDER_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(400);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "12345").unwrap();
    settle(&path, 100);
    let store = MemoryStorage::new();
    let first = open(&store);
    let ask = |runtime: &Runtime, x: i64| {
        text_is(runtime, &Sums::of(runtime, x, 3), x / 2 + 6);
        let expected = std::fs::read_to_string(&path).unwrap().len();
        assert_eq!(runtime.run(|| length(&path)), expected);
        assert_eq!(runtime.run(|| warns_about_all::collect::<Warning>("longer is longest")).len(), 3);
    };
    ask(&first, 2);
    drop(first);
    for flip in 0..flips {
        let damaged = store.crash();
        damaged.flip_bit(flip * 1_234_577);
        // Nothing, an input, or a file has changed since.
        std::fs::write(&path, if flip % 3 == 2 { "123" } else { "12345" }).unwrap();
        if flip % 3 != 2 {
            settle(&path, 100);
        }
        let x = if flip % 3 == 1 { 8 } else { 2 };
        for _ in 0..2 {
            let runtime = open(&damaged);
            ask(&runtime, x);
        }
        let runtime = open(&damaged);
        ask(&runtime, 10);
    }
    take_ran();
}

/// The store does not tell which tasks depend on the change: whatever in memory knows nothing of its reads may be behind it, a task
/// that is only known by a handle like a restored one.
#[test]
fn a_change_whose_dependents_are_lost_reaches_those_behind_a_handle() {
    let store = MemoryStorage::new();
    let runtime = open(&store);
    let x = runtime.input("x", 1);
    assert_eq!(runtime.run(|| (quadrupled(x.clone()), one_more(&doubled::task(x)))), (4, 3));
    drop(runtime);
    let runtime = open(&store);
    let x = runtime.input("x", 1);
    assert_eq!(runtime.run(|| (one_more(&doubled::task(x.clone())), described(x.clone()))), (3, "4".into()));
    store.faults().fail_all(Operation::Get);
    runtime.update(|update| update.set(&x, 2)).unwrap();
    store.faults().heal();
    assert_eq!(runtime.run(|| described(x)), "8");
}
