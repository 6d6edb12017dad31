//! Timer: how long bodies run.

use std::time::Instant;

use crate::base::counters::Counters;
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
    pub(super) fn start(counters: &Counters) -> Self {
        // Not those that have ended: in a first build of a deep graph that is none for a long time.
        let begun = counters.begun.get();
        counters.begun.add(1);
        let is_first = begun < Self::FIRST;
        Self((is_first || begun.is_multiple_of(16)).then(|| (Instant::now(), is_first)))
    }

    #[inline]
    pub(super) fn stop(&self, local: &Local, node: NodeRef) {
        if let Self(Some((start, is_first))) = *self {
            Self::note(start, is_first, local.counters.of(node.function));
        }
    }

    #[inline(never)]
    fn note(start: Instant, is_first: bool, counters: &Counters) {
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (runs, sum) = match is_first {
            true => (&counters.first_runs, &counters.first_nanos),
            false => (&counters.timed_runs, &counters.timed_nanos),
        };
        runs.add(1);
        sum.add(nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_nest_are_not_all_timed() {
        let counters = Counters::default();
        let timed = (0..1600).filter(|_| Timer::start(&counters).0.is_some()).count();
        assert_eq!(timed, 16 + 99, "none of them has ended");
    }
}
