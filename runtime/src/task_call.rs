//! `TaskCall`: what calling an async task function returns.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use larder_backend::{Called, Pending, Task};

/// A call of an async task function: looked up already, and nothing more.
///
/// A hit is [`TaskCall::Ready`]: nothing was allocated, and nothing is polled. Otherwise the body starts when the call is
/// first polled, and any waiter drives it, on any executor. Dropping the call gives up waiting; when the
/// last one that waits does, the body is dropped, too.
///
/// ```
/// # use larder::{Runtime, TaskCall, task_fn};
/// # async fn download(_: &str) -> String { std::future::ready(()).await; String::new() }
/// #[task_fn]
/// async fn length(url: &str) -> usize {
///     download(url).await.len()
/// }
///
/// async fn hurry() -> usize {
///     match length("http://localhost") {
///         TaskCall::Ready(length) => length,
///         call => call.await,
///     }
/// }
/// ```
#[must_use = "an async call does nothing unless it is awaited"]
pub enum TaskCall<O> {
    /// The value was in memory.
    Ready(O),
    /// The value has to be computed, or waited for.
    Pending(PendingCall<O>),
    /// The value has been taken.
    Taken,
}

/// A call that was no hit.
// Not boxed, as the one box of an async miss is the body's.
pub struct PendingCall<O>(Pending<O>);

impl<O> TaskCall<O> {
    #[inline(always)]
    pub(crate) fn new(called: Called<O>) -> Self {
        match called {
            Called::Hit(value) => Self::Ready(value),
            Called::Miss(pending) => Self::Pending(PendingCall(pending)),
        }
    }

    /// Returns the value if the call was a hit, or else the call.
    ///
    /// # Errors
    /// The call itself, to be awaited.
    pub fn try_ready(self) -> Result<O, Self> {
        match self {
            Self::Ready(value) => Ok(value),
            call => Err(call),
        }
    }

    #[cold]
    #[inline(never)]
    fn poll_pending(&mut self, context: &Context<'_>) -> Poll<O>
    where
        O: Clone + Send + Sync + 'static,
    {
        let Self::Pending(PendingCall(pending)) = self else {
            panic!("an async call was polled after it had returned its value")
        };
        let Some(value) = pending.poll(context.waker()) else { return Poll::Pending };
        *self = Self::Taken;
        Poll::Ready(value)
    }

    /// Whether the call was a hit.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

// Neither variant pins anything: the body of a task is boxed.
impl<O> Unpin for TaskCall<O> {}

impl<O: Clone + Send + Sync + 'static> Future for TaskCall<O> {
    type Output = O;

    /// # Panics
    /// If the body panics; on a cycle; if the session is cancelled; outside of the session that the call was made in.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        if self.is_ready()
            && let Self::Ready(value) = std::mem::replace(&mut *self, Self::Taken)
        {
            return Poll::Ready(value);
        }
        self.poll_pending(context)
    }
}

/// Reading handles in async code.
pub trait TaskExt<T> {
    /// The value: at once if it is in memory; or else awaited, without keeping a thread waiting. A `heavy` task runs on a
    /// thread of the crew; another sync task runs in place.
    ///
    /// # Panics
    /// Outside of a session of the handle's runtime; when awaited, as a call of the task function does.
    fn get_async(&self) -> TaskCall<T>;
}

impl<T: Clone + Send + Sync + 'static> TaskExt<T> for Task<T> {
    fn get_async(&self) -> TaskCall<T> {
        TaskCall::new(self.call())
    }
}

impl<O: fmt::Debug> fmt::Debug for TaskCall<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(value) => f.debug_tuple("Ready").field(value).finish(),
            Self::Pending(_) => f.write_str("Pending"),
            Self::Taken => f.write_str("Taken"),
        }
    }
}

impl<O> fmt::Debug for PendingCall<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingCall")
    }
}
