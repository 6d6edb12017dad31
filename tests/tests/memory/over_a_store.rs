//! A cap on memory with a store: what has gone comes back from there.

use std::time::Duration;

use larder::storage::{MemoryStorage, RedbStorage};
use larder::testing::advance_clock;
use larder::{Input, Runtime, Update, task_fn};

use super::{outputs_of, runs_of, tasks_of};

#[task_fn]
fn shout(text: Input<String>) -> String {
    text.get().to_uppercase()
}

#[task_fn]
fn length(text: Input<String>) -> usize {
    shout(text).len()
}

#[task_fn]
fn page(number: u32) -> String {
    format!("{number:>1000}")
}

#[task_fn]
fn title(number: u32) -> usize {
    page(number).trim().len()
}

#[test]
fn what_has_gone_comes_back_from_the_store() {
    let runtime = Runtime::builder().memory_cap(20_000).storage(MemoryStorage::new()).build();
    for round in 0..3 {
        for batch in 0..20 {
            runtime.run(|| {
                (batch * 10..batch * 10 + 10).for_each(|number| assert_eq!(page(number).len(), 1000))
            });
            runtime.flush().expect("nothing is wrong with the store");
        }
        runtime.run(|| ());
        assert!(runtime.memory().bytes <= 20_000, "round {round}: {}", runtime.memory());
    }
    assert_eq!(runs_of(&runtime, "page"), 200);
    assert!(tasks_of(&runtime, "page") < 25);
}

/// A result that expires is marked in the store, and its task stays in memory until that is committed. Tasks whose results expired while memory shrank
/// were left over.
#[test]
fn what_expires_while_memory_shrinks_goes_as_well() {
    #[task_fn(ttl = Duration::from_secs(60))]
    fn price(number: u32) -> String {
        format!("{number:>1000}")
    }
    let runtime = Runtime::builder().storage(MemoryStorage::new()).build();
    for round in 1..4 {
        runtime.run(|| (0..50).for_each(|number| _ = price(number)));
        advance_clock(&runtime, Duration::from_secs(3600));
        let swept = runtime.shrink_to(0).expect("no session is open");
        assert_eq!((swept.after, runtime.activity().tasks), (0, 0), "{}", runtime.memory());
        assert_eq!(runs_of(&runtime, "price"), 50 * round);
    }
}

#[test]
fn an_output_that_was_dropped_is_what_its_readers_have_seen() {
    let runtime = Runtime::builder().memory_cap(0).storage(MemoryStorage::new()).build();
    let text = runtime.input("text", "abc".repeat(100));
    let handle = runtime.run(|| length::task(text.clone()));
    let ask = || runtime.run(|| handle.with(|length| *length));
    assert_eq!(ask(), 300);
    runtime.flush().expect("nothing is wrong with the store");
    runtime.run(|| ());
    assert_eq!(outputs_of(&runtime, "shout"), 0);
    // A session reads it: from the store, and its reader stays as it is.
    runtime.run(|| assert_eq!(shout(text.clone()).len(), 300));
    assert_eq!(ask(), 300);
    assert_eq!((runs_of(&runtime, "shout"), runs_of(&runtime, "length")), (1, 1));
    // It runs again, and comes to the same as what has gone: its reader does not run.
    runtime.run(|| ());
    assert_eq!(outputs_of(&runtime, "shout"), 0);
    runtime.update(|update| update.set(&text, "ABC".repeat(100))).expect("no session is open");
    assert_eq!(ask(), 300);
    assert_eq!((runs_of(&runtime, "shout"), runs_of(&runtime, "length")), (2, 1));
    // And to something else.
    runtime.update(|update| update.set(&text, "d".to_owned())).expect("no session is open");
    assert_eq!(ask(), 1);
    assert_eq!((runs_of(&runtime, "shout"), runs_of(&runtime, "length")), (3, 2));
}

#[test]
fn a_task_whose_record_waits_is_found_by_a_change() {
    #[task_fn]
    fn twice(text: Input<String>) -> String {
        shout(text).repeat(2)
    }
    #[task_fn(transient)]
    fn reader(text: Input<String>) -> usize {
        twice(text).len()
    }
    let hour = std::time::Duration::from_secs(3600);
    let builder = Runtime::builder().memory_cap(0).storage(MemoryStorage::new()).max_commit_delay(hour);
    let runtime = builder.build();
    let text = runtime.input("text", "abc".repeat(100));
    let handle = runtime.run(|| reader::task(text.clone()));
    runtime.run(|| assert_eq!(handle.with(|length| *length), 600));
    // Two sweeps: outputs that are read might go first, and their tasks when nothing reads them any more.
    (0..5).for_each(|_| runtime.run(|| ()));
    drop(handle);
    (0..20).for_each(|_| runtime.run(|| ()));
    assert_eq!(tasks_of(&runtime, "reader"), 0);
    // The edges from the input to `twice` are not committed, so the nodes have to be there.
    runtime.update(|update| update.set(&text, "d".repeat(100))).expect("no session is open");
    runtime.run(|| assert_eq!(reader(text.clone()), 200));
}

#[test]
fn a_task_that_has_gone_is_stale_when_what_it_has_read_changes() {
    let runtime = Runtime::builder().memory_cap(0).storage(MemoryStorage::new()).build();
    let text = runtime.input("text", "abc".to_owned());
    runtime.run(|| assert_eq!(length(text.clone()), 3));
    runtime.flush().expect("nothing is wrong with the store");
    runtime.run(|| ());
    assert_eq!(runtime.stats().tasks, 0);
    runtime.update(|update| update.set(&text, "abcd".to_owned())).expect("no session is open");
    runtime.run(|| assert_eq!(length(text.clone()), 4));
    runtime.flush().expect("nothing is wrong with the store");
    runtime.run(|| ());
    // Back to before: nothing runs.
    runtime.update(|update| update.set(&text, "abc".to_owned())).expect("no session is open");
    runtime.run(|| assert_eq!(length(text.clone()), 3));
    assert_eq!((runs_of(&runtime, "shout"), runs_of(&runtime, "length")), (2, 2));
}

#[test]
fn a_store_that_is_compacted_on_close_holds_what_it_held_in_less_space() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let fill = |name: &str, compacts: bool| {
        let path = folder.path().join(name);
        let store = RedbStorage::open(&path).expect("nobody else has it open");
        let builder = Runtime::builder().storage(store).max_results_per_call(1).compact_on_close(compacts);
        let runtime = builder.build();
        let texts: Vec<_> =
            (0..200).map(|number| runtime.input(&format!("t{number}"), String::new())).collect();
        for edit in 0..10 {
            let set = |update: &mut Update| {
                texts.iter().for_each(|text| update.set(text, format!("{edit:>500}")));
            };
            runtime.update(set).expect("no session is open");
            runtime.run(|| texts.iter().for_each(|text| assert_eq!(length(text.clone()), 500)));
            runtime.flush().expect("the disk takes it");
        }
        drop(runtime);
        let bytes = std::fs::metadata(&path).expect("the file is there").len();
        let store = RedbStorage::open(&path).expect("nobody else has it open");
        let runtime = Runtime::builder().storage(store).build();
        let text = runtime.input("t7", format!("{:>500}", 9));
        runtime.run(|| assert_eq!(length(text.clone()), 500));
        assert_eq!(runtime.stats().runs(), 0);
        bytes
    };
    let (compacted, as_it_is) = (fill("compacted", true), fill("as it is", false));
    assert!(compacted < as_it_is, "{compacted} and {as_it_is}");
}

#[test]
fn a_function_that_is_cleared_loses_what_only_the_store_has() {
    let store = std::sync::Arc::new(MemoryStorage::new());
    let open = || Runtime::builder().storage(store.clone()).build();
    let asks =
        |runtime: &Runtime| runtime.run(|| (0..10).for_each(|number| _ = (page(number), title(number))));
    let first = open();
    asks(&first);
    drop(first);
    let second = open();
    assert_eq!(second.run(|| (page(3), page::clear()).1), 10, "one of them is in memory");
    assert_eq!(second.run(page::clear), 0);
    // A run that waits to be stored is cleared as well.
    second.run(|| _ = page(20));
    assert_eq!(second.run(page::clear), 1);
    asks(&second);
    assert_eq!((runs_of(&second, "page"), runs_of(&second, "title")), (11, 0));
    drop(second);
    let third = open();
    asks(&third);
    assert_eq!((runs_of(&third, "page"), runs_of(&third, "title")), (0, 0));
}
