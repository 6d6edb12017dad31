//! `Shared`: which shared cache, and how it is used.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use larder_backend::storage::Fingerprints;
use larder_shared::{KeyError, Namespace, SharedEngine, SharedKey, SigningKey, Trust, TrustedKey, engine_at};

/// A shared cache, as a runtime uses it. See [`StoredBuilder::shared`](crate::StoredBuilder::shared).
///
/// By default nothing is written, and no key is trusted, so nothing is used: name the keys with [`Shared::trust`].
///
/// ```
/// use larder::shared::{MemoryEngine, Namespace, Shared, SigningKey};
///
/// let key = SigningKey::generate("ci")?;
/// let namespace = Namespace::new("acme/census")?;
/// let reader = Shared::new(MemoryEngine::new(), namespace.clone()).trust(key.public());
/// let writer = Shared::new(MemoryEngine::new(), namespace).writer(key);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Shared {
    pub(super) engine: Arc<dyn SharedEngine>,
    pub(super) namespace: Namespace,
    pub(super) reference: Box<str>,
    pub(super) trust: Trust,
    pub(super) writer: Option<SigningKey>,
    pub(super) patience: Duration,
    pub(super) budget: Duration,
    pub(super) at_the_end: Duration,
    pub(super) leases: Option<Duration>,
    pub(super) check: f64,
}

impl Shared {
    /// Names an engine, and the results in it that are meant: those of one program or team.
    pub fn new(engine: impl SharedEngine, namespace: Namespace) -> Self {
        let patience = engine.limits().patience;
        Self {
            engine: Arc::new(engine),
            namespace,
            reference: "main".into(),
            trust: Trust::none(),
            writer: None,
            patience,
            // With what is around the calls, a process loses at most two seconds.
            budget: Duration::from_millis(1900),
            at_the_end: Duration::from_secs(5),
            leases: None,
            check: 0.0,
        }
    }

    /// Means results whose contents are told apart by these fingerprints: those of the runtime's store.
    pub(crate) fn of_kind(mut self, fingerprints: Fingerprints) -> Self {
        self.namespace = self.namespace.of_kind(fingerprints);
        self
    }

    /// Uses results that this key has signed. Several keys are trusted while one is being replaced.
    #[must_use]
    pub fn trust(mut self, key: TrustedKey) -> Self {
        self.trust = self.trust.key(key);
        self
    }

    /// Uses nothing that was signed before this moment. For example, after results of a broken compiler were pushed.
    #[must_use]
    pub fn not_before(mut self, moment: SystemTime) -> Self {
        self.trust = self.trust.not_before(moment);
        self
    }

    /// Names the list of results that is pulled and pushed. Default: `main`.
    ///
    /// # Errors
    /// The rule, if the name has something else than letters, digits, `.`, `_` and `-`.
    pub fn reference(mut self, name: &str) -> Result<Self, &'static str> {
        SharedKey::reference(&self.namespace, name)?;
        self.reference = name.into();
        Ok(self)
    }

    /// Writes nothing. This is the default.
    #[must_use]
    pub fn reader(mut self) -> Self {
        self.writer = None;
        self
    }

    /// Pushes results when the runtime is dropped, signed by `key`, which is trusted from here on. For jobs of protected branches: a key that jobs of
    /// pull requests hold signs their mistakes.
    #[must_use]
    pub fn writer(mut self, key: SigningKey) -> Self {
        self.trust = self.trust.key(key.public());
        self.writer = Some(key);
        self
    }

    /// Sets the longest time that one look for records may take (default: what the
    /// engine says, 250 ms of most and 750 ms of S3 and HTTP), and that all of a process may take together, packs not included
    /// (default: 1.9 s). Packs may take the latter as well.
    #[must_use]
    pub fn budget(mut self, one: Duration, all: Duration) -> Self {
        (self.patience, self.budget) = (one, all);
        self
    }

    /// Sets the longest time that a writer takes to push when its runtime is dropped. Default: 5 s.
    #[must_use]
    pub fn push_within(mut self, time: Duration) -> Self {
        self.at_the_end = time;
        self
    }

    /// Lets one writer at a time run what takes so long or longer, while others wait for its result. For example, jobs of one change that all link the
    /// same program. Default: each runs what it needs.
    ///
    /// A function of which no run has been timed in this process counts as slow. A machine waits for at most the usual time of a run, `slow` if that is
    /// not known, and then runs the body itself; all waiting of a process together is at most ten times `slow`. If the machine that has the lease
    /// fails, the lease ends after three usual runs. A lease never decides which value is right.
    ///
    /// It costs a call of the engine before each such run. After it the store is committed, and the record is written on a thread of its own, which
    /// reads the whole store for it. Readers take no part, nor do engines without leases (HTTP, rclone).
    #[must_use]
    pub fn leases(mut self, slow: Duration) -> Self {
        self.leases = Some(slow);
        self
    }

    /// Runs the bodies of a share of the tasks whose results have come and hold (`1.0`: of all), and compares what they come to. The value that was computed
    /// here wins, and is stored. So bodies that are not deterministic, and results of a broken or hostile writer, are found by those that use them:
    /// [`SharedStats::diverged`](super::SharedStats::diverged) counts them, and [`SharedStats::divergences`](super::SharedStats::divergences) names the task, both
    /// fingerprints, and the key that has signed the one that came. Default: none.
    ///
    /// A task is looked at when its result is verified, once after it has come. Each process chooses other tasks. A result of which readers were verified without it is
    /// checked as well, where its arguments can be made from the store. Values are equal if their encodings are, or if `==` says so. Components of cycles are not
    /// checked. Cost: the time of the bodies.
    ///
    /// ```
    /// use larder::shared::{MemoryEngine, Namespace, Shared};
    ///
    /// let shared = Shared::new(MemoryEngine::new(), Namespace::new("acme/census")?).check(0.01);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn check(mut self, share: f64) -> Self {
        self.check = share.clamp(0.0, 1.0);
        self
    }

    /// Reads the configuration from the environment; `None` if there is none.
    ///
    /// | variable | holds |
    /// |---|---|
    /// | `LARDER_SHARED` | the folder of the cache, as a path or `file:` URL; with the features `shared-redis`, `shared-s3` and `shared-http` a URL of Redis (`redis:`, with `shared-redis-tls` `rediss:`), S3 (`s3:`) or HTTP (`https:`) |
    /// | `LARDER_SHARED_MODE` | `off`, `read` (default) or `write` |
    /// | `LARDER_SHARED_TRUST` | public keys, with spaces or commas between them |
    /// | `LARDER_SHARED_SIGNING_KEY` | the secret key of a writer; or `LARDER_SHARED_SIGNING_KEY_FILE` |
    /// | `LARDER_SHARED_REF` | the list of results; default `main` |
    ///
    /// # Errors
    /// If a variable makes no sense. The error names the variable and repeats no secret.
    pub fn from_env(namespace: Namespace) -> Result<Option<Self>, EnvError> {
        let Some(place) = variable("LARDER_SHARED").filter(|place| !place.is_empty()) else {
            return Ok(None);
        };
        let mode = variable("LARDER_SHARED_MODE").unwrap_or_else(|| "read".to_owned());
        if mode == "off" {
            return Ok(None);
        }
        let mut shared = Self::at(&place, namespace)?.trusting(&variable(TRUST).unwrap_or_default())?;
        if let Some(name) = variable("LARDER_SHARED_REF") {
            shared = shared.reference(&name).map_err(|rule| EnvError::of("LARDER_SHARED_REF", rule))?;
        }
        match mode.as_str() {
            "read" => Ok(Some(shared)),
            "write" => shared.writing().map(Some),
            _ => Err(EnvError::of("LARDER_SHARED_MODE", "it is none of `off`, `read` and `write`")),
        }
    }

    /// Names the engine by a text, as programs get it from their users: a path, a `file:` URL, or one of an
    /// engine that is a feature: `redis:`, `s3:`, `https:`.
    ///
    /// # Errors
    /// If there is no engine for such a URL.
    pub fn at(place: &str, namespace: Namespace) -> Result<Self, EnvError> {
        let engine = engine_at(place).map_err(|rule| EnvError::of("LARDER_SHARED", rule))?;
        Ok(Self::new(engine, namespace))
    }

    /// Trusts keys, with spaces or commas between them.
    ///
    /// # Errors
    /// If one of them is none.
    pub fn trusting(mut self, keys: &str) -> Result<Self, EnvError> {
        for key in keys.split([' ', ',', '\n']).filter(|key| !key.is_empty()) {
            self = self.trust(TrustedKey::parse(key).map_err(|error| EnvError::key(TRUST, error))?);
        }
        Ok(self)
    }

    /// Becomes a writer with the key of the environment.
    ///
    /// # Errors
    /// If there is none, or it makes no sense.
    pub fn writing(self) -> Result<Self, EnvError> {
        let text = match variable(KEY) {
            Some(key) => key,
            None => {
                let path = variable(KEY_FILE).ok_or_else(|| EnvError::key(KEY, KeyError::NotSet))?;
                std::fs::read_to_string(path)
                    .map_err(|_| EnvError::of(KEY_FILE, "the file could not be read"))?
            }
        };
        let key = SigningKey::parse(&text).map_err(|error| EnvError::key(KEY, error))?;
        Ok(self.writer(key))
    }
}

const TRUST: &str = "LARDER_SHARED_TRUST";
const KEY: &str = "LARDER_SHARED_SIGNING_KEY";
const KEY_FILE: &str = "LARDER_SHARED_SIGNING_KEY_FILE";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("namespace", &self.namespace)
            .field("reference", &self.reference)
            .field("trust", &self.trust)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// The configuration of a shared cache makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvError {
    variable: &'static str,
    problem: Box<str>,
}

impl EnvError {
    fn of(variable: &'static str, problem: &str) -> Self {
        Self { variable, problem: problem.into() }
    }

    fn key(variable: &'static str, error: KeyError) -> Self {
        Self::of(variable, &error.to_string())
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.problem)
    }
}

impl std::error::Error for EnvError {}
