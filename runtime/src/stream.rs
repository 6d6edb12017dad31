//! Streams: many async items, a bounded number of them at once, results as they complete.
//!
//! The futures run inside the task that polls the stream, so the current task needs no carrying, and dropping the stream drops
//! them. An item is taken only when there is room for it: back-pressure is not taking, never blocking.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Runs `start` on `items` as futures, at most `limit` at once. See [`Stream`].
///
/// Inside a task function, what the futures read becomes a dependency of the task, in the order in which they read it.
///
/// ```
/// use larder::{Runtime, stream, task_fn};
///
/// # async fn request(_: &str) -> usize { std::future::ready(()).await; 7 }
/// #[task_fn(transient)]
/// async fn size(url: &str) -> usize {
///     request(url).await
/// }
///
/// async fn total(urls: Vec<String>) -> usize {
///     let mut sizes = stream(urls, 16, async |url| size(&url).await);
///     let mut total = 0;
///     while let Some((_, size)) = sizes.next().await {
///         total += size;
///     }
///     total
/// }
/// ```
///
/// # Panics
/// If `limit` is 0.
pub fn stream<T, I, S, F>(items: I, limit: usize, start: S) -> Stream<I::IntoIter, S, F>
where
    I: IntoIterator<Item = T>,
    S: FnMut(T) -> F,
    F: Future,
{
    assert!(limit > 0, "a stream that runs nothing at once never ends");
    Stream {
        items: Some(items.into_iter()),
        start,
        limit,
        taken: 0,
        running: 0,
        slots: Vec::new(),
        free: Vec::new(),
        ready: Arc::default(),
    }
}

/// Futures over items, a bounded number of them at once. Made by [`stream`]; dropping it drops those that are running.
#[must_use = "a stream does nothing unless it is asked for results"]
pub struct Stream<I, S, F> {
    items: Option<I>,
    start: S,
    limit: usize,
    /// Items taken so far.
    taken: usize,
    running: usize,
    slots: Vec<Slot<F>>,
    /// Slots that may be free.
    free: Vec<usize>,
    ready: Arc<Ready>,
}

/// The place of one running future. Its box is used again for the next.
struct Slot<F> {
    future: Pin<Box<Option<F>>>,
    item: usize,
    waker: Arc<SlotWaker>,
}

/// The slots that have something to do.
#[derive(Default)]
struct Ready {
    state: Mutex<ReadyState>,
}

#[derive(Default)]
struct ReadyState {
    slots: VecDeque<usize>,
    waker: Option<Waker>,
}

struct SlotWaker {
    slot: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn lock(&self) -> std::sync::MutexGuard<'_, ReadyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.queued.swap(true, AcqRel) {
            return;
        }
        let waker = {
            let mut state = self.ready.lock();
            state.slots.push_back(self.slot);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T, I, S, F> Stream<I, S, F>
where
    I: Iterator<Item = T>,
    S: FnMut(T) -> F,
    F: Future,
{
    /// Returns the next result, in the order of completion, with the number of its item; `None` when all are done.
    ///
    /// # Panics
    /// With the panic of an item's future. The stream can go on with the others.
    pub async fn next(&mut self) -> Option<(usize, F::Output)> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Returns all results, in the order of the items.
    ///
    /// # Panics
    /// With the panic of an item's future; the others are dropped.
    pub async fn collect(mut self) -> Vec<F::Output> {
        let mut results = Vec::new();
        while let Some((item, result)) = self.next().await {
            if results.len() <= item {
                results.resize_with(item + 1, || None);
            }
            results[item] = Some(result);
        }
        results.into_iter().flatten().collect()
    }

    /// Polls for the next item as [`Stream::next`] does, for streams of other libraries to be built on.
    ///
    /// # Panics
    /// Panics as [`Stream::next`] does.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(usize, F::Output)>> {
        // A waker is the user's to clone and to drop: under no lock.
        let waker = context.waker().clone();
        let replaced = self.ready.lock().waker.replace(waker);
        drop(replaced);
        loop {
            self.fill();
            let slot = self.ready.lock().slots.pop_front();
            let Some(slot) = slot else {
                return if self.running == 0 { Poll::Ready(None) } else { Poll::Pending };
            };
            if let Some(done) = self.poll_slot(slot) {
                return Poll::Ready(Some(done));
            }
        }
    }

    /// Starts items as long as there is room.
    fn fill(&mut self) {
        while self.running < self.limit {
            let Some(item) = self.items.as_mut().and_then(Iterator::next) else {
                self.items = None;
                return;
            };
            let future = (self.start)(item);
            let free = self.free.pop().unwrap_or_else(|| self.add_slot());
            let slot = &mut self.slots[free];
            slot.future.set(Some(future));
            slot.item = self.taken;
            self.taken += 1;
            self.running += 1;
            slot.waker.wake_by_ref();
        }
    }

    fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let waker = Arc::new(SlotWaker { slot, queued: AtomicBool::new(false), ready: self.ready.clone() });
        self.slots.push(Slot { future: Box::pin(None), item: 0, waker });
        slot
    }

    fn poll_slot(&mut self, slot: usize) -> Option<(usize, F::Output)> {
        let Slot { future, item, waker } = &mut self.slots[slot];
        // A wake-up from here on counts again.
        waker.queued.swap(false, AcqRel);
        // Should the future panic, its place is free afterwards.
        let ends = Ends { future, slot, running: &mut self.running, free: &mut self.free };
        let poll = match ends.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(&mut Context::from_waker(&Waker::from(waker.clone()))),
            // A late wake-up of a future that has gone.
            None => {
                std::mem::forget(ends);
                return None;
            }
        };
        match poll {
            Poll::Ready(result) => Some((*item, result)),
            Poll::Pending => {
                std::mem::forget(ends);
                None
            }
        }
    }
}

/// Frees the place of a future that has ended.
struct Ends<'a, F> {
    future: &'a mut Pin<Box<Option<F>>>,
    slot: usize,
    running: &'a mut usize,
    free: &'a mut Vec<usize>,
}

impl<F> Drop for Ends<'_, F> {
    fn drop(&mut self) {
        *self.running -= 1;
        self.free.push(self.slot);
        self.future.set(None);
    }
}
