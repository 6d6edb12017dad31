//! Parts of async functions, which are awaited.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use larder::storage::MemoryStorage;
use larder::{CancelToken, Input, Runtime, TaskError, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor::{block_on, give_way};

use super::{of, runs};

type Table = BTreeMap<String, usize>;

/// `name number` on each line; fails at a line of one word.
#[task_fn]
async fn table(file: &Input<String>) -> Table {
    give_way().await;
    let entry = |line: &str| {
        let (name, number) = line.split_once(' ').expect("a name and a number");
        (name.to_owned(), number.parse().unwrap_or_default())
    };
    file.with(|text| text.lines().map(entry).collect())
}

#[task_fn]
async fn twice(file: &Input<String>, name: &str) -> usize {
    table::part(file, name, |table, name| table.get(name).copied()).await.unwrap_or_default() * 2
}

#[task_fn]
async fn sum(file: &Input<String>) -> usize {
    let mut sum = 0;
    for name in table::keys(file).await {
        sum += twice(file, &name).await;
    }
    sum
}

/// The bodies that have run: of `table`, `twice`, `sum` and of parts.
fn all_runs(runtime: &Runtime) -> [u64; 4] {
    ["table", "twice", "sum", "part"].map(|name| runs(runtime, name))
}

fn set(runtime: &Runtime, file: &Input<String>, text: &str) {
    runtime.update(|update| update.set(file, text.to_owned())).unwrap();
}

fn asked(runtime: &Runtime, file: &Input<String>) -> usize {
    block_on(runtime.run_async(sum(file)))
}

#[test]
fn readers_of_equal_parts_do_not_run() {
    let runtime = Runtime::new();
    let file = runtime.input("file", "a 1\nb 2".to_owned());
    assert_eq!(asked(&runtime, &file), 6);
    assert_eq!(all_runs(&runtime), [1, 2, 1, 3]);
    set(&runtime, &file, "b 2\na 1");
    assert_eq!(asked(&runtime, &file), 6);
    assert_eq!(all_runs(&runtime), [2, 2, 1, 3]);
    set(&runtime, &file, "b 5\na 1");
    assert_eq!(asked(&runtime, &file), 12);
    assert_eq!(all_runs(&runtime), [3, 3, 2, 3]);
    // The values were equal in the first of the two runs, so the table was cut off itself.
    assert_eq!(of(&runtime, "part").settled, 3);
    set(&runtime, &file, "c 7\nb 5\na 1");
    assert_eq!(asked(&runtime, &file), 26);
    assert_eq!(all_runs(&runtime), [4, 4, 3, 4]);
    // Unchanged: nothing runs.
    assert_eq!(asked(&runtime, &file), 26);
    assert_eq!(all_runs(&runtime), [4, 4, 3, 4]);
}

#[test]
fn entries_and_parts_of_transient_functions_are_awaited() {
    #[derive(Clone, PartialEq)]
    struct Unstored(usize);
    #[task_fn(transient)]
    async fn list(file: &Input<String>) -> Vec<Unstored> {
        table(file).await.into_values().map(Unstored).collect()
    }
    #[task_fn(transient)]
    async fn first(file: &Input<String>) -> usize {
        let part = list::part(file, &0, |list, at| list.get(*at).cloned()).await;
        let entry = list::entry(file, &0).await;
        assert!(part == entry);
        part.map_or(0, |Unstored(number)| number)
    }
    let runtime = Runtime::new();
    let file = runtime.input("file", "a 1\nb 2".to_owned());
    let values =
        || block_on(runtime.run_async(async || (first(&file).await, table::entry(&file, "b").await)));
    assert_eq!(values(), (1, Some(2)));
    set(&runtime, &file, "a 1\nb 3");
    assert_eq!(values(), (1, Some(3)));
    assert_eq!((runs(&runtime, "list"), runs(&runtime, "first")), (2, 1));
    set(&runtime, &file, "a 4");
    assert_eq!(values(), (4, None));
}

#[test]
fn a_hit_is_ready_and_a_call_may_be_written_outside_of_a_session() {
    let runtime = Runtime::new();
    let file = runtime.input("file", "a 1".to_owned());
    let call = || table::part(&file, "a", |table, name| table.get(name).copied());
    assert_eq!(block_on(runtime.run_async(call())), Some(1));
    assert!(runtime.run(|| table::entry(&file, "a").is_ready() | table::is_cached(&file)));
    runtime.run(|| assert_eq!(call().try_ready().ok(), Some(Some(1))));
}

#[test]
fn awaiting_a_part_keeps_no_thread_waiting() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    #[task_fn(transient)]
    async fn slow() -> (u32, u32) {
        poll_fn(|context| match OPEN.load(SeqCst) {
            0 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready((1, 2)),
        })
        .await
    }
    in_time(|| {
        let runtime = Runtime::new();
        let mut session = pin!(runtime.run_async(async || slow::part(&(), |pair, ()| pair.1).await));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(session.as_mut().poll(&mut context).is_pending());
        }
        OPEN.store(1, SeqCst);
        assert_eq!(block_on(session), 2);
        assert_eq!(runs(&runtime, "slow"), 1);
    });
}

#[test]
fn a_session_that_is_cancelled_leaves_a_part_to_the_next() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    #[task_fn(transient)]
    async fn slow(n: &Input<u32>) -> (u32, u32) {
        while OPEN.load(SeqCst) == 0 {
            give_way().await;
        }
        (n.get(), 2)
    }
    #[task_fn(transient)]
    async fn reader(n: &Input<u32>) -> u32 {
        slow::part(n, &(), |pair, ()| pair.0).await
    }
    in_time(|| {
        let runtime = Runtime::new();
        let n = runtime.input("n", 1);
        let token = CancelToken::new();
        {
            let mut session = pin!(runtime.session().token(&token).try_run_async(reader(&n)));
            let mut context = Context::from_waker(Waker::noop());
            assert!(session.as_mut().poll(&mut context).is_pending());
            token.cancel();
            assert!(matches!(block_on(session), Err(TaskError::Cancelled)));
        }
        // One that is dropped holds nothing back.
        {
            let mut session = pin!(runtime.run_async(reader(&n)));
            assert!(session.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        runtime.update(|update| update.set(&n, 5)).unwrap();
        OPEN.store(1, SeqCst);
        assert_eq!(block_on(runtime.run_async(reader(&n))), 5);
        assert_eq!((runs(&runtime, "slow"), runs(&runtime, "reader"), runs(&runtime, "part")), (1, 1, 1));
    });
}

#[test]
fn a_source_that_fails_fails_its_parts_until_it_comes_back() {
    let runtime = Runtime::new();
    let file = runtime.input("file", "a 1".to_owned());
    let value = || block_on(runtime.try_run_async(twice(&file, "a")));
    assert_eq!(value().unwrap(), 2);
    set(&runtime, &file, "a");
    let error = value().unwrap_err().to_string();
    assert!(error.contains("a name and a number"), "{error}");
    set(&runtime, &file, "a 1\nb 1");
    assert_eq!(value().unwrap(), 2);
    assert_eq!(runs(&runtime, "table"), 3);
    // A selection that panics is its part's failure, and leaves others alone.
    let at = |name: &'static str| {
        let call = async || table::part(&file, name, |table, name| table[name]).await;
        block_on(runtime.try_run_async(call))
    };
    assert_eq!(at("b").unwrap(), 1);
    set(&runtime, &file, "a 3");
    assert!(matches!(at("b"), Err(TaskError::Panicked { .. })));
    assert_eq!(at("a").unwrap(), 3);
    set(&runtime, &file, "a 3\nb 4");
    assert_eq!(at("b").unwrap(), 4);
}

#[test]
fn a_part_of_a_source_that_reads_it_is_a_cycle() {
    #[task_fn(transient)]
    async fn turns(n: &Input<u32>) -> (u32, u32) {
        match n.get() {
            0 => (back(n).await, 0),
            n => (n, n),
        }
    }
    #[task_fn(transient)]
    async fn back(n: &Input<u32>) -> u32 {
        turns::part(n, &(), |pair, ()| pair.0).await
    }
    in_time(|| {
        let runtime = Runtime::new();
        let n = runtime.input("n", 0);
        let value = || block_on(runtime.try_run_async(back(&n)));
        let error = value().unwrap_err();
        let TaskError::Cycle(cycle) = &error else { panic!("{error}") };
        assert!(cycle.to_string().contains("part(turns("), "{cycle}");
        runtime.update(|update| update.set(&n, 3)).unwrap();
        assert_eq!(value().unwrap(), 3);
        runtime.update(|update| update.set(&n, 0)).unwrap();
        assert!(matches!(value(), Err(TaskError::Cycle(_))));
    });
}

#[test]
fn a_store_has_them_after_a_restart() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).try_build().unwrap();
    {
        let runtime = open();
        let file = runtime.input("file", "a 1\nb 2\nc 3".to_owned());
        assert_eq!(asked(&runtime, &file), 12);
        assert_eq!(all_runs(&runtime), [1, 3, 1, 4]);
        runtime.flush().unwrap();
    }
    {
        let runtime = open();
        let file = runtime.input("file", "a 1\nb 2\nc 3".to_owned());
        assert_eq!(asked(&runtime, &file), 12);
        assert_eq!(all_runs(&runtime), [0; 4]);
        set(&runtime, &file, "c 3\nb 2\na 2");
        assert_eq!(asked(&runtime, &file), 14);
        // The first reader of each kind of part makes it known; of those by name it is the one that has changed.
        assert_eq!(all_runs(&runtime)[..3], [1, 1, 1]);
        runtime.flush().unwrap();
    }
    {
        // The file has changed while no process was there.
        let runtime = open();
        let file = runtime.input("file", "c 4\nb 2\na 2".to_owned());
        assert_eq!(asked(&runtime, &file), 16);
        assert_eq!(runs(&runtime, "table"), 1);
        assert!(runs(&runtime, "twice") <= 2, "the first reader of its kind, and the one that has changed");
        runtime.flush().unwrap();
    }
    {
        let runtime = open();
        let file = runtime.input("file", "c 4\nb 2\na 2".to_owned());
        assert_eq!(asked(&runtime, &file), 16);
        assert_eq!(all_runs(&runtime), [0; 4]);
    }
}

#[test]
fn what_is_evicted_or_forgotten_comes_back() {
    let store = MemoryStorage::new();
    let builder = || Runtime::builder().memory_cap(0);
    for runtime in [builder().build(), builder().storage(store).try_build().unwrap()] {
        let file = runtime.input("file", "a 1\nb 0".to_owned());
        for round in 0..5 {
            set(&runtime, &file, &format!("a 1\nb {round}"));
            assert_eq!(asked(&runtime, &file), 2 + 2 * round);
            runtime.run(|| table::forget(&file));
            assert_eq!(block_on(runtime.run_async(twice(&file, "b"))), 2 * round);
            let part = async || table::part(&file, "a", |table, name| table.get(name).copied()).await;
            assert_eq!(block_on(runtime.run_async(part)), Some(1));
        }
    }
}

#[test]
fn emitted_values_of_the_source_are_collected_through_a_part() {
    #[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
    struct Note(usize);
    #[task_fn]
    async fn list(n: &Input<usize>) -> Vec<usize> {
        give_way().await;
        larder::emit(Note(n.get()));
        (0..n.get()).collect()
    }
    #[task_fn]
    async fn first(n: &Input<usize>) -> Option<usize> {
        list::entry(n, &0_usize).await
    }
    let runtime = Runtime::new();
    let n = runtime.input("n", 2);
    let notes = || runtime.run(|| first::collect::<Note>(&n));
    assert_eq!(notes(), [Note(2)]);
    runtime.update(|update| update.set(&n, 3)).unwrap();
    assert_eq!(notes(), [Note(3)]);
    assert_eq!(runs(&runtime, "first"), 1);
}

/// Sync code reads an async function's parts by what reads them: the thread drives them.
#[test]
fn a_sync_reader_of_what_reads_a_part_is_cut_off() {
    #[task_fn]
    fn reads(file: &Input<String>) -> usize {
        twice::task(file, "a").get() + 1
    }
    let runtime = Runtime::new();
    let file = runtime.input("file", "a 1\nb 2".to_owned());
    assert_eq!(runtime.run(|| reads(&file)), 3);
    set(&runtime, &file, "a 1\nb 3");
    assert_eq!(runtime.run(|| reads(&file)), 3);
    assert_eq!((runs(&runtime, "reads"), runs(&runtime, "twice"), runs(&runtime, "table")), (1, 1, 2));
}

#[test]
fn executors_that_await_parts_of_one_source_share_its_run() {
    in_time(|| {
        let runtime = Runtime::new();
        let text = |round: usize| (0..50).map(|i| format!("n{i} {}\n", i * round % 7)).collect::<String>();
        let file = runtime.input("file", text(0));
        for round in 1..20 {
            set(&runtime, &file, &text(round));
            let expected: usize = (0..50).map(|i| i * round % 7 * 2).sum();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| assert_eq!(asked(&runtime, &file), expected));
                }
            });
        }
        assert_eq!(runs(&runtime, "table"), 19);
    });
}
