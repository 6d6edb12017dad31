//! Makes a store of very many tasks, to measure the command on: `generate STORE TASKS`.
//!
//! A tenth of the tasks read a source each; every other task reads two tasks before it, so that the graph is deep and narrow at its end.

#![allow(clippy::unwrap_used, reason = "a tool for measurements")]

use std::sync::Arc;

use larder_storage::record::{FunctionRecord, NewReads, NewTask, NewTrace, Read, SourceKind, SourceRecord};
use larder_storage::{
    Digest, Fingerprints, FunctionId, Group, Guarded, RedbStorage, RunNumber, StoreIdentity, TaskKey,
    WriteBehind, WriteBehindOptions, open_store,
};

/// Tasks of a group.
const AT_ONCE: u32 = 10_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let (path, tasks) = (args.next().unwrap(), args.next().unwrap().parse::<u32>().unwrap());
    let store = Arc::new(Guarded::new(Arc::new(RedbStorage::open(path).unwrap())));
    let build = Digest::xxh3(b"generate");
    open_store(&store, &StoreIdentity { build, fingerprints: None });
    let writer = WriteBehind::start(store, WriteBehindOptions::default()).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    group.run_since(build, RunNumber(1), RunNumber(1));
    let functions =
        ["demo::read", "demo::parse", "demo::check"].map(|path| FunctionRecord { path, code: build });
    functions.iter().for_each(|function| group.function(function));
    for number in 0..tasks {
        let function = functions[number as usize % 3].id();
        let reads = reads(number, tasks, &functions, &mut group);
        let output = format!("output of task number {number}");
        let encoded_key = key(function, number);
        let trace = NewTrace {
            fingerprint: Digest::xxh3(output.as_bytes()),
            output: output.as_bytes(),
            reads: NewReads::Here(&reads),
            emitted: &[],
        };
        group.ran(&NewTask { encoded_key: &encoded_key, generation: RunNumber(1), trace });
        if number % AT_ONCE == AT_ONCE - 1 {
            let _ = writer.push(&mut group);
            writer.flush().unwrap();
        }
    }
    let _ = writer.push(&mut group);
    writer.flush().unwrap();
}

/// Returns what a task reads: a new source, or two tasks before it.
fn reads(number: u32, tasks: u32, functions: &[FunctionRecord<'_>], group: &mut Group) -> Vec<Read> {
    if number < tasks / 10 {
        let name = format!("/nowhere/source-{number}");
        let content = Digest::xxh3(name.as_bytes());
        let source =
            SourceRecord { kind: SourceKind::File, name: name.as_bytes(), stamp: None, racy: true, content };
        group.source(&source);
        return vec![Read { key: source.key(Fingerprints::Xxh3), fingerprint: content }];
    }
    [number / 2, number / 3]
        .map(|read| Read {
            key: TaskKey::of(Fingerprints::Xxh3, &key(functions[read as usize % 3].id(), read)).0,
            fingerprint: Digest::xxh3(format!("output of task number {read}").as_bytes()),
        })
        .to_vec()
}

fn key(function: FunctionId, number: u32) -> Vec<u8> {
    let mut key = Vec::new();
    TaskKey::start(function, &mut key);
    let argument = format!("argument {number}");
    key.push(u8::try_from(argument.len()).unwrap());
    key.extend_from_slice(argument.as_bytes());
    key
}
