//! Content as a key.

use std::collections::BTreeMap;

use larder::storage::{BackingStorage, MemoryStorage, Table, Visit};
use larder::{Digested, Input, Runtime, task_fn};

use super::runs;

#[task_fn]
fn count(name: &str, body: &Digested<String>) -> usize {
    name.len() + body.split(' ').count()
}

#[task_fn]
fn all(file: &Input<Vec<(String, Digested<String>)>>) -> usize {
    file.with(|file| file.iter().map(|(name, body)| count(name, body)).sum())
}

fn file(bodies: &[String]) -> Vec<(String, Digested<String>)> {
    bodies.iter().enumerate().map(|(i, body)| (format!("f{i}"), Digested::new(body.clone()))).collect()
}

#[test]
fn content_that_moves_or_comes_back_is_recognised_in_memory_and_over_a_restart() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("digested").try_build().unwrap();
    let mut bodies: Vec<String> = (0..20).map(|i| format!("body {i} {}", "x".repeat(1000))).collect();
    let runtime = open();
    let input = runtime.input("file", file(&bodies));
    assert_eq!(runtime.run(|| all(&input)), 20 * 3 + 10 * 2 + 10 * 3);
    let old = std::mem::replace(&mut bodies[7], "other".to_owned());
    runtime.update(|update| update.set(&input, file(&bodies))).unwrap();
    runtime.run(|| all(&input));
    assert_eq!(runs(&runtime, "count"), 21);
    runtime.flush().unwrap();
    drop(runtime);

    // The keys hold digests: no record of the 1,000 bytes but those of the input's value.
    let runtime = open();
    bodies[7] = old;
    bodies.push("new".to_owned());
    let input = runtime.input("file", file(&bodies));
    runtime.run(|| all(&input));
    assert_eq!(runs(&runtime, "count"), 1);
    runtime.flush().unwrap();
    let mut longest = 0;
    store
        .scan(Table::Tasks, &[], &mut |_, record| {
            longest = longest.max(record.len());
            Visit::Continue
        })
        .unwrap();
    assert!(longest < 1000, "{longest} bytes");
}

#[test]
fn equality_hash_and_encoding() {
    let (one, same, other) = (Digested::new(1_u32), Digested::new(1_u32), Digested::new(2_u32));
    assert_eq!(one, same);
    assert_eq!(one.digest(), same.digest());
    assert_ne!(one, other);
    assert_eq!(*one + 1, *other);
    assert_eq!(one.clone().into_inner(), 1);
    assert_eq!(format!("{one:?} {one}"), "1 1");

    // As a value it is stored as its value, and made again.
    #[task_fn]
    fn make(n: u32) -> BTreeMap<u32, Digested<String>> {
        (0..n).map(|i| (i, Digested::new(i.to_string()))).collect()
    }
    let store = MemoryStorage::new();
    for expected in [1, 0] {
        let runtime =
            Runtime::builder().storage(store.clone()).code_identity("digested").try_build().unwrap();
        assert_eq!(runtime.run(|| make(3)), make::uncached(3));
        assert_eq!(runs(&runtime, "make"), expected);
        runtime.flush().unwrap();
    }
}

#[test]
fn what_cannot_be_encoded_cannot_be_digested() {
    #[derive(Debug)]
    struct Refuses;
    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    assert!(Digested::try_new(Refuses).unwrap_err().to_string().contains("no"));
}
