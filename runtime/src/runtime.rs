//! `Runtime`: what a program makes one of.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use larder_backend::storage::{BackingStorage, FlushError, StorageError, StoreReport};
use larder_backend::{
    Activity, Config, Engine, Input, InputValue, PersistInput, Refreshed, Stats, TaskError, Update,
    UpdateError,
};

use crate::run_async::update;
use crate::session::{Session, SessionWork, UpdateOptions};
use crate::stored::{OpenError, StoredBuilder};

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

/// Makes a [`Runtime`] that is not the default one.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    config: Config,
}

impl Builder {
    /// The number of shards of the table, rounded up to a power of two. Default: four per hardware thread.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// How many threads work at once in a scope ([`scope`](crate::scope), [`par_map`](crate::par_map)), the calling
    /// one among them. The others are started when a scope first needs them. Default: one per hardware thread.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.config.threads = threads;
        self
    }

    /// How long results that have expired (`ttl`), are `volatile`, or are to be forgotten may wait for a moment without sessions
    /// before new sessions wait for one. Default: 50 ms.
    ///
    /// Within a session the world stands still, so such results are judged when a session opens alone. While the sessions of other
    /// threads or futures overlap, none opens alone. When a result has waited for longer than `patience`, new sessions wait, as
    /// they do for an update, until those that are open have ended; then the results are marked, and all go on. So a `ttl` of one
    /// second is kept to `1 s + patience +` the longest session that is open then, and a `volatile` task runs again after
    /// `patience +` that session.
    ///
    /// A session that stays open for longer than ten times `patience` (twenty times, when it happens again) holds up the others for
    /// that long and no longer: they go in, on the results as they are, and it is tried again after a pause that doubles each time, up
    /// to 64 seconds. New sessions wait for at most half of the time. `None`: sessions never wait, and such results are judged
    /// when it so happens that no session is open, or at the next update.
    #[must_use]
    pub fn patience(mut self, patience: impl Into<Option<Duration>>) -> Self {
        self.config.patience = patience.into();
        self
    }

    /// How long work on a thread pool ([`Carried::run`](crate::Carried::run)) waits for a task that another thread computes, before it
    /// runs the body itself, a second time. Default: 100 ms.
    ///
    /// Rayon runs other jobs on a thread that waits. For example, the thread that computes `x` waits in rayon for a job, whose thread
    /// has begun another job meanwhile, which asks for `x`: neither could go on, and the runtime cannot know. So work on a pool waits
    /// as long as a run of the function usually takes, and at least a quarter of `time` (less, while such second runs turn out to be
    /// needed). It waits for `time` if no run of the function has ended yet, and longer if another second run is under way.
    /// `Duration::MAX` makes it wait for ever. Threads that opened their session themselves just wait, and so do scopes and futures.
    /// [`FunctionStats::apart`](crate::FunctionStats::apart) counts second runs.
    #[must_use]
    pub fn run_apart_after(mut self, time: Duration) -> Self {
        self.config.apart_after = time;
        self
    }

    /// Keeps results in a store as well, so that the next process goes on where this one stops.
    ///
    /// ```
    /// use larder::{Runtime, storage::MemoryStorage, task_fn};
    ///
    /// #[task_fn]
    /// fn word_count(text: &str) -> usize {
    ///     text.split_whitespace().count()
    /// }
    ///
    /// // In a program this is a file: `RedbStorage::open("results.redb")?`.
    /// let store = MemoryStorage::new();
    /// Runtime::builder().storage(store.clone()).build().run(|| word_count("a b c"));
    ///
    /// let next = Runtime::builder().storage(store).build();
    /// assert_eq!(next.run(|| word_count("a b c")), 3);
    /// assert_eq!(next.stats().runs(), 0);
    /// ```
    #[must_use]
    pub fn storage(self, storage: impl BackingStorage) -> StoredBuilder {
        StoredBuilder::new(self.config, Arc::new(storage))
    }

    /// Makes the runtime.
    #[must_use]
    pub fn build(self) -> Runtime {
        Runtime::of(Engine::new(&self.config))
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime {
    /// A runtime that keeps its results in memory.
    #[must_use]
    pub fn new() -> Self {
        Builder::default().build()
    }

    pub(crate) fn of(engine: Arc<Engine>) -> Self {
        Self { engine, failure: None }
    }

    pub(crate) fn without_storage(config: &Config, failure: OpenError) -> Self {
        Self { engine: Engine::new(config), failure: Some(failure) }
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
        let UpdateOptions { policy, token } = options.into();
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
        let UpdateOptions { policy, token } = options.into();
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
        let UpdateOptions { policy, token } = options.into();
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

    /// Returns what this runtime holds and does at the moment: to be watched, to find what is left over, and which sessions an update
    /// waits for.
    ///
    /// Does not wait. Cost: in proportion to the number of tasks, with the table's locks taken one after the other.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.engine.activity()
    }
}
