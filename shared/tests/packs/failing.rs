//! Engines and stores that fail in the middle.

use super::*;

/// Fails after so many calls.
struct Failing {
    engine: MemoryEngine,
    left: AtomicI32,
}

impl Failing {
    fn check(&self) -> Result<(), larder_shared::SharedError> {
        if self.left.fetch_sub(1, Relaxed) > 0 { Ok(()) } else { Err(larder_shared::SharedError::Slow) }
    }
}

impl SharedEngine for Failing {
    fn get(
        &self,
        keys: &[larder_shared::SharedKey],
        until: Instant,
    ) -> Result<Vec<Option<Vec<u8>>>, larder_shared::SharedError> {
        self.check()?;
        self.engine.get(keys, until)
    }

    fn put(
        &self,
        items: &[(larder_shared::SharedKey, &[u8])],
        how: larder_shared::Put,
        until: Instant,
    ) -> Result<(), larder_shared::SharedError> {
        self.check()?;
        self.engine.put(items, how, until)
    }
}

#[test]
fn an_engine_that_fails_in_the_middle_leaves_what_was_there() {
    let (here, there) = (tree(8), tree(8));
    let store = MemoryStorage::new();
    open(here.path(), &store).run(report);
    let engine = Failing { engine: MemoryEngine::new(), left: i32::MAX.into() };
    share(&engine, &store);
    fs::write(here.path().join("src/001.txt"), "changed").unwrap();
    fs::write(there.path().join("src/001.txt"), "changed").unwrap();
    let expected = open(here.path(), &store).run(report);
    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
    let trust = Trust::none().key(key().public());
    for calls in 0..20 {
        engine.left.store(calls, Relaxed);
        let pushed = push(&engine, (&namespace(), "main"), &key(), &reader, soon());
        engine.left.store(i32::MAX, Relaxed);
        let second = MemoryStorage::new();
        assert_eq!(try_take(&engine, &trust, Arc::new(second.clone())).unwrap().counts.rejected, []);
        take_ran();
        assert_eq!(open(there.path(), &second).run(report), expected);
        match pushed {
            Ok(_) => return assert_eq!(take_ran(), [""; 0]),
            Err(error) => assert!(matches!(error, ShareError::Engine(_)), "{error}"),
        }
        assert_eq!(take_ran(), ["count src/001.txt", "report", "words src/001.txt"]);
    }
    panic!("twenty calls are enough for a push");
}

#[test]
fn a_pull_that_is_cut_off_leaves_a_sound_store() {
    let (here, there) = (tree(40), tree(40));
    let store = MemoryStorage::new();
    let expected = open(here.path(), &store).run(report);
    let engine = MemoryEngine::new();
    share(&engine, &store);
    let trust = Trust::none().key(key().public());
    for commit in 1..4 {
        let second = MemoryStorage::new();
        second.faults().fail_nth(Operation::Commit, commit);
        let cut = try_take(&engine, &trust, Arc::new(second.clone()));
        // The process ends here, and the disk is well again.
        second.faults().heal();
        take_ran();
        assert_eq!(open(there.path(), &second).run(report), expected, "{cut:?}");
        take_ran();
        assert_eq!(open(there.path(), &second).run(report), expected);
        assert_eq!(take_ran(), [""; 0]);
    }
    // A store that fails for good is an error, and so is one whose commits are lost.
    let second = MemoryStorage::new();
    second.faults().fail_all(Operation::Commit);
    assert!(try_take(&engine, &trust, Arc::new(second)).is_err());
}
