//! Turns: updates that wait for the gate, in the order in which they came.
//!
//! The first in the line is called when the gate is free. A future that is called and does not come in time lets those behind it pass.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::state::{GRACE, Told, replace};
use super::{Kind, UpdatePolicy};
use crate::base::sync::now;

/// How long sessions let an update go first that does not get its turn.
const PREFERENCE: Duration = Duration::from_secs(1);
/// The limit for an update that cancels. Sessions that overtake it are cancelled, so this is for hangs alone.
const PREFERENCE_CANCELLING: Duration = Duration::from_secs(5);

/// The updates that wait.
#[derive(Default)]
pub(super) struct Turns {
    line: VecDeque<Request>,
    next: u64,
    /// How often sessions have overtaken the first in the line, because it did not get its turn.
    overtaken: u32,
    /// Until when they go past it without waiting.
    passed_until: Option<Instant>,
}

struct Request {
    number: u64,
    policy: UpdatePolicy,
    kind: Kind,
    waker: Option<Waker>,
    /// When it was told that it is its turn.
    called: Option<Instant>,
}

impl Request {
    fn late_at(&self) -> Option<Instant> {
        self.called.filter(|_| self.kind == Kind::Future).map(|called| called + GRACE)
    }
}

impl Turns {
    /// Puts an update at the end of the line.
    pub(super) fn join(&mut self, policy: UpdatePolicy, kind: Kind) -> u64 {
        self.next += 1;
        self.line.push_back(Request { number: self.next, policy, kind, waker: None, called: None });
        self.next
    }

    /// Has `waker` woken when it is the future's turn. Returns the waker that it replaces.
    pub(super) fn set_waker(&mut self, number: u64, waker: &Waker) -> Option<Waker> {
        replace(&mut self.line.iter_mut().find(|request| request.number == number)?.waker, waker)
    }

    /// Takes an update out of the line. Returns its waker, which is not to be dropped under the gate's lock.
    pub(super) fn leave(&mut self, number: u64) -> Option<Waker> {
        let at = self.line.iter().position(|request| request.number == number)?;
        if at == 0 {
            self.overtaken = 0;
            self.passed_until = None;
        }
        self.line.remove(at)?.waker
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.line.is_empty()
    }

    pub(super) fn has_more(&self) -> bool {
        self.line.len() > 1
    }

    pub(super) fn has_futures(&self) -> bool {
        self.line.iter().any(|request| request.kind == Kind::Future)
    }

    /// The first in the line, of those that come when they are called.
    pub(super) fn first(&mut self, time: Instant) -> Option<u64> {
        for _ in 1..self.line.len() {
            if !self.is_late(time) {
                break;
            }
            let late = self.line.pop_front()?;
            self.line.push_back(Request { called: None, ..late });
        }
        self.line.front().map(|first| first.number)
    }

    /// Whether the first in the line was called and has not come in time.
    pub(super) fn is_late(&self, time: Instant) -> bool {
        self.late_at().is_some_and(|at| time >= at)
    }

    pub(super) fn late_at(&self) -> Option<Instant> {
        self.line.front()?.late_at()
    }

    /// Tells the first in the line that it is its turn, unless that was done lately.
    pub(super) fn call(&mut self, time: Instant) -> Option<Told> {
        self.first(time)?;
        let first = self.line.front_mut()?;
        if first.called.is_some() && first.late_at().is_none_or(|at| time < at) {
            return None;
        }
        first.called = Some(time);
        Some(match first.kind {
            Kind::Thread => Told::threads(),
            Kind::Future => Told { threads: false, wakers: first.waker.iter().cloned().collect() },
        })
    }

    /// Has the first in the line called again when its turn comes: the gate is taken, or has become free once more.
    pub(super) fn call_anew(&mut self) {
        if let Some(first) = self.line.front_mut() {
            first.called = None;
        }
    }

    /// Lets sessions go past the updates that wait, for as long as they have waited for them.
    pub(super) fn let_pass(&mut self, time: Instant) {
        self.passed_until = time.checked_add(self.preference());
        self.overtaken += 1;
    }

    /// Whether new sessions wait for an update.
    pub(super) fn bars_sessions(&self) -> bool {
        self.is_waiting() && self.passed_until.is_none_or(|until| now() >= until)
    }

    /// How long sessions let the updates that wait go first.
    pub(super) fn preference(&self) -> Duration {
        let cancels = self.line.iter().any(|request| request.policy == UpdatePolicy::Cancel);
        let once = if cancels { PREFERENCE_CANCELLING } else { PREFERENCE };
        once.saturating_mul(1 << self.overtaken.min(20))
    }

    pub(super) fn wakers(&self) -> impl Iterator<Item = Waker> {
        self.line.iter().filter_map(|request| request.waker.clone())
    }
}
