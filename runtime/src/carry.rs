//! `Carried`: the current task, taken along to threads, to rayon and to futures that are spawned.

use std::future::{Future, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use larder_backend::Stint;

/// The current task, to be taken along to other threads. Cheap to clone; made by [`current`].
///
/// While one exists, its session is open: an update waits.
#[derive(Clone, Debug)]
pub struct Carried(larder_backend::Carried);

/// Returns the task that runs now (or the session, outside of a task), to be carried to threads of your own, to rayon's, or into
/// futures that are spawned.
///
/// ```
/// use larder::{Runtime, current, task_fn};
///
/// #[task_fn]
/// fn half(text: &str) -> usize {
///     text.len() / 2
/// }
///
/// #[task_fn]
/// fn both(left: &str, right: &str) -> usize {
///     let task = current();
///     std::thread::scope(|s| {
///         // What the other thread calls becomes a dependency of `both`.
///         let left = s.spawn(|| task.run(|| half(left)));
///         half(right) + left.join().unwrap()
///     })
/// }
///
/// assert_eq!(Runtime::new().run(|| both("abcd", "ef")), 3);
/// ```
///
/// # Panics
/// Outside of a session.
#[must_use]
#[track_caller]
pub fn current() -> Carried {
    Carried(larder_backend::current())
}

impl Carried {
    /// Runs `work` as part of the carried task, on whichever thread this is. The reads and emitted values of `work` belong to that
    /// task. The task has to wait for `work` to end: if it ends first, it fails.
    ///
    /// Where threads wait by running other jobs, as rayon's do, waiting for a task that another thread computes might never end. Such
    /// a wait is bounded ([`Builder::run_apart_after`](crate::Builder::run_apart_after)); then, and only then, the body runs a second
    /// time. Scopes inside of `work` ([`par_map`](crate::par_map)) run on this thread alone. Do not open sessions in a pool's jobs; carry the current one there.
    ///
    /// # Panics
    /// With the panic of `work`; if the carried task has ended.
    #[track_caller]
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        self.0.run(work)
    }

    /// Wraps a future that is to be spawned: whatever polls it, it is part of the carried task.
    ///
    /// The task has to wait for the future, as for [`Carried::run`]: from its first poll to its end, or until it is dropped. A future
    /// that is aborted is dropped some time later, so wait for that as well. One that has not been polled yet when the task ends
    /// panics when it is.
    ///
    /// Work that the future carries on by [`current`] belongs to the task, too, and may outlive the future.
    ///
    /// # Panics
    /// When polled: with the panic of `future`; if the carried task has ended.
    pub fn future<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let stint = Stint::new(&self.0);
        async move {
            let future = pin!(Some(future));
            let mut inside = Inside { stint, future };
            poll_fn(|context| inside.poll(context)).await
        }
    }
}

/// A future that is polled as part of a carried task, and dropped as such.
struct Inside<'a, F> {
    stint: Stint,
    future: Pin<&'a mut Option<F>>,
}

impl<F: Future> Inside<'_, F> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { stint, future } = self;
        let Some(future) = future.as_mut().as_pin_mut() else { return Poll::Pending };
        match stint.stretch(|| future.poll(context)) {
            Ok(poll) => poll,
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl<F> Drop for Inside<'_, F> {
    fn drop(&mut self) {
        let Self { stint, future } = self;
        if let Err(payload) = stint.give_up(|| future.set(None))
            && !std::thread::panicking()
        {
            resume_unwind(payload);
        }
    }
}
