//! Arguments, outputs and call patterns that a runtime would rather not meet.

mod frames;
mod many;

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use larder::{Input, Runtime, Task, TaskError, UpdateError, task_fn};
use larder_tests::deadline::in_time;

/// The message of a panic of `work`.
fn panic_of<R>(work: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(work)) else { return "no panic".to_owned() };
    let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Hashes as every other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OneHash(u32);

impl Hash for OneHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(0);
    }
}

#[task_fn(transient)]
fn of_one_hash(n: OneHash, x: &Input<u32>) -> u32 {
    n.0 + x.get()
}

#[test]
fn arguments_of_one_hash_are_told_apart() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    for _ in 0..2 {
        runtime.run(|| (0..500).for_each(|n| assert_eq!(of_one_hash(OneHash(n), &x), n + 1)));
    }
    assert_eq!(runtime.stats().get("of_one_hash").map(|function| function.runs), Some(500));
    runtime.update(|update| update.set(&x, 2)).expect("no session is open");
    runtime.run(|| {
        (0..500).rev().for_each(|n| assert_eq!(of_one_hash(OneHash(n), &x), n + 2));
        (0..500).for_each(|n| assert!(of_one_hash::forget(OneHash(n), &x)));
    });
    runtime.run(|| (0..500).for_each(|n| assert_eq!(of_one_hash(OneHash(n), &x), n + 2)));
    assert_eq!(runtime.stats().tasks, 500);
}

/// Panics in one of its impls when told to.
#[derive(Debug)]
struct Touchy(u32, &'static Fuses);

#[derive(Debug, Default)]
struct Fuses {
    eq: AtomicBool,
    hash: AtomicBool,
    clone: AtomicBool,
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        assert!(!self.1.clone.load(Relaxed), "in Clone");
        Self(self.0, self.1)
    }
}
impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(!self.1.eq.load(Relaxed), "in Eq");
        self.0 == other.0
    }
}
impl Eq for Touchy {}
impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!self.1.hash.load(Relaxed), "in Hash");
        state.write_u8(0);
    }
}

#[task_fn(transient)]
fn of_touchy(by_ref: &Touchy, by_value: Touchy) -> Touchy {
    Touchy(by_ref.0 + by_value.0, by_value.1)
}

fn check_touchy(fuses: &'static Fuses, fuse: &'static AtomicBool, message: &str) {
    in_time({
        let message = message.to_owned();
        move || {
            let runtime = Runtime::new();
            let call = |n| runtime.run(|| of_touchy(&Touchy(n, fuses), Touchy(n, fuses)).0);
            assert_eq!(call(1), 2);
            for n in [1, 2] {
                fuse.store(true, Relaxed);
                assert_eq!(panic_of(|| call(n)), message);
                fuse.store(false, Relaxed);
                assert_eq!(call(n), n * 2);
            }
        }
    });
}

#[test]
fn panics_in_eq_hash_and_clone_reach_the_caller_and_leave_nothing_behind() {
    static EQ: Fuses =
        Fuses { eq: AtomicBool::new(false), hash: AtomicBool::new(false), clone: AtomicBool::new(false) };
    check_touchy(&EQ, &EQ.eq, "in Eq");
    check_touchy(&EQ, &EQ.hash, "in Hash");
    check_touchy(&EQ, &EQ.clone, "in Clone");
}

#[task_fn(transient)]
fn plus_one(n: u32) -> u32 {
    n + 1
}

static DROPS: AtomicU64 = AtomicU64::new(0);

/// Calls a task and opens a session when it is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Calls(u32);

impl Drop for Calls {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Relaxed);
        let outside = panic_of(|| plus_one(self.0 + 1000));
        if !outside.contains("outside of a session") {
            assert_eq!(plus_one(self.0), self.0 + 1);
        }
        assert_eq!(Runtime::new().run(|| plus_one(self.0)), self.0 + 1);
    }
}

#[task_fn(transient)]
fn of_calls(of: Calls, x: &Input<u32>) -> Arc<Calls> {
    Arc::new(Calls(of.0 + x.get()))
}

#[test]
fn drops_of_arguments_and_outputs_may_call_tasks_and_open_sessions() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        for value in 2..5 {
            runtime.run(|| (0..10).for_each(|n| assert_eq!(of_calls(Calls(n), &x).0, n + value - 1)));
            runtime.update(|update| update.set(&x, value)).expect("no session is open");
            runtime.run(|| (0..3).for_each(|n| assert!(of_calls::forget(Calls(n), &x))));
        }
        drop(runtime);
        assert!(DROPS.load(Relaxed) > 60);
    });
}

#[task_fn(transient)]
fn collatz(n: u64) -> u32 {
    if n == 1 { 0 } else { 1 + collatz(if n % 2 == 0 { n / 2 } else { 3 * n + 1 }) }
}

#[test]
fn a_task_function_may_call_itself_with_other_arguments() {
    assert_eq!(Runtime::new().run(|| collatz(27)), 111);
}

#[task_fn(transient)]
fn of_huge(boxed: Box<[u8; 1 << 20]>, list: Vec<u64>, borrowed: &[u8]) -> Vec<u8> {
    vec![boxed[7]; list.len() + borrowed.len()]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Nothing;

#[task_fn(transient)]
fn of_nothing(_a: Nothing, _b: (), _c: [u64; 0]) -> Nothing {
    Nothing
}

#[test]
fn huge_and_zero_sized_arguments_and_outputs_work() {
    in_time(|| {
        let runtime = Runtime::new();
        for _ in 0..2 {
            runtime.run(|| {
                let boxed = vec![3; 1 << 20].into_boxed_slice().try_into().expect("it has that length");
                assert_eq!(of_huge(boxed, vec![1; 1 << 17], &[0; 5]).len(), (1 << 17) + 5);
                assert_eq!(of_nothing(Nothing, (), []), Nothing);
            });
        }
        assert_eq!(runtime.stats().runs(), 2);
    });
}

/// Calls a task that no thread has called before when it is compared.
#[derive(Clone, Debug, Eq)]
struct CallsInEq(u32);

impl PartialEq for CallsInEq {
    fn eq(&self, other: &Self) -> bool {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        leaf_of(NEXT.fetch_add(1, Relaxed)) > 0 && self.0 == other.0
    }
}
impl Hash for CallsInEq {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(0);
    }
}

#[task_fn(transient)]
fn leaf_of(n: u64) -> u64 {
    n + 1
}

#[task_fn(transient)]
fn of_calls_in_eq(of: CallsInEq, x: &Input<u32>) -> u32 {
    of.0 + x.get()
}

#[task_fn(transient)]
fn sum_of_calls_in_eq(count: u32, x: &Input<u32>) -> u32 {
    (0..2 * count).map(|n| of_calls_in_eq(CallsInEq(n % count), x)).sum()
}

#[test]
fn arguments_may_call_tasks_when_they_are_compared() {
    in_time(|| {
        const COUNT: u32 = 40;
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        for value in [0, 1, 2] {
            runtime.update(|update| update.set(&x, value)).expect("no session is open");
            let sum = runtime.run(|| sum_of_calls_in_eq(COUNT, &x));
            assert_eq!(sum, COUNT * (COUNT - 1) + 2 * COUNT * value);
        }
        let runs = runtime.stats().get("of_calls_in_eq").map(|function| function.runs);
        assert_eq!(runs, Some(3 * u64::from(COUNT)), "one node per argument, whose input changed twice");
    });
}

const LONG: u32 = if cfg!(miri) { 100 } else { 100_000 };

#[task_fn(transient)]
fn chain(n: u32, x: &Input<u64>) -> u64 {
    if n == 0 { x.get() } else { chain(n - 1, x) + 1 }
}

#[task_fn(transient)]
fn equal_chain(n: u32, x: &Input<u64>) -> u64 {
    if n == 0 { x.get() % 2 } else { equal_chain(n - 1, x) }
}

#[test]
fn a_long_chain_runs_goes_stale_verifies_and_is_dropped_on_a_small_stack() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        for value in 1..3 {
            runtime.update(|update| update.set(&x, value * 2)).expect("no session is open");
            assert_eq!(runtime.run(|| chain(LONG, &x)), value * 2 + u64::from(LONG));
            assert_eq!(runtime.run(|| equal_chain(LONG, &x)), 0);
        }
        let runs = |name| runtime.stats().get(name).map(|function| function.runs);
        assert_eq!(runs("chain"), Some(u64::from(LONG + 1) * 2));
        assert_eq!(runs("equal_chain"), Some(u64::from(LONG + 2)));
        runtime.run(|| (0..=LONG).for_each(|n| assert!(chain::forget(n, &x))));
        assert_eq!(runtime.run(|| chain(LONG, &x)), 4 + u64::from(LONG));
    });
}

#[task_fn(transient)]
fn half(x: &Input<u64>) -> u64 {
    x.get() / 10
}

/// Stale by two changes at once, so that neither answers for all that it reached.
#[task_fn(transient)]
fn chain_of_two(n: u32, inputs: &[Input<u64>; 2]) -> u64 {
    if n == 0 { inputs.iter().map(half).sum() } else { chain_of_two(n - 1, inputs) }
}

#[test]
fn a_long_chain_behind_two_changes_is_verified_on_a_small_stack() {
    in_time(|| {
        let runtime = Runtime::new();
        let inputs = [runtime.input("x", 10), runtime.input("y", 20)];
        let set = |values: [u64; 2]| {
            let set = |update: &mut larder::Update| {
                inputs.iter().zip(values).for_each(|(input, value)| update.set(input, value));
            };
            runtime.update(set).expect("no session is open");
        };
        let ask = |n| runtime.run(|| chain_of_two(n, &inputs));
        assert_eq!(ask(LONG), 3);
        set([11, 21]);
        assert_eq!(ask(LONG), 3);
        let of = || runtime.stats().get("chain_of_two").map(|function| (function.runs, function.verified));
        assert_eq!(of().map(|(runs, _)| runs), Some(u64::from(LONG) + 1));
        set([35, 21]);
        assert_eq!((ask(LONG), of().map(|(runs, _)| runs)), (5, Some(2 * (u64::from(LONG) + 1))));
        // The task that is asked for in the middle is current again; those above it are verified task by task.
        set([36, 22]);
        assert_eq!((ask(LONG / 2), ask(LONG)), (5, 5));
        assert!(of().is_some_and(|(_, verified)| verified >= u64::from(LONG / 2)), "{:?}", of());
    });
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Link(u32);

trait Chained {
    fn below(&self, x: &Input<u64>) -> u64;
}

impl Chained for Link {
    #[task_fn(transient)]
    fn below(&self, x: &Input<u64>) -> u64 {
        let below = || -> Box<dyn Chained> { Box::new(Link(self.0 - 1)) };
        if self.0 == 0 { x.get() } else { below().below(x) + 1 }
    }
}

#[task_fn(transient)]
fn chain_of_handles(below: Task<u64>, n: u32) -> u64 {
    below.get() + u64::from(n > 0)
}

#[test]
fn long_chains_of_methods_and_of_handles_run_on_a_small_stack() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        let last =
            runtime.run(|| (0..LONG).fold(half::task(&x), |below, n| chain_of_handles::task(below, n + 1)));
        for value in [0, 10] {
            runtime.update(|update| update.set(&x, value)).expect("no session is open");
            assert_eq!(runtime.run(|| Link(LONG).below(&x)), value + u64::from(LONG));
            assert_eq!(runtime.run(|| last.get()), value / 10 + u64::from(LONG));
        }
        drop(runtime);
        drop(last);
    });
}

#[task_fn(transient)]
fn failing_chain(n: u32, x: &Input<u64>) -> u64 {
    assert!(n != 0 || x.get() != 1, "at the end");
    if n == 0 { 0 } else { failing_chain(n - 1, x) }
}

#[test]
fn a_failure_comes_up_a_long_chain_again_and_again() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        for _ in 0..2 {
            let error = runtime.try_run(|| failing_chain(LONG / 10, &x)).expect_err("the end fails");
            assert!(error.to_string().ends_with("panicked: at the end"), "{error}");
        }
        runtime.update(|update| update.set(&x, 2)).expect("no session is open");
        assert_eq!(runtime.run(|| failing_chain(LONG / 10, &x)), 0);
        runtime.update(|update| update.set(&x, 1)).expect("no session is open");
        assert!(runtime.try_run(|| failing_chain(LONG / 10, &x)).is_err());
    });
}

#[task_fn(transient)]
fn leaf(n: u32, x: &Input<u64>) -> u64 {
    if n % 1000 == 0 { x.get() } else { 1 }
}

#[task_fn(transient)]
fn wide(width: u32, x: &Input<u64>) -> u64 {
    (0..width).map(|n| leaf(n, x)).sum()
}

#[test]
fn a_wide_task_finds_its_stale_reads() {
    in_time(|| {
        let runtime = Runtime::new();
        let (width, x) = (LONG * 2, runtime.input("x", 1));
        let marked = u64::from(width.div_ceil(1000));
        for value in [1, 5, 9] {
            runtime.update(|update| update.set(&x, value)).expect("no session is open");
            assert_eq!(runtime.run(|| wide(width, &x)), u64::from(width) - marked + marked * value);
        }
        let stats = runtime.stats();
        assert_eq!(stats.get("wide").map(|function| function.runs), Some(3));
        assert_eq!(stats.get("leaf").map(|function| function.runs), Some(u64::from(width) + marked * 2));
    });
}

#[task_fn(transient)]
fn in_rounds(rounds: u32, width: u32, x: &Input<u64>) -> u64 {
    (0..rounds * width).map(|n| leaf(n % width, x)).sum()
}

/// A loop over more nodes than a thread remembers goes through the table each time; it reads each of them once.
#[test]
fn a_wide_task_that_reads_in_rounds_finds_its_stale_reads() {
    in_time(|| {
        let runtime = Runtime::new();
        let (width, x) = (LONG / 4, runtime.input("x", 1));
        let marked = u64::from(width.div_ceil(1000));
        for value in [1, 5, 9] {
            runtime.update(|update| update.set(&x, value)).expect("no session is open");
            let sum = runtime.run(|| in_rounds(5, width, &x));
            assert_eq!(sum, 5 * (u64::from(width) - marked + marked * value));
        }
        let stats = runtime.stats();
        assert_eq!(stats.get("in_rounds").map(|function| function.runs), Some(3));
        assert_eq!(stats.get("leaf").map(|function| function.runs), Some(u64::from(width) + marked * 2));
    });
}

static FAILING_RUNS: AtomicU64 = AtomicU64::new(0);

#[task_fn(transient)]
fn slow_and_failing(#[skip] runtime: Runtime, others: usize) -> u32 {
    FAILING_RUNS.fetch_add(1, Relaxed);
    while runtime.activity().waiting < others {
        std::thread::yield_now();
    }
    panic!("after a while")
}

#[test]
fn a_panic_reaches_all_who_wait_and_is_not_kept() {
    in_time(|| {
        let runtime = Runtime::new();
        let ask = || runtime.try_run(|| slow_and_failing(runtime.clone(), 7));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("an error is no panic")).collect()
        });
        for answer in answers {
            let message = answer.expect_err("the body panics").to_string();
            assert_eq!(message, "task slow_and_failing(_, 7) panicked: after a while");
        }
        assert_eq!(FAILING_RUNS.load(Relaxed), 1);
        // A thread that comes late does not wait, but asks again.
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            assert!(all.into_iter().all(|thread| thread.join().expect("an error is no panic").is_err()));
        });
        assert_eq!(FAILING_RUNS.load(Relaxed), 2);
    });
}

#[task_fn(transient)]
fn reads(x: &Input<u64>) -> u64 {
    x.get() + 1
}

#[test]
fn two_runtimes_share_nothing_and_sessions_nest() {
    in_time(|| {
        let (one, two) = (Runtime::new(), Runtime::new());
        let (x, y) = (one.input("x", 1), two.input("x", 10));
        one.run(|| {
            assert_eq!(plus_one(1), 2);
            assert_eq!(one.run(|| reads(&x)), 2);
            assert_eq!(two.run(|| (reads(&y), one.run(|| reads(&x)), plus_one(1))), (11, 2, 2));
            assert!(panic_of(|| reads(&y)).contains("outside of a session of its runtime"));
            assert_eq!(one.update(|_| ()), Err(UpdateError::InSession));
            assert_eq!(two.update(|update| update.set(&y, 20)), Ok(()));
            assert_eq!(two.run(|| reads(&y)), 21);
        });
        assert_eq!((one.stats().runs(), two.stats().runs()), (3, 3));
        assert!(panic_of(|| two.update(|update| update.set(&x, 3))).contains("belongs to another runtime"));
    });
}

#[test]
fn outside_of_a_session_a_call_says_how_to_make_one() {
    let message = panic_of(|| plus_one(1));
    assert!(message.contains("runtime.run(..)") && message.contains("plus_one::uncached"), "{message}");
    assert!(panic_of(|| plus_one::task(1)).contains("runtime.run(..)"));
    assert_eq!(plus_one::uncached(1), 2);
}

#[task_fn(transient)]
fn of_handle(of: Task<u32>) -> u32 {
    of.get()
}

#[test]
fn handles_outlive_their_runtime_harmlessly() {
    let (handle, input) = {
        let runtime = Runtime::new();
        let handle = runtime.run(|| plus_one::task(1));
        assert_eq!(runtime.run(|| of_handle(handle.clone())), 2);
        (handle, runtime.input("x", 1))
    };
    assert_eq!(handle.clone(), handle);
    assert_eq!(
        (format!("{handle:?}"), format!("{input:?}")),
        ("Task(..)".to_owned(), "input(\"x\")".to_owned())
    );
    assert!(panic_of(|| handle.get()).contains("outside of a session of its runtime"));
    let other = Runtime::new();
    assert!(panic_of(|| other.run(|| input.get())).contains("outside of a session of its runtime"));
    let error = other.try_run(|| of_handle(handle)).expect_err("it is another runtime's");
    assert!(matches!(error, TaskError::Panicked { .. }), "{error}");
}
