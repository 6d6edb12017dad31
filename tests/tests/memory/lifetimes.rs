//! For how long results are kept: by a time, by what they are, not at all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use larder::{Runtime, task_fn};

use super::{outputs_of, runs_of, tasks_of};

static MILLIS: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_time_to_live_is_asked_for_when_the_body_has_run() {
    #[task_fn(transient, ttl = Duration::from_millis(MILLIS.load(Relaxed)))]
    fn token() -> u32 {
        7
    }
    let runtime = Runtime::new();
    runtime.run(token);
    runtime.run(token);
    assert_eq!(runs_of(&runtime, "token"), 2);
    MILLIS.store(1 << 30, Relaxed);
    (0..3).for_each(|_| _ = runtime.run(token));
    assert_eq!(runs_of(&runtime, "token"), 3);
}

#[test]
fn a_result_says_how_long_it_lives() {
    #[derive(Clone, PartialEq)]
    struct Answer {
        max_age: Option<Duration>,
    }
    #[task_fn(transient, expires = |answer| answer.max_age)]
    fn answer(secs: Option<u64>) -> Answer {
        Answer { max_age: secs.map(Duration::from_secs) }
    }
    #[task_fn(transient, ttl = Duration::from_secs(1000), expires = |_| Duration::ZERO)]
    fn shorter() -> u32 {
        7
    }
    #[task_fn(transient, expires = |_| -> Duration { panic!("does not know") })]
    fn unknown() -> u32 {
        7
    }
    let runtime = Runtime::new();
    for _ in 0..3 {
        runtime.run(|| (answer(None), answer(Some(1000)), answer(Some(0)), shorter(), unknown()));
    }
    assert_eq!(
        (runs_of(&runtime, "answer"), runs_of(&runtime, "shorter"), runs_of(&runtime, "unknown")),
        (5, 3, 3)
    );
}

#[test]
fn what_is_not_to_be_kept_is_computed_again_in_the_next_session() {
    #[task_fn(transient, keep_if = |found| found.is_some())]
    fn find(key: u32) -> Option<u32> {
        key.is_multiple_of(2).then_some(key)
    }
    let runtime = Runtime::new();
    for _ in 0..3 {
        runtime.run(|| (find(1), find(1), find(2)));
    }
    assert_eq!(runs_of(&runtime, "find"), 4);
}

/// The answers of a server, in turn.
fn server(answers: &[Result<u32, &str>]) -> std::sync::Mutex<Vec<Result<u32, String>>> {
    std::sync::Mutex::new(answers.iter().rev().map(|answer| answer.map_err(str::to_owned)).collect())
}

#[test]
fn the_last_good_result_stands_in_for_a_failure() {
    static SERVER: std::sync::LazyLock<std::sync::Mutex<Vec<Result<u32, String>>>> =
        std::sync::LazyLock::new(|| server(&[Err("a"), Ok(1), Err("b"), Err("c"), Ok(1), Err("d"), Ok(2)]));
    #[task_fn(transient, no_errors, last_good, ttl = Duration::from_secs(3600))]
    fn rate() -> Result<u32, String> {
        SERVER.lock().unwrap().pop().expect("there are as many answers as questions")
    }
    #[task_fn(transient)]
    fn doubled() -> u32 {
        2 * rate().unwrap_or(0)
    }
    let runtime = Runtime::new();
    let ask = || runtime.run(|| (rate().ok(), doubled()));
    let later = || larder::testing::advance_clock(&runtime, Duration::from_secs(3600));
    assert_eq!(ask(), (None, 0), "there is nothing to fall back on");
    assert_eq!(ask(), (Some(1), 2));
    later();
    assert_eq!(ask(), (Some(1), 2), "b");
    assert_eq!(ask(), (Some(1), 2), "c, for the failure is not kept");
    assert_eq!(runs_of(&runtime, "doubled"), 2, "it has read the same all the time");
    assert_eq!((ask(), ask()), ((Some(1), 2), (Some(1), 2)));
    assert_eq!(runs_of(&runtime, "rate"), 5, "an hour begins with the good answer");
    later();
    assert_eq!((ask(), ask()), ((Some(1), 2), (Some(2), 4)), "d");
    assert_eq!((runs_of(&runtime, "rate"), runs_of(&runtime, "doubled")), (7, 3));
}

#[test]
fn a_last_good_result_over_other_reads_is_that_of_before_and_is_not_stored() {
    #[task_fn(keep_if = |parsed| parsed.is_some(), last_good)]
    fn parsed(text: larder::Input<String>) -> Option<u32> {
        text.with(|text| text.parse().ok())
    }
    let store = larder::storage::MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("test").build();
    let runtime = open();
    let text = runtime.input("text", "7".to_owned());
    let parse = |runtime: &Runtime, text: &larder::Input<String>| runtime.run(|| parsed(text.clone()));
    assert_eq!(parse(&runtime, &text), Some(7));
    runtime.update(|update| update.set(&text, "seven".to_owned())).unwrap();
    assert_eq!(parse(&runtime, &text), Some(7));
    runtime.update(|update| update.set(&text, "8".to_owned())).unwrap();
    assert_eq!(parse(&runtime, &text), Some(8));
    runtime.update(|update| update.set(&text, "eight".to_owned())).unwrap();
    assert_eq!(parse(&runtime, &text), Some(8));
    runtime.update(|update| update.set(&text, "7".to_owned())).unwrap();
    assert_eq!(parse(&runtime, &text), Some(7), "the first run is found again");
    runtime.update(|update| update.set(&text, "eight".to_owned())).unwrap();
    assert_eq!(parse(&runtime, &text), Some(7));
    drop((text, runtime));
    let second = open();
    let text = second.input("text", "eight".to_owned());
    assert_eq!(parse(&second, &text), Some(7), "the last good one, out of the store");
    assert_eq!(runs_of(&second, "parsed"), 1, "what stood in was not stored for these reads");
    second.run(|| parsed::forget(text.clone()));
    assert_eq!(parse(&second, &text), None, "there is nothing to fall back on");
}

#[test]
fn an_async_body_and_one_on_many_threads_fall_back_too() {
    static FAILS: AtomicU64 = AtomicU64::new(0);
    #[task_fn(transient, no_errors, last_good)]
    async fn fetched(key: u64) -> Result<u64, ()> {
        std::future::ready(()).await;
        if FAILS.load(Relaxed) == 0 { Ok(key) } else { Err(()) }
    }
    #[task_fn(transient, volatile, no_errors, last_good)]
    fn asked(key: u64) -> Result<u64, ()> {
        if FAILS.load(Relaxed) == 0 { Ok(key) } else { Err(()) }
    }
    let runtime = Runtime::new();
    for fails in 0..4 {
        FAILS.store(fails, Relaxed);
        let answer = larder_tests::executor::block_on(runtime.run_async(async { fetched(5).await }));
        assert_eq!(answer, Ok(5));
        let asked = runtime.run(|| larder::par_map(0..16, asked));
        assert_eq!(asked, (0..16).map(Ok).collect::<Vec<_>>());
        runtime.run(|| fetched::invalidate(5));
    }
}

#[test]
fn fleeting_results_go_with_their_session_and_their_readers_stay_current() {
    #[task_fn(transient, fleeting)]
    fn tree(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }
    #[task_fn(transient)]
    fn words(text: &str) -> usize {
        tree(text).len()
    }
    let runtime = Runtime::new();
    for _ in 0..3 {
        assert_eq!(runtime.run(|| words("to be or not")), 4);
        runtime.run(|| {});
        assert_eq!((tasks_of(&runtime, "tree"), outputs_of(&runtime, "tree")), (1, 0));
    }
    assert_eq!((runs_of(&runtime, "tree"), runs_of(&runtime, "words")), (1, 1));
    assert_eq!(runtime.run(|| tree("to be or not").len() + tree("to be or not").len()), 8);
    assert_eq!((runs_of(&runtime, "tree"), runs_of(&runtime, "words")), (2, 1));
}
