//! A store that is slower than the work that fills it.

use super::*;
use larder_storage::Fingerprints;

#[test]
fn a_slow_store_never_holds_up_who_hands_over() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    // One commit lasts until all has been handed over.
    let held = Arc::new(Held::over(disk.clone()));
    let options = WriteBehindOptions {
        batch_bytes: 1000,
        queue_bytes: 20_000,
        batch_delay: Duration::ZERO,
        ..Default::default()
    };
    drop(store);
    let writer = WriteBehind::start(guard(held.clone()), options).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    let (mut refused, mut accepted) = (0, 0);
    for number in 0..400 {
        group.clear();
        ran(&mut group, number, 1);
        match writer.push(&mut group) {
            Delivery::Refused => refused += 1,
            _ => accepted += 1,
        }
    }
    assert!(refused > 0 && accepted > 0);
    assert_eq!(writer.committed(), 0, "the first commit is still under way");
    held.go_on();
    drop(writer);
    assert_eq!(disk.len(Table::Tasks), accepted);
}

/// A million tasks of no work at all were computed in a second and stored in six: a gigabyte waited.
#[test]
fn computing_waits_for_the_batch_under_way_and_not_for_a_slow_one() {
    for (patience, waits) in [(Duration::from_secs(3600), true), (Duration::ZERO, false)] {
        let disk = MemoryStorage::new();
        drop(open(disk.clone()));
        let held = Arc::new(Held::over(disk));
        let options = WriteBehindOptions {
            batch_bytes: 1000,
            batch_delay: Duration::ZERO,
            patience,
            ..Default::default()
        };
        let writer = WriteBehind::start(guard(held.clone()), options).unwrap();
        writer.keep_pace();
        let mut group = Group::new(Fingerprints::Xxh3);
        ran(&mut group, 0, 1);
        accepted(writer.push(&mut group));
        held.wait_for_commit();
        for number in 1..40 {
            ran(&mut group, number, 1);
            accepted(writer.push(&mut group));
        }
        std::thread::scope(|scope| {
            let computing = scope.spawn(|| {
                writer.keep_pace();
                writer.committed()
            });
            if waits {
                std::thread::sleep(Duration::from_millis(50));
                held.go_on();
                assert!(computing.join().unwrap() > 0, "the first batch was waited for");
            } else {
                assert_eq!(computing.join().unwrap(), 0, "the first commit is still under way");
                held.go_on();
            }
        });
        writer.flush().unwrap();
        writer.keep_pace();
        assert_eq!(writer.committed(), 40, "nothing waits, so nothing is waited for");
    }
}

/// A store whose commits wait until they may go on.
struct Held {
    disk: MemoryStorage,
    open: Mutex<bool>,
    opened: Condvar,
    begun: AtomicBool,
}

impl Held {
    fn over(disk: MemoryStorage) -> Self {
        Self { disk, open: Mutex::new(false), opened: Condvar::new(), begun: AtomicBool::new(false) }
    }

    fn wait_for_commit(&self) {
        while !self.begun.load(SeqCst) {
            std::thread::yield_now();
        }
    }

    fn go_on(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl BackingStorage for Held {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.disk.get(table, key, value)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        self.disk.scan(table, prefix, visit)
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        self.begun.store(true, SeqCst);
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
        self.disk.commit(writes)
    }
}
