//! `Runtime`: what a program makes one of.

mod builder;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::Arc;

use larder_backend::storage::{Fingerprints, FlushError, StorageError, StoreReport};
use larder_backend::{
    Activity, Config, Engine, Identity, Input, InputValue, KnownTask, MemoryUse, PersistInput, Refreshed,
    Stats, Swept, TaskError, Update, UpdateError,
};

pub use self::builder::Builder;
use crate::collections::{InputMap, Kind, MapKey, Stored, Transient};
use crate::run_async::update;
use crate::session::{Session, SessionWork, UpdateOptions};
use crate::stored::OpenError;

/// A runtime: the results of task functions, and what they depend on.
///
/// Cheap to clone; all clones are the same runtime. Two runtimes share nothing.
///
/// ```
/// use larder::{Runtime, task_fn};
///
/// #[task_fn]
/// fn word_count(text: &str) -> usize {
///     text.split_whitespace().count()
/// }
///
/// let runtime = Runtime::new();
/// assert_eq!(runtime.run(|| word_count("a b c")), 3);
/// assert_eq!(runtime.run(|| word_count("a b c")), 3);
/// assert_eq!(runtime.stats().get("word_count").map(|function| function.runs), Some(1));
/// ```
#[derive(Clone)]
pub struct Runtime {
    pub(crate) engine: Arc<Engine>,
    /// The way to a shared cache. Dropped after the engine, whose store has committed all by then.
    #[cfg(feature = "shared")]
    pub(crate) shared: Option<Arc<crate::shared::Link>>,
    /// Why there is no store, if there was to be one.
    failure: Option<OpenError>,
}

// A panic belongs to the task whose body it is in: what a runtime holds is right whatever panics, in bodies or in a store.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("failure", &self.failure).finish_non_exhaustive()
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime {
    /// Makes a runtime that keeps its results in memory.
    #[must_use]
    pub fn new() -> Self {
        Builder::default().build()
    }

    pub(crate) fn of(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            #[cfg(feature = "shared")]
            shared: None,
            failure: None,
        }
    }

    #[cfg(feature = "shared")]
    pub(crate) fn with_shared(self, shared: Option<Arc<crate::shared::Link>>) -> Self {
        Self { shared, ..self }
    }

    pub(crate) fn without_storage(config: &Config, failure: OpenError) -> Self {
        Self { failure: Some(failure), ..Self::of(Engine::new(config)) }
    }

    /// Returns the directory where relative paths of sources start, if one was set ([`Builder::base`]). It is absolute.
    #[must_use]
    pub fn base(&self) -> Option<&Path> {
        self.engine.base_dir().map(|dir| &**dir)
    }

    /// Returns what has to agree before results in this runtime's store can be used by another one, to compare two machines. None without a
    /// store.
    ///
    /// ```
    /// use larder::{Runtime, storage::MemoryStorage};
    ///
    /// let at = |base: &str, code: &str| {
    ///     let builder = Runtime::builder().base(base).storage(MemoryStorage::new());
    ///     builder.code_identity(code).build().identity().unwrap()
    /// };
    /// assert!(at("/home/ann/repo", "v1").differences(&at("/build/repo", "v1")).is_empty());
    /// assert_eq!(at("/build/repo", "v1").differences(&at("/build/repo", "v2")), ["code"]);
    /// ```
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.engine.identity()
    }

    /// Returns the kind of digests by which contents are told apart, in the store as well. See [`Builder::fingerprints`].
    #[must_use]
    pub fn fingerprints(&self) -> Fingerprints {
        self.engine.fingerprints()
    }

    /// Settings for a runtime.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes a session with settings of its own, which is opened by one of its methods: `runtime.session().token(&token).run(..)`.
    pub fn session(&self) -> Session<'_> {
        Session::new(self)
    }

    /// Runs `work` in a session: while it is open, no input changes. Any number of threads may have sessions open.
    ///
    /// Waits while an update works or waits for its turn. A session that an open one waits for (`work` joins a thread that calls
    /// `run`) waits for a second behind an update that waits for the open one, then it goes first:
    /// [`current`](crate::current) takes the session along to other threads without that.
    ///
    /// Inside another session of this runtime on the same thread, `work` is part of that session.
    ///
    /// # Panics
    /// With a body's panic that nothing caught; on a cycle; if an update cancelled the session.
    #[track_caller]
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        self.engine.run(None, work)
    }

    /// Runs `work` in a session, and returns its failure instead of panicking.
    ///
    /// # Errors
    /// If a body panicked, on a cycle (with its path), or if an update cancelled the session.
    #[track_caller]
    pub fn try_run<R>(&self, work: impl FnOnce() -> R) -> Result<R, TaskError> {
        self.engine.try_run(None, work)
    }

    /// Runs a future, or an async closure, in a session that stays open across its awaits. It may be polled on any executor, and on
    /// one thread after another; nothing is spawned.
    ///
    /// ```
    /// use larder::{Runtime, task_fn};
    ///
    /// #[task_fn]
    /// async fn price(sku: &str) -> usize {
    ///     std::future::ready(sku.len()).await
    /// }
    ///
    /// # fn block_on<T>(future: impl Future<Output = T>) -> T {
    /// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// #     match std::pin::pin!(future).poll(&mut context) { std::task::Poll::Ready(value) => value, _ => panic!() }
    /// # }
    /// let runtime = Runtime::new();
    /// // On any executor: tokio, smol, `pollster::block_on`.
    /// block_on(async {
    ///     assert_eq!(runtime.run_async(price("A-1")).await, 3);
    ///     assert_eq!(runtime.run_async(async || price("A-1").await + price("B").await).await, 4);
    /// });
    /// ```
    ///
    /// Awaited inside another session of this runtime, the work is part of that session. Futures that it spawns are not part of it
    /// unless they are wrapped: [`Carried::future`](crate::Carried).
    ///
    /// # Panics
    /// When awaited: with a body's panic that nothing caught; on a cycle; if an update cancelled the session.
    pub async fn run_async<K, W: SessionWork<K>>(&self, work: W) -> W::Output {
        self.session().run_async(work).await
    }

    /// Runs a future, or an async closure, in a session, and returns its failure instead of panicking. See [`Runtime::run_async`].
    ///
    /// # Errors
    /// If a body panicked, on a cycle (with its path), or if an update cancelled the session.
    pub async fn try_run_async<K, W: SessionWork<K>>(&self, work: W) -> Result<W::Output, TaskError> {
        self.session().try_run_async(work).await
    }

    /// Returns the input called `name`: a new one that holds `value`, or the one that exists, *with the value that it has*. To set
    /// that one as well, use [`Runtime::input_or_set`].
    ///
    /// The name is the same in every process: with a store, what an earlier process computed from an input of this name
    /// is used if its value was the same, and verified if it was not.
    ///
    /// # Panics
    /// If an input of this name exists and holds another type.
    #[track_caller]
    pub fn input<T: InputValue + PersistInput>(&self, name: &str, value: T) -> Input<T> {
        self.engine.input(name, value)
    }

    /// Returns the input called `name`, which holds `value` from now on: a new one, or the one that exists, set by an update if its
    /// value differs.
    ///
    /// # Errors
    /// If the input exists, as [`Runtime::update`]: that waits for the open sessions, and is not possible inside of one.
    ///
    /// # Panics
    /// If an input of this name exists and holds another type.
    #[track_caller]
    pub fn input_or_set<T: InputValue + PersistInput>(
        &self,
        name: &str,
        value: T,
    ) -> Result<Input<T>, UpdateError> {
        let mut value = Some(value);
        let input = self.engine.input_with(name, || value.take().expect("the value is made once"));
        if let Some(value) = value {
            self.update(|update| update.set(&input, value))?;
        }
        Ok(input)
    }

    /// Returns an input like [`Runtime::input`] for a type without serde. Tasks that read it are kept in memory only.
    ///
    /// # Panics
    /// If an input of this name exists and holds another type.
    #[track_caller]
    pub fn transient_input<T: InputValue>(&self, name: &str, value: T) -> Input<T> {
        self.engine.transient_input(name, value)
    }

    /// Returns the map called `name`: an empty one, or the one that exists. Its entries are put in and taken out in updates:
    /// [`InputMap::insert`], [`InputMap::remove`].
    ///
    /// The name is the same in every process, as that of an input is. Inputs called `name#..` belong to the map.
    ///
    /// # Panics
    /// If an input of this name exists, or a map of other types.
    #[track_caller]
    pub fn input_map<K, V>(&self, name: &str) -> InputMap<K, V>
    where
        K: MapKey,
        V: InputValue,
        Stored: Kind<K, V>,
    {
        InputMap::named(&self.engine, name)
    }

    /// Returns a map like [`Runtime::input_map`] for keys and values without serde. Tasks that read it are kept in memory only.
    ///
    /// # Panics
    /// If an input of this name exists, or a map of other types.
    #[track_caller]
    pub fn transient_input_map<K: MapKey, V: InputValue>(&self, name: &str) -> InputMap<K, V, Transient> {
        InputMap::named(&self.engine, name)
    }

    /// Changes inputs, all at once, after waiting for the open sessions to end.
    ///
    /// A task that depends on an input that got an unequal value becomes stale. Cost: in proportion to that, never to the
    /// number of tasks.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this runtime open.
    pub fn update<R>(&self, change: impl FnOnce(&mut Update) -> R) -> Result<R, UpdateError> {
        self.update_with(UpdateOptions::default(), change)
    }

    /// Changes inputs as [`Runtime::update`] does, and waits for the open sessions as `options` say: it may cancel them, or give up.
    ///
    /// Sessions that are cancelled end at their next task boundary. One that waits for something else than a task is cancelled when
    /// it next asks for one.
    ///
    /// # Errors
    /// [`UpdateError::Cancelled`] if its token was cancelled, or its deadline passed, before the open sessions had ended;
    /// [`UpdateError::InSession`] if this thread has a session of this runtime open.
    pub fn update_with<R>(
        &self,
        options: impl Into<UpdateOptions>,
        change: impl FnOnce(&mut Update) -> R,
    ) -> Result<R, UpdateError> {
        let (policy, token) = options.into().parts(&self.engine);
        self.engine.update(policy, token.as_ref(), change)
    }

    /// Changes inputs as [`Runtime::update`] does, and keeps no thread waiting. From the first poll on, new sessions wait;
    /// dropping the future before it is done changes nothing.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if it is first polled inside a session of this runtime.
    pub async fn update_async<R>(&self, change: impl FnOnce(&mut Update) -> R) -> Result<R, UpdateError> {
        self.update_async_with(UpdateOptions::default(), change).await
    }

    /// Changes inputs as [`Runtime::update_with`] does, and keeps no thread waiting. See [`Runtime::update_async`].
    ///
    /// # Errors
    /// Fails as [`Runtime::update_with`] does; [`UpdateError::InSession`] if it is first polled inside a session of this runtime.
    pub async fn update_async_with<R>(
        &self,
        options: impl Into<UpdateOptions>,
        change: impl FnOnce(&mut Update) -> R,
    ) -> Result<R, UpdateError> {
        let (policy, token) = options.into().parts(&self.engine);
        update(self.engine.clone(), policy, token.as_ref(), change).await
    }

    /// Looks at all files, directories, patterns and variables that tasks have read, and makes stale what depends on those
    /// that changed. Waits for the open sessions to end.
    ///
    /// Cost: one `stat` per file and directory, one observation per changed one.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this runtime open.
    pub fn refresh(&self) -> Result<Refreshed, UpdateError> {
        self.refresh_with(UpdateOptions::default())
    }

    /// Refreshes as [`Runtime::refresh`] does, and waits for the open sessions as `options` say. The time for looking at the sources
    /// comes on top.
    ///
    /// # Errors
    /// Fails as [`Runtime::update_with`] does.
    pub fn refresh_with(&self, options: impl Into<UpdateOptions>) -> Result<Refreshed, UpdateError> {
        let (policy, token) = options.into().parts(&self.engine);
        self.engine.refresh(policy, token.as_ref())
    }

    /// Returns once everything computed so far that can be stored is durable. Dropping the last clone of a runtime does the
    /// same. Without a store it does nothing.
    ///
    /// # Errors
    /// If the store cannot take them now (one more attempt was made), or has failed for good, or if its file was deleted or replaced.
    /// Results stay in memory, and are stored when the store takes them again; `stats().storage` says since when it does not.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.engine.flush()
    }

    /// Pushes what this runtime has computed to its shared cache now, within this time, if it is a writer. Otherwise that is done when the runtime is
    /// dropped, within [`Shared::push_within`](crate::shared::Shared::push_within).
    ///
    /// Cost: a look at the whole store, and at what is there already; for the end of a job, not for each session.
    ///
    /// # Errors
    /// If the store does not take the results, or the engine fails.
    #[cfg(feature = "shared")]
    pub fn flush_shared(&self, within: std::time::Duration) -> Result<(), crate::shared::ShareError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        self.engine.flush()?;
        shared.push(within)
    }

    /// Statistics of the shared cache. `None` without one.
    #[cfg(feature = "shared")]
    #[must_use]
    pub fn shared_stats(&self) -> Option<crate::shared::SharedStats> {
        let records = self.stats().storage.and_then(|storage| storage.remote).unwrap_or_default();
        self.shared.as_ref().map(|shared| shared.stats(records))
    }

    /// Returns why this runtime has no store although one was asked for: the store could not be opened.
    #[must_use]
    pub fn open_error(&self) -> Option<&OpenError> {
        self.failure.as_ref()
    }

    /// Returns the first error of an open store since it last took something, once: to be shown to the user. Computations go on, with
    /// results in memory.
    #[must_use]
    pub fn take_write_error(&self) -> Option<Arc<StorageError>> {
        self.engine.take_storage_error()
    }

    /// Reads and checks the whole store: what is damaged, and how much each task function takes. `None` without a store.
    ///
    /// # Errors
    /// If the store fails.
    pub fn storage_report(&self) -> Option<Result<StoreReport, StorageError>> {
        self.engine.storage_report()
    }

    /// Gives back the space that replaced and dropped results take in the store.
    ///
    /// # Errors
    /// If the store fails.
    pub fn compact_storage(&self) -> Result<(), StorageError> {
        self.engine.compact_storage()
    }

    /// Returns what happened so far, per task function.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Returns what the tasks take in memory, by function.
    ///
    /// Cost: a look at each task, in short sessions, between which updates may come.
    ///
    /// # Panics
    /// Inside of an update.
    #[must_use]
    #[track_caller]
    pub fn memory(&self) -> MemoryUse {
        self.engine.memory_use()
    }

    /// Drops tasks and outputs, those first that were not used lately, until tasks take no more than `bytes`, or nothing is left that may
    /// go; with a store, after what waits to be stored has been committed. See [`Builder::memory_cap`] for what goes and what it costs. `shrink_to(0)` keeps what is held, and what `keep` says.
    ///
    /// Waits for the open sessions to end; those of other threads go on between its slices, each of which takes a few milliseconds at most.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this runtime open.
    pub fn shrink_to(&self, bytes: usize) -> Result<Swept, UpdateError> {
        self.engine.shrink_to(bytes)
    }

    /// Forgets those tasks in memory that `forgets` says of, as `f::forget(args)` does, as soon as no session is open. Returns how many that
    /// are. Tasks that only the store knows are not asked about: `f::forget(args)` and `f::clear()` drop those.
    ///
    /// ```
    /// use larder::{Runtime, task_fn};
    ///
    /// #[task_fn]
    /// fn words(page: &str) -> usize {
    ///     page.split_whitespace().count()
    /// }
    ///
    /// let runtime = Runtime::new();
    /// runtime.run(|| (words("a b"), words("c")));
    /// let forgotten = runtime.forget_if(|task| task.function() == "words" && task.to_string().contains("a b"));
    /// assert_eq!(forgotten, 1);
    /// ```
    ///
    /// Cost: a look at each task. `forgets` runs in a session, under no lock.
    ///
    /// # Panics
    /// Inside of an update, and if `forgets` does.
    #[track_caller]
    pub fn forget_if(&self, forgets: impl FnMut(&KnownTask) -> bool) -> usize {
        self.engine.forget_if(forgets)
    }

    /// Sets how many outputs a function with `#[task_fn(lru = ..)]` keeps in memory, given its name or its path. The rest goes as soon as no
    /// session is open. Returns whether there is such a function that has been called.
    pub fn set_lru(&self, function: &str, outputs: usize) -> bool {
        self.engine.set_lru(function, outputs)
    }

    /// Returns what this runtime holds and does at the moment: to be watched, to find what is left over, and which sessions an update
    /// waits for.
    ///
    /// Does not wait. Cost: in proportion to the number of tasks, with the table's locks taken one after the other.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.engine.activity()
    }
}
