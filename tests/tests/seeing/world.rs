//! Sessions, updates, waits at the gate, batches of the store.

use std::sync::mpsc;

use larder::events::{Event, TaskId};
use larder::storage::MemoryStorage;
use larder::{GateWaiter, Input, Runtime, task_fn};

#[task_fn]
fn half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

fn updates(events: &[Event<TaskId>]) -> Vec<String> {
    let lines = events.iter().filter_map(|event| match event {
        Event::Updated(updated) => {
            let changed: Vec<_> = updated
                .changed
                .iter()
                .map(|changed| {
                    let differs = changed.before != changed.after;
                    format!(
                        "{}{}{}",
                        changed.leaf,
                        if changed.removed { " removed" } else { "" },
                        if differs { "" } else { " ?" }
                    )
                })
                .collect();
            Some(format!("update {}: {}; {} marked", updated.number, changed.join(", "), updated.marked))
        }
        _ => None,
    });
    lines.collect()
}

#[test]
fn updates_say_what_changed_and_how_much_is_stale() {
    let runtime = Runtime::new();
    let (a, b) = (runtime.input("a", 1), runtime.transient_input("b", 2));
    runtime.run(|| (half(&a), half(&b)));
    let events = runtime.subscribe(100);
    runtime.update(|update| update.set(&a, 1)).unwrap();
    runtime.update(|update| update.set(&a, 5)).unwrap();
    runtime.update(|update| update.set(&b, 5)).unwrap();
    runtime.update(|update| update.remove(&a)).unwrap();
    assert_eq!(
        updates(&events.drain().0),
        [
            r#"update 1: input("a"); 1 marked"#,
            // A transient input has no fingerprint.
            r#"update 2: input("b") ?; 1 marked"#,
            r#"update 3: input("a") removed; 1 marked"#,
        ]
    );
}

#[test]
fn a_refresh_says_which_file_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, "one").unwrap();
    let runtime = Runtime::new();
    runtime.run(|| larder::fs::read(&path).map(|bytes| bytes.len()).ok());
    let events = runtime.subscribe(100);
    runtime.refresh().unwrap();
    assert!(updates(&events.drain().0).is_empty());
    std::fs::write(&path, "three").unwrap();
    runtime.refresh().unwrap();
    let lines = updates(&events.drain().0);
    assert!(lines.len() == 1 && lines[0].contains("/f") && !lines[0].contains('?'), "{lines:?}");
}

#[test]
fn sessions_are_told_of_with_their_beginning_and_end() {
    let runtime = Runtime::new();
    let events = runtime.subscribe(100);
    runtime.run(|| runtime.run(|| ()));
    let events = events.drain().0;
    let [Event::SessionOpened(opened), Event::SessionClosed(closed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((opened.at, opened.thread), (closed.start, closed.thread));
}

#[test]
fn a_wait_at_the_gate_is_told_of() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 1);
    let events = runtime.subscribe(100);
    let (opened, is_open) = mpsc::channel();
    let updating = runtime.run(|| {
        let (updater, input) = (runtime.clone(), input.clone());
        let updating = std::thread::spawn(move || {
            opened.send(()).unwrap();
            updater.update(|update| update.set(&input, 2)).unwrap();
        });
        is_open.recv().unwrap();
        while runtime.activity().at_gate.is_empty() {
            std::thread::yield_now();
        }
        updating
    });
    updating.join().unwrap();
    let waits: Vec<_> = events
        .drain()
        .0
        .into_iter()
        .filter_map(|event| match event {
            Event::Waited(waited) => Some(waited.waiter),
            _ => None,
        })
        .collect();
    assert_eq!(waits, [GateWaiter::Update]);
}

#[test]
fn batches_of_the_store_are_told_of_before_a_flush_returns() {
    let runtime = Runtime::builder().storage(MemoryStorage::new()).build();
    let input = runtime.input("i", 1);
    let events = runtime.subscribe(100);
    runtime.run(|| half(&input));
    runtime.flush().unwrap();
    let writes: u64 = events
        .drain()
        .0
        .iter()
        .filter_map(|event| match event {
            Event::Committed(committed) => Some(committed.writes),
            _ => None,
        })
        .sum();
    assert!(writes > 0);
    assert_eq!(Some(writes), runtime.stats().storage.map(|storage| storage.writer.writes));
}
