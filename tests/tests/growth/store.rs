//! Tasks and inputs that come and go over a store leave no records in it.

use super::*;

#[task_fn]
fn stored_size(path: &Path) -> usize {
    larder::fs::read(path).map_or(0, |bytes| bytes.len())
}

#[task_fn]
fn stored_size_again(path: &Path) -> usize {
    larder::fs::read(path).map_or(0, |bytes| bytes.len() + 1)
}

/// A source whose last reader in memory has gone is still read by what is only stored: it has to be looked at for those.
#[test]
fn a_source_without_readers_in_memory_is_looked_at_for_those_in_the_store() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "abc").unwrap();
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).code_identity("growth").try_build().unwrap();
    let first = runtime();
    assert_eq!(first.run(|| stored_size(&path)), 3);
    drop(first);
    let second = runtime();
    assert_eq!(second.run(|| stored_size_again(&path)), 4);
    second.run(|| stored_size_again::forget(&path));
    second.run(|| ());
    second.refresh().unwrap();
    second.run(|| ());
    std::fs::write(&path, "abcdef").unwrap();
    assert_eq!(second.refresh().unwrap().checked, 1);
    assert_eq!(second.run(|| stored_size(&path)), 6);
    // Now nothing reads it.
    second.run(|| stored_size::forget(&path));
    second.run(|| ());
    second.flush().unwrap();
    second.refresh().unwrap();
    second.run(|| ());
    assert_eq!(second.refresh().unwrap().checked, 0);
    second.flush().unwrap();
    assert_eq!(records(&second, Table::Sources), 0);
}

fn records(runtime: &Runtime, table: Table) -> u64 {
    let report = runtime.storage_report().unwrap().unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    report.records[Table::ALL.iter().position(|other| *other == table).unwrap()]
}

#[task_fn]
fn stored_slow(of: &Input<String>, n: u64) -> u64 {
    (0..n).map(|k| stored_step(of, k)).sum()
}

#[task_fn]
fn stored_step(of: &Input<String>, k: u64) -> u64 {
    of.with(|text| text.len() as u64) + k
}

#[task_fn]
fn beside(of: &Input<String>, hub: &Input<String>) -> u64 {
    stored_step(of, 0) + stored_step(hub, 1)
}

/// All that there is in a store when what is waiting has been stored and swept.
fn all_records(runtime: &Runtime) -> Vec<u64> {
    // Before each batch goes a slice of the sweep at least.
    for n in 0..60 {
        let input = runtime.input("waits for the sweep", String::new());
        runtime.update(|update| update.set(&input, n.to_string())).unwrap();
        runtime.flush().unwrap();
    }
    // Names of functions stay.
    let tables = Table::ALL.iter().filter(|table| **table != Table::Functions);
    tables.map(|table| records(runtime, *table)).collect()
}

/// Names that came and went left their records: 40,200 inputs and 199,187 lists of dependents for 81,009 tasks.
#[test]
fn in_a_store_inputs_and_tasks_that_come_and_go_leave_no_records() {
    let _alone = alone();
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).code_identity("growth").try_build().unwrap();
    let hub = |runtime: &Runtime| runtime.input("hub", "hub".to_owned());
    let round = |runtime: &Runtime, number: u64, flushes: bool| {
        let hub = hub(runtime);
        let inputs: Vec<_> =
            (0..MANY).map(|n| runtime.input(&format!("{number} {n}"), "x".repeat(n as usize))).collect();
        runtime.run(|| inputs.iter().map(|input| stored_slow(input, 3) + beside(input, &hub)).sum::<u64>());
        if flushes {
            runtime.flush().unwrap();
        }
        runtime.run(|| {
            for input in &inputs {
                // From below as well as from above.
                stored_step::forget(input, 0);
                stored_slow::forget(input, 3);
                beside::forget(input, &hub);
                (1..3).for_each(|k| _ = stored_step::forget(input, k));
            }
        });
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    };
    let first = runtime();
    let hub_of_first = hub(&first);
    first.run(|| stored_step(&hub_of_first, 1));
    let before = all_records(&first);
    for number in 0..6 {
        round(&first, number, number % 2 == 0);
    }
    let after = all_records(&first);
    assert_eq!(after, before, "records by table, after six rounds");
    drop((hub_of_first, first));
    let next = runtime();
    round(&next, 7, false);
    drop(next);
    let last = runtime();
    assert_eq!(all_records(&last), before, "and after a restart");
    // Nothing is distrusted: what is left is used as it is.
    let hub = hub(&last);
    last.run(|| stored_step(&hub, 1));
    assert_eq!(last.stats().runs(), 0);
}

/// The list of a task that is forgotten stays as long as what read it is stored: a change has to find it.
#[test]
fn in_a_store_a_change_behind_a_forgotten_task_reaches_its_readers() {
    let _alone = alone();
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).code_identity("growth").try_build().unwrap();
    #[task_fn]
    fn top(of: &Input<String>) -> u64 {
        stored_slow(of, 2) + 1
    }
    let first = runtime();
    let input = first.input("x", "abc".to_owned());
    assert_eq!(first.run(|| top(&input)), 8);
    first.flush().unwrap();
    first.run(|| {
        (stored_slow::forget(&input, 2), stored_step::forget(&input, 0), stored_step::forget(&input, 1))
    });
    first.run(|| ());
    all_records(&first);
    drop((input, first));
    let second = runtime();
    let input = second.input("x", "abcd".to_owned());
    assert_eq!(second.run(|| top(&input)), 10);
    all_records(&second);
    second.run(|| top::forget(&input));
    second.run(|| ());
    let with_lists = all_records(&second);
    second.run(|| {
        (stored_slow::forget(&input, 2), stored_step::forget(&input, 0), stored_step::forget(&input, 1))
    });
    second.update(|update| update.remove(&input)).unwrap();
    let without = all_records(&second);
    let dependents = Table::ALL.iter().position(|table| *table == Table::Dependents).unwrap();
    assert!(without[dependents] < with_lists[dependents], "{with_lists:?} {without:?}");
    assert_eq!(without[dependents], 1, "that of the input that waits for the sweep: {without:?}");
}
