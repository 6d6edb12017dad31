//! Records that lie, and a remote that fails.

use larder::storage::{BackingStorage, Table, Visit};
use larder_storage::record::{ForeignLeaf, ForeignTask, SourceKind, SourceRecord};
use larder_storage::{Digest, Fingerprints, Rejected};

use super::*;

/// Runs the program with what another machine has, changed by `tamper`, from an empty store and from one with stale tasks.
fn value_is_right(tamper: impl Fn(&mut Vec<ForeignTask>) + Send + Sync + Clone + 'static) -> Machine {
    let writer = Machine::with_files(10);
    writer.write(1, 5);
    writer.run_alone();
    let remote = || Arc::new(Fake::over(&writer.store).asking_singly().tampering(tamper.clone()));
    let cold = Machine::with_files(10);
    cold.write(1, 5);
    assert_eq!(cold.run_with(&remote()).0, 49);
    let stale = Machine::with_files(10);
    stale.run_alone();
    stale.write(1, 5);
    assert_eq!(stale.run_with(&remote()).0, 49);
    for machine in [&cold, &stale] {
        assert_eq!(machine.run_alone(), (49, 0));
    }
    cold
}

#[test]
fn a_remote_that_panics_is_one_that_knows_nothing() {
    value_is_right(|_| panic!("the connection is gone"));
}

#[test]
fn runs_with_other_reads_are_not_used() {
    value_is_right(|found| {
        for read in found.iter_mut().flat_map(|task| &mut task.traces).flat_map(|trace| &mut trace.reads) {
            read.fingerprint = Digest::xxh3(b"of another tree");
        }
    });
}

#[test]
fn records_of_other_tasks_are_not_taken() {
    value_is_right(|found| {
        for task in found {
            let last = task.encoded_key.len() - 1;
            task.encoded_key[last] ^= 1;
        }
    });
}

#[test]
fn outputs_that_do_not_decode_are_misses() {
    value_is_right(|found| {
        for trace in found.iter_mut().flat_map(|task| &mut task.traces) {
            trace.output = vec![0xff; 11];
        }
    });
    value_is_right(|found| {
        for trace in found.iter_mut().flat_map(|task| &mut task.traces) {
            trace.output.truncate(trace.output.len() / 2);
        }
    });
}

#[test]
fn emitted_values_of_an_unknown_kind_are_misses() {
    value_is_right(|found| {
        for trace in found.iter_mut().flat_map(|task| &mut task.traces) {
            trace.emitted.push((Digest::xxh3(b"a channel"), vec![1, 2, 3]));
        }
    });
}

#[test]
fn tasks_that_read_each_other_are_misses() {
    value_is_right(|found| {
        let keys: Vec<_> = found.iter().map(|task| task.key(Fingerprints::Xxh3)).collect();
        for (task, other) in found.iter_mut().zip(keys.iter().rev()) {
            for trace in &mut task.traces {
                if let Some(read) = trace.reads.first_mut() {
                    read.key = other.0;
                }
            }
        }
    });
}

/// Names of sources in a store.
fn sources(machine: &Machine) -> Vec<String> {
    let mut names = Vec::new();
    let scanned = machine.store.scan(Table::Sources, &[], &mut |_, value| {
        let record = SourceRecord::decode(&value[larder_storage::ENVELOPE_BYTES..]).unwrap();
        names.push(String::from_utf8_lossy(record.name).into_owned());
        Visit::Continue
    });
    scanned.unwrap();
    names.sort();
    names
}

#[test]
fn only_sources_below_the_base_are_looked_at() {
    let machine = value_is_right(|found| {
        let names = ["/etc/hostname", "../secret", "src/../../x", "C:\\x", "/dev/zero", "", "a\0b", "~/x"];
        for task in found {
            for name in names {
                for kind in [SourceKind::File, SourceKind::Environment, SourceKind::Other] {
                    let leaf = ForeignLeaf { kind, name: name.into() };
                    let read = larder_storage::record::Read {
                        key: larder_storage::record::source_key(Fingerprints::Xxh3, kind, name.as_bytes()),
                        fingerprint: Digest::xxh3(name.as_bytes()),
                    };
                    task.leaves.push(leaf);
                    task.traces[0].reads.push(read);
                }
            }
        }
    });
    let names = sources(&machine);
    assert!(names.iter().all(|name| name.starts_with("src") || name == "~/x"), "{names:?}");
}

#[test]
fn nothing_that_is_stored_is_replaced() {
    let writer = Machine::with_files(10);
    writer.run_alone();
    let reader = Machine::with_files(10);
    reader.run_alone();
    // Runs of these tasks, with other outputs under the fingerprints of the right ones.
    let remote = Fake::over(&writer.store).asking_singly().tampering(|found| {
        for trace in found.iter_mut().flat_map(|task| &mut task.traces) {
            trace.output = b"x".repeat(trace.output.len());
            for read in &mut trace.reads {
                read.fingerprint = Digest::xxh3(b"something else");
            }
        }
    });
    reader.write(1, 5);
    assert_eq!(reader.run_with(&Arc::new(remote)).0, 49);
    reader.write(1, 1);
    assert_eq!(reader.run_alone(), (45, 0));
    let runtime = reader.builder().build();
    let rejected = runtime.stats().storage.unwrap().rejected;
    assert_eq!(rejected.of(Rejected::Decode), 0);
}
