//! The size of a store: caps, compaction, reports.

use super::*;

#[test]
fn a_cap_drops_older_traces_before_tasks() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    let enter = |runtime: &Runtime, state: u32| {
        let input = runtime.input("state", state);
        runtime.update(|update| update.set(&input, state)).unwrap();
        take_runs();
        let sums =
            runtime.run(|| (0..20).map(|by| scaled(&input, by).trim().parse::<u32>().unwrap()).sum::<u32>());
        assert_eq!(sums, state * 190);
        take_runs()
    };
    let runtime = open(u64::MAX);
    // Five traces of each task, of about 2 KiB each.
    assert_eq!((1..=5).map(|state| enter(&runtime, state)).sum::<u64>(), 100);
    drop(runtime);
    // Room for what is current, and a little more.
    drop(open(70_000));
    let runtime = open(70_000);
    assert_eq!(enter(&runtime, 5), 0, "a current trace was dropped while there were older ones");
    assert!(enter(&runtime, 1) >= 15, "no older trace was dropped");
}

/// The store was brought under its cap when the runtime was dropped, and grew without a bound until then.
#[test]
fn a_cap_acts_while_the_program_runs() {
    const CAP: u64 = 400_000;
    in_time(|| {
        let store = MemoryStorage::new();
        let runtime =
            Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(CAP).build();
        let stored = || {
            runtime.flush().unwrap();
            runtime.storage_report().unwrap().unwrap()
        };
        let mut others = 0;
        // Some 2 KiB each, ten times the cap in all.
        for round in 0..20 {
            assert_eq!(pages(&runtime, round * 100..round * 100 + 100), 100);
            runtime.flush().unwrap();
            runtime.shrink_to(0).unwrap();
            // Victims go when sessions open, through the queue of the writer.
            while stored().total_bytes() > CAP + CAP / 16 {
                others += 1;
                pages(&runtime, 1_000_000 + others..1_000_001 + others);
                runtime.shrink_to(0).unwrap();
            }
        }
        let report = stored();
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.replaced, 0);
        let stats = runtime.stats().storage.unwrap().cap.unwrap();
        assert!(stats.tasks > 1_500 && stats.looks < 200, "{stats:?}");
        // Within one process all are as recent. About a tenth of them is there, and the others are computed again.
        let again = pages(&runtime, 0..2_000);
        assert!((1_600..2_000).contains(&again), "{again}");
    });
}

/// Memory goes by the records of restored tasks: what they have read, and what it takes to find them, is in the store alone.
#[test]
fn a_cap_that_acts_while_the_program_runs_spares_what_is_in_memory() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    let ask = |runtime: &Runtime, input: &Input<u32>| {
        runtime.run(|| (0..20).map(|by| scaled(input, by).trim().parse::<u32>().unwrap()).sum::<u32>())
    };
    let runtime = open(u64::MAX);
    assert_eq!(ask(&runtime, &runtime.input("state", 1)), 190);
    drop(runtime);
    let runtime = open(10_000);
    let input = runtime.input("state", 1);
    take_runs();
    assert_eq!(ask(&runtime, &input), 190);
    assert_eq!(take_runs(), 0, "restored");
    for round in 0..10 {
        pages(&runtime, round * 10..round * 10 + 10);
        runtime.flush().unwrap();
    }
    take_runs();
    assert_eq!(ask(&runtime, &input), 190);
    assert_eq!(take_runs(), 0);
    runtime.update(|update| update.set(&input, 2)).unwrap();
    assert_eq!(ask(&runtime, &input), 380);
    assert_eq!(take_runs(), 20);
    let stats = runtime.stats().storage.unwrap().cap.unwrap();
    assert!(stats.looks > 0, "{stats:?}");
}

/// Results that others have replaced go first.
#[test]
fn a_cap_that_acts_while_the_program_runs_drops_older_results_before_tasks() {
    const CAP: u64 = 70_000;
    in_time(|| {
        let store = MemoryStorage::new();
        let runtime =
            Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(CAP).build();
        let input = runtime.input("state", 0);
        let mut state = 0;
        let enter = |state: u32| {
            runtime.update(|update| update.set(&input, state)).unwrap();
            runtime
                .run(|| (0..20).for_each(|by| assert_eq!(scaled(&input, by).trim().parse(), Ok(state * by))));
            runtime.flush().unwrap();
            runtime.stats().storage.unwrap().cap.unwrap()
        };
        // Each state adds 20 results, of 2 KiB each.
        let stats = loop {
            state += 1;
            let stats = enter(state);
            if stats.trimmed > 100 {
                break stats;
            }
        };
        assert_eq!(stats.tasks, 0, "{stats:?}");
        let report = runtime.storage_report().unwrap().unwrap();
        assert!(report.is_sound(), "{report:?}");
        take_runs();
        enter(state);
        assert_eq!(take_runs(), 0);
    });
}

#[test]
fn least_recently_used_tasks_are_dropped_first() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    assert_eq!(pages(&open(u64::MAX), 0..30), 30);
    assert_eq!(pages(&open(u64::MAX), 10..30), 0);
    // Used once more, and only now over the cap.
    assert_eq!(pages(&open(30_000), 20..30), 0);
    let runtime = open(u64::MAX);
    assert_eq!(pages(&runtime, 20..30), 0, "the most recently used ones were dropped");
    assert!(pages(&runtime, 10..20) >= pages(&open(u64::MAX), 0..10).min(5));
}

#[test]
fn compaction_gives_space_back_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let size = || std::fs::metadata(&path).unwrap().len();
    let runtime = over(RedbStorage::open(&path).unwrap());
    assert_eq!(pages(&runtime, 0..2000), 2000);
    runtime.flush().unwrap();
    runtime.run(|| assert!((0..1900).all(page::forget)));
    runtime.run(|| ());
    runtime.flush().unwrap();
    let before = size();
    runtime.compact_storage().unwrap();
    assert!(size() < before / 2, "{before} bytes before, {} after", size());
    assert!(runtime.storage_report().unwrap().unwrap().is_sound());
    drop(runtime);
    let runtime = over(RedbStorage::open(&path).unwrap());
    assert_eq!(pages(&runtime, 1900..2000), 0);
    assert_eq!(pages(&runtime, 1890..1900), 10);
}

#[test]
fn a_report_names_the_size_of_each_function_and_what_is_damaged() {
    let store = MemoryStorage::new();
    let runtime = over(store.clone());
    pages(&runtime, 0..50);
    runtime.run(|| (1..=3).for_each(|by| drop(scaled(&runtime.input("x", 1), by))));
    let report = runtime.storage_report().unwrap().unwrap();
    assert!(report.is_sound());
    let sizes: Vec<_> =
        report.functions.iter().map(|(_, size)| (&*size.path, size.tasks, size.bytes)).collect();
    assert!(sizes[0].0.ends_with("::page") && sizes[0].1 == 50 && sizes[0].2 > 100_000, "{sizes:?}");
    assert!(sizes[1].0.ends_with("::scaled") && sizes[1].1 == 3 && sizes[1].2 > 6000, "{sizes:?}");
    drop(runtime);
    let damaged = store.crash();
    assert!((0..400).all(|at| damaged.flip_bit(at * 9_999_991).is_some()));
    let report = over(damaged).storage_report().unwrap().unwrap();
    assert!(report.damage.len() > 10, "{:?}", report.damage);
}
