//! Taking: emitted values that a task has dealt with are not passed on to what collects from it.

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, emit, par_map, scope, task_fn};
use larder_tests::executor::block_on;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Problem(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hint(u32);

fn problem(text: impl Into<String>) {
    emit(Problem(text.into()));
}

fn texts(problems: Vec<Problem>) -> Vec<String> {
    problems.into_iter().map(|Problem(text)| text).collect()
}

#[task_fn]
fn leaf(name: &str) -> usize {
    problem(name);
    emit(Hint(7));
    name.len()
}

#[task_fn]
fn check(name: &str) -> usize {
    problem(format!("check {name}"));
    leaf(name)
}

/// Turns what `check` finds into one line.
#[task_fn]
fn summary(name: &str) -> usize {
    let found = check::take::<Problem>(name);
    problem(format!("{} problems", found.len()));
    check(name)
}

#[task_fn]
fn program(name: &str) -> usize {
    summary(name)
}

#[task_fn]
fn both_ways(name: &str) -> usize {
    summary(name) + leaf(name)
}

#[test]
fn what_is_taken_reaches_no_collector_by_that_way() {
    let runtime = Runtime::new();
    runtime.run(|| {
        assert_eq!(texts(check::collect("a")), ["a", "check a"]);
        assert_eq!(texts(program::collect("a")), ["2 problems"]);
        // Of another type, and by another way.
        assert_eq!(program::collect::<Hint>("a"), [Hint(7)]);
        assert_eq!(texts(both_ways::collect("a")), ["2 problems", "a"]);
        // In a session there is no task that could pass it on or not.
        assert_eq!(texts(check::take("a")), ["a", "check a"]);
        assert_eq!(texts(check::task("a").take()), ["a", "check a"]);
        assert_eq!(texts(larder::ask(|| check("a")).take()), ["a", "check a"]);
        assert_eq!(texts(check::collect("a")), ["a", "check a"]);
    });
}

#[task_fn]
fn takes_and_collects(name: &str) -> usize {
    let taken = check::take::<Problem>(name).len();
    taken + leaf::collect::<Problem>(name).len()
}

#[task_fn]
fn collects_and_takes(name: &str) -> usize {
    let collected = leaf::collect::<Problem>(name).len();
    collected + check::take::<Problem>(name).len()
}

#[task_fn]
fn takes_twice(name: &str) -> usize {
    leaf::take::<Problem>(name).len() + check::take::<Problem>(name).len() + check(name) + leaf(name)
}

#[test]
fn a_task_that_collects_too_passes_that_on() {
    Runtime::new().run(|| {
        assert_eq!(texts(takes_and_collects::collect("a")), ["a"]);
        assert_eq!(texts(collects_and_takes::collect("a")), ["a"]);
        assert!(texts(takes_twice::collect("a")).is_empty());
    });
}

#[test]
fn a_part_of_the_value_comes_from_where_it_was_taken() {
    #[task_fn]
    fn lengths(name: &str) -> (usize, usize) {
        problem(name);
        (name.len(), 0)
    }
    #[task_fn]
    fn first(name: &str) -> usize {
        lengths::take::<Problem>(name).len() + lengths::part(name, &(), |both, ()| both.0)
    }
    Runtime::new().run(|| assert!(texts(first::collect("a")).is_empty()));
}

#[test]
fn it_is_taken_on_all_threads_that_work_for_the_task() {
    #[task_fn]
    fn of_many() -> usize {
        let found = par_map(["a", "b", "c"], |name| check::take::<Problem>(name).len());
        scope(|scope| {
            scope.spawn(|| assert_eq!(check::take::<Problem>("d").len(), 2));
        });
        found.into_iter().sum()
    }
    #[task_fn]
    async fn later() -> usize {
        let found = check::take::<Problem>("a").len();
        std::future::ready(()).await;
        found + check("a")
    }
    let runtime = Runtime::builder().threads(3).build();
    runtime.run(|| assert!(texts(of_many::collect()).is_empty()));
    block_on(runtime.run_async(async || {
        later().await;
        assert!(texts(later::collect()).is_empty());
    }));
}

#[task_fn(transient)]
fn noisy(x: &Input<u32>) -> u32 {
    problem(format!("x = {}", x.get()));
    7
}

#[task_fn(transient)]
fn quiet(x: &Input<u32>, takes: &Input<bool>) -> usize {
    if takes.get() { noisy::take::<Problem>(x).len() } else { noisy(x) as usize }
}

#[task_fn(transient)]
fn collector(x: &Input<u32>, takes: &Input<bool>) -> Vec<String> {
    texts(quiet::collect(x, takes))
}

#[test]
fn a_collector_does_not_run_for_what_was_taken_and_does_when_that_ends() {
    let runtime = Runtime::new();
    let (x, takes) = (runtime.input("x", 1), runtime.input("takes", true));
    let ask = || runtime.run(|| collector(&x, &takes));
    let runs =
        || ["noisy", "quiet", "collector"].map(|name| runtime.stats().get(name).map_or(0, |of| of.runs));
    assert!(ask().is_empty());
    runtime.update(|update| update.set(&x, 2)).unwrap();
    assert!(ask().is_empty());
    assert_eq!(runs(), [2, 2, 1]);
    runtime.update(|update| update.set(&takes, false)).unwrap();
    assert_eq!(ask(), ["x = 2"]);
    runtime.update(|update| update.set(&x, 3)).unwrap();
    assert_eq!(ask(), ["x = 3"]);
    runtime.update(|update| update.set(&takes, true)).unwrap();
    assert!(ask().is_empty());
}

#[test]
fn over_a_store_it_is_the_same() {
    let store = MemoryStorage::new();
    for _ in 0..3 {
        let runtime = Runtime::builder().storage(store.clone()).code_identity("taking").try_build().unwrap();
        runtime.run(|| {
            assert_eq!(texts(both_ways::collect("a")), ["2 problems", "a"]);
            assert_eq!(texts(program::collect("a")), ["2 problems"]);
            assert_eq!(texts(check::collect("a")), ["a", "check a"]);
        });
    }
}

#[test]
fn what_could_not_be_taken_is_passed_on() {
    #[task_fn]
    fn failing(x: &Input<u32>) -> u32 {
        problem("failing");
        assert!(x.get() > 0, "zero");
        x.get()
    }
    #[task_fn]
    fn coping(x: &Input<u32>) -> usize {
        let taken = std::panic::catch_unwind(|| failing::take::<Problem>(x).len());
        taken.unwrap_or(100)
    }
    let runtime = Runtime::new();
    let x = runtime.input("x", 0);
    runtime.run(|| {
        assert_eq!(coping(&x), 100);
        assert!(texts(coping::collect(&x)).is_empty());
    });
    runtime.update(|update| update.set(&x, 1)).unwrap();
    runtime.run(|| {
        assert!(texts(coping::collect(&x)).is_empty());
        assert_eq!(coping(&x), 1);
    });
}

fn is_long(length: &usize, (): &()) -> bool {
    *length > 1
}

#[task_fn]
fn takes_and_reads_a_part(name: &str) -> usize {
    let taken = leaf::take::<Problem>(name).len();
    taken + usize::from(leaf::part(name, &(), is_long))
}

/// A part out of the store is known before the task that it is a part of is in memory.
#[test]
fn a_part_that_comes_out_of_the_store_passes_nothing_on_that_is_taken_from_its_source() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("taking").try_build().unwrap();
    let names = ["a", "bcd"];
    let ask = |name: &str| (texts(takes_and_reads_a_part::collect(name)), takes_and_reads_a_part(name));
    let expected = open().run(|| names.map(ask));
    assert_eq!(expected, [(Vec::new(), 1), (Vec::new(), 2)]);
    let runtime = open();
    runtime.run(|| {
        for name in names {
            // Restored, with no more than what the store knows of its read.
            assert_eq!(leaf::part(name, &(), is_long), name.len() > 1);
        }
    });
    runtime.run(|| assert_eq!(names.map(ask), expected));
}
