//! Tasks that read each other, under bounds on memory: their components go as a whole, and come to the same again.

use larder::storage::MemoryStorage;
use larder::{Builder, Input, Runtime, task_fn};

use super::{runs_of, tasks_of};

/// The largest of three numbers that lead to each other, above a base.
#[task_fn(cycle_initial = 0)]
fn largest(base: &Input<u32>, ring: u32, at: u32) -> u32 {
    (base.get() + ring * 10 + at).max(largest(base, ring, (at + 1) % 3))
}

#[task_fn]
fn report(base: &Input<u32>, ring: u32) -> u32 {
    largest(base, ring, 1) + 1
}

#[task_fn]
fn line(number: u32) -> String {
    format!("{number:>500}")
}

const CAP: usize = 40_000;

/// Without a store, and with one, which is flushed by the second argument.
fn each_way(bound: impl Fn(Builder) -> Builder, test: impl Fn(Runtime, &dyn Fn(&Runtime))) {
    test(bound(Runtime::builder()).build(), &|_| ());
    let stored = bound(Runtime::builder()).storage(MemoryStorage::new()).code_identity("test");
    test(stored.build(), &|runtime| runtime.flush().expect("nothing is wrong with the store"));
}

#[test]
fn components_go_under_a_cap_and_come_to_the_same_again() {
    each_way(
        |builder| builder.memory_cap(CAP),
        |runtime, flush| {
            let base = runtime.input("base", 0);
            for round in 0..3 {
                runtime.update(|update| update.set(&base, round / 2)).expect("no session is open");
                for ring in 0..200 {
                    let expected = round / 2 + ring * 10 + 2;
                    assert_eq!(runtime.run(|| largest(&base, ring, ring % 3)), expected, "round {round}");
                    assert_eq!(runtime.run(|| report(&base, ring)), expected + 1, "round {round}");
                    flush(&runtime);
                }
                runtime.run(|| ());
                assert!(runtime.memory().bytes <= CAP, "round {round}: {}", runtime.memory());
            }
            assert!((3..400).contains(&tasks_of(&runtime, "largest")), "{}", runtime.memory());
        },
    );
}

#[test]
fn a_component_that_is_held_or_read_stays_whole() {
    each_way(
        |builder| builder.memory_cap(CAP),
        |runtime, flush| {
            let base = runtime.input("base", 0);
            let held = runtime.run(|| largest::task(&base, 1, 0));
            let reader = runtime.run(|| report::task(&base, 2));
            runtime.run(|| assert_eq!((held.get(), reader.get()), (12, 23)));
            flush(&runtime);
            for number in 0..400 {
                runtime.run(|| line(number));
                flush(&runtime);
            }
            let runs = runs_of(&runtime, "largest");
            runtime
                .run(|| assert_eq!((held.get(), largest(&base, 1, 2), largest(&base, 2, 0)), (12, 12, 22)));
            assert_eq!(runs_of(&runtime, "largest"), runs);
            // Nothing holds them any more.
            drop((held, reader));
            runtime.shrink_to(0).expect("no session is open");
            assert_eq!(tasks_of(&runtime, "largest"), 0, "{}", runtime.memory());
            runtime.run(|| assert_eq!((largest(&base, 1, 0), report(&base, 2)), (12, 23)));
        },
    );
}

#[test]
fn components_that_were_not_asked_for_since_the_last_collection_go() {
    each_way(
        |builder| builder.collect_after(10),
        |runtime, flush| {
            let base = runtime.input("base", 0);
            runtime.run(|| (0..20).for_each(|ring| assert_eq!(largest(&base, ring, 0), ring * 10 + 2)));
            flush(&runtime);
            for _ in 0..50 {
                runtime.run(|| assert_eq!(largest(&base, 3, 1), 32));
            }
            assert_eq!(tasks_of(&runtime, "largest"), 3);
        },
    );
}

#[test]
fn a_collection_by_call_takes_components() {
    each_way(
        |builder| builder,
        |runtime, flush| {
            let base = runtime.input("base", 0);
            runtime.run(|| (0..20).for_each(|ring| assert_eq!(largest(&base, ring, 0), ring * 10 + 2)));
            flush(&runtime);
            runtime.shrink_to(0).expect("no session is open");
            assert_eq!(tasks_of(&runtime, "largest"), 0, "{}", runtime.memory());
            runtime.update(|update| update.set(&base, 1)).expect("no session is open");
            runtime.run(|| (0..20).for_each(|ring| assert_eq!(largest(&base, ring, 0), ring * 10 + 3)));
        },
    );
}
