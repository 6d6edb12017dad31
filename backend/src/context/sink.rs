//! Sink: where the reads of carried work arrive, for one frame.
//!
//! A frame has a sink as soon as something is carried out of it. When the frame's task ends, the sink is closed. A frame that is only a
//! part of a task (a stretch of carried work, items of a scope) ends earlier than what was carried out of it may. Its sink is *handed
//! on* to the sink of what it is a part of, with what has arrived and what is still under way:
//!
//! ```text
//!   task `two` ── sink A ◄── carried future ── sink B ◄── another one, carried out of the first
//!   the first future is suspended or ends:     B ─ handed on ─► A          so what the second one reads arrives in A
//!   `two` ends: A is closed; were one of the two futures not at its end, `two` would fail
//! ```
//!
//! Locks are taken from a sink to the one that it is handed on to, which is older: never in a circle.

use std::sync::Arc;

use crate::base::sync::Mutex;
use crate::context::strand::Gathered;
use crate::graph::failure::CycleError;

/// Where the reads of carried work arrive.
#[derive(Default)]
pub(crate) struct Sink(Mutex<State>);

#[derive(Default)]
struct State {
    /// Works that have begun and not ended; a future may be suspended.
    under_way: usize,
    closed: bool,
    /// Takes the place of this one from now on.
    next: Option<Arc<Sink>>,
    arrived: Arrived,
}

/// Reads, emitted values and failures that have arrived in a sink.
#[derive(Default)]
pub(crate) struct Arrived {
    pub(crate) gathered: Gathered,
    pub(crate) escaped: Vec<Arc<CycleError>>,
    pub(crate) cancelled: bool,
}

impl Arrived {
    fn append(&mut self, other: Self) {
        self.gathered.append(other.gathered);
        self.escaped.extend(other.escaped);
        self.cancelled |= other.cancelled;
    }
}

impl Sink {
    /// Runs `work` on the state of this sink, or of the one that has taken its place.
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        let mut after: Option<Arc<Self>> = None;
        loop {
            let mut state = after.as_deref().unwrap_or(self).0.lock();
            let Some(next) = state.next.clone() else { return work(&mut state) };
            drop(state);
            after = Some(next);
        }
    }

    pub(crate) fn take(&self) -> Arrived {
        self.with(|state| std::mem::take(&mut state.arrived))
    }

    /// Lets no more work begin. `false` if some is under way.
    pub(crate) fn close(&self) -> bool {
        self.with(|state| {
            state.closed = true;
            state.under_way == 0
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.with(|state| state.closed)
    }

    /// Begins work that [`Sink::end`] ends; `false` if it comes too late.
    pub(crate) fn begin(&self) -> bool {
        self.with(|state| {
            state.under_way += usize::from(!state.closed);
            !state.closed
        })
    }

    pub(crate) fn deliver(&self, arrived: Arrived) {
        self.with(|state| state.arrived.append(arrived));
    }

    pub(crate) fn end(&self) {
        self.with(|state| state.under_way -= 1);
    }

    /// Has `to` take the place of this sink: its frame has ended as a part of that one's work, which goes on.
    pub(crate) fn hand_on(&self, to: &Arc<Self>) {
        let mut state = self.0.lock();
        if state.next.is_some() || state.closed {
            return;
        }
        let (under_way, arrived) = (state.under_way, std::mem::take(&mut state.arrived));
        to.with(|to| {
            to.under_way += under_way;
            to.arrived.append(arrived);
        });
        state.next = Some(to.last());
    }

    /// The sink that has taken the place of this one, or itself.
    fn last(self: &Arc<Self>) -> Arc<Self> {
        let mut last = self.clone();
        loop {
            let next = last.0.lock().next.clone();
            match next {
                Some(next) => last = next,
                None => return last,
            }
        }
    }
}
