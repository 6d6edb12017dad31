//! Results that expire, over restarts: a stored one lasts as long as it would have done in the process that computed it.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use larder::testing::advance_clock;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

thread_local! {
    static LASTS: Cell<Duration> = const { Cell::new(HOUR) };
    static PRICE: Cell<u32> = const { Cell::new(7) };
}

#[task_fn(ttl = LASTS.get())]
fn price(what: &str) -> u32 {
    ran(format!("price {what}"));
    PRICE.get()
}

#[task_fn]
fn is_dear(what: &str) -> bool {
    ran(format!("is_dear {what}"));
    price(what) > 100
}

#[task_fn]
fn label(what: &str) -> String {
    ran(format!("label {what}"));
    format!("{what} {}", if is_dear(what) { "!" } else { "." })
}

fn set(lasts: Duration, price: u32) {
    LASTS.set(lasts);
    PRICE.set(price);
}

#[test]
fn another_process_restores_it_before_its_time_is_over() {
    on_each_store(|open| {
        set(HOUR, 7);
        open().run(|| label("tea"));
        take_ran();
        let second = open();
        assert_eq!(second.run(|| (label("tea"), price("tea"))), ("tea .".to_owned(), 7));
        assert_eq!(take_ran(), [""; 0]);
        // From here on the rest of the hour is left.
        advance_clock(&second, HOUR / 2);
        assert_eq!(second.run(|| price("tea")), 7);
        assert_eq!(take_ran(), [""; 0]);
        PRICE.set(8);
        advance_clock(&second, HOUR / 2);
        assert_eq!(second.run(|| (price("tea"), label("tea"))), (8, "tea .".to_owned()));
        assert_eq!(take_ran(), ["is_dear tea", "price tea"]);
    });
}

#[test]
fn it_expires_while_no_process_runs() {
    on_each_store(|open| {
        AHEAD.set(Duration::ZERO);
        set(HOUR, 7);
        open().run(|| label("tea"));
        assert_eq!(take_ran(), ["is_dear tea", "label tea", "price tea"]);
        AHEAD.set(HOUR * 2);
        set(HOUR, 300);
        assert_eq!(open().run(|| label("tea")), "tea !");
        assert_eq!(take_ran(), ["is_dear tea", "label tea", "price tea"]);
        assert_eq!(open().run(|| (label("tea"), price("tea"))), ("tea !".to_owned(), 300));
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn one_that_comes_to_the_same_leaves_its_readers_current() {
    on_each_store(|open| {
        AHEAD.set(Duration::ZERO);
        set(HOUR, 7);
        open().run(|| label("tea"));
        take_ran();
        AHEAD.set(HOUR * 2);
        set(HOUR, 8);
        assert_eq!(open().run(|| label("tea")), "tea .");
        assert_eq!(
            take_ran(),
            ["is_dear tea", "price tea"],
            "it has come to another price, which is not dear"
        );
    });
}

#[test]
fn a_reader_that_is_only_stored_does_not_outlive_it() {
    on_each_store(|open| {
        set(HOUR, 7);
        open().run(|| label("tea"));
        take_ran();
        let second = open();
        // Nothing of it is in memory when its time is over.
        second.run(|| label("salt"));
        take_ran();
        advance_clock(&second, HOUR);
        set(HOUR, 300);
        assert_eq!(second.run(|| label("tea")), "tea !");
        assert_eq!(take_ran(), ["is_dear tea", "label tea", "price tea"]);
        drop(second);
        assert_eq!(open().run(|| label("tea")), "tea !");
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn sessions_that_overlap_its_end_see_one_state_of_the_world() {
    on_each_store(|open| {
        set(HOUR, 7);
        open().run(|| label("tea"));
        take_ran();
        let second = open();
        second.run(|| {
            advance_clock(&second, HOUR);
            PRICE.set(300);
            assert_eq!((label("tea"), price("tea")), ("tea .".to_owned(), 7));
        });
        assert_eq!(take_ran(), [""; 0]);
        assert_eq!(second.run(|| (label("tea"), price("tea"))), ("tea !".to_owned(), 300));
    });
    take_ran();
}

#[task_fn(expires = |found| found.map(|_| HOUR))]
fn found(key: u32) -> Option<u32> {
    ran(format!("found {key}"));
    key.is_multiple_of(2).then_some(key)
}

#[task_fn(keep_if = |found| found.is_some(), ttl = HOUR)]
fn kept(key: u32) -> Option<u32> {
    ran(format!("kept {key}"));
    key.is_multiple_of(2).then_some(key)
}

#[test]
fn a_result_says_for_itself_whether_it_expires_and_whether_it_is_kept() {
    on_each_store(|open| {
        open().run(|| (found(1), found(2), kept(1), kept(2)));
        assert_eq!(take_ran(), ["found 1", "found 2", "kept 1", "kept 2"]);
        let second = open();
        second.run(|| (found(1), found(2), kept(1), kept(2)));
        assert_eq!(take_ran(), ["kept 1"]);
        advance_clock(&second, HOUR);
        second.run(|| (found(1), found(2), kept(1), kept(2)));
        assert_eq!(take_ran(), ["found 2", "kept 1", "kept 2"]);
    });
}

#[test]
fn one_that_expires_at_once_is_not_stored() {
    set(Duration::ZERO, 7);
    on_each_store(|open| {
        let first = open();
        first.run(|| is_dear("tea"));
        let unstored = first.stats().storage.unwrap().unstored;
        let reasons: Vec<_> = unstored.iter().map(|unstored| unstored.reason).collect();
        assert_eq!(reasons, [Reason::ReadsUnstored, Reason::DoesNotLast]);
        drop(first);
        open().run(|| is_dear("tea"));
        assert_eq!(take_ran(), ["is_dear tea", "is_dear tea", "price tea", "price tea"]);
    });
}

#[task_fn(ttl = HOUR)]
fn of_input(input: Input<u32>) -> u32 {
    ran(format!("of_input {}", input.get()));
    input.get() / 2
}

#[test]
fn an_earlier_state_of_its_reads_is_found_again_while_it_lasts() {
    on_each_store(|open| {
        let runtime = open();
        let input = runtime.input("i", 1);
        runtime.run(|| of_input(input.clone()));
        runtime.update(|update| update.set(&input, 2)).unwrap();
        runtime.run(|| of_input(input.clone()));
        take_ran();
        runtime.update(|update| update.set(&input, 1)).unwrap();
        assert_eq!(runtime.run(|| of_input(input.clone())), 0);
        assert_eq!(take_ran(), [""; 0], "its first run is not over yet");
        advance_clock(&runtime, HOUR);
        assert_eq!(runtime.run(|| of_input(input.clone())), 0);
        assert_eq!(take_ran(), ["of_input 1"]);
        runtime.update(|update| update.set(&input, 2)).unwrap();
        assert_eq!(runtime.run(|| of_input(input.clone())), 1);
        assert_eq!(take_ran(), ["of_input 2"], "that run is over as well");
    });
}

#[test]
fn results_that_are_computed_anew_again_and_again_leave_nothing_behind() {
    set(HOUR, 7);
    let runtime = open(&MemoryStorage::new());
    let mut tasks = Vec::new();
    for round in 0..100 {
        PRICE.set(round);
        assert_eq!(runtime.run(|| price("tea")), round);
        advance_clock(&runtime, HOUR);
        runtime.run(|| {});
        tasks.push(runtime.memory().functions.iter().map(|function| function.tasks).sum::<usize>());
    }
    assert!(tasks[99] <= tasks[10], "{tasks:?}");
    take_ran();
}

#[task_fn(ttl = HOUR)]
async fn price_async(what: u32) -> u32 {
    std::future::ready(()).await;
    ran(format!("price_async {what}"));
    what
}

#[test]
fn those_of_async_bodies_and_of_scopes_are_stored() {
    #[task_fn]
    fn sum() -> u32 {
        larder::par_map(0..8, of_thread).into_iter().sum()
    }
    #[task_fn(ttl = HOUR)]
    fn of_thread(n: u32) -> u32 {
        n
    }
    let runs = |runtime: &Runtime| runtime.stats().runs();
    on_each_store(|open| {
        let first = open();
        assert_eq!(larder_tests::executor::block_on(first.run_async(price_async(3))), 3);
        assert_eq!(first.run(sum), 28);
        drop(first);
        let second = open();
        assert_eq!(larder_tests::executor::block_on(second.run_async(price_async(3))), 3);
        assert_eq!(second.run(sum), 28);
        assert_eq!(runs(&second), 0);
        advance_clock(&second, HOUR);
        assert_eq!(second.run(sum), 28);
        assert_eq!(runs(&second), 8, "the sum is what it was");
    });
    take_ran();
}

#[test]
fn deadlines_that_have_passed_leave_the_store() {
    set(HOUR, 7);
    let store = MemoryStorage::new();
    let runtime = open(&store);
    let mut sizes = Vec::new();
    for round in 0..40 {
        PRICE.set(round);
        runtime.run(|| label("tea"));
        advance_clock(&runtime, HOUR);
        runtime.run(|| {});
        runtime.flush().unwrap();
        sizes.push(store.size().unwrap());
    }
    // The writer sweeps behind its batches, whenever it comes to it. One deadline would leave 66 bytes, so 19 would be seen.
    let has_settled = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(1));
        store.size().unwrap() <= sizes[20]
    });
    assert!(has_settled, "{sizes:?}");
    take_ran();
}

/// The records of tasks and of older traces, when nothing goes any more. The writer sweeps behind its batches.
fn left(runtime: &Runtime) -> (u64, u64) {
    let of = |table: Table| {
        let report = runtime.storage_report().unwrap().unwrap();
        assert!(report.is_sound(), "{:?}", report.damage);
        report.records[Table::ALL.iter().position(|other| *other == table).unwrap()]
    };
    let count = || (of(Table::Tasks), of(Table::Traces));
    let beat = runtime.input("beat", 0);
    let mut before = count();
    for n in 1.. {
        runtime.update(|update| update.set(&beat, n)).unwrap();
        runtime.flush().unwrap();
        if n % 10 == 0 && std::mem::replace(&mut before, count()) == before {
            break;
        }
    }
    before
}

#[test]
fn what_has_expired_leaves_the_store_unless_something_has_read_it() {
    set(HOUR, 7);
    let store = MemoryStorage::new();
    let runtime = open(&store);
    for round in 0..20 {
        runtime.run(|| (label("milk"), price("tea"), price_of(round)));
        advance_clock(&runtime, HOUR);
        runtime.run(|| {});
    }
    // `label`, `is_dear` and the price of milk, by which they are verified; and its run before the last, which was of use until that ran.
    let (tasks, older) = left(&runtime);
    assert!(tasks == 3 && older <= 1, "{tasks} tasks, {older} older runs");
    drop(runtime);
    take_ran();
    set(HOUR, 8);
    let second = open(&store);
    assert_eq!(second.run(|| label("milk")), "milk .");
    assert_eq!(take_ran(), ["is_dear milk", "price milk"], "the price is another one, and not dear");
}

/// A key that is asked for once.
#[task_fn(ttl = HOUR)]
fn price_of(key: u32) -> u32 {
    key
}

#[test]
fn a_run_that_lasts_takes_the_place_of_the_last_one_that_has_expired() {
    #[task_fn(ttl = LASTS.get())]
    fn limited(input: Input<u32>) -> u32 {
        ran(format!("limited {}", input.get()));
        input.get() / 2
    }
    let store = MemoryStorage::new();
    let runtime = open(&store);
    let input = runtime.input("i", 1);
    set(HOUR * 2, 0);
    runtime.run(|| limited(input.clone()));
    runtime.update(|update| update.set(&input, 4)).unwrap();
    set(HOUR, 0);
    runtime.run(|| limited(input.clone()));
    assert_eq!(left(&runtime), (1, 1));
    advance_clock(&runtime, HOUR);
    runtime.run(|| {});
    assert_eq!(left(&runtime), (1, 0));
    take_ran();
    runtime.update(|update| update.set(&input, 1)).unwrap();
    assert_eq!(runtime.run(|| limited(input.clone())), 0);
    assert_eq!(take_ran(), [""; 0], "it lasts for another hour");
    advance_clock(&runtime, HOUR);
    runtime.run(|| {});
    assert_eq!(left(&runtime), (0, 0));
    assert_eq!(runtime.run(|| limited(input.clone())), 0);
    assert_eq!(take_ran(), ["limited 1"]);
}

thread_local! {
    static ANSWER: Cell<Result<u32, ()>> = const { Cell::new(Err(())) };
}

#[task_fn(no_errors, last_good, ttl = HOUR)]
fn rate(of: &str) -> Result<u32, String> {
    ran(format!("rate {of}"));
    ANSWER.get().map_err(|()| "no answer".to_owned())
}

#[task_fn]
fn twice_the_rate(of: &str) -> u32 {
    ran(format!("twice_the_rate {of}"));
    2 * rate(of).unwrap_or(0)
}

#[test]
fn the_last_good_result_stands_in_after_a_restart() {
    on_each_store(|open| {
        AHEAD.set(Duration::ZERO);
        let ask = |runtime: &Runtime| runtime.run(|| (rate("x").ok(), twice_the_rate("x")));
        ANSWER.set(Err(()));
        assert_eq!(ask(&open()), (None, 0), "there is nothing to fall back on");
        ANSWER.set(Ok(7));
        assert_eq!(ask(&open()), (Some(7), 14));
        take_ran();
        ANSWER.set(Err(()));
        assert_eq!(ask(&open()), (Some(7), 14));
        assert_eq!(take_ran(), [""; 0], "its time is not over");
        AHEAD.set(HOUR * 2);
        for _ in 0..2 {
            let runtime = open();
            // Twice in a process: from the store, and from memory.
            for _ in 0..2 {
                assert_eq!(ask(&runtime), (Some(7), 14));
                assert!(take_ran().contains(&"rate x".to_owned()), "it is tried again");
            }
            assert_eq!(left(&runtime).0, 2, "what has expired is kept for that");
        }
        ANSWER.set(Ok(8));
        assert_eq!(ask(&open()), (Some(8), 16));
        take_ran();
        assert_eq!(ask(&open()), (Some(8), 16));
        assert_eq!(take_ran(), [""; 0]);
    });
    AHEAD.set(Duration::ZERO);
}

#[test]
fn the_last_good_result_comes_back_under_a_cap_and_for_bodies_that_are_async() {
    #[task_fn(no_errors, last_good, ttl = HOUR)]
    async fn rate_async(of: u32) -> Result<u32, String> {
        std::future::ready(()).await;
        ANSWER.get().map_err(|()| of.to_string())
    }
    let runtime = builder().memory_cap(0).storage(MemoryStorage::new()).code_identity("test").build();
    let ask = || {
        let answer = larder_tests::executor::block_on(runtime.run_async(rate_async(1)));
        (runtime.run(|| rate("x").ok()), answer.ok())
    };
    ANSWER.set(Ok(7));
    assert_eq!(ask(), (Some(7), Some(7)));
    advance_clock(&runtime, HOUR);
    ANSWER.set(Err(()));
    for _ in 0..3 {
        // The store is told of those that expire now.
        runtime.run(|| ());
        runtime.shrink_to(0).unwrap();
        assert_eq!(runtime.stats().tasks, 0, "{}", runtime.memory());
        assert_eq!(ask(), (Some(7), Some(7)));
    }
    // An hour begins with a good one, and a task that is forgotten has none.
    ANSWER.set(Ok(8));
    assert_eq!(ask(), (Some(8), Some(8)));
    runtime.run(|| rate::forget("x"));
    ANSWER.set(Err(()));
    assert_eq!(ask(), (None, Some(8)));
    take_ran();
}
