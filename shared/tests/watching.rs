//! Watching over a cache: is what is there sound, and is it the newest that there was?

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::storage::MemoryStorage;
use larder::{Runtime, task_fn};
use larder_shared::{
    FolderEngine, MemoryEngine, Namespace, Pulled, Rejection, ShareError, SigningKey, Trust, Verified, pull,
    pull_new, push, verify,
};
use larder_storage::inspect::StoreReader;
use larder_storage::{Digest, Fingerprints};

#[task_fn]
fn text(number: u32) -> String {
    format!("number {number}").repeat(50)
}

#[task_fn]
fn length(number: u32) -> usize {
    text(number).len()
}

fn namespace() -> Namespace {
    Namespace::new("test/watching").unwrap()
}

fn key() -> SigningKey {
    SigningKey::parse(&format!("ci-1:{}", "07".repeat(32))).unwrap()
}

fn trust() -> Trust {
    Trust::none().key(key().public())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

/// Computes so many results, and pushes what the store has.
fn share(engine: &MemoryEngine, store: &MemoryStorage, numbers: u32) {
    let runtime = Runtime::builder()
        .storage(store.clone())
        .fingerprints(Fingerprints::Blake3)
        .code_identity("test")
        .build();
    runtime.run(|| (0..numbers).for_each(|number| assert!(length(number) > 0)));
    drop(runtime);
    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
    push(engine, (&namespace(), "main"), &key(), &reader, soon()).unwrap();
}

fn check(engine: &MemoryEngine) -> Result<Verified, ShareError> {
    verify(engine, (&namespace(), "main"), &trust(), soon())
}

/// All items of an engine, by name.
fn items(engine: &MemoryEngine) -> HashMap<String, Vec<u8>> {
    let mut items = HashMap::new();
    engine.tamper(|name, bytes| _ = items.insert(name.to_owned(), bytes.clone()));
    items
}

#[test]
fn all_packs_that_a_ref_names_are_looked_at() {
    let (engine, store) = (MemoryEngine::new(), MemoryStorage::new());
    share(&engine, &store, 10);
    share(&engine, &store, 15);
    let verified = check(&engine).unwrap();
    assert!(verified.is_sound());
    assert_eq!((verified.manifest.sequence, verified.sound), (2, verified.manifest.packs.len() as u64));
    assert_eq!((verified.tasks, verified.results), (30, 30));
    assert_eq!(verified.tasks, verified.manifest.tasks());
    assert!(verified.result_bytes > 15 * 400, "{}", verified.result_bytes);
}

#[test]
fn each_way_in_which_a_pack_does_not_hold_is_told() {
    type Change = fn(&mut Vec<u8>);
    let packs = |engine: &MemoryEngine, change: Change| {
        engine.tamper(|name, bytes| {
            if name.contains("/p/") {
                change(bytes);
            }
        });
    };
    let cases: [(Change, Rejection); 3] = [
        (Vec::clear, Rejection::Absent),
        (|bytes| bytes.push(0), Rejection::Size),
        (|bytes| bytes[20] ^= 1, Rejection::Digest),
    ];
    for (change, expected) in cases {
        let (engine, store) = (MemoryEngine::new(), MemoryStorage::new());
        share(&engine, &store, 10);
        packs(&engine, change);
        let verified = check(&engine).unwrap();
        assert!(!verified.is_sound());
        assert_eq!((verified.sound, verified.tasks), (0, 0));
        let reasons: Vec<_> = verified.counts.rejected.iter().map(|(_, why)| *why).collect();
        assert_eq!(reasons, [expected]);
    }
    // A ref or manifest that does not hold is an error, since nothing is known then.
    for kind in ["/r/", "/m/"] {
        let (engine, store) = (MemoryEngine::new(), MemoryStorage::new());
        share(&engine, &store, 10);
        engine.tamper(|name, bytes| {
            if name.contains(kind) {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            }
        });
        assert!(matches!(check(&engine), Err(ShareError::NoRef { rejected: Some(_), .. })), "{kind}");
    }
}

/// An attacker that can write to the engine, and has no key, can give out what was signed once.
#[test]
fn an_old_list_that_is_given_out_again_is_told_and_puts_nothing_back() {
    let (engine, store, here) = (MemoryEngine::new(), MemoryStorage::new(), MemoryStorage::new());
    let build = Digest::xxh3(b"test");
    let take_new = || -> Option<Pulled> {
        pull_new(&engine, (&namespace(), "main"), &trust(), Arc::new(here.clone()), build, soon()).unwrap()
    };
    share(&engine, &store, 10);
    let old = items(&engine);
    share(&engine, &store, 20);
    assert_eq!(take_new().unwrap().older_than, None);
    assert!(take_new().is_none());
    let newest = items(&engine);
    let give_out = |which: &HashMap<String, Vec<u8>>| {
        engine.tamper(|name, bytes| {
            if name.contains("/r/") {
                *bytes = which[name].clone();
            }
        });
    };
    give_out(&old);
    for _ in 0..2 {
        let pulled = take_new().unwrap();
        assert_eq!((pulled.sequence, pulled.older_than, pulled.imported), (1, Some(2), 0));
        assert_eq!(pulled.counts.trips, 2);
    }
    // A pull by hand gets it, and says so.
    let pulled =
        pull(&engine, (&namespace(), "main"), &trust(), Arc::new(here.clone()), Some(build), soon()).unwrap();
    assert_eq!((pulled.older_than, pulled.imported, pulled.known), (Some(2), 0, 20));
    // The store remembers the newest.
    give_out(&newest);
    assert!(take_new().is_none());
}

/// Pushes race for the ref: what the last one names holds as a whole, and readers meet no list with a hole in it.
#[test]
fn writers_that_race_leave_a_sound_list() {
    let folder = tempfile::tempdir().unwrap();
    let engine = FolderEngine::new(folder.path());
    std::thread::scope(|scope| {
        for writer in 0..3_u32 {
            let engine = &engine;
            scope.spawn(move || {
                let store = MemoryStorage::new();
                for round in 1..=4 {
                    let runtime = Runtime::builder()
                        .storage(store.clone())
                        .fingerprints(Fingerprints::Blake3)
                        .code_identity("test")
                        .build();
                    runtime.run(|| (0..round * 3).for_each(|number| _ = length(writer * 100 + number)));
                    drop(runtime);
                    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
                    push(engine, (&namespace(), "main"), &key(), &reader, soon()).unwrap();
                }
            });
        }
        let engine = &engine;
        scope.spawn(move || {
            for _ in 0..20 {
                match verify(engine, (&namespace(), "main"), &trust(), soon()) {
                    Ok(verified) => assert!(verified.is_sound(), "{:?}", verified.counts.rejected),
                    Err(ShareError::NoRef { rejected: None, .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    });
    let verified = verify(&engine, (&namespace(), "main"), &trust(), soon()).unwrap();
    // The last writer has pushed all of its own.
    assert!(verified.is_sound() && verified.tasks >= 24, "{verified:?}");
    let here = MemoryStorage::new();
    let pulled =
        pull(&engine, (&namespace(), "main"), &trust(), Arc::new(here.clone()), None, soon()).unwrap();
    assert_eq!((pulled.imported + pulled.known, pulled.left_out), (verified.tasks, 0));
    let runtime =
        Runtime::builder().storage(here).fingerprints(Fingerprints::Blake3).code_identity("test").build();
    let asked = 3 * 12_u64;
    runtime.run(|| {
        for number in (0..3).flat_map(|writer| (0..12).map(move |number| writer * 100 + number)) {
            assert_eq!(length(number), format!("number {number}").len() * 50);
        }
    });
    assert!(runtime.stats().runs() < 2 * asked);
}
