//! Timer: how long bodies run, by the runtime's clock.

use std::time::Instant;

use crate::base::clock::nanos;
use crate::base::counters::{Counter, Counters};
use crate::context::local::Local;
use crate::graph::node::NodeRef;

/// Times the first runs of a function and one in sixteen of the others: reading the clock twice costs half of a miss.
///
/// An async run is timed from when its body begins until that ends, with what it waits for in between.
///
/// The two are kept apart: where runs nest, the first are the outermost, which stand for none but themselves.
#[derive(Default)]
pub(super) struct Timer(Option<(Instant, bool)>);

impl Timer {
    const FIRST: u64 = 16;

    #[inline]
    pub(super) fn start(local: &Local, node: NodeRef) -> Self {
        // Not those that have ended: in a first build of a deep graph that is none for a long time.
        Self::due(&local.counters.of(node.function).begun)
            .map_or(Self(None), |is_first| Self(Some((local.engine().clock.instant(), is_first))))
    }

    /// Counts one more run, and returns whether it is among the first if it is to be timed.
    #[inline]
    fn due(begun: &Counter) -> Option<bool> {
        let number = begun.get();
        begun.add(1);
        let is_first = number < Self::FIRST;
        (is_first || number.is_multiple_of(16)).then_some(is_first)
    }

    #[inline]
    pub(super) fn stop(&self, local: &Local, node: NodeRef) {
        if let Self(Some((start, is_first))) = *self {
            let counters = Self::note(start, is_first, local, node);
            let runs = if is_first { &counters.first_runs } else { &counters.timed_runs };
            runs.add(1);
        }
    }

    /// Adds the time since `start` to the function's, and returns its counters.
    #[inline(never)]
    fn note(start: Instant, is_first: bool, local: &Local, node: NodeRef) -> &Counters {
        let counters = local.counters.of(node.function);
        let time = local.engine().clock.instant().saturating_duration_since(start);
        let sum = if is_first { &counters.first_nanos } else { &counters.timed_nanos };
        sum.add(nanos(time));
        counters
    }
}

/// Times code of the user's that belongs to a run which has ended, and is no run: its time is that of the function, and as many are timed as
/// runs are. For example, the first step of a member of a cycle, whose body has run before.
#[cold]
pub(crate) fn timed_as_part<R>(local: &Local, node: NodeRef, work: impl FnOnce() -> R) -> R {
    let due = Timer::due(&local.counters.of(node.function).parts);
    let start = due.map(|is_first| (local.engine().clock.instant(), is_first));
    let done = work();
    if let Some((start, is_first)) = start {
        Timer::note(start, is_first, local, node);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_nest_are_not_all_timed() {
        let counters = Counters::default();
        let timed = (0..1600).filter(|_| Timer::due(&counters.begun).is_some()).count();
        assert_eq!(timed, 16 + 99, "none of them has ended");
    }
}
