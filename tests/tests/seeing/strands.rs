//! Runs are told of wherever bodies run: on executors, crew threads, in scopes, in carried work.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use larder::events::{Event, TaskRef};
use larder::{Input, Runtime, TaskExt as _, current, par_map, task_fn};

use super::Told;

#[task_fn(transient)]
fn reading(input: &Input<u64>) -> u64 {
    input.get() / 10
}

#[task_fn(transient)]
async fn waits(input: &Input<u64>) -> u64 {
    tokio::task::yield_now().await;
    reading(input)
}

#[task_fn(transient)]
async fn waits_twice(input: &Input<u64>) -> u64 {
    waits(input).await + waits(input).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_bodies() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let told = Told::of(&runtime);
    runtime.run_async(waits_twice(&input)).await;
    assert_eq!(
        told.in_order(),
        [
            r#"reading(input("i")): ran: First"#,
            r#"waits(input("i")): ran: First"#,
            r#"waits_twice(input("i")): ran: First"#
        ]
    );
    let set = |value| {
        let (runtime, input) = (runtime.clone(), input.clone());
        tokio::task::spawn_blocking(move || runtime.update(|update| update.set(&input, value)).unwrap())
    };
    set(11).await.unwrap();
    runtime.run_async(waits_twice(&input)).await;
    let lines = told.in_order();
    assert_eq!(lines[0], r#"reading(input("i")): ran: read 0, input("i"), changed: CutOff"#);
    assert!(lines[1..].iter().all(|line| line.ends_with("verified")), "{lines:?}");
    set(30).await.unwrap();
    runtime.run_async(waits_twice(&input)).await;
    assert_eq!(
        told.in_order(),
        [
            r#"reading(input("i")): ran: read 0, input("i"), changed: Changed"#,
            r#"waits(input("i")): ran: read 0, reading(input("i")), changed: Changed"#,
            r#"waits_twice(input("i")): ran: read 0, waits(input("i")), changed: Changed"#,
        ]
    );
}

#[task_fn(transient)]
async fn never(input: &Input<u64>) -> u64 {
    std::future::pending::<()>().await;
    input.get()
}

#[tokio::test]
async fn an_async_body_that_is_given_up_was_cancelled() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let told = Told::of(&runtime);
    let work = runtime.run_async(never(&input));
    let timeout = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(timeout, work).await.is_err());
    assert_eq!(told.take(), [r#"never(input("i")): ran: First: Cancelled"#]);
}

#[task_fn(transient, heavy)]
fn long(n: u64) -> u64 {
    n
}

#[tokio::test]
async fn heavy_bodies_on_the_crew() {
    let runtime = Runtime::new();
    let threads = Arc::<Mutex<HashSet<_>>>::default();
    let sink = threads.clone();
    let told = Told::of(&runtime);
    let observing = runtime.observe(move |event: &Event<TaskRef<'_>>| {
        if let Event::Ran(ran) = event {
            assert_eq!(ran.thread, std::thread::current().id());
            sink.lock().unwrap().insert(ran.thread);
        }
    });
    assert_eq!(runtime.run_async(async { long::task(4).get_async().await }).await, 4);
    // It was told of before the session could end.
    assert_eq!(told.take(), ["long(4): ran: First"]);
    assert!(!threads.lock().unwrap().contains(&std::thread::current().id()));
    drop(observing);
}

#[task_fn(transient)]
fn fans(input: &Input<u64>) -> u64 {
    par_map(0..20, |n| scaled(input, n)).into_iter().sum()
}

#[task_fn(transient)]
fn scaled(input: &Input<u64>, n: u64) -> u64 {
    input.get() * n
}

#[test]
fn items_of_a_scope() {
    let runtime = Runtime::builder().threads(4).build();
    let input = runtime.input("i", 1);
    let told = Told::of(&runtime);
    for value in 2..20 {
        runtime.run(|| fans(&input));
        assert_eq!(told.take().len(), 21);
        runtime.update(|update| update.set(&input, value)).unwrap();
    }
}

#[task_fn(transient)]
fn carries(input: &Input<u64>) -> u64 {
    let (task, input) = (current(), input.clone());
    std::thread::spawn(move || task.run(|| reading(&input))).join().unwrap()
}

#[test]
fn carried_work() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 10);
    let told = Told::of(&runtime);
    runtime.run(|| carries(&input));
    assert_eq!(told.in_order(), [r#"reading(input("i")): ran: First"#, r#"carries(input("i")): ran: First"#]);
    runtime.update(|update| update.set(&input, 20)).unwrap();
    runtime.run(|| carries(&input));
    assert_eq!(
        told.in_order(),
        [
            r#"reading(input("i")): ran: read 0, input("i"), changed: Changed"#,
            r#"carries(input("i")): ran: read 0, reading(input("i")), changed: Changed"#,
        ]
    );
}

#[task_fn(transient)]
fn deep(n: u64) -> u64 {
    if n == 0 { 0 } else { deep(n - 1) + 1 }
}

#[test]
fn bodies_that_nest_deeply() {
    let runtime = Runtime::new();
    let told = Told::of(&runtime);
    assert_eq!(runtime.run(|| deep(50_000)), 50_000);
    assert_eq!(told.take().len(), 50_001);
}
