//! Runs after a change, and what statistics tell of them: comparisons, `volatile`, handles, sources, emitted values.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder::{Input, Runtime, Stats, Task, TaskError, UpdateError, emit, env, fs, task_fn};
use larder_tests::deadline::in_time;

fn set(runtime: &Runtime, input: &Input<u64>, value: u64) {
    runtime.update(|update| update.set(input, value)).unwrap();
}

/// The functions whose bodies have run since `earlier`, by name.
fn ran(runtime: &Runtime, earlier: &Stats) -> Vec<&'static str> {
    let since = runtime.stats().since(earlier);
    let ran = since.functions.iter().filter(|function| function.runs > 0 && !function.is_source);
    let mut names: Vec<_> = ran.map(|function| function.name).collect();
    names.sort_unstable();
    names
}

fn within_one(left: &f64, right: &f64) -> bool {
    (left - right).abs() < 1.0
}

#[task_fn(transient, eq = within_one)]
fn rough(x: &Input<u64>) -> f64 {
    x.get() as f64 / 10.0
}

#[task_fn(transient, eq = |left, right| left % 2 == right % 2)]
fn by_closure(x: &Input<u64>) -> u64 {
    x.get()
}

#[task_fn(transient)]
fn by_eq(x: &Input<u64>) -> u64 {
    x.get() % 2
}

#[task_fn(transient, no_eq)]
fn never_equal(x: &Input<u64>) -> u64 {
    x.get() % 2
}

/// Cannot be compared.
#[derive(Clone)]
struct Opaque(u64);

#[task_fn(transient)]
fn opaque(x: &Input<u64>) -> Opaque {
    Opaque(x.get() % 2)
}

#[task_fn(transient)]
fn over_rough(x: &Input<u64>) -> String {
    rough(x).to_string()
}

#[task_fn(transient)]
fn over_closure(x: &Input<u64>) -> u64 {
    by_closure(x)
}

#[task_fn(transient)]
fn over_eq(x: &Input<u64>) -> u64 {
    by_eq(x)
}

#[task_fn(transient)]
fn over_never_equal(x: &Input<u64>) -> u64 {
    never_equal(x)
}

#[task_fn(transient)]
fn over_opaque(x: &Input<u64>) -> u64 {
    opaque(x).0
}

fn ask_all(runtime: &Runtime, x: &Input<u64>) {
    runtime.run(|| {
        over_rough(x);
        over_closure(x);
        over_eq(x);
        over_never_equal(x);
        over_opaque(x);
    });
}

#[test]
fn what_counts_as_equal_is_said_per_function_and_told_by_statistics() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 10);
    ask_all(&runtime, &x);
    let first = runtime.stats();
    set(&runtime, &x, 12);
    ask_all(&runtime, &x);
    let lower = ["by_closure", "by_eq", "never_equal", "opaque", "rough"];
    let uncut = ["by_closure", "by_eq", "never_equal", "opaque", "over_never_equal", "over_opaque", "rough"];
    assert_eq!(ran(&runtime, &first), uncut);
    let since = runtime.stats().since(&first);
    let of = |name| since.get(name).map(|of| (of.calls, of.runs, of.verified, of.cut_off)).unwrap();
    for (name, over) in [("rough", "over_rough"), ("by_closure", "over_closure"), ("by_eq", "over_eq")] {
        assert_eq!((of(name), of(over)), ((0, 1, 0, 1), (1, 0, 1, 0)), "{name}");
    }
    for (name, over) in [("never_equal", "over_never_equal"), ("opaque", "over_opaque")] {
        let (_, runs, _, cut_off) = of(name);
        assert_eq!((runs, cut_off, of(over).1), (1, 0, 1), "{name}");
    }

    // An equal write is none.
    let before = runtime.stats();
    set(&runtime, &x, 12);
    ask_all(&runtime, &x);
    let since = runtime.stats().since(&before);
    assert!(since.functions.iter().all(|of| (of.runs, of.verified) == (0, 0)), "{since}");
    assert_eq!(since.hits(), 5);

    // All differ, by everybody's comparison.
    let before = runtime.stats();
    set(&runtime, &x, 31);
    ask_all(&runtime, &x);
    assert_eq!(ran(&runtime, &before).len(), 2 * lower.len());
    assert_eq!(runtime.run(|| over_rough(&x)), "3.1");
}

#[test]
fn statistics_are_a_table_too() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 10);
    ask_all(&runtime, &x);
    ask_all(&runtime, &x);
    assert!(runtime.try_run(|| fails(1)).is_err());
    let stats = runtime.stats();
    let table = stats.to_string();
    let mut lines = table.lines();
    let heads: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let names = ["function", "calls", "thread", "memory", "storage", "misses", "runs", "verified"];
    assert_eq!(heads[..8], names, "{table}");
    assert_eq!(heads[8..], ["cut", "off", "failed", "time"]);
    for function in &stats.functions {
        let cells: Vec<_> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(cells[0], function.name);
        let numbers = [
            function.calls,
            function.thread_hits,
            function.memory_hits,
            function.storage_hits,
            function.misses,
            function.runs,
            function.verified,
            function.cut_off,
            function.failed,
        ];
        let told: Vec<u64> = cells[1..10].iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(told, numbers, "{table}");
        let of_levels = function.thread_hits + function.memory_hits + function.storage_hits + function.misses;
        assert_eq!(function.calls, of_levels, "{table}");
    }
    assert_eq!(lines.next(), Some("11 tasks in memory"), "{table}");
    assert_eq!(stats.get("fails").map(|fails| (fails.runs, fails.failed)), Some((1, 1)), "{table}");
}

#[task_fn(transient)]
fn fails(n: u64) -> u64 {
    assert_eq!(n, 0, "not zero");
    n
}

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

#[task_fn(transient, volatile)]
fn outside() -> u64 {
    OUTSIDE.load(Relaxed)
}

#[task_fn(transient)]
fn over_outside() -> u64 {
    outside()
}

#[test]
fn a_volatile_task_runs_once_in_each_session_that_asks_for_it() {
    let runtime = Runtime::new();
    let runs = |name| runtime.stats().get(name).map(|function| function.runs);
    for session in 1..4 {
        runtime.run(|| (over_outside(), outside(), runtime.run(outside)));
        assert_eq!((runs("outside"), runs("over_outside")), (Some(session), Some(1)));
    }
    runtime.run(|| ());
    assert_eq!(runs("outside"), Some(3), "nobody asked");
    OUTSIDE.store(5, Relaxed);
    assert_eq!(runtime.run(over_outside), 5);
    assert_eq!(runs("over_outside"), Some(2));
}

#[task_fn(transient)]
fn tens(x: &Input<u64>) -> u64 {
    x.get() / 10
}

#[task_fn(transient)]
fn reads_handle(of: &Task<u64>) -> u64 {
    of.get() % 2
}

#[task_fn(transient)]
fn passes_handle(x: &Input<u64>) -> u64 {
    reads_handle(&tens::task(x))
}

#[task_fn(transient)]
fn ignores_handle(_of: &Task<u64>) -> u64 {
    1
}

#[test]
fn the_callee_of_a_handle_depends_on_its_value_and_the_caller_does_not() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 10);
    let ask = || runtime.run(|| (passes_handle(&x), ignores_handle(&tens::task(&x))));
    assert_eq!(ask(), (1, 1));
    let steps: [(u64, u64, &[&str]); 3] = [
        (30, 1, &["reads_handle", "tens"]),
        (31, 1, &["tens"]),
        (40, 0, &["passes_handle", "reads_handle", "tens"]),
    ];
    for (value, answer, expected) in steps {
        let before = runtime.stats();
        set(&runtime, &x, value);
        assert_eq!(ask(), (answer, 1));
        assert_eq!(ran(&runtime, &before), expected, "{value}");
    }
}

#[test]
fn handles_are_equal_and_hashed_by_identity() {
    let runtimes = [Runtime::new(), Runtime::new()];
    let [one, other] = runtimes.each_ref().map(|runtime| {
        let x = runtime.input("x", 10);
        runtime.run(|| {
            let (task, again) = (tens::task(&x), tens::task(&x));
            assert_eq!(task, again);
            assert_eq!(HashSet::from([task.clone(), again.clone(), fails::task(0), fails::task(1)]).len(), 3);
            assert_ne!(fails::task(0), fails::task(1));
            assert_eq!((task.get(), tens::forget(&x)), (1, true));
            task
        })
    });
    assert_ne!(one, other, "the same call of two runtimes");
    // While there are handles, a call that was forgotten is the same one.
    let x = runtimes[0].input("x", 0);
    runtimes[0].run(|| assert_eq!((tens::task(&x), one.get()), (one.clone(), 1)));
}

#[task_fn(transient)]
fn file(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.len())
}

#[task_fn(transient)]
fn folder(path: &Path) -> Option<usize> {
    fs::read_dir(path).ok().map(|entries| entries.len())
}

#[task_fn(transient)]
fn pattern(pattern: &str) -> usize {
    fs::glob(pattern).map_or(0, |paths| paths.len())
}

/// Set by Cargo for every test; nothing here changes it.
#[task_fn(transient)]
fn variable() -> Option<String> {
    env::var("CARGO_PKG_NAME")
}

#[test]
fn sources_stand_still_until_a_refresh_which_runs_what_reads_other_contents() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    let glob = format!("{}/**/*.txt", dir.path().display());
    std::fs::write(&path, "abc").unwrap();
    let runtime = Runtime::new();
    let name = Some("larder-tests".to_owned());
    let check = |expected: (usize, Option<usize>, usize), bodies: &[&str], before: Stats| {
        let answers = runtime.run(|| (file(&path), folder(dir.path()), pattern(&glob), variable()));
        assert_eq!(answers, (expected.0, expected.1, expected.2, name.clone()));
        assert_eq!(ran(&runtime, &before), bodies);
        runtime.stats()
    };
    let stats = check((3, Some(1), 1), &["file", "folder", "pattern", "variable"], Stats::default());

    std::fs::write(&path, "abcd").unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    std::fs::write(dir.path().join("sub/b.txt"), "").unwrap();
    let stats = check((3, Some(1), 1), &[], stats);
    assert_eq!(runtime.refresh().unwrap().changed, 3);
    let stats = check((4, Some(2), 2), &["file", "folder", "pattern"], stats);

    // Written anew with the same content.
    std::fs::write(&path, "abcd").unwrap();
    assert_eq!(runtime.refresh().unwrap().changed, 0);
    let stats = check((4, Some(2), 2), &[], stats);
    // At once, and of the same length.
    std::fs::write(&path, "dcba").unwrap();
    assert_eq!(runtime.refresh().unwrap().changed, 1);
    let stats = check((4, Some(2), 2), &["file"], stats);

    std::fs::remove_dir_all(dir.path()).unwrap();
    runtime.refresh().unwrap();
    let stats = check((0, None, 0), &["file", "folder", "pattern"], stats);
    std::fs::create_dir(dir.path()).unwrap();
    std::fs::write(&path, "ab").unwrap();
    runtime.refresh().unwrap();
    check((2, Some(1), 1), &["file", "folder", "pattern"], stats);
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Diagnostic(String);

#[task_fn(transient)]
fn diagnosed(x: &Input<u64>, n: u64) -> u64 {
    if x.get() > 1 {
        emit(Diagnostic(format!("{n}: {}", x.get())));
        emit(n);
    }
    0
}

#[task_fn(transient)]
fn in_between(x: &Input<u64>) -> u64 {
    diagnosed(x, 2) + diagnosed(x, 1) + diagnosed(x, 2)
}

#[task_fn(transient)]
fn all_diagnostics(x: &Input<u64>) -> Vec<Diagnostic> {
    in_between::collect(x)
}

#[test]
fn emitted_values_are_replayed_by_hits_and_tracked_beside_results() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 0);
    let both = |n: u64| [2, 1].map(|of| Diagnostic(format!("{of}: {n}"))).to_vec();
    let every: &[&str] = &["all_diagnostics", "diagnosed"];
    let steps =
        [(0, vec![], &["all_diagnostics", "diagnosed", "in_between"][..]), (1, vec![], &["diagnosed"])];
    let steps = steps.into_iter().chain([(2, both(2), every), (3, both(3), every), (0, vec![], every)]);
    for (value, expected, bodies) in steps {
        let before = runtime.stats();
        set(&runtime, &x, value);
        assert_eq!(runtime.run(|| all_diagnostics(&x)), expected);
        assert_eq!(ran(&runtime, &before), bodies, "{value}");
        // By hits, of another type too, and by a handle.
        let numbers: &[u64] = if expected.is_empty() { &[] } else { &[2, 1] };
        let before = runtime.stats();
        runtime.run(|| {
            assert_eq!(in_between::collect::<Diagnostic>(&x), expected);
            assert_eq!(in_between::collect::<u64>(&x), numbers);
            assert_eq!(in_between::task(&x).collect::<u64>(), numbers);
        });
        assert_eq!(ran(&runtime, &before), [""; 0]);
    }
}

#[task_fn(transient)]
fn chooses(x: &Input<u64>, y: &Input<u64>) -> u64 {
    emit(Diagnostic("as ever".to_owned()));
    match x.get() {
        1 => y.get() / 1000,
        3 => y.get() / 1000 + diagnosed(x, 0),
        _ => 0,
    }
}

#[task_fn(transient)]
fn reports(x: &Input<u64>, y: &Input<u64>) -> Vec<Diagnostic> {
    chooses::collect(x, y)
}

/// A task that collects emitted values ran again when what it collects from had read other inputs than before, though these emit
/// nothing; among them one that was removed and made again.
#[test]
fn other_inputs_are_no_change_of_what_is_emitted_and_other_tasks_are() {
    let runtime = Runtime::new();
    let (x, y) = (runtime.input("x", 0), runtime.input("y", 0));
    let reports = || runtime.run(|| reports(&x, &y)).len();
    assert_eq!(reports(), 1);
    let steps: [(u64, usize, &[&str]); 4] = [
        // Reads `y`, too.
        (1, 1, &["chooses"]),
        // And a task, which emits.
        (3, 2, &["chooses", "diagnosed", "reports"]),
        // Neither.
        (2, 1, &["chooses", "reports"]),
        (4, 1, &["chooses"]),
    ];
    for (value, expected, bodies) in steps {
        let before = runtime.stats();
        set(&runtime, &x, value);
        assert_eq!((reports(), ran(&runtime, &before)), (expected, bodies.to_vec()), "{value}");
    }
}

/// See above.
#[test]
fn an_input_that_is_made_again_is_no_change_of_what_is_emitted() {
    static RUNTIME: std::sync::LazyLock<Runtime> = std::sync::LazyLock::new(Runtime::new);

    #[task_fn(transient)]
    fn by_name() -> u64 {
        emit(Diagnostic("as ever".to_owned()));
        RUNTIME.input("by name", 0_u64).get() / 1000
    }
    #[task_fn(transient)]
    fn reports_by_name() -> usize {
        by_name::collect::<Diagnostic>().len()
    }

    assert_eq!(RUNTIME.run(reports_by_name), 1);
    for value in 1_u64..3 {
        let before = RUNTIME.stats();
        let old = RUNTIME.input("by name", 0_u64);
        RUNTIME.update(|update| update.remove(&old)).unwrap();
        RUNTIME.input("by name", value);
        assert_eq!(RUNTIME.run(reports_by_name), 1);
        assert_eq!(ran(&RUNTIME, &before), ["by_name"]);
    }
}

#[task_fn(transient)]
fn slow_chain(x: &Input<u64>, n: u64) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(2));
    if n == 0 { x.get() } else { slow_chain(x, n - 1) + 1 }
}

#[test]
fn an_update_waits_for_open_sessions_or_cancels_them() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        let (begun, is_begun) = std::sync::mpsc::channel();
        let ask = |n| {
            runtime.try_run(|| {
                begun.send(()).unwrap();
                slow_chain(&x, n)
            })
        };
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(20));
            is_begun.recv().unwrap();
            set(&runtime, &x, 100);
            assert!(matches!(asking.join().unwrap(), Ok(20)), "it ended on the value that it began with");
        });
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(20_000));
            is_begun.recv().unwrap();
            runtime.update_with(larder::UpdatePolicy::Cancel, |update| update.set(&x, 200)).unwrap();
            assert!(matches!(asking.join().unwrap(), Err(TaskError::Cancelled)));
        });
        assert_eq!(runtime.run(|| slow_chain(&x, 20)), 220);
    });
}

#[test]
fn inside_a_session_of_the_same_thread_every_kind_of_update_is_refused() {
    in_time(|| {
        let (runtime, other) = (Runtime::new(), Runtime::new());
        let refused = || {
            assert_eq!(runtime.update(|_| ()), Err(UpdateError::InSession));
            assert_eq!(
                runtime.update_with(larder::UpdatePolicy::Cancel, |_| ()),
                Err(UpdateError::InSession)
            );
            assert_eq!(runtime.refresh().err(), Some(UpdateError::InSession));
        };
        runtime.run(|| {
            refused();
            other.run(refused);
        });
        assert!(UpdateError::InSession.to_string().contains("return from `run` first"));
        assert_eq!(runtime.update(|_| ()), Ok(()));
    });
}

#[test]
fn an_update_reads_what_it_changes() {
    let runtime = Runtime::new();
    let (count, log) = (runtime.input("count", 1), runtime.input("log", vec![1]));
    let made = runtime.update(|update| {
        let before = update.with(&count, |count| *count);
        update.set(&count, before + 1);
        update.modify(&log, |log| log.push(before + 100));
        // Earlier changes of this update count.
        assert_eq!(update.with(&count, |count| *count), 2);
        assert_eq!(update.modify(&log, |log| (log.pop(), log.len())), (Some(101), 1));
        let existing = update.input_or_set("count", 5);
        assert_eq!(existing, count);
        update.input_or_set("new", 6)
    });
    let made = made.unwrap();
    assert_eq!(runtime.run(|| (count.get(), log.get(), made.get())), (5, vec![1], 6));
}

#[test]
fn an_update_does_not_read_what_it_has_removed() {
    let runtime = Runtime::new();
    let input = runtime.input("input", 1);
    runtime
        .update(|update| {
            update.remove(&input);
            let read = std::panic::AssertUnwindSafe(|| update.with(&input, |value| *value));
            let message = *std::panic::catch_unwind(read).unwrap_err().downcast::<String>().unwrap();
            assert_eq!(message, "the input \"input\" has been removed");
            // It is an input again when it is set.
            assert_eq!(update.input_or_set("input", 2), input);
        })
        .unwrap();
    assert_eq!(runtime.run(|| input.get()), 2);
}
