//! A remote over another machine's store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use larder::storage::MemoryStorage;
use larder_backend::Remote;
use larder_storage::record::ForeignTask;
use larder_storage::{Guarded, TaskKey};
use std::sync::Mutex;

type Tamper = Box<dyn Fn(&mut Vec<ForeignTask>) + Send + Sync>;

/// The store of another machine, and what happens on the way.
pub(crate) struct Fake {
    store: Guarded,
    /// Whether single tasks are asked for.
    pub(crate) asks_singly: AtomicBool,
    /// The batches that were asked for.
    pub(crate) batches: Mutex<Vec<Vec<TaskKey>>>,
    tamper: Option<Tamper>,
}

impl Fake {
    pub(crate) fn over(store: &MemoryStorage) -> Self {
        Self {
            store: Guarded::over(Arc::new(store.clone())),
            asks_singly: AtomicBool::new(false),
            batches: Mutex::default(),
            tamper: None,
        }
    }

    pub(crate) fn asking_singly(self) -> Self {
        self.asks_singly.store(true, Relaxed);
        self
    }

    /// Changes what is returned.
    pub(crate) fn tampering(self, tamper: impl Fn(&mut Vec<ForeignTask>) + Send + Sync + 'static) -> Self {
        Self { tamper: Some(Box::new(tamper)), ..self }
    }

    pub(crate) fn batches(&self) -> usize {
        self.batches.lock().unwrap().len()
    }
}

impl Remote for Fake {
    fn records(&self, tasks: &[TaskKey]) -> Vec<ForeignTask> {
        self.batches.lock().unwrap().push(tasks.to_vec());
        let mut found: Vec<_> =
            tasks.iter().filter_map(|task| ForeignTask::read(&self.store, *task)).collect();
        if let Some(tamper) = &self.tamper {
            tamper(&mut found);
        }
        found
    }

    fn is_worthwhile(&self, _: Option<Duration>) -> bool {
        self.asks_singly.load(Relaxed)
    }
}
