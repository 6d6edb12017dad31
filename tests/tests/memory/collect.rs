//! Garbage: tasks that nothing asks for any more go without being named.

use larder::{Input, Runtime, emit, task_fn};

use super::{runs_of, tasks_of};

#[task_fn(transient)]
fn check(name: String, body: String) -> usize {
    emit(format!("{name} is checked"));
    body.len()
}

/// Splits a text into items, and checks each by its content.
#[task_fn(transient)]
fn check_all(file: Input<String>) -> usize {
    let items = file.get();
    items.lines().map(|line| check(line[..1].to_owned(), line[1..].to_owned())).sum()
}

#[test]
fn keys_made_of_contents_do_not_pile_up() {
    let runtime = Runtime::builder().collect_after(10).build();
    let file = runtime.input("file", String::new());
    for edit in 0..1000 {
        let text: String = (0..10)
            .map(|item| format!("{item} body {}\n", if item == edit % 10 { edit } else { 0 }))
            .collect();
        runtime.update(|update| update.set(&file, text)).expect("no session is open");
        runtime.run(|| assert!(check_all(file.clone()) > 60));
    }
    // Each edit has made a new key or two; those of the last 20 sessions may be there.
    let tasks = tasks_of(&runtime, "check");
    assert!(tasks <= 10 + 2 * 21, "{tasks}");
    assert_eq!(tasks_of(&runtime, "check_all"), 1);
    assert!(runs_of(&runtime, "check") < 2100);
}

#[test]
fn failed_lookups_and_expired_values_go() {
    #[task_fn(transient, no_errors)]
    fn lookup(key: u32) -> Result<u32, String> {
        if key.is_multiple_of(2) { Ok(key) } else { Err(format!("{key} is odd")) }
    }
    #[task_fn(transient, ttl = std::time::Duration::ZERO)]
    fn token(user: u32) -> u32 {
        user
    }
    let runtime = Runtime::builder().collect_after(5).build();
    for key in 0..1000 {
        runtime.run(|| assert!(lookup(2 * key + 1).is_err() && lookup(2) == Ok(2) && token(key) == key));
    }
    let (failed, expired) = (tasks_of(&runtime, "lookup"), tasks_of(&runtime, "token"));
    assert!(failed <= 12, "{failed} lookups");
    assert!(expired <= 2, "{expired} tokens");
    let asked = runtime.stats().get("lookup").map(|function| function.calls);
    assert_eq!((asked, runs_of(&runtime, "lookup")), (Some(2000), 1001), "what succeeded is kept");
}

#[test]
fn what_is_asked_for_now_and_then_stays() {
    let runtime = Runtime::builder().collect_after(10).build();
    for session in 0..200 {
        runtime.run(|| {
            if session % 8 == 0 {
                _ = check("hot".to_owned(), "x".to_owned());
            }
            _ = check("cold".to_owned(), format!("{session}"));
        });
    }
    assert_eq!(runs_of(&runtime, "check"), 201);
    assert!(tasks_of(&runtime, "check") <= 22);
}
