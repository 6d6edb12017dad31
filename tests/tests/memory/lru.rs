//! A number of outputs per function.

use larder::{Runtime, task_fn};

use super::{outputs_of, runs_of, tasks_of};

#[task_fn(transient, lru = 5)]
fn tree(file: u32) -> String {
    file.to_string()
}

#[task_fn(transient)]
fn count(file: u32) -> usize {
    tree(file).len()
}

#[test]
fn outputs_beyond_the_number_go_and_readers_stay_current() {
    let runtime = Runtime::new();
    runtime.run(|| (0..100).for_each(|file| _ = count(file)));
    runtime.run(|| (0..100).for_each(|file| _ = count(file)));
    assert_eq!((outputs_of(&runtime, "tree"), tasks_of(&runtime, "tree")), (5, 100));
    assert_eq!((runs_of(&runtime, "tree"), runs_of(&runtime, "count")), (100, 100));
    runtime.run(|| assert_eq!(tree(50), "50"));
    assert_eq!(runs_of(&runtime, "count"), 100);
}

#[test]
fn what_is_used_stays_longest() {
    let runtime = Runtime::new();
    for round in 0..50 {
        runtime.run(|| {
            (0..3).for_each(|file| _ = tree(file));
            _ = tree(100 + round);
        });
    }
    let runs = runs_of(&runtime, "tree");
    assert!(runs <= 53 + 6, "{runs}");
    // Tasks without readers go as a whole.
    assert!(tasks_of(&runtime, "tree") <= 6);
}

#[test]
fn the_number_is_set_while_the_program_runs() {
    let runtime = Runtime::new();
    assert!(!runtime.set_lru("tree", 2));
    runtime.run(|| (0..4).for_each(|file| _ = tree(file)));
    assert!(runtime.set_lru("tree", 2));
    runtime.run(|| ());
    assert_eq!(outputs_of(&runtime, "tree"), 2);
    assert!(!runtime.set_lru("count", 2), "it has none");
    runtime.set_lru("tree", 1000);
    runtime.run(|| (0..100).for_each(|file| _ = tree(file)));
    runtime.run(|| ());
    assert_eq!(outputs_of(&runtime, "tree"), 100);
}
