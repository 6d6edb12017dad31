//! Reads that are no dependencies, and runs that hold for one session.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use larder::testing::{ran, watch};
use larder::{Input, Runtime, emit, task_fn, untracked};

fn runs(runtime: &Runtime, name: &str) -> u64 {
    runtime.stats().get(name).map_or(0, |function| function.runs)
}

#[task_fn]
fn double(n: &Input<u32>) -> u32 {
    n.get() * 2
}

#[test]
fn an_untracked_read_is_no_dependency_and_a_tracked_one_of_the_same_is() {
    #[task_fn]
    fn loose(tracked: &Input<u32>, other: &Input<u32>) -> u32 {
        tracked.get() + untracked(|| other.get() + double(other))
    }
    #[task_fn]
    fn first_untracked(n: &Input<u32>) -> u32 {
        untracked(|| n.get()) + n.get()
    }
    let runtime = Runtime::new();
    let (a, b) = (runtime.input("a", 1), runtime.input("b", 10));
    assert_eq!(runtime.run(|| loose(&a, &b)), 31);
    assert_eq!(runtime.run(|| first_untracked(&a)), 2);
    runtime.update(|update| update.set(&b, 20)).unwrap();
    let ran = watch(&runtime, || assert_eq!(runtime.run(|| loose(&a, &b)), 31));
    ran.assert_nothing_ran();
    ran.assert_hit(ran![loose(&a, &b)]);
    runtime.update(|update| update.set(&a, 2)).unwrap();
    let ran = watch(&runtime, || {
        assert_eq!(runtime.run(|| loose(&a, &b)), 62);
        assert_eq!(runtime.run(|| first_untracked(&a)), 4);
    });
    // The untracked read runs what it reads, as it would outside of a task.
    ran.assert_exactly(ran![loose(&a, &b), first_untracked(&a), double(&b)]);
    // As it was predicted to read, with an untracked read in between.
    runtime.update(|update| update.set(&a, 3)).unwrap();
    assert_eq!(runtime.run(|| (loose(&a, &b), first_untracked(&a))), (63, 6));
}

#[test]
fn a_panic_in_it_leaves_the_frame_in_order() {
    #[task_fn]
    fn caught(n: &Input<u32>) -> u32 {
        let outcome = std::panic::catch_unwind(|| untracked(|| panic!("{}", n.get())));
        assert!(outcome.is_err());
        n.get()
    }
    #[task_fn]
    fn says(n: &Input<u32>) -> u32 {
        untracked(|| emit("unheard".to_owned()));
        emit("heard".to_owned());
        n.get()
    }
    let runtime = Runtime::new();
    let n = runtime.input("n", 1);
    assert_eq!(runtime.run(|| caught(&n)), 1);
    runtime.update(|update| update.set(&n, 2)).unwrap();
    assert_eq!(runtime.run(|| caught(&n)), 2);
    assert_eq!(runtime.run(|| says::collect::<String>(&n)), ["heard"]);
    assert_eq!(untracked(|| 5), 5);
}

#[test]
fn a_volatile_run_holds_for_its_session() {
    static OUTSIDE: AtomicU32 = AtomicU32::new(0);
    #[task_fn]
    fn sometimes(asks: &Input<bool>) -> u32 {
        if asks.get() {
            larder::volatile();
            OUTSIDE.load(SeqCst)
        } else {
            0
        }
    }
    #[task_fn]
    fn reader(asks: &Input<bool>) -> u32 {
        sometimes(asks) + 1
    }
    let runtime = Runtime::new();
    let asks = runtime.input("asks", false);
    for _ in 0..3 {
        assert_eq!(runtime.run(|| reader(&asks)), 1);
    }
    assert_eq!(runs(&runtime, "sometimes"), 1);
    runtime.update(|update| update.set(&asks, true)).unwrap();
    for value in [0, 0, 7, 7] {
        OUTSIDE.store(value, SeqCst);
        assert_eq!(runtime.run(|| (reader(&asks), reader(&asks))), (value + 1, value + 1));
    }
    assert_eq!((runs(&runtime, "sometimes"), runs(&runtime, "reader")), (5, 2));
    runtime.update(|update| update.set(&asks, false)).unwrap();
    assert_eq!(runtime.run(|| reader(&asks)), 1);
    assert_eq!(runtime.run(|| reader(&asks)), 1);
    assert_eq!(runs(&runtime, "sometimes"), 6);
}
