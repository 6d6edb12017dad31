//! Sessions, updates and carried work as futures. Nothing is spawned, and no executor is named.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use larder_backend::{
    AsyncSession, CancelToken, Engine, Failed, Update, UpdateError, UpdatePolicy, UpdateRequest,
};

/// Runs `future` in a session, which is held open across its awaits.
pub(crate) async fn in_session<F: Future>(mut session: AsyncSession, future: F) -> Result<F::Output, Failed> {
    poll_fn(|context| session.poll_open(context.waker()).map_or(Poll::Pending, Poll::Ready)).await?;
    let future = pin!(Some(future));
    let mut inside = Inside { session, future };
    poll_fn(|context| inside.poll(context)).await
}

/// A future inside its session. It is dropped there, too.
struct Inside<'a, F> {
    session: AsyncSession,
    future: Pin<&'a mut Option<F>>,
}

impl<F: Future> Inside<'_, F> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<F::Output, Failed>> {
        let Self { session, future } = self;
        let Some(future) = future.as_mut().as_pin_mut() else { return Poll::Pending };
        match session.go_on(|| future.poll(context)) {
            Ok(Poll::Pending) => {
                session.wake_at_deadline(context.waker());
                Poll::Pending
            }
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(failure) => Poll::Ready(Err(failure)),
        }
    }
}

impl<F> Drop for Inside<'_, F> {
    fn drop(&mut self) {
        let future = &mut self.future;
        if let Err(failed) = self.session.stretch(|| future.set(None))
            && !std::thread::panicking()
        {
            failed.throw();
        }
    }
}

/// Changes inputs when the open sessions have ended.
pub(crate) async fn update<R>(
    engine: Arc<Engine>,
    policy: UpdatePolicy,
    token: Option<&CancelToken>,
    change: impl FnOnce(&mut Update) -> R,
) -> Result<R, UpdateError> {
    let mut request = UpdateRequest::new(&engine, policy, token)?;
    poll_fn(|context| request.poll(context.waker()).map_or(Poll::Pending, Poll::Ready)).await?;
    Ok(request.apply(change))
}
