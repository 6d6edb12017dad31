//! Fingerprints: contents that were made to deceive, and stores of both kinds.
//!
//! xxh3-128 of 32 bytes multiplies the first two words, each xored with a constant, and adds the two words to the product. If a word equals its
//! constant, the product is zero whatever the other one is, so that only the sum counts. For any `x`, the words `(A, x)` and `(x + A - B, B)` have
//! one sum, and the two contents one fingerprint. No search is needed.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod kinds;

use larder::storage::{Fingerprints, MemoryStorage};
use larder::{Digested, Input, Keys, Runtime, StoredBuilder, task_fn};

/// The constants of the first two words.
const A: u64 = u64::from_le_bytes([0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe]);
const B: u64 = u64::from_le_bytes([0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c]);

/// Two contents of one xxh3-128. They are encoded as their bytes.
fn forged() -> [[u8; 32]; 2] {
    let x = 0x0123_4567_89ab_cdef_u64;
    let content = |first: u64, second: u64| {
        let words = [first, second, 7, 8];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        <[u8; 32]>::try_from(bytes).unwrap()
    };
    [content(A, x), content(x.wrapping_add(A).wrapping_sub(B), B)]
}

/// A result for the second content, after the first one has been there.
struct Seen {
    right: u64,
    got: u64,
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

#[task_fn]
fn of_file(path: &str) -> u64 {
    sum(&larder::fs::read(path).unwrap())
}

#[task_fn]
fn of_input(input: &Input<[u8; 32]>) -> u64 {
    input.with(|bytes| sum(bytes))
}

#[task_fn]
fn of_digested(content: Digested<[u8; 32]>) -> u64 {
    sum(&*content)
}

#[task_fn]
fn content_of(path: &str) -> [u8; 32] {
    let text = larder::fs::read_to_string(path).unwrap();
    forged()[text.trim().parse::<usize>().unwrap()]
}

#[task_fn]
fn of_output(path: &str) -> u64 {
    sum(&content_of(path))
}

#[task_fn]
fn of_key(key: &[u8; 32]) -> u64 {
    sum(key)
}

#[task_fn]
fn of_keys(which: usize) -> u64 {
    larder::fold(Keys::new([forged()[which]]), 0, |key| of_key(key), u64::wrapping_add)
}

/// Runs `look` on a runtime for the first content, and on another one with its store for the second.
fn over_a_restart(
    kind: Fingerprints,
    mut prepare: impl FnMut(usize),
    look: impl Fn(&Runtime, usize) -> u64,
) -> Seen {
    let store = MemoryStorage::new();
    let mut got = 0;
    for which in 0..2 {
        prepare(which);
        let runtime = Runtime::builder().fingerprints(kind).storage(store.clone()).build();
        assert_eq!(runtime.fingerprints(), kind);
        got = look(&runtime, which);
        runtime.flush().unwrap();
    }
    Seen { right: sum(&forged()[1]), got }
}

/// A file that holds the first content, then the second.
fn files() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("content").to_str().unwrap().to_owned();
    (dir, path)
}

/// Checks that BLAKE3 tells the contents apart, and that they were made well: xxh3 does not.
fn check(look: impl Fn(Fingerprints) -> Seen) {
    let seen = look(Fingerprints::Blake3);
    assert_eq!(seen.got, seen.right);
    let seen = look(Fingerprints::Xxh3);
    assert_eq!(seen.got, sum(&forged()[0]), "the two contents are not of one xxh3-128");
    assert_ne!(seen.got, seen.right);
}

#[test]
fn a_forged_file_is_seen_by_a_refresh() {
    check(|kind| {
        let (_dir, path) = files();
        let runtime = Runtime::builder().fingerprints(kind).build();
        let mut got = 0;
        for content in forged() {
            std::fs::write(&path, content).unwrap();
            runtime.refresh().unwrap();
            got = runtime.run(|| of_file(&path));
        }
        Seen { right: sum(&forged()[1]), got }
    });
}

#[test]
fn a_forged_file_is_seen_after_a_restart() {
    check(|kind| {
        let (_dir, path) = files();
        let write = |which: usize| std::fs::write(&path, forged()[which]).unwrap();
        over_a_restart(kind, write, |runtime, _| runtime.run(|| of_file(&path)))
    });
}

#[test]
fn a_forged_input_is_seen_after_a_restart() {
    check(|kind| {
        over_a_restart(
            kind,
            |_| {},
            |runtime, which| {
                let input = runtime.input("content", forged()[which]);
                runtime.run(|| of_input(&input))
            },
        )
    });
}

#[test]
fn a_forged_output_is_seen_by_its_readers_after_a_restart() {
    check(|kind| {
        let (_dir, path) = files();
        let write = |which: usize| std::fs::write(&path, format!("{which}\n")).unwrap();
        over_a_restart(kind, write, |runtime, _| runtime.run(|| of_output(&path)))
    });
}

#[test]
fn a_forged_argument_that_is_digested_is_another_call() {
    check(|kind| {
        let look =
            |runtime: &Runtime, which: usize| runtime.run(|| of_digested(Digested::new(forged()[which])));
        over_a_restart(kind, |_| {}, look)
    });
}

#[test]
fn a_digested_argument_is_one_of_stores_of_both_kinds_at_once() {
    let digested = Digested::new(forged()[1]);
    for _ in 0..2 {
        for kind in [Fingerprints::Blake3, Fingerprints::Xxh3] {
            let store = MemoryStorage::new();
            let open = || Runtime::builder().fingerprints(kind).storage(store.clone()).build();
            for bodies in [1, 0] {
                let runtime = open();
                assert_eq!(runtime.run(|| of_digested(digested.clone())), sum(&forged()[1]));
                assert_eq!(runtime.stats().runs(), bodies, "{kind}");
            }
            // The value that is digested anew has the key of the one that was kept.
            let runtime = open();
            assert_eq!(runtime.run(|| of_digested(Digested::new(forged()[1]))), sum(&forged()[1]));
            assert_eq!(runtime.stats().runs(), 0, "{kind}");
        }
    }
}

#[test]
fn a_forged_key_of_a_list_is_another_list() {
    check(|kind| {
        // The list is an argument of the tasks of a fold; the caller's own argument differs.
        over_a_restart(kind, |_| {}, |runtime, which| runtime.run(|| of_keys(which)))
    });
}
