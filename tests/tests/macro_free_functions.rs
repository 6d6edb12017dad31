//! `#[task_fn]` on free functions: what survives, what the companion offers, what is part of a key.

#![allow(
    clippy::needless_lifetimes,
    clippy::ptr_arg,
    clippy::useless_vec,
    reason = "each form of a parameter has to work, also those that one would not choose"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::{Runtime, Stats, Task, task_fn};

/// How often bodies ran in one test, told apart by the test.
#[derive(Clone, Copy)]
struct Runs(&'static AtomicUsize);

impl Runs {
    fn count(self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn ran(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

mod words {
    use super::*;

    pub(super) static RUNS: AtomicUsize = AtomicUsize::new(0);

    /// Counts the words of a text.
    #[task_fn]
    #[must_use]
    pub(super) fn count(text: &str, shortest: usize) -> usize {
        ran(&RUNS);
        text.split_whitespace().filter(|word| word.len() >= shortest).count()
    }
}

#[test]
fn a_second_call_runs_nothing_and_uncached_always_does() {
    let runs = Runs(&words::RUNS);
    let runtime = Runtime::new();
    runtime.run(|| {
        assert!(!words::count::is_cached("a bb ccc", 2));
        assert_eq!(words::count("a bb ccc", 2), 2);
        assert_eq!(words::count(&String::from("a bb ccc"), 2), 2);
        assert_eq!(runs.count(), 1);
        assert!(words::count::is_cached("a bb ccc", 2));
        assert_eq!(words::count("a bb ccc", 3), 1);
        assert_eq!(runs.count(), 2);
        assert_eq!(words::count::uncached("a bb ccc", 2), 2);
        assert_eq!(runs.count(), 3);
        assert_eq!(words::count::with("a bb ccc", 2, |n| n + 1), 3);
        assert_eq!(words::count::task("a bb ccc", 2).get(), 2);
        assert_eq!(words::count::collect::<String>("a bb ccc", 2), Vec::<String>::new());
        assert_eq!(runs.count(), 3);
        assert!(words::count::forget("a bb ccc", 2));
    });
    // A forgotten result is dropped when no session can see it any more.
    runtime.run(|| {
        assert!(!words::count::is_cached("a bb ccc", 2));
    });
}

#[task_fn]
fn nothing() -> u32 {
    7
}

#[task_fn(transient)]
fn unit(_named: u8, mut n: u32, (a, b): (u32, u32), [c, ..]: [u32; 3], _: bool) {
    n += a + b + c;
    assert_eq!(n, 10);
}

#[task_fn]
#[rustfmt::skip]
#[allow(clippy::many_single_char_names, clippy::too_many_arguments, reason = "the most that a task function takes")]
fn twelve(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8) -> Vec<u8> {
    vec![a, b, c, d, e, f, g, h, i, j, k, l]
}

#[test]
fn none_to_twelve_parameters_patterns_and_mut_work() {
    Runtime::new().run(|| {
        assert_eq!(nothing(), 7);
        assert_eq!(nothing::with(|n| *n), 7);
        unit(0, 1, (2, 3), [4, 5, 6], true);
        assert!(unit::is_cached(0, 1, (2, 3), [4, 5, 6], true));
        assert!(!unit::is_cached(1, 1, (2, 3), [4, 5, 6], true));
        assert!(!unit::is_cached(0, 1, (2, 3), [4, 5, 6], false));
        assert_eq!(twelve(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), (1..=12).collect::<Vec<_>>());
    });
}

#[task_fn(transient)]
fn borrowed<'a>(path: &Path, parts: &[u32], map: &'a Vec<String>, name: &'static str) -> PathBuf {
    let joined: &'a String = &map[0];
    path.join(format!("{}-{joined}-{name}", parts.len()))
}

#[test]
fn borrowed_parameters_are_keys() {
    Runtime::new().run(|| {
        let path = borrowed(Path::new("a"), &[1, 2], &vec!["x".to_owned()], "n");
        assert_eq!(path, Path::new("a/2-x-n"));
        assert!(borrowed::is_cached(&PathBuf::from("a"), &vec![1, 2], &vec!["x".to_owned()], "n"));
        assert!(!borrowed::is_cached(Path::new("a"), &[1], &vec!["x".to_owned()], "n"));
    });
}

/// Neither hashed nor compared: says so by having none of the traits.
#[derive(Clone)]
struct Tool(HashMap<u32, u32>);

#[task_fn(transient)]
fn skipped(x: u32, #[skip] tool: &Tool, #[skip] more: Tool) -> u32 {
    x + tool.0[&x] + more.0[&x]
}

struct NotEvenClone;

#[task_fn(skip_unused)]
fn unused_skipped(_context: &NotEvenClone, x: u32, _: NotEvenClone) -> u32 {
    x
}

/// The mark is the stronger of the two: the body may read what it names.
#[task_fn(skip_unused)]
fn unused_and_marked(#[skip] _label: &str, x: u32) -> String {
    format!("{_label}{x}")
}

#[test]
fn skipped_parameters_are_no_part_of_the_key() {
    let tool = |n| Tool([(1, n)].into());
    Runtime::new().run(|| {
        assert_eq!(skipped(1, &tool(5), tool(6)), 12);
        assert_eq!(skipped(1, &tool(0), tool(0)), 12);
        assert_eq!(skipped::uncached(1, &tool(0), tool(0)), 1);
        assert_eq!(unused_skipped(&NotEvenClone, 3, NotEvenClone), 3);
        assert!(unused_skipped::is_cached(&NotEvenClone, 3, NotEvenClone));
        assert_eq!(unused_and_marked("a", 1), "a1");
        assert!(unused_and_marked::is_cached("b", 1));
        assert_eq!(unused_skipped::uncached(&NotEvenClone, 3, NotEvenClone), 3);
    });
}

#[task_fn(transient)]
fn fails_by_skipped(x: u32, #[skip] tool: &Tool) -> u32 {
    tool.0.get(&x).copied().expect("a tool for it")
}

#[task_fn(transient)]
fn fails_alone(x: &str) -> u32 {
    panic!("{x}")
}

// A skipped parameter without `Debug` took the arguments out of the error, and one with it printed all that it held.
#[test]
fn errors_name_the_key_of_a_call() {
    let runtime = Runtime::new();
    let error = runtime.try_run(|| fails_by_skipped(7, &Tool(HashMap::new()))).expect_err("there is no tool");
    assert_eq!(error.to_string(), "task fails_by_skipped(7, _) panicked: a tool for it");
    let error = runtime.try_run(|| fails_alone("why")).expect_err("it panics");
    assert_eq!(error.to_string(), "task fails_alone(\"why\") panicked: why");
}

#[task_fn(transient)]
fn sized<T, const N: usize>(items: &[T; N], extra: T) -> (usize, Vec<T>)
where
    T: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
{
    (size_of::<T>() * N, vec![items[0].clone(), extra])
}

#[task_fn(transient)]
fn named_like<T: Clone + Eq + std::hash::Hash + Send + Sync + 'static>() -> &'static str {
    std::any::type_name::<T>()
}

#[test]
fn instances_of_a_generic_function_share_nothing() {
    Runtime::new().run(|| {
        assert_eq!(sized(&[1u8, 2], 3), (2, vec![1, 3]));
        assert_eq!(sized(&[1u64, 2], 3), (16, vec![1, 3]));
        assert!(sized::is_cached::<u8, 2>(&[1, 2], 3));
        assert!(!sized::is_cached(&[1u32, 2], 3));
        assert_eq!(named_like::<u8>(), "u8");
        assert_eq!(named_like::<u16>(), "u16");
    });
}

// Counts since an earlier look were told against the first instance of the name, for each of them.
#[test]
fn instances_of_a_generic_function_are_counted_apart() {
    let runtime = Runtime::new();
    let calls = |stats: Stats| -> Vec<u64> {
        assert!(stats.functions.iter().all(|function| function.name == "named_like"));
        stats.functions.iter().map(|function| function.calls).collect()
    };
    runtime.run(|| (named_like::<u8>(), named_like::<u8>(), named_like::<u8>(), named_like::<u16>()));
    let earlier = runtime.stats();
    runtime.run(|| (named_like::<u16>(), named_like::<u32>()));
    assert_eq!(calls(runtime.stats().since(&earlier)), [0, 1, 1]);
    assert_eq!(calls(earlier), [3, 1]);
}

#[task_fn]
fn parse(text: &str) -> Result<u32, String> {
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    let number = text.parse::<u32>().map_err(|error| error.to_string())?;
    Ok(number)
}

#[task_fn]
fn fibonacci(n: u32) -> u64 {
    if n < 2 { n.into() } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

#[test]
fn early_returns_and_recursion_work() {
    Runtime::new().run(|| {
        assert_eq!(parse("12"), Ok(12));
        assert_eq!(parse(""), Err("empty".to_owned()));
        assert!(parse("x").is_err());
        assert_eq!(fibonacci(80), 23_416_728_348_467_685);
    });
}

#[task_fn(transient)]
fn doubled(of: Task<u64>, with: &Task<u64>) -> u64 {
    of.get() + with.get()
}

#[test]
fn handles_are_arguments() {
    Runtime::new().run(|| {
        let ten = fibonacci::task(10);
        assert_eq!(doubled(ten.clone(), &ten), 110);
    });
}

/// A program may have tasks of its own, and call larder's something else.
mod planner {
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub(super) struct Task<T>(pub(super) T);
}
use larder::Task as Handle;
type Number = larder::Task<u64>;

#[task_fn(transient)]
fn planned<T: Clone + Eq + std::hash::Hash + Send + Sync + 'static>(
    first: &planner::Task<T>,
    second: planner::Task<u8>,
) -> (T, u8) {
    (first.0.clone(), second.0)
}

static RESOLVED: AtomicUsize = AtomicUsize::new(0);

#[task_fn(transient)]
fn resolved(n: u64) -> u64 {
    ran(&RESOLVED);
    n
}

/// How many arguments had been computed when the body began.
#[task_fn(transient)]
fn of_handles(a: Handle<u64>, b: &Number, c: &larder::Task<u64>) -> (usize, u64) {
    (Runs(&RESOLVED).count(), a.get() + b.get() + c.get())
}

// A parameter of the name `Task` was taken for a handle, and did not compile; a handle by another name was not resolved.
#[test]
fn handles_are_known_by_their_type_and_computed_before_the_body_runs() {
    Runtime::new().run(|| {
        let handles = [1, 2, 3].map(resolved::task);
        assert_eq!(Runs(&RESOLVED).count(), 0, "a handle runs nothing");
        let [a, b, c] = handles;
        assert_eq!(of_handles(a, &b, &c), (3, 6));
        assert_eq!(planned(&planner::Task('x'), planner::Task(1)), ('x', 1));
    });
}

#[test]
fn functions_inside_of_functions_work() {
    #[task_fn(transient)]
    fn local(read: u32, key: u32, body: u32, output: u32) -> u32 {
        read + key + body + output
    }
    Runtime::new().run(|| {
        assert_eq!(local(1, 2, 3, 4), 10);
        assert_eq!(local::with(1, 2, 3, 4, |n| *n), 10);
    });
}

macro_rules! task_functions {
    ($($name:ident($arg:ident: $ty:ty) -> $out:ty $body:block)*) => { $(
        #[task_fn(transient)]
        fn $name($arg: $ty) -> $out $body
    )* };
}

task_functions! {
    from_macro(x: &str) -> usize { x.len() }
    from_macro_too(x: u32) -> u32 { x + 1 }
}

#[test]
fn functions_from_a_macro_work() {
    Runtime::new().run(|| assert_eq!((from_macro("abc"), from_macro_too(1)), (3, 2)));
}

#[derive(Clone, PartialEq, Debug)]
struct Close(f64);

fn nearly(a: &Close, b: &Close) -> bool {
    (a.0 - b.0).abs() < 0.1
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

#[task_fn(transient, eq = nearly, ttl = HOUR)]
fn with_eq(x: u32) -> Close {
    Close(f64::from(x))
}

#[task_fn(transient, eq = |a, b| nearly(a, b), volatile, heavy)]
fn with_eq_closure(x: u32) -> Close {
    Close(f64::from(x))
}

/// No `PartialEq`, so that there is no early cutoff; nothing has to be said.
#[derive(Clone)]
struct Opaque;

#[task_fn(transient)]
fn opaque() -> Opaque {
    Opaque
}

#[task_fn(version = 3, no_eq)]
fn versioned(x: u32) -> u32 {
    x
}

#[task_fn(no_errors)]
fn fallible(x: u32) -> Result<u32, String> {
    if x == 0 { Err("zero".to_owned()) } else { Ok(x) }
}

#[task_fn(version = 3)]
fn fixpoint(name: &str, n: u32) -> u32 {
    n + u32::try_from(name.len()).unwrap_or(0)
}

#[task_fn(no_companion)]
fn alone(x: u32) -> u32 {
    x
}

/// Shares its name with a task function, which `no_companion` allows.
mod alone {
    pub(super) const ONE: u32 = 1;
}

#[test]
fn options_are_accepted() {
    Runtime::new().run(|| {
        assert_eq!(with_eq(1), with_eq_closure(1));
        let Opaque = opaque();
        assert_eq!(versioned(1), 1);
        assert!(fallible(0).is_err());
        assert_eq!(fallible(1), Ok(1));
        assert_eq!(fixpoint("ab", 1), 3);
        assert_eq!(alone(alone::ONE), 1);
    });
}
