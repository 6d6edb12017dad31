//! `Builder`: the settings of a runtime.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder_backend::storage::{BackingStorage, Fingerprints};
use larder_backend::{Config, Engine};

use super::Runtime;
use crate::stored::StoredBuilder;

/// Configures and builds a [`Runtime`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    pub(crate) config: Config,
}

impl Builder {
    /// Sets the number of shards of the table, rounded up to a power of two. Default: four per hardware thread.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.config.shards = shards;
        self
    }

    /// Sets how many threads work at once in a scope ([`scope`](crate::scope), [`par_map`](crate::par_map)), the calling
    /// one among them. The others are started when a scope first needs them. Default: one per hardware thread.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.config.threads = threads;
        self
    }

    /// Sets how long results that have expired (`ttl`), are `volatile`, or are to be forgotten may wait for a moment without sessions
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

    /// Sets the most bytes that tasks may take in memory between sessions: their nodes, arguments and outputs, the edges between them, and
    /// the heap behind outputs, as far as that is weighed ([`Weigh`](crate::Weigh), `#[task_fn(weight = ..)]`). Default: no limit.
    ///
    /// When more is used, and no session is open, there goes, until there is room:
    /// 1. tasks that no other task reads, that no [`Task`](crate::Task) holds, and that were not asked for lately; and in turn what only they
    ///    have read;
    /// 2. if that is not enough, outputs that hang on something and were not used lately, the heaviest first. The task stays;
    /// 3. with a store, what memory knows of the reads of stored tasks that were not used lately, and then what only they have read: so a graph
    ///    can be larger than memory, even if its root is held. Such a task is verified by its record, which takes a look into the store for each read.
    ///
    /// A call that is made again computes its output again, or has it from the store if there is one. No value ever changes by that, and readers stay
    /// current. One thing is lost: a task that is *not* stored, whose output has gone, and whose inputs have changed since, counts as
    /// changed when it has run again, whatever it returns, as there is nothing left to compare with. So its readers run, too. Functions for
    /// which that is too dear say `#[task_fn(keep)]`.
    ///
    /// A cap that cannot be met, because handles, `keep`, inputs or edges alone take more, is met as far as possible:
    /// [`MemoryUse::missed`](crate::MemoryUse) says by how much it was missed, and it is tried again from time to time. While sessions of
    /// several threads overlap, a moment without any is seen to ([`Builder::patience`]).
    ///
    /// ```
    /// use larder::{Runtime, Weigh, task_fn};
    ///
    /// #[derive(Clone, PartialEq)]
    /// struct Page { title: String, words: Vec<u32> }
    ///
    /// impl Weigh for Page {
    ///     fn weigh(&self) -> usize {
    ///         self.title.weigh() + self.words.weigh()
    ///     }
    /// }
    ///
    /// #[task_fn(transient)]
    /// fn page(number: u32) -> Page {
    ///     Page { title: number.to_string(), words: vec![number; 1000] }
    /// }
    ///
    /// let runtime = Runtime::builder().memory_cap(1 << 20).build();
    /// for number in 0..1000 {
    ///     runtime.run(|| assert_eq!(page(number).words.len(), 1000));
    /// }
    /// runtime.run(|| ());
    /// assert!(runtime.memory().bytes <= 1 << 20);
    /// ```
    ///
    /// With a store, a task whose results are not committed yet stays until they are (`max_commit_delay`).
    ///
    /// Cost: nothing per hit; what goes is paid for when it goes. Inputs are not counted, and stay.
    #[must_use]
    pub fn memory_cap(mut self, bytes: usize) -> Self {
        self.config.memory_cap = Some(bytes);
        self
    }

    /// Lets tasks go that no other task reads, that no handle holds, and that were not asked for in so many sessions (or up to twice as
    /// many), with what only they have read. For example, tasks whose arguments are the contents of a file, of which each edit makes new
    /// ones, and lookups that failed. Default: they stay.
    ///
    /// Results in a store stay there. A task counts as asked for when a session or a task that runs asks for it; a reader that only
    /// turned out to be current keeps what it has read anyway. Cost: a look at each task, once in so many sessions.
    #[must_use]
    pub fn collect_after(mut self, sessions: u32) -> Self {
        self.config.collect_after = Some(sessions);
        self
    }

    /// Sets how long work on a thread pool ([`Carried::run`](crate::Carried::run)) waits for a task that another thread computes, before it
    /// runs the body itself, a second time. Default: 100 ms.
    ///
    /// Rayon runs other jobs on a thread that waits. For example, the thread that computes `x` waits in rayon for a job, whose thread
    /// has begun another job meanwhile, which asks for `x`: neither could go on, and the runtime cannot know. So work on a pool waits
    /// as long as a run of the function usually takes, and at least a quarter of `time` (less, while such second runs turn out to be
    /// needed). It waits for `time` if no run of the function has ended yet, and longer if another second run is under way.
    /// `Duration::MAX` makes it wait for ever, and lets crew threads help with scopes that such work opens. Threads that opened their session themselves just wait, and so do scopes and futures.
    /// [`FunctionStats::apart`](crate::FunctionStats::apart) counts second runs.
    #[must_use]
    pub fn run_apart_after(mut self, time: Duration) -> Self {
        self.config.apart_after = time;
        self
    }

    /// Sets the kind of digests by which contents are told apart: of files, of values, of the arguments of stored calls. Default: the kind that
    /// the store has; in a new one, and without a store, [`Fingerprints::Xxh3`]; with a shared cache, `Fingerprints::Blake3`.
    ///
    /// Anybody can make two contents of one xxh3 fingerprint. So where others choose contents (a server that compiles what it is sent, a job that
    /// checks pull requests), take `Blake3`, a feature of this crate (`blake3`; `shared` has it): with xxh3 the result of one content may be
    /// served for the other. It costs more instructions for each digest, and a hit nothing; see the guide's page [storage](crate::guide::storage).
    ///
    /// A store is of one kind. Opened with the other one it is emptied, which [`StorageStats::opened`](crate::StorageStats::opened) tells as
    /// [`Rejected::Fingerprints`](crate::storage::Rejected::Fingerprints), like a store of another format.
    ///
    /// ```
    /// use larder::storage::{Fingerprints, MemoryStorage};
    /// use larder::{Opened, Runtime};
    ///
    /// let store = MemoryStorage::new();
    /// # #[cfg(feature = "blake3")] {
    /// let runtime = Runtime::builder().fingerprints(Fingerprints::Blake3).storage(store.clone()).build();
    /// assert_eq!(runtime.fingerprints(), Fingerprints::Blake3);
    /// drop(runtime);
    ///
    /// // It stays what it is.
    /// let runtime = Runtime::builder().storage(store.clone()).build();
    /// assert_eq!(runtime.fingerprints(), Fingerprints::Blake3);
    /// # }
    /// ```
    #[must_use]
    pub fn fingerprints(mut self, kind: Fingerprints) -> Self {
        self.config.fingerprints = Some(kind);
        self
    }

    /// Lets relative paths of sources ([`fs`](crate::fs)) start at `dir`, and not at the process' current directory. A source is then
    /// known by its relative path alone: what is stored of the tree at one place holds for an equal tree at another one (another checkout, a
    /// machine of CI), as files are compared by content. Default: none.
    ///
    /// This goes for tasks whose arguments and results are relative as well. Code identity is another matter: see
    /// [`StoredBuilder::code_identity`]. A `dir` that is relative itself starts at the current directory of now. It need not exist, and
    /// links in it are not resolved. Patterns and listings: see [`fs`](crate::fs).
    ///
    /// ```
    /// use larder::{Runtime, storage::MemoryStorage, task_fn};
    ///
    /// #[task_fn]
    /// fn lines(path: &str) -> usize {
    ///     larder::fs::read_to_string(path).map_or(0, |text| text.lines().count())
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (here, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
    /// for checkout in [&here, &there] {
    ///     std::fs::write(checkout.path().join("a.txt"), "one\ntwo\n")?;
    /// }
    /// let store = MemoryStorage::new();
    /// let runtime = Runtime::builder().base(here.path()).storage(store.clone()).build();
    /// assert_eq!(runtime.run(|| lines("a.txt")), 2);
    /// drop(runtime);
    ///
    /// let elsewhere = Runtime::builder().base(there.path()).storage(store).build();
    /// assert_eq!(elsewhere.run(|| lines("a.txt")), 2);
    /// assert_eq!(elsewhere.stats().runs(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn base(mut self, dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref();
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        // It fails where there is no current directory: then each look will.
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        self.config.base_dir = Some(dir.into());
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
