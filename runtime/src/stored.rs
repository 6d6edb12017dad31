//! A runtime with a store behind it: how it is made.

mod options;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "shared")]
use larder_backend::storage::Fingerprints;
use larder_backend::storage::{BackingStorage, Digest, StorageError};
use larder_backend::{Config, Engine, Remote, StorageConfig};

use crate::Runtime;
use crate::{env, fs};

/// Makes a [`Runtime`] whose results survive the process. See [`Builder::storage`](crate::Builder::storage).
#[derive(Clone, Debug)]
pub struct StoredBuilder {
    config: Config,
    storage: StorageConfig,
    #[cfg(feature = "shared")]
    shared: Option<crate::shared::Shared>,
}

impl StoredBuilder {
    pub(crate) fn new(config: Config, storage: Arc<dyn BackingStorage>) -> Self {
        let mut storage = StorageConfig::new(storage);
        storage.observers = fs::OBSERVERS.into_iter().chain([env::OBSERVER]).collect();
        Self {
            config,
            storage,
            #[cfg(feature = "shared")]
            shared: None,
        }
    }

    /// Sets the most bytes that results may take in the store (of keys and records; what a store adds comes on top). Beyond it, the least
    /// recently used ones are dropped from the store: older results of a call before the call itself. Default: no limit.
    ///
    /// It acts while the runtime is in use, on what is not in memory, and on the rest when the runtime is dropped. So the store takes up
    /// to an eighth more for some time, and as much more as the tasks in memory do; see [`Builder::memory_cap`](crate::Builder::memory_cap).
    /// Results that were stored or used by earlier processes go before those of this one, which are all as recent.
    /// The file does not shrink by it: see [`StoredBuilder::compact_on_close`]. [`StorageStats::cap`](crate::StorageStats) tells what it does.
    ///
    /// With a limit, each use of a stored result is noted in the store, once per process.
    #[must_use]
    pub fn max_stored_bytes(mut self, bytes: u64) -> Self {
        self.storage.cap = Some(bytes);
        self
    }

    /// Gives the space that replaced and dropped results take in the store back when the runtime is dropped, if it has stored anything.
    /// Default: the space is used again by later results, and the file does not shrink; [`Runtime::compact_storage`] shrinks it on demand.
    ///
    /// Cost: what is stored is moved together, which takes about a sixth of the time of storing it. A process that is killed meanwhile
    /// leaves a sound store.
    #[must_use]
    pub fn compact_on_close(mut self, compacts: bool) -> Self {
        self.storage.compacts = compacts;
        self
    }

    /// Sets how long results may wait before they are made durable, and be lost in a crash. Default: 1 second.
    #[must_use]
    pub fn max_commit_delay(mut self, delay: Duration) -> Self {
        self.storage.write_behind.batch_delay = delay;
        self
    }

    /// Sets how many results are kept of one call, each for other values of what it read. Default: 8.
    #[must_use]
    pub fn max_results_per_call(mut self, results: usize) -> Self {
        self.storage.write_behind.max_traces = results.max(1);
        self
    }

    /// Sets the most bytes that may wait to be stored; what comes beyond is kept in memory only. Default: 256 MiB.
    ///
    /// So much waits only if the store fails, or takes more than some seconds for a batch of 32 MiB. While it works, threads that
    /// compute faster than it stores wait for it.
    #[must_use]
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.storage.write_behind.queue_bytes = bytes;
        self
    }

    /// Sets the identity of the code of all task functions that declare no version. Whenever it differs from before, they start
    /// cold. Default: the content of the program's file, so that any build that differs does; and of the library that the engine is
    /// in, if it is in one. Functions in other libraries go by the content of those as well, on Linux; elsewhere a library that is
    /// built anew under an unchanged program is not noticed.
    ///
    /// For programs that know better, as by the hash of the sources that they were built from. Too coarse an identity
    /// gives results of other code. It stands for libraries, too.
    #[must_use]
    pub fn code_identity(mut self, identity: impl AsRef<[u8]>) -> Self {
        self.storage.build = Some(Digest::xxh3(identity.as_ref()));
        self
    }

    /// Uses results that other machines have computed, and, as a writer, gives them those of this one. See the guide's page
    /// [shared cache](crate::guide::shared_cache). Give the runtime a [`base`](crate::Builder::base) as well: results of sources with absolute
    /// paths stay on their machine.
    ///
    /// Nothing that comes is believed about this machine's files: each result is verified by its reads before it is used. A result that does not
    /// come, or is signed by none of the trusted keys, is computed here. A cache that does not work costs time, and at most its
    /// [`budget`](crate::shared::Shared::budget).
    ///
    /// The runtime begins with up to three round trips, for what has been pushed since the last process. A hit costs nothing more, and neither
    /// does a miss whose function is fast.
    ///
    /// ```
    /// use larder::shared::{FolderEngine, Namespace, Shared, SigningKey};
    /// use larder::{Runtime, storage::MemoryStorage, task_fn};
    ///
    /// #[task_fn]
    /// fn lines(path: &str) -> usize {
    ///     larder::fs::read_to_string(path).map_or(0, |text| text.lines().count())
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ci, laptop, cache) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    /// for checkout in [&ci, &laptop] {
    ///     std::fs::write(checkout.path().join("a.txt"), "one\ntwo\n")?;
    /// }
    /// let key = SigningKey::generate("ci")?;
    /// let shared = Shared::new(FolderEngine::new(cache.path()), Namespace::new("acme/lines")?).trust(key.public());
    /// let open = |checkout: &tempfile::TempDir, shared: Shared| {
    ///     Runtime::builder().base(checkout.path()).storage(MemoryStorage::new()).shared(shared).build()
    /// };
    /// let runtime = open(&ci, shared.clone().writer(key));
    /// assert_eq!(runtime.run(|| lines("a.txt")), 2);
    /// drop(runtime); // pushes
    ///
    /// let runtime = open(&laptop, shared);
    /// assert_eq!(runtime.run(|| lines("a.txt")), 2);
    /// assert_eq!(runtime.stats().runs(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "shared")]
    #[must_use]
    pub fn shared(mut self, shared: crate::shared::Shared) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Looks for results of other machines behind the store.
    #[doc(hidden)]
    #[must_use]
    pub fn remote(mut self, remote: Arc<dyn Remote>) -> Self {
        self.storage.remote = Some(remote);
        self
    }

    /// Makes the runtime. If the store cannot be used, results are kept in memory, and
    /// [`Runtime::open_error`] says why.
    #[must_use]
    pub fn build(self) -> Runtime {
        let config = self.config.clone();
        self.try_build().unwrap_or_else(|error| Runtime::without_storage(&config, error))
    }

    /// Makes the runtime.
    ///
    /// # Errors
    /// If the store cannot be used. A damaged one, or one of another format, is no error: it is emptied.
    pub fn try_build(self) -> Result<Runtime, OpenError> {
        #[cfg(feature = "shared")]
        let (this, link) = self.linked();
        #[cfg(not(feature = "shared"))]
        let this = self;
        match Engine::with_storage(&this.config, this.storage) {
            #[cfg(feature = "shared")]
            Ok(engine) => Ok(Runtime::of(engine).with_shared(link)),
            #[cfg(not(feature = "shared"))]
            Ok(engine) => Ok(Runtime::of(engine)),
            Err(source) => Err(OpenError::new(source)),
        }
    }
}

#[cfg(feature = "shared")]
impl StoredBuilder {
    /// Pulls what is shared into the store, and links to it.
    fn linked(mut self) -> (Self, Option<Arc<crate::shared::Link>>) {
        let link = self.shared.take().map(|shared| {
            let build = self.storage.build_identity();
            let fingerprints = *self.config.fingerprints.get_or_insert(Fingerprints::strongest());
            let shared = shared.of_kind(fingerprints);
            crate::shared::Link::open(shared, self.storage.storage.clone(), build)
        });
        if let Some(link) = &link {
            self.storage.remote = Some(link.clone());
        }
        (self, link)
    }
}

/// A store cannot be used.
#[derive(Clone, Debug)]
pub struct OpenError {
    source: Arc<StorageError>,
}

impl OpenError {
    pub(crate) fn new(source: StorageError) -> Self {
        Self { source: Arc::new(source) }
    }

    /// Whether another process has the store, or this one has it twice.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.source.is_held()
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "results cannot be stored: {}", self.source)
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
