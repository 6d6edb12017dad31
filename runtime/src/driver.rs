//! The bodies of async task functions, as the engine drives them: futures that go on when they are told to.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use larder_backend::Deferred;
use larder_backend::args::Key;
use larder_backend::task_fn::{Site, TaskFn};

/// A body that is a future. It is kept in the async run of its task, which is the one box of an async miss.
struct Polled<F>(PhantomData<F>);

impl<F: Future<Output = O> + Send + 'static, O> Deferred<O> for Polled<F> {
    type Body = F;

    fn go_on(body: Pin<&mut F>, waker: &Waker) -> Option<O> {
        match body.poll(&mut Context::from_waker(waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

/// Describes the async function whose futures `body` makes.
// A function of its own, as the type of the futures has no name: it is inferred from `body`.
pub const fn new_async<K: Key, O: Clone + Send + Sync + 'static, F: Future<Output = O> + Send + 'static>(
    id: std::any::TypeId,
    site: Site,
    body: fn(&K) -> F,
) -> TaskFn<K, O> {
    TaskFn::new_async::<Polled<F>>(id, site, body)
}

/// Describes a function as [`new_async`] does, whose futures must not take more than `BYTES`; larger ones do not compile.
pub const fn new_async_within<
    const BYTES: usize,
    K: Key,
    O: Clone + Send + Sync + 'static,
    F: Future<Output = O> + Send + 'static,
>(
    id: std::any::TypeId,
    site: Site,
    body: fn(&K) -> F,
) -> TaskFn<K, O> {
    const {
        assert!(
            size_of::<F>() <= BYTES,
            "the future of this task function is larger than its `max_future`; do not keep large values across an await"
        );
    }
    new_async(id, site, body)
}
