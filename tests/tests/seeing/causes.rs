//! Each cause of a run is told as what it is, and hits are not told of.

use std::time::Duration;

use larder::storage::MemoryStorage;
use larder::{CancelToken, Input, Runtime, TaskError, task_fn};

use super::{Told, both, set};

#[task_fn(transient)]
fn plain(n: u64) -> u64 {
    n
}

#[test]
fn first_runs_are_told_of_and_hits_are_not() {
    let runtime = Runtime::new();
    let told = Told::of(&runtime);
    runtime.run(|| plain(7));
    assert_eq!(told.take(), ["plain(7): ran: First"]);
    runtime.run(|| (plain(7), plain(7)));
    assert!(told.take().is_empty());
}

#[test]
fn the_changed_read_is_told_with_its_position() {
    let runtime = Runtime::new();
    let (one, other) = (runtime.input("one", 10), runtime.input("other", 20));
    runtime.run(|| both(&one, &other));
    let told = Told::of(&runtime);
    set(&runtime, &other, 40);
    runtime.run(|| both(&one, &other));
    assert_eq!(
        told.in_order(),
        [
            r#"half(input("other")): ran: read 0, input("other"), changed: Changed"#,
            r#"both(input("one"), input("other")): ran: read 1, half(input("other")), changed: Changed"#,
        ]
    );
}

#[test]
fn a_run_that_comes_to_an_equal_value_is_cut_off_and_its_reader_verified() {
    let runtime = Runtime::new();
    let (one, other) = (runtime.input("one", 10), runtime.input("other", 20));
    runtime.run(|| both(&one, &other));
    let told = Told::of(&runtime);
    set(&runtime, &one, 11);
    runtime.run(|| both(&one, &other));
    assert_eq!(
        told.in_order(),
        [
            r#"half(input("one")): ran: read 0, input("one"), changed: CutOff"#,
            r#"both(input("one"), input("other")): verified"#,
        ]
    );
}

#[task_fn(transient, volatile)]
fn now() -> u64 {
    3
}

#[task_fn(transient, ttl = Duration::ZERO)]
fn short() -> u64 {
    4
}

#[task_fn(transient, keep_if = |n| *n > 10)]
fn kept_if_large(n: u64) -> u64 {
    n
}

#[test]
fn results_that_do_not_last_say_why() {
    let runtime = Runtime::new();
    let told = Told::of(&runtime);
    let ask = || runtime.run(|| (now(), short(), kept_if_large(3), kept_if_large(30)));
    // An expired result goes if nothing holds it.
    let _handle = runtime.run(short::task);
    ask();
    assert_eq!(told.take().len(), 4);
    ask();
    assert_eq!(
        told.take(),
        [
            "kept_if_large(3): ran: NotKept: CutOff",
            "now(): ran: Volatile: CutOff",
            "short(): ran: Expired: CutOff"
        ]
    );
}

#[test]
fn a_forgotten_result_is_computed_again_for_that() {
    let runtime = Runtime::new();
    runtime.run(|| plain(8));
    let told = Told::of(&runtime);
    // A handle keeps the task; without one it would be a new one.
    let _handle = runtime.run(|| plain::task(8));
    runtime.run(|| plain::forget(8));
    runtime.run(|| plain(8));
    assert_eq!(told.take(), ["plain(8): ran: Forgotten"]);
}

#[task_fn(transient)]
fn fails_below(input: &Input<u64>) -> u64 {
    assert!(input.get() >= 10, "too small");
    input.get()
}

#[test]
fn a_failed_run_is_told_of_and_the_next_one_says_so() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 1);
    let told = Told::of(&runtime);
    assert!(runtime.try_run(|| fails_below(&input)).is_err());
    assert_eq!(told.take(), [r#"fails_below(input("i")): ran: First: Failed"#]);
    set(&runtime, &input, 12);
    runtime.run(|| fails_below(&input));
    assert_eq!(told.take(), [r#"fails_below(input("i")): ran: Failed"#]);
}

#[task_fn(transient)]
fn cancels(input: &Input<u64>, token: Token) -> u64 {
    let value = input.get();
    if let Some(token) = token.0.lock().unwrap().take() {
        token.cancel();
    }
    plain(value)
}

#[derive(Clone)]
struct Token(std::sync::Arc<std::sync::Mutex<Option<CancelToken>>>);
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Token {}
impl std::hash::Hash for Token {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::sync::Arc::as_ptr(&self.0).hash(state);
    }
}
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("token")
    }
}

#[test]
fn a_cancelled_run_is_no_result() {
    let runtime = Runtime::new();
    let told = Told::of(&runtime);
    let token = CancelToken::new();
    let input = runtime.input("i", 76);
    let given = Token(std::sync::Arc::default());
    let ask = || cancels(&input, given.clone());
    assert_eq!(runtime.run(ask), 76);
    assert_eq!(told.take(), [r#"cancels(input("i"), token): ran: First"#, "plain(76): ran: First"]);
    set(&runtime, &input, 77);
    *given.0.lock().unwrap() = Some(token.clone());
    let outcome = runtime.session().token(&token).try_run(ask);
    assert!(matches!(outcome, Err(TaskError::Cancelled)), "{outcome:?}");
    assert_eq!(told.take(), [r#"cancels(input("i"), token): ran: read 0, input("i"), changed: Cancelled"#]);
    assert_eq!(runtime.run(ask), 77);
    assert_eq!(
        told.take(),
        [r#"cancels(input("i"), token): ran: Unfinished: Changed"#, "plain(77): ran: First"]
    );
}

#[task_fn]
fn stored_half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

#[task_fn]
fn stored_top(input: &Input<u64>) -> u64 {
    stored_half(input) + 1
}

#[test]
fn a_restart_restores_and_says_which_read_differs() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).build();
    let first = open();
    let input = first.input("i", 10);
    first.run(|| stored_top(&input));
    drop((input, first));

    let second = open();
    let told = Told::of(&second);
    let input = second.input("i", 10);
    second.run(|| stored_top(&input));
    assert_eq!(told.take(), [r#"stored_top(input("i")): restored"#]);
    drop((told, input, second));

    let third = open();
    let told = Told::of(&third);
    let input = third.input("i", 20);
    third.run(|| stored_top(&input));
    assert_eq!(
        told.in_order(),
        [
            r#"stored_half(input("i")): ran: stored read Some(input("i")) differs"#,
            r#"stored_top(input("i")): ran: stored read Some(stored_half(input("i"))) differs"#,
        ]
    );
}

#[task_fn(weight = |text| text.len())]
fn heavy_text(n: u64) -> String {
    n.to_string().repeat(1000)
}

#[task_fn]
fn length_of_text(n: u64) -> usize {
    heavy_text(n).len()
}

#[test]
fn an_evicted_output_comes_back_from_the_store() {
    let store = MemoryStorage::new();
    let runtime = Runtime::builder().storage(store).build();
    runtime.run(|| length_of_text(5));
    runtime.flush().unwrap();
    runtime.shrink_to(0).unwrap();
    let told = Told::of(&runtime);
    runtime.run(|| heavy_text(5));
    assert_eq!(told.take(), ["heavy_text(5): restored"]);
}

#[expect(clippy::ptr_arg, reason = "a selection takes the value of the task")]
fn first_of(values: &Vec<u64>, _: &()) -> u64 {
    values[0]
}

#[task_fn(transient)]
fn values(input: &Input<u64>) -> Vec<u64> {
    vec![input.get() / 10, input.get()]
}

#[task_fn(transient)]
fn reads_first(input: &Input<u64>) -> u64 {
    values::part(input, &(), first_of)
}

#[test]
fn parts_are_settled_by_their_source() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    runtime.run(|| reads_first(&input));
    let told = Told::of(&runtime);
    set(&runtime, &input, 11);
    runtime.run(|| reads_first(&input));
    let lines = told.take();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("settled, changed: false")), "{lines:?}");
    assert!(lines.contains(&r#"reads_first(input("i")): verified"#.to_owned()), "{lines:?}");
    set(&runtime, &input, 99);
    runtime.run(|| reads_first(&input));
    let lines = told.take();
    assert!(lines.iter().any(|line| line.ends_with("settled, changed: true")), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with("reads_first") && line.ends_with("Changed")),
        "{lines:?}"
    );
}

#[task_fn(transient, cycle_initial = 0)]
fn even(n: u64) -> u64 {
    odd(n).min(5) + 1
}

#[task_fn(transient)]
fn odd(n: u64) -> u64 {
    even(n).min(4)
}

#[test]
fn members_of_a_cycle_are_told_of_when_it_is_resolved() {
    let runtime = Runtime::new();
    let told = Told::of(&runtime);
    assert_eq!(runtime.run(|| even(1)), 5);
    let lines = told.take();
    let resolved: Vec<_> = lines.iter().filter(|line| line.contains("resolved")).collect();
    assert_eq!(resolved, ["even(1): resolved, changed: true", "odd(1): resolved, changed: true"]);
    let provisional = lines.iter().filter(|line| line.ends_with("Provisional")).count();
    assert_eq!(provisional as u64, runtime.stats().runs(), "{lines:?}");
}
