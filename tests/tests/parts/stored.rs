//! Parts in a store: what runs after a restart.

use larder::Runtime;
use larder::storage::MemoryStorage;

use super::{all_runs, total};

fn open(store: &MemoryStorage) -> Runtime {
    Runtime::builder().storage(store.clone()).try_build().unwrap()
}

#[test]
fn parts_are_restored_and_cut_off_after_a_restart() {
    let store = MemoryStorage::new();
    let text: String = (0..30).map(|i| format!("f{i} = body {i}\n")).collect();
    {
        let runtime = open(&store);
        let file = runtime.input("file", text.clone());
        runtime.run(|| total(&file));
        runtime.flush().unwrap();
    }
    {
        let runtime = open(&store);
        let file = runtime.input("file", text.clone());
        let length = runtime.run(|| total(&file));
        assert_eq!(all_runs(&runtime), [0; 4]);
        // The parts of a function are known when the first one is called in a process, so one reader of each kind runs.
        runtime.update(|update| update.set(&file, format!("\n{text}"))).unwrap();
        assert_eq!(runtime.run(|| total(&file)), length);
        let [index, check, total_runs, _] = all_runs(&runtime);
        assert_eq!((index, check, total_runs), (1, 1, 1));
        runtime.flush().unwrap();
    }
    {
        // The file has changed while no process was there.
        let runtime = open(&store);
        let file = runtime.input("file", format!("\n\n{text}"));
        runtime.run(|| total(&file));
        let [index, check, total_runs, _] = all_runs(&runtime);
        assert_eq!((index, check, total_runs), (1, 1, 1));
        runtime.flush().unwrap();
    }
    {
        let runtime = open(&store);
        let file = runtime.input("file", format!("\n\n{text}"));
        runtime.run(|| total(&file));
        assert_eq!(all_runs(&runtime), [0; 4]);
    }
}
