//! Tasks and outputs that go because memory is short, and come back.

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, task_fn};

#[task_fn]
fn text(input: Input<String>, number: u32) -> String {
    input.with(|input| format!("{input} {number}"))
}

#[task_fn(lru = 2)]
fn length(input: Input<String>, number: u32) -> Vec<usize> {
    vec![text(input, number).len()]
}

#[task_fn(transient, expires = |_| std::time::Duration::ZERO, keep_if = |_| true)]
fn last(input: Input<String>) -> usize {
    (0..4).map(|number| length(input.clone(), number)[0]).sum()
}

#[test]
fn what_goes_comes_back_well() {
    for stored in [false, true] {
        let builder = Runtime::builder().memory_cap(0).collect_after(2);
        let runtime = if stored { builder.storage(MemoryStorage::new()).build() } else { builder.build() };
        let input = runtime.input("input", "a".to_owned());
        let handle = runtime.run(|| length::task(input.clone(), 1));
        for round in 0..4 {
            assert_eq!(runtime.run(|| last(input.clone())), 4 * (3 + round));
            runtime.flush().unwrap();
            runtime.run(|| assert_eq!(handle.with(|lengths| lengths[0]), 3 + round));
            assert!(runtime.memory().functions.iter().all(|function| function.tasks > 0));
            runtime.update(|update| update.set(&input, "a".repeat(round + 2))).unwrap();
        }
        drop(handle);
        assert_eq!(runtime.shrink_to(0).unwrap().after, 0);
        runtime.run(|| assert!(last(input.clone()) > 0 && last::forget_all_of(input.clone())));
        runtime.run(|| assert!(text(input.clone(), 9).len() == 7 && text::clear() > 0));
        runtime.run(|| {
            assert_eq!(text(input.clone(), 8).len(), 7);
            // Outputs stay until the session ends.
            assert!(runtime.forget_if(|task| task.has_output()) > 0);
        });
        runtime.run(|| ());
        assert!(runtime.memory().functions.iter().all(|function| function.outputs == 0));
    }
}
