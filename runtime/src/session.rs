//! How sessions are opened and updates made: what may cancel them, and when they give up.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_backend::{
    AnyData, AsyncSession, CancelToken, Engine, TaskError, UpdatePolicy, with_session_data,
};

use crate::Runtime;
use crate::run_async::in_session;

/// A session that is about to be opened, with settings of its own. Made by [`Runtime::session`].
///
/// ```
/// use std::time::Duration;
/// use larder::{CancelToken, Runtime, TaskError, task_fn};
///
/// #[task_fn]
/// fn word_count(text: &str) -> usize {
///     text.split_whitespace().count()
/// }
///
/// let runtime = Runtime::new();
/// let stop = CancelToken::new();
/// let counted = runtime.session().token(&stop).timeout(Duration::from_secs(5)).try_run(|| word_count("a b c"));
/// assert_eq!(counted.ok(), Some(3));
///
/// stop.cancel();
/// let counted = runtime.session().token(&stop).try_run(|| word_count("d e"));
/// assert!(matches!(counted, Err(TaskError::Cancelled)));
/// ```
#[derive(Clone)]
#[must_use = "a session is opened by `run`, `try_run`, `run_async` or `try_run_async`"]
pub struct Session<'r> {
    runtime: &'r Runtime,
    token: Option<CancelToken>,
    data: Vec<AnyData>,
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runtime, token, data } = self;
        f.debug_struct("Session")
            .field("runtime", runtime)
            .field("token", token)
            .field("data", &data.len())
            .finish()
    }
}

impl<'r> Session<'r> {
    pub(crate) fn new(runtime: &'r Runtime) -> Self {
        Self { runtime, token: None, data: Vec::new() }
    }

    /// Lets `token` cancel the session: by [`CancelToken::cancel`], or at its deadline. A cancelled session ends at the next task
    /// boundary; what it has not finished is not kept, and other sessions that wait for it take it over. A session that waits for an
    /// update is not opened when its token is cancelled.
    ///
    /// Inside another session of this runtime on the same thread, the session is part of that one; being cancelled then fails the
    /// task that runs there, too.
    pub fn token(mut self, token: &CancelToken) -> Self {
        let deadline = self.token.as_ref().and_then(CancelToken::deadline);
        let until = |deadline| self.runtime.engine.token_until(Some(token), deadline);
        self.token = Some(deadline.map_or_else(|| token.clone(), until));
        self
    }

    /// Cancels the session at `deadline`: at the next task boundary after it. The earliest deadline counts.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.token = Some(self.runtime.engine.token_until(self.token.as_ref(), deadline));
        self
    }

    /// Cancels the session after `timeout`, counted from now. See [`Session::deadline`].
    pub fn timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// Gives the session `data`, which bodies that run in it get by [`session_data::<D>()`](crate::session_data): a logger, a progress bar, a pool of
    /// connections. One value of each type; the last one counts. Data that is shared is given as it is: it is put in an `Arc` here, and
    /// dropped when the session, and all executions that it began, have ended.
    ///
    /// It is no key and no dependency: results that were computed with it are handed out in sessions with other data, so it must not
    /// influence them.
    ///
    /// A session inside another one of this runtime has the data of that one, too, where it has none of the type itself.
    ///
    /// The data is dropped when the session has ended. A thread of the runtime that has run a body for it may be the last to let go of it, a moment
    /// after that.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    /// use larder::{Runtime, session_data, task_fn};
    ///
    /// #[derive(Default)]
    /// struct Progress(AtomicUsize);
    ///
    /// #[task_fn]
    /// fn word_count(text: &str) -> usize {
    ///     if let Some(progress) = session_data::<Progress>() {
    ///         progress.0.fetch_add(1, Relaxed);
    ///     }
    ///     text.split_whitespace().count()
    /// }
    ///
    /// let runtime = Runtime::new();
    /// let counted = |texts: &[&str]| {
    ///     runtime.session().with(Progress::default()).run(|| {
    ///         texts.iter().for_each(|text| assert!(word_count(text) > 0));
    ///         session_data::<Progress>().unwrap().0.load(Relaxed)
    ///     })
    /// };
    /// assert_eq!(counted(&["a", "b c"]), 2);
    /// // Two of these have been counted already.
    /// assert_eq!(counted(&["a", "b c", "d"]), 1);
    /// ```
    pub fn with<D: Any + Send + Sync>(mut self, data: D) -> Self {
        self.data.push(Arc::new(data));
        self
    }

    /// Runs `work` in the session. See [`Runtime::run`].
    ///
    /// # Panics
    /// With a body's panic that nothing caught; on a cycle; if the session is cancelled, by its token, its deadline or an update.
    #[track_caller]
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        self.runtime.engine.run(self.token.as_ref(), || with_session_data(&self.data, work))
    }

    /// Runs `work` in the session, and returns its failure instead of panicking.
    ///
    /// # Errors
    /// [`TaskError::Cancelled`] if it was cancelled, by its token, its deadline or an update; else as [`Runtime::try_run`].
    #[track_caller]
    pub fn try_run<R>(self, work: impl FnOnce() -> R) -> Result<R, TaskError> {
        self.runtime.engine.try_run(self.token.as_ref(), || with_session_data(&self.data, work))
    }

    /// Runs a future, or an async closure, in the session. See [`Runtime::run_async`].
    ///
    /// # Panics
    /// When awaited, as [`Session::run`].
    pub async fn run_async<K, W: SessionWork<K>>(self, work: W) -> W::Output {
        let engine = &self.runtime.engine;
        match in_session(self.open(), work.into_work()).await {
            Ok(output) => output,
            Err(failed) => failed.go_on(engine.is_in_session()),
        }
    }

    /// Runs a future, or an async closure, in the session, and returns its failure instead of panicking. See
    /// [`Runtime::run_async`].
    ///
    /// # Errors
    /// Fails as [`Session::try_run`] does.
    pub async fn try_run_async<K, W: SessionWork<K>>(self, work: W) -> Result<W::Output, TaskError> {
        in_session(self.open(), work.into_work()).await.map_err(|failed| failed.error)
    }

    fn open(&self) -> AsyncSession {
        let session = AsyncSession::new(&self.runtime.engine).with_data(self.data.clone());
        match &self.token {
            Some(token) => session.with_token(token),
            None => session,
        }
    }
}

/// Work for a session that stays open across awaits: a future, or an async closure, which is called inside the session.
///
/// `K` tells the two apart; the compiler finds it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be run in an async session",
    label = "neither a future nor an async closure",
    note = "pass an async closure, `run_async(async || page(1).await)`, or a future, `run_async(page(1))`; for work that does not \
            await, use `run`"
)]
pub trait SessionWork<K> {
    /// The result of the work.
    type Output;
    /// Makes the future, when it is first polled.
    fn into_work(self) -> impl Future<Output = Self::Output>;
}

/// Tells that the work of a session is a future.
#[derive(Debug)]
pub enum ByFuture {}

/// Tells that the work of a session is an async closure.
#[derive(Debug)]
pub enum ByClosure {}

#[diagnostic::do_not_recommend]
impl<F: Future> SessionWork<ByFuture> for F {
    type Output = F::Output;
    fn into_work(self) -> impl Future<Output = F::Output> {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<R, F: AsyncFnOnce() -> R> SessionWork<ByClosure> for F {
    type Output = R;
    async fn into_work(self) -> R {
        self().await
    }
}

/// How an update, or a refresh, waits for the open sessions: whether it cancels them, and when it gives up.
///
/// A policy or a token alone will do where options are taken.
///
/// ```
/// use std::time::Duration;
/// use larder::{Runtime, UpdateError, UpdateOptions, UpdatePolicy};
///
/// let runtime = Runtime::new();
/// let input = runtime.input("input", 1);
/// let within = UpdateOptions::from(UpdatePolicy::Cancel).timeout(Duration::from_millis(100));
/// match runtime.update_with(within, |update| update.set(&input, 2)) {
///     Ok(()) => {}
///     Err(UpdateError::Cancelled(wait)) => eprintln!("{wait}"),
///     Err(error) => panic!("{error}"),
/// }
/// ```
#[derive(Clone, Debug)]
pub struct UpdateOptions {
    policy: UpdatePolicy,
    token: Option<CancelToken>,
    deadline: Option<Instant>,
}

impl UpdateOptions {
    /// Gives up when `token` is cancelled. Then nothing has changed, and the error names the sessions that are open.
    #[must_use]
    pub fn token(mut self, token: &CancelToken) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Gives up at `deadline`. The earliest deadline counts.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        self
    }

    /// Returns what an update of `engine` goes by.
    pub(crate) fn parts(self, engine: &Engine) -> (UpdatePolicy, Option<CancelToken>) {
        let token = match self.deadline {
            Some(deadline) => Some(engine.token_until(self.token.as_ref(), deadline)),
            None => self.token,
        };
        (self.policy, token)
    }

    /// Gives up after `timeout`, counted from now.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }
}

/// Waits for the open sessions.
impl Default for UpdateOptions {
    fn default() -> Self {
        Self { policy: UpdatePolicy::Wait, token: None, deadline: None }
    }
}

impl From<UpdatePolicy> for UpdateOptions {
    fn from(policy: UpdatePolicy) -> Self {
        Self { policy, token: None, deadline: None }
    }
}

/// Waits for the open sessions until the token is cancelled.
impl From<&CancelToken> for UpdateOptions {
    fn from(token: &CancelToken) -> Self {
        Self { policy: UpdatePolicy::Wait, token: Some(token.clone()), deadline: None }
    }
}
