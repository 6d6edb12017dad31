//! Forgetting by what is named: a call with all that it alone has needed, a function, tasks that a predicate picks.

use larder::storage::MemoryStorage;
use larder::{Runtime, ask, task_fn};

use super::{runs_of, tasks_of};

#[task_fn]
fn leaf(number: u32) -> u32 {
    number
}

#[task_fn]
fn middle(number: u32) -> u32 {
    leaf(number) + leaf(number + 1)
}

#[task_fn]
fn root(number: u32) -> u32 {
    middle(number) + middle(number + 100)
}

#[test]
fn a_call_goes_with_all_that_it_alone_has_needed() {
    let store = MemoryStorage::new();
    let runtime = Runtime::builder().storage(store.clone()).build();
    runtime.run(|| (root(0), leaf(1), middle(50)));
    assert_eq!(runtime.stats().tasks, 1 + 2 + 4 + 3);
    // `leaf(1)` is asked for by the session as well, which counts for nothing: only readers and handles do.
    let held = runtime.run(|| leaf::task(0));
    runtime.run(|| assert!(root::forget_all_of(0)));
    runtime.run(|| ());
    assert_eq!(tasks_of(&runtime, "root"), 0);
    assert_eq!((tasks_of(&runtime, "middle"), tasks_of(&runtime, "leaf")), (1, 3));
    assert!(runtime.run(|| !root::forget_all_of(0)));
    drop(held);
    // The store does not have them any more, either.
    drop(runtime);
    let runtime = Runtime::builder().storage(store).build();
    runtime.run(|| (root(0), middle(50)));
    assert_eq!(
        (runs_of(&runtime, "root"), runs_of(&runtime, "middle"), runs_of(&runtime, "leaf")),
        (1, 2, 3)
    );
}

#[test]
fn what_another_task_has_read_stays() {
    #[task_fn]
    fn other() -> u32 {
        middle(0)
    }
    let runtime = Runtime::new();
    runtime.run(|| (root(0), other()));
    runtime.run(|| assert!(root::forget_all_of(0)));
    runtime.run(|| ());
    assert_eq!((tasks_of(&runtime, "middle"), tasks_of(&runtime, "leaf")), (1, 2));
    runtime.run(|| (root(0), other()));
    assert_eq!((runs_of(&runtime, "middle"), runs_of(&runtime, "other")), (3, 1));
}

#[test]
fn a_function_is_cleared() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Page(u32);
    impl Page {
        #[task_fn(transient)]
        fn twice(&self) -> u32 {
            self.0 * 2
        }
    }
    let runtime = Runtime::new();
    runtime.run(|| (0..10).for_each(|number| _ = (leaf(number), middle(number), Page(number).twice())));
    assert_eq!(runtime.run(middle::clear), 10);
    assert_eq!(runtime.run(|| ask(|| Page(1).twice()).clear()), 10);
    runtime.run(|| ());
    assert_eq!(
        (tasks_of(&runtime, "middle"), tasks_of(&runtime, "twice"), tasks_of(&runtime, "leaf")),
        (0, 0, 11)
    );
}

#[test]
fn a_predicate_picks_by_function_and_arguments() {
    let runtime = Runtime::new();
    let input = runtime.input("x", 1);
    runtime.run(|| (0..10).for_each(|number| _ = (leaf(number), input.get())));
    let forgotten = runtime.forget_if(|task| task.function() == "leaf" && task.to_string().ends_with("(7)"));
    assert_eq!(forgotten, 1);
    runtime.run(|| (0..10).for_each(|number| _ = leaf(number)));
    assert_eq!(runs_of(&runtime, "leaf"), 11);
    assert!(runtime.forget_if(|task| task.path().contains("forgetting") && task.has_output()) >= 10);
    runtime.run(|| assert_eq!(input.get(), 1));
    assert_eq!(runtime.stats().tasks, 0);
}

#[test]
fn what_is_known_to_the_store_alone_is_forgotten_there() {
    #[task_fn]
    fn stored(n: u32) -> u32 {
        n + 1
    }
    let store = larder::storage::MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("test").build();
    open().run(|| (stored(1), stored(2)));
    let second = open();
    second.run(|| assert!(stored::forget(1) && !stored::forget(3)));
    second.run(|| ());
    assert_eq!(second.stats().tasks, 0);
    drop(second);
    let third = open();
    assert_eq!(third.run(|| (stored(1), stored(2))), (2, 3));
    assert_eq!(runs_of(&third, "stored"), 1);
    assert!(third.run(|| stored::forget_all_of(2)));
    assert_eq!(third.run(|| (stored(1), stored(2))), (2, 3));
    assert_eq!(runs_of(&third, "stored"), 2);
}
