//! Parts of tasks that fail, wait, share, or are not there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use larder::{Input, Runtime, Task, TaskError, task_fn};

use super::{check, index, of, runs, total};

#[test]
fn a_source_that_fails_and_comes_back() {
    #[task_fn]
    fn list(n: &Input<usize>) -> Vec<usize> {
        let n = n.get();
        assert!(n != 13, "unlucky");
        (0..n).collect()
    }
    #[task_fn]
    fn second(n: &Input<usize>) -> Option<usize> {
        list::part(n, &1_usize, |list, at| list.get(*at).copied())
    }
    let runtime = Runtime::new();
    let n = runtime.input("n", 3);
    assert_eq!(runtime.run(|| second(&n)), Some(1));
    runtime.update(|update| update.set(&n, 13)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| runtime.run(|| second(&n)))).is_err());
    runtime.update(|update| update.set(&n, 5)).unwrap();
    assert_eq!(runtime.run(|| second(&n)), Some(1));
    runtime.update(|update| update.set(&n, 1)).unwrap();
    assert_eq!(runtime.run(|| second(&n)), None);
}

#[test]
fn a_selection_that_panics_is_left_to_its_reader() {
    #[task_fn]
    fn list(n: &Input<usize>) -> Vec<usize> {
        (0..n.get()).collect()
    }
    #[task_fn]
    fn last(n: &Input<usize>, of: usize) -> usize {
        list::part(n, &of, |list, at| list[*at])
    }
    let runtime = Runtime::new();
    let n = runtime.input("n", 3);
    assert_eq!(runtime.run(|| last(&n, 0) + last(&n, 2)), 2);
    runtime.update(|update| update.set(&n, 1)).unwrap();
    let outcome = runtime.run(|| (last(&n, 0), last::task(&n, 2).try_get()));
    assert_eq!(outcome.0, 0);
    assert!(outcome.1.unwrap_err().to_string().contains("index out of bounds"));
    runtime.update(|update| update.set(&n, 4)).unwrap();
    assert_eq!(runtime.run(|| last(&n, 2)), 2);
}

#[test]
fn parts_that_are_forgotten_or_evicted_come_back() {
    let runtime = Runtime::builder().memory_cap(0).build();
    let file = runtime.input("file", "a = 1\nb = 22".to_owned());
    for round in 0..5 {
        let text = format!("{}a = 1\nb = {}", "\n".repeat(round), "x".repeat(round));
        runtime.update(|update| update.set(&file, text)).unwrap();
        assert_eq!(runtime.run(|| total(&file)), 1 + round);
        runtime.run(|| index::forget(&file));
        assert_eq!(runtime.run(|| check(&file, "b")), round);
    }
}

#[test]
fn threads_that_ask_while_a_source_settles_see_one_value() {
    const THREADS: usize = 4;
    let runtime = Runtime::new();
    let text = |round: usize| -> String {
        (0..200).map(|i| format!("f{i} = {}\n", "x".repeat((i * round) % 7))).collect()
    };
    let file = runtime.input("file", text(0));
    let barrier = Barrier::new(THREADS);
    for round in 0..20 {
        runtime.update(|update| update.set(&file, text(round))).unwrap();
        let expected: usize = (0..200).map(|i| (i * round) % 7).sum();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    let names: Vec<String> = (0..200).map(|i| format!("f{i}")).collect();
                    let sum: usize = runtime.run(|| names.iter().map(|name| check(&file, name)).sum());
                    assert_eq!(sum, expected);
                });
            }
        });
    }
    assert_eq!(runs(&runtime, "index"), 20);
}

#[test]
fn a_part_by_handle_of_an_async_task() {
    #[task_fn]
    async fn words(text: &Input<String>) -> Vec<String> {
        std::future::ready(()).await;
        text.with(|text| text.split(' ').map(str::to_owned).collect())
    }
    #[task_fn]
    fn first(words: &Task<Vec<String>>) -> Option<String> {
        words.part(&0_usize, |words, at| words.get(*at).cloned())
    }
    let runtime = Runtime::new();
    let text = runtime.input("text", "one two".to_owned());
    let task = runtime.run(|| words::task(&text));
    assert_eq!(runtime.run(|| first(&task)).as_deref(), Some("one"));
    runtime.update(|update| update.set(&text, "one three".to_owned())).unwrap();
    assert_eq!(runtime.run(|| first(&task)).as_deref(), Some("one"));
    assert_eq!((runs(&runtime, "words"), runs(&runtime, "first")), (2, 1));
    assert_eq!(of(&runtime, "part").settled, 1);
}

/// The claim of a part that is being settled stands in no list of its strand. A wait for it is found to be a cycle all the same.
#[test]
fn a_comparison_that_asks_for_its_own_part_is_a_cycle_and_no_hang() {
    use std::sync::OnceLock;
    static INPUT: OnceLock<Input<u32>> = OnceLock::new();

    #[derive(Clone, Debug)]
    struct Asks;
    impl PartialEq for Asks {
        fn eq(&self, _: &Self) -> bool {
            reader(INPUT.get().unwrap());
            true
        }
    }
    #[task_fn(transient)]
    fn source(n: &Input<u32>) -> u32 {
        n.get()
    }
    #[task_fn(transient)]
    fn reader(n: &Input<u32>) -> u32 {
        let Asks = source::part(n, &(), |_, ()| Asks);
        1
    }
    larder_tests::deadline::in_time(|| {
        let runtime = Runtime::new();
        let n = INPUT.get_or_init(|| runtime.input("n", 1)).clone();
        assert_eq!(runtime.run(|| reader(&n)), 1);
        runtime.update(|update| update.set(&n, 2)).unwrap();
        // It settles the part, and compares it.
        assert_eq!(runtime.run(|| source(&n)), 2);
        let task = runtime.run(|| reader::task(&n));
        assert!(matches!(runtime.run(|| task.try_get()), Err(TaskError::Cycle(_))));
    });
}
