//! For how long results are kept: by a time, by what they are, not at all.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use larder::{Runtime, task_fn};

use super::runs_of;

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
