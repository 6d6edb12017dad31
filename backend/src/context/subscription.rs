//! Subscriptions: events in a bounded queue, to be taken out at leisure.
//!
//! A queue that is full loses its oldest event and counts it. So what happens now is never held up by a subscriber, nor is memory used
//! without bound; the subscriber learns how many events are missing, and where.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::context::engine::Engine;
use crate::context::event::Event;
use crate::context::observers::{Observer, Observing};
use crate::graph::task_name::{TaskId, TaskRef};

/// The events of a runtime in a queue, from the moment of subscribing on until this is dropped.
#[must_use = "nothing is queued any more when this is dropped"]
#[derive(Debug)]
pub struct Subscription {
    queue: Arc<Queue>,
    _observing: Observing,
}

/// So many events were lost, because the queue was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost(pub u64);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events were lost, as the queue was full", self.0)
    }
}

impl std::error::Error for Lost {}

#[derive(Debug)]
struct Queue {
    capacity: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event<TaskId>>,
    lost: u64,
}

impl Observer for Queue {
    fn event(&self, event: &Event<TaskRef<'_>>) {
        // The names are printed before the lock is taken: that runs the user's `Debug`.
        let event = event.to_owned();
        let mut state = self.state.lock();
        let oldest = (state.events.len() >= self.capacity).then(|| state.events.pop_front());
        state.lost += u64::from(oldest.is_some());
        state.events.push_back(event);
        drop(state);
        self.arrived.notify_one();
        drop(oldest);
    }
}

impl Engine {
    /// Queues all events from now on. The queue holds `capacity` of them, at least one; beyond that the oldest is lost.
    pub fn subscribe(&self, capacity: usize) -> Subscription {
        let queue =
            Arc::new(Queue { capacity: capacity.max(1), state: Mutex::default(), arrived: Condvar::new() });
        Subscription { queue: queue.clone(), _observing: self.observe(queue) }
    }
}

impl Subscription {
    /// Takes the oldest event out, if there is one.
    ///
    /// # Errors
    /// Once, if events before it were lost.
    pub fn try_next(&self) -> Result<Option<Event<TaskId>>, Lost> {
        Self::take(&mut self.queue.state.lock())
    }

    /// Takes the oldest event out, and waits for one until `timeout` is over.
    ///
    /// # Errors
    /// Once, if events before it were lost.
    pub fn next_within(&self, timeout: Duration) -> Result<Option<Event<TaskId>>, Lost> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.queue.state.lock();
        while state.events.is_empty() && state.lost == 0 {
            let is_over = match deadline {
                Some(deadline) => self.queue.arrived.wait_until(&mut state, deadline).timed_out(),
                None => {
                    self.queue.arrived.wait(&mut state);
                    false
                }
            };
            if is_over {
                break;
            }
        }
        Self::take(&mut state)
    }

    /// Takes all events out, the oldest first, and says how many before them were lost.
    pub fn drain(&self) -> (Vec<Event<TaskId>>, Lost) {
        let mut state = self.queue.state.lock();
        let events = std::mem::take(&mut state.events);
        let lost = std::mem::take(&mut state.lost);
        drop(state);
        (events.into(), Lost(lost))
    }

    fn take(state: &mut State) -> Result<Option<Event<TaskId>>, Lost> {
        match std::mem::take(&mut state.lost) {
            0 => Ok(state.events.pop_front()),
            lost => Err(Lost(lost)),
        }
    }
}
