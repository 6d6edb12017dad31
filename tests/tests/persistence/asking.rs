//! How often the store is asked for what it cannot have.

use super::*;

const READERS: u32 = 200;

#[task_fn]
fn reader(cell: &Input<u64>, number: u32) -> u64 {
    ran("reader");
    cell.get() * 1000 + u64::from(number)
}

#[task_fn]
fn sum(cell: &Input<u64>) -> u64 {
    (0..READERS).map(|number| reader(cell, number)).sum()
}

fn expected(value: u64) -> u64 {
    u64::from(READERS) * value * 1000 + u64::from(READERS * (READERS - 1) / 2)
}

/// Each reader whose input had changed was looked up in the store, and each of its older traces loaded, whatever the input had come to.
#[test]
fn a_value_that_no_trace_has_read_is_not_looked_for() {
    let store = MemoryStorage::new();
    let runtime = open(&store);
    let cell = runtime.input("cell", 0_u64);
    let set = |value: u64| {
        runtime.update(|update| update.set(&cell, value)).unwrap();
        assert_eq!(runtime.run(|| sum(&cell)), expected(value));
        runtime.flush().unwrap();
        take_ran().len()
    };
    for value in 1..=6 {
        assert_eq!(set(value), READERS as usize);
    }
    let before = store.faults().calls(Operation::Get);
    assert_eq!(set(7), READERS as usize);
    let asked = store.faults().calls(Operation::Get) - before;
    // The writer reads what it merges with, once a task. Seven reads more of each task would be a look at its traces.
    assert!(asked < u64::from(4 * READERS), "{asked}");
    // All of these values were read by a trace.
    for value in [3, 7, 1, 6] {
        assert_eq!(set(value), 0, "{value}");
    }
    drop(runtime);
    // In another process, first all traces are unknown.
    let runtime = open(&store);
    let cell = runtime.input("cell", 6_u64);
    for (value, runs) in [(6, 0), (8, READERS), (6, 0), (2, 0), (9, READERS), (8, 0), (9, 0)] {
        runtime.update(|update| update.set(&cell, value)).unwrap();
        assert_eq!(runtime.run(|| sum(&cell)), expected(value));
        assert_eq!(take_ran().len(), runs as usize, "{value}");
    }
}

/// A read that failed was taken for a record that is not there, so results of earlier processes were not looked for any more.
#[test]
fn a_read_that_fails_does_not_hide_what_is_stored() {
    let store = MemoryStorage::new();
    let runtime = open(&store);
    let cell = runtime.input("cell", 1_u64);
    assert_eq!(runtime.run(|| sum(&cell)), expected(1));
    runtime.update(|update| update.set(&cell, 2)).unwrap();
    assert_eq!(runtime.run(|| sum(&cell)), expected(2));
    drop((runtime, cell));
    take_ran();
    let runtime = open(&store);
    let cell = runtime.input("cell", 2_u64);
    store.faults().fail_all(Operation::Get);
    assert_eq!(runtime.run(|| sum(&cell)), expected(2));
    assert_eq!(take_ran().len(), READERS as usize);
    store.faults().heal();
    runtime.update(|update| update.set(&cell, 1)).unwrap();
    assert_eq!(runtime.run(|| sum(&cell)), expected(1));
    assert_eq!(take_ran().len(), 0);
}
