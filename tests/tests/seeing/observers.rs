//! Observers come and go, and harm nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use larder::events::{Event, Lost, TaskRef};
use larder::{Runtime, par_map, task_fn};

use super::Told;

#[task_fn(transient)]
fn plain(n: u64) -> u64 {
    n
}

#[task_fn(transient)]
fn fans(n: u64) -> u64 {
    par_map(0..n, plain).into_iter().sum()
}

#[test]
fn a_dropped_guard_ends_it() {
    let runtime = Runtime::new();
    let (one, other) = (Told::of(&runtime), Told::of(&runtime));
    runtime.run(|| plain(1));
    drop(runtime.observe(|_: &Event<TaskRef<'_>>| panic!("it is not told of anything")));
    let lines = one.lines.clone();
    drop(one);
    runtime.run(|| plain(2));
    assert_eq!(*lines.lock().unwrap(), ["plain(1): ran: First"]);
    assert_eq!(other.take(), ["plain(1): ran: First", "plain(2): ran: First"]);
}

#[test]
fn a_guard_that_outlives_its_runtime_is_nothing() {
    let runtime = Runtime::new();
    let told = Told::of(&runtime);
    drop(runtime);
    drop(told);
}

#[test]
fn a_panicking_observer_harms_nothing() {
    let runtime = Runtime::builder().threads(4).build();
    let observing = runtime.observe(|_: &Event<TaskRef<'_>>| panic!("an observer's panic"));
    let told = Told::of(&runtime);
    assert_eq!(runtime.run(|| fans(50)), 49 * 25);
    assert_eq!(told.take().len(), 51);
    drop(observing);
    assert_eq!(runtime.run(|| fans(50)), 49 * 25);
}

#[test]
fn an_observer_that_calls_a_task_meets_no_session_and_may_open_one() {
    let runtime = Runtime::new();
    let (asked, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let observing = {
        let (runtime, asked, opened) = (runtime.clone(), asked.clone(), opened.clone());
        runtime.clone().observe(move |event: &Event<TaskRef<'_>>| {
            if matches!(event, Event::Ran(_)) {
                // It is claimed: this would be a cycle.
                asked.fetch_add(1, SeqCst);
                assert!(std::panic::catch_unwind(|| plain(1)).is_err());
                assert_eq!(runtime.run(|| plain(1000)), 1000);
                opened.fetch_add(1, SeqCst);
            }
        })
    };
    assert_eq!(runtime.run(|| fans(3)), 3);
    assert_eq!((asked.load(SeqCst), opened.load(SeqCst)), (4, 4), "its own runs are not told of");
    drop(observing);
}

#[test]
fn an_observer_may_take_itself_off() {
    let runtime = Runtime::new();
    let place = Arc::new(std::sync::Mutex::new(None));
    let own = place.clone();
    let observing = runtime.observe(move |_: &Event<TaskRef<'_>>| drop(own.lock().unwrap().take()));
    *place.lock().unwrap() = Some(observing);
    assert_eq!(runtime.run(|| fans(10)), 45);
    assert!(place.lock().unwrap().is_none());
}

#[test]
fn a_full_subscription_loses_its_oldest_and_says_how_many() {
    let runtime = Runtime::new();
    let events = runtime.subscribe(3);
    runtime.run(|| (0..10).map(plain).sum::<u64>());
    // One event more at each end of the session.
    assert_eq!(events.try_next().map(|event| format!("{event:?}")), Err(Lost(9)));
    let (rest, lost) = events.drain();
    assert_eq!(lost, Lost(0));
    let names: Vec<_> = rest
        .iter()
        .filter_map(|event| match event {
            Event::Ran(ran) => Some(ran.task.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["plain(8)", "plain(9)"]);
    assert!(matches!(rest.last(), Some(Event::SessionClosed(_))));
    assert!(events.try_next().unwrap().is_none());
    assert!(events.next_within(Duration::ZERO).unwrap().is_none());
}

#[test]
fn names_compare_by_function_and_arguments() {
    let (one, other) = (Runtime::new(), Runtime::new());
    let name_in = |runtime: &Runtime, n| {
        let events = runtime.subscribe(10);
        runtime.run(|| plain(n));
        events.drain().0.into_iter().find_map(|event| match event {
            Event::Ran(ran) => Some(ran.task),
            _ => None,
        })
    };
    let (three, again, four) =
        (name_in(&one, 3).unwrap(), name_in(&other, 3).unwrap(), name_in(&one, 4).unwrap());
    assert_eq!(three, again);
    assert_ne!(three, four);
    assert!(three < four);
    assert_eq!((three.function(), three.path()), ("plain", "seeing::observers::plain"));
}
