//! Two threads that verify one stored task.

use super::*;

/// A store that does something before it reads an older trace for the first time.
struct Hooked {
    store: MemoryStorage,
    hook: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl BackingStorage for Hooked {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        let hook = if table == Table::Traces { self.hook.lock().unwrap().take() } else { None };
        if let Some(hook) = hook {
            hook();
        }
        self.store.get(table, key, value)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        self.store.scan(table, prefix, visit)
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        self.store.commit(writes)
    }
}

static SHARED_RUNS: AtomicU64 = AtomicU64::new(0);

#[task_fn]
fn shared(input: &Input<u32>) -> u32 {
    SHARED_RUNS.fetch_add(1, Relaxed);
    input.get() * 2
}

#[task_fn]
fn reader(input: &Input<u32>, number: u32) -> u32 {
    SHARED_RUNS.fetch_add(1, Relaxed);
    shared(input) + number
}

/// Flushed states ran a few bodies again after a kill, 1 in 250: two threads verified one task that was only stored, and what the
/// first one had found (an older trace is current again) was committed while the second one looked for that trace among the older ones.
#[test]
fn a_task_that_two_threads_verify_at_once_runs_no_body() {
    let store = MemoryStorage::new();
    let enter = |runtime: &Runtime, state: u32| {
        let input = runtime.input("state", state);
        runtime.update(|update| update.set(&input, state)).unwrap();
        input
    };
    let runtime = over(store.clone());
    for state in [1, 2] {
        let input = enter(&runtime, state);
        runtime.run(|| assert_eq!(reader(&input, 1) + reader(&input, 2), 4 * state + 3));
    }
    drop(runtime);
    let hooked = Arc::new(Hooked { store, hook: Mutex::default() });
    let runtime = over(hooked.clone());
    let input = enter(&runtime, 1);
    runtime.flush().unwrap();
    let met = Arc::new(AtomicU64::new(0));
    let other = {
        let (runtime, input, met) = (runtime.clone(), input.clone(), met.clone());
        move || {
            let thread = std::thread::spawn(move || {
                met.store(u64::from(runtime.run(|| reader(&input, 2))), Relaxed);
                runtime.flush().unwrap();
            });
            thread.join().unwrap();
        }
    };
    *hooked.hook.lock().unwrap() = Some(Box::new(other));
    SHARED_RUNS.store(0, Relaxed);
    assert_eq!(runtime.run(|| reader(&input, 1)), 3);
    assert_eq!(met.load(Relaxed), 4, "the other thread has been there in between");
    assert_eq!(SHARED_RUNS.load(Relaxed), 0, "bodies ran in a state that was stored");
}
