//! Parts of async functions: their bodies await the source.
//!
//! Such a part is an async task with one read, as an `async fn` that awaits its source and selects would be. So a cancellation, a failure, a
//! cycle and a source that is not in memory are met as by any other async task. All else is as in a part of a sync function: the source
//! settles it, and it is stored and found by the same key.
//!
//! For example, `index` is async, and a web service awaits `index::part(&site, "title", ..)`. The call claims the part and polls its body,
//! which launches `index` and gives way. When `index` has run, the body is woken and selects. At the next change `index` is launched by
//! the verification of the part, and settles it.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::Waker;

use crate::call::args::{Args, ByKeyRef, ByRef, PartArgs, Store};
use crate::call::storable::Persist;
use crate::entry::call::{call_async, lend};
use crate::evaluate::async_run::Deferred;
use crate::evaluate::lookup::inside;
use crate::evaluate::node_wait::{Called, Pending};
use crate::graph::task_fn::{TaskFn, type_id};

use super::{Call, KeyOf, Part, PartOf, PartValue, Source, StoredPartOf, existing};

/// The task that an awaited part is a part of.
pub(super) trait Awaited<A: Args>: Source<A> {
    /// Lends the value to `read`, as a read of the task that runs now, if it is in memory.
    ///
    /// # Errors
    /// Returns the wait for it if it is not.
    fn ask<R>(key: &A::Key, read: impl FnOnce(&Self::Output) -> R) -> Result<R, Pending<Self::Output>>;
}

impl<A, O, F> Awaited<A> for Call<F, O>
where
    A: Args<Key: Clone>,
    O: Clone + Send + Sync + 'static,
    F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
{
    fn ask<R>(key: &A::Key, read: impl FnOnce(&O) -> R) -> Result<R, Pending<O>> {
        let task_fn = existing::<F>()();
        lend(inside(task_fn.raw()), task_fn, ByKeyRef::<A>(key), read)
    }
}

/// Tells the parts of a source that are awaited from those that are not.
struct IsAwaited<Src>(PhantomData<Src>);

/// The body of an awaited part.
pub(super) struct Body<K, O> {
    key: K,
    /// The wait for the source, once that was asked for and was not in memory.
    source: Option<Pending<O>>,
}

// Nothing in it is pinned: the body of the source has a place of its own.
impl<K, O> Unpin for Body<K, O> {}

impl<A, Src, Q, P, S> Deferred<P> for Part<A, Src, Q, P, S>
where
    A: Args<Key: Clone> + 'static,
    Src: Awaited<A, Output: Clone + Send + Sync + 'static>,
    Q: ?Sized + PartOf,
    P: PartValue,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    type Body = Body<KeyOf<A, Q>, Src::Output>;

    fn go_on(mut body: Pin<&mut Self::Body>, waker: &Waker) -> Option<P> {
        let Body { key, source } = &mut *body;
        let select = |value: &Src::Output| Self::value(value, key);
        let pending = match source {
            Some(pending) => pending,
            None => match Src::ask(&key.source, select) {
                Ok(selected) => return Some(selected),
                Err(pending) => source.insert(pending),
            },
        };
        pending.poll_with(waker, select)
    }
}

impl<A, Src, Q, P, S> Part<A, Src, Q, P, S>
where
    A: Args<Key: Clone> + 'static,
    Src: Awaited<A, Output: Clone + Send + Sync + 'static>,
    Q: ?Sized + PartOf,
    P: PartValue,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    const TRANSIENT_ASYNC: &'static TaskFn<KeyOf<A, Q>, P> = &Self::transient(Self::describe_async());

    const fn describe_async() -> TaskFn<KeyOf<A, Q>, P> {
        let id = type_id::<fn(IsAwaited<Src>, S, Box<Q>) -> P>();
        TaskFn::new_async::<Self>(id, Self::SITE, Self::begin)
    }

    fn begin(key: &KeyOf<A, Q>) -> Body<KeyOf<A, Q>, Src::Output> {
        Body { key: key.clone(), source: None }
    }
}

impl<A, Src, Q, P, S> Part<A, Src, Q, P, S>
where
    A: Args<Key: Clone> + 'static,
    Src: Awaited<A, Output: Clone + Send + Sync + 'static>,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    const STORED_ASYNC: &'static TaskFn<KeyOf<A, Q>, P> = &Self::stored(Self::describe_async());
}

/// Selects a part of the output of an async call, which is awaited. `A` is the type of the arguments as the function's descriptor has them.
#[inline]
#[track_caller]
pub fn part_async<A, O, Q, P, F, S>(find: F, args: impl Args<Key = A::Key>, key: &Q, select: S) -> Called<P>
where
    A: Args<Key: Clone> + 'static,
    O: Clone + Send + Sync + 'static,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
    S: Fn(&O, &Q) -> P + Copy + 'static,
{
    let _ = (find, select);
    let args = PartArgs { source: args, key: Store(ByRef(key)) };
    call_async(Part::<A, Call<F, O>, Q, P, S>::STORED_ASYNC, args)
}

/// Selects a part as [`part_async`] does, of a function whose results are not stored.
#[inline]
#[track_caller]
pub fn transient_part_async<A, O, Q, P, F, S>(
    find: F,
    args: impl Args<Key = A::Key>,
    key: &Q,
    select: S,
) -> Called<P>
where
    A: Args<Key: Clone> + 'static,
    O: Clone + Send + Sync + 'static,
    Q: ?Sized + PartOf,
    P: PartValue,
    F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
    S: Fn(&O, &Q) -> P + Copy + 'static,
{
    let _ = (find, select);
    let args = PartArgs { source: args, key: ByRef(key) };
    call_async(Part::<A, Call<F, O>, Q, P, S>::TRANSIENT_ASYNC, args)
}
