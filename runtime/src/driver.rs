//! The bodies of async task functions, as the engine drives them: futures that go on when they are told to.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use larder_backend::Deferred;

/// The body of an async task function: the one box of an async miss.
pub struct BoxFuture<O>(Pin<Box<dyn Future<Output = O> + Send>>);

impl<O: 'static> Deferred<O> for BoxFuture<O> {
    fn go_on(&mut self, waker: &Waker) -> Option<O> {
        match self.0.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

/// Boxes a body.
pub fn boxed<F: Future<Output = O> + Send + 'static, O>(body: F) -> BoxFuture<O> {
    BoxFuture(Box::pin(body))
}

/// Boxes a body that must not take more than `BYTES`; a larger one does not compile.
pub fn boxed_within<const BYTES: usize, F: Future<Output = O> + Send + 'static, O>(body: F) -> BoxFuture<O> {
    const {
        assert!(
            size_of::<F>() <= BYTES,
            "the future of this task function is larger than its `max_future`; do not keep large values across an await"
        );
    }
    boxed(body)
}
