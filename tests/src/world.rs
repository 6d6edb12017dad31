//! A program on a runtime: its nodes are tasks, and a ledger watches which bodies run.
//!
//! Task functions are plain functions, so what belongs to one program is found by its id, in a registry.

mod bodies;
mod explained;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, TaskError, TaskExt};

use tempfile::TempDir;

use self::bodies::Receiver;
pub(crate) use self::bodies::{Collect, call, collect, invalidate, part, sum_at_once, task};
pub use self::bodies::{
    asynchronous, falling_back, fixpoint, named, plain, stepped, through, transient, unequal, volatile,
};
use self::explained::Watch;
use crate::generate::End;
use crate::ledger::{Ledger, Read};
use crate::program::{FILES, Key, Kind, Program};

/// The weight of an output, so that a cap on memory drops outputs, too.
const WEIGHT: usize = 64;

/// A program on a runtime of its own.
pub struct World {
    /// The number by which its tasks find it.
    pub id: u32,
    /// The program.
    pub program: Program,
    /// The runtime.
    pub runtime: Runtime,
    /// The store, if there is one.
    store: Option<MemoryStorage>,
    files: Arc<TempDir>,
    /// Another one stands in the place of one that was removed and made again.
    inputs: Vec<RwLock<Input<i64>>>,
    outside: [AtomicI64; 2],
    ledger: Mutex<Ledger>,
    /// Every other program is watched, and its explanations are checked.
    watch: Option<Watch>,
    /// How many more bodies may begin before the test steps in.
    fuse: Mutex<Option<u32>>,
    fuse_changed: Condvar,
}

/// A number that no other world has had.
fn next_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn new_files() -> Arc<TempDir> {
    let files = TempDir::new().expect("there is room for a folder");
    for number in 0..FILES {
        std::fs::write(files.path().join(number.to_string()), "0").expect("the folder is there");
    }
    Arc::new(files)
}

/// Copies the files to another place.
fn moved(files: &TempDir) -> Arc<TempDir> {
    let other = TempDir::new().expect("there is room for a folder");
    for number in 0..FILES {
        let name = number.to_string();
        std::fs::copy(files.path().join(&name), other.path().join(name)).expect("the folders are there");
    }
    Arc::new(other)
}

static WORLDS: RwLock<Vec<(u32, Arc<World>)>> = RwLock::new(Vec::new());

pub(crate) fn world(id: u32) -> Arc<World> {
    let worlds = WORLDS.read().expect("no test panics while it holds the registry");
    worlds.iter().find(|(other, _)| *other == id).expect("a world lives as long as its runtime").1.clone()
}

/// Keeps a world in the registry.
pub struct Registered(Arc<World>);

impl std::ops::Deref for Registered {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        WORLDS.write().expect("as above").retain(|(id, _)| *id != self.0.id);
    }
}

impl World {
    /// Puts a program on a new runtime.
    #[must_use]
    pub fn start(program: Program) -> Registered {
        let inputs: Vec<_> = program.inputs.iter().copied().map(Some).collect();
        Self::new(next_id(), program, None, new_files(), &inputs).register()
    }

    /// Puts a program on a new runtime over a new store.
    #[must_use]
    pub fn start_stored(program: Program) -> Registered {
        let inputs: Vec<_> = program.inputs.iter().copied().map(Some).collect();
        Self::new(next_id(), program, Some(MemoryStorage::new()), new_files(), &inputs).register()
    }

    fn new(
        id: u32,
        program: Program,
        store: Option<MemoryStorage>,
        files: Arc<TempDir>,
        values: &[Option<i64>],
    ) -> Arc<Self> {
        let builder = match program.cap {
            Some(cap) => Runtime::builder().memory_cap(cap),
            None => Runtime::builder(),
        };
        let is_watched = (program.nodes.len() / 2).is_multiple_of(2);
        let builder = builder.base(files.path()).record_causes(is_watched);
        let runtime = match &store {
            Some(store) => {
                // About after each step, after several of them, or at once: what is committed decides what may leave memory.
                let delay = [1, 3, 0, 5, 1][program.nodes.len() % 5];
                let builder = builder
                    .storage(store.clone())
                    .code_identity("oracle")
                    .max_commit_delay(Duration::from_millis(delay));
                // Every other program with a cap on its memory has one on its store, too, which is a part of what it stores.
                let builder = match program.cap {
                    Some(cap) if program.nodes.len() % 2 == 1 => builder.max_stored_bytes(cap as u64 / 2),
                    _ => builder,
                };
                builder.try_build().expect("nothing is wrong with the store")
            }
            None => builder.build(),
        };
        let watch = is_watched.then(|| Watch::begin(&runtime));
        let named = values.iter().enumerate();
        let inputs: Vec<_> = named
            .map(|(number, value)| runtime.input(&format!("x{number}"), value.unwrap_or_default()))
            .collect();
        let removed = inputs.iter().zip(values).filter(|(_, value)| value.is_none());
        let removed = runtime.update(|update| removed.for_each(|(input, _)| update.remove(input)));
        removed.expect("no session is open");
        runtime.run(|| Receiver(id).method(Receiver::MET));
        let world = Arc::new(Self {
            id,
            ledger: Mutex::new(Ledger::new(program.inputs.len() + FILES, program.cap.is_some())),
            program,
            runtime,
            store,
            files,
            inputs: inputs.into_iter().map(RwLock::new).collect(),
            outside: Default::default(),
            fuse: Mutex::default(),
            fuse_changed: Condvar::new(),
            watch,
        });
        if let Some(watch) = &world.watch {
            watch.watch(&world);
        }
        world
    }

    fn register(self: Arc<Self>) -> Registered {
        WORLDS.write().expect("as above").push((self.id, self.clone()));
        Registered(self)
    }

    /// Ends a world and goes on in another one, over what its store has then; before, `between` is done. The files of every other
    /// program lie at another place then.
    #[must_use]
    pub fn restart(
        world: Registered,
        end: End,
        values: &[Option<i64>],
        outside: [i64; 2],
        between: impl FnOnce(&Self),
    ) -> Registered {
        let (id, program) = (world.id, world.program.clone());
        let crashed = (end == End::Crashed).then(|| world.store.as_ref().map(MemoryStorage::crash)).flatten();
        between(&world);
        let moves = program.nodes.len().is_multiple_of(2);
        let files = if moves { moved(&world.files) } else { world.files.clone() };
        let store = crashed.or_else(|| world.store.clone());
        drop(world);
        let next = Self::new(id, program, store, files, values);
        for (number, value) in outside.into_iter().enumerate() {
            next.outside[number].store(value, Ordering::Relaxed);
        }
        next.register()
    }

    /// Writes a number to a file.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn write_file(&self, number: usize, value: i64) {
        std::fs::write(self.file(number), value.to_string()).expect("the folder is there");
    }

    pub(crate) fn file_read(&self, number: usize) -> Read {
        Read::Input(self.inputs.len() + number)
    }

    pub(crate) fn read_file(&self, number: usize) -> i64 {
        let text = larder::fs::read_to_string(number.to_string()).expect("the file stays as it was observed");
        text.parse().expect("it holds a number")
    }

    pub(crate) fn input(&self, number: usize) -> i64 {
        self.handle(number).get()
    }

    fn handle(&self, number: usize) -> Input<i64> {
        self.inputs[number].read().expect("nobody panics with it").clone()
    }

    /// Removes an input, and makes another one of its name. Nodes find it in the world, not in the runtime, which so cannot know
    /// that they would find another one: if the input `is_removed`, it is set first, so that a task that has caught its absence is told.
    ///
    /// # Panics
    /// In a session.
    pub fn make_again(&self, number: usize, value: i64, is_removed: bool) {
        self.ledger().input_changed(number);
        let old = self.handle(number);
        if is_removed {
            self.runtime
                .update(|update| update.set(&old, value))
                .expect("inputs are set outside of sessions");
        }
        self.runtime.update(|update| update.remove(&old)).expect("inputs go outside of sessions");
        let new = self.runtime.input(old.name(), value);
        *self.inputs[number].write().expect("as above") = new;
    }

    fn file(&self, number: usize) -> PathBuf {
        self.files.path().join(number.to_string())
    }

    /// Whether there is a store, so that bodies have fewer reasons to run than the ledger knows, and others over a restart: these
    /// are known by their traces.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.store.is_some()
    }

    /// Writes a number to a file and lets the runtime see it. `before` is what it holds.
    ///
    /// # Panics
    /// In a session.
    pub fn write_and_refresh(&self, number: usize, value: i64, before: i64) {
        if value != before {
            self.ledger().input_changed(self.inputs.len() + number);
        }
        self.write_file(number, value);
        self.runtime.refresh().expect("files change outside of sessions");
    }

    /// The ledger.
    ///
    /// # Panics
    /// If a test has panicked with it.
    pub fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with the ledger")
    }

    /// Sets inputs, which are `now` as given; `None` removes one.
    ///
    /// # Panics
    /// In a session.
    pub fn update(&self, sets: &[(usize, Option<i64>)], now: &[Option<i64>], cancelling: bool) {
        let change = |update: &mut larder::Update| {
            for (number, _) in sets.iter().filter(|(number, value)| now[*number] != *value) {
                self.ledger().input_changed(*number);
            }
            for (number, value) in sets {
                match value {
                    Some(value) => update.set(&self.handle(*number), *value),
                    None => update.remove(&self.handle(*number)),
                }
            }
        };
        let done = if cancelling {
            self.runtime.update_with(larder::UpdatePolicy::Cancel, change)
        } else {
            self.runtime.update(change)
        };
        done.expect("updates are made outside of sessions");
    }

    /// Changes what is outside. No session may be open.
    pub fn set_outside(&self, number: u16, value: i64) {
        self.outside[usize::from(number) % 2].store(value, Ordering::Relaxed);
    }

    /// Asks for a node in the open session.
    ///
    /// # Errors
    /// Its failure.
    pub fn ask(&self, id: usize) -> Result<i64, TaskError> {
        if id.is_multiple_of(2) {
            return self.runtime.try_run(|| call(self.id, &self.program, id));
        }
        self.attempt(id)
    }

    /// Asks for a node in the open session, without keeping the thread waiting.
    ///
    /// # Errors
    /// Its failure.
    pub async fn ask_async(&self, id: usize) -> Result<i64, TaskError> {
        let answer = async {
            match self.program.nodes[id].kind {
                Kind::Async => asynchronous(self.id, id).await,
                _ if id.is_multiple_of(2) || !self.program.has_handles(id) => {
                    call(self.id, &self.program, id)
                }
                _ => task(self.id, &self.program, id).get_async().await,
            }
        };
        self.runtime.try_run_async(answer).await
    }

    pub(crate) fn attempt(&self, id: usize) -> Result<i64, TaskError> {
        if self.program.has_handles(id) {
            return task(self.id, &self.program, id).try_get();
        }
        self.runtime.try_run(|| call(self.id, &self.program, id))
    }

    /// Returns the values that a node and all it depends on emitted.
    ///
    /// # Errors
    /// Its failure.
    pub fn ask_emitted(&self, id: usize) -> Result<Vec<i64>, TaskError> {
        self.runtime.try_run(|| collect(self.id, &self.program, id, Collect::PassesOn))
    }

    /// Forgets a node when the session ends. Returns whether there was anything to forget.
    pub fn forget(&self, id: usize) -> bool {
        let known = match self.program.nodes[id].kind {
            // Methods have no companion; their tasks are kept.
            Kind::Method => false,
            Kind::Plain => plain::forget(self.id, id),
            Kind::Named => named::forget(self.id, &id.to_string()),
            Kind::Transient => transient::forget(self.id, id),
            Kind::NoEq => unequal::forget(self.id, id),
            Kind::Volatile => volatile::forget(self.id, id),
            Kind::Fixpoint => fixpoint::forget(self.id, id),
            Kind::Stepped => stepped::forget(self.id, id),
            Kind::Fallback => falling_back::forget(self.id, id),
            Kind::Async => asynchronous::forget(self.id, id),
        };
        if known {
            self.ledger().forgotten(Key::Node(id));
        }
        known
    }

    /// Makes nodes run again when they are next asked for: by calls in a session, or by handles in an update.
    ///
    /// # Panics
    /// In a session.
    pub fn invalidate(&self, ids: &[usize], by_call: bool) {
        let with_handles = |id: &&usize| self.program.has_handles(**id);
        if by_call {
            self.runtime.run(|| ids.iter().for_each(|id| invalidate(self.id, &self.program, *id)));
        } else {
            let handles: Vec<_> = self.runtime.run(|| {
                ids.iter().filter(with_handles).map(|id| task(self.id, &self.program, *id)).collect()
            });
            let invalidated =
                self.runtime.update(|update| handles.iter().for_each(|task| update.invalidate(task)));
            invalidated.expect("no session is open");
        }
        for id in ids {
            self.ledger().invalidated(Key::Node(*id));
        }
    }

    /// Lights the fuse: so many more bodies may begin before [`World::at_the_end_of_the_fuse`] acts.
    pub fn set_fuse(&self, bodies: u32) {
        *self.fuse.lock().expect("nobody panics with the fuse") = Some(bodies);
    }

    /// Puts the fuse out: no more bodies will begin.
    pub fn end_fuse(&self) {
        *self.fuse.lock().expect("as above") = None;
        self.fuse_changed.notify_all();
    }

    /// Waits for the end of the fuse, then does something.
    pub fn at_the_end_of_the_fuse(&self, then: impl FnOnce()) {
        let fuse = self.fuse.lock().expect("as above");
        drop(self.fuse_changed.wait_while(fuse, |fuse| fuse.is_some()));
        then();
    }

    /// One body less to wait for; the one at the end of the fuse gives the other thread time to step in.
    pub(crate) fn burn(&self) {
        let mut fuse = self.fuse.lock().expect("as above");
        match *fuse {
            None => {}
            Some(0) => {
                *fuse = None;
                drop(fuse);
                self.fuse_changed.notify_all();
                std::thread::sleep(Duration::from_micros(300));
            }
            Some(left) => *fuse = Some(left - 1),
        }
    }

    /// The nodes that random numbers stand for.
    #[must_use]
    pub fn roots(&self, numbers: &[u16]) -> Vec<usize> {
        let last = self.program.nodes.len() - 1;
        numbers.iter().map(|number| last - usize::from(*number) % (last + 1)).collect()
    }

    /// The inputs that random numbers stand for, each once, with what they are set to.
    #[must_use]
    pub fn sets(&self, sets: &[(u16, Option<i64>)]) -> Vec<(usize, Option<i64>)> {
        let sets = sets.iter().map(|(number, value)| (usize::from(*number) % self.inputs.len(), *value));
        sets.collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
    }
}
