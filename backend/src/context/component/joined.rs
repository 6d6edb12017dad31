//! The claims that have joined a component. They are looked at once, when the first cycle through them closes: each later one would
//! look at all of them again.

use std::ops::Range;

use super::Cycles;
use crate::graph::depth::Depth;

impl Cycles {
    /// Returns the claims from `low` on that belong to no component yet, outermost first, up to the depth `claimed`.
    ///
    /// For example a ring of 1,000 tasks closes when the last one reads the first: 1,000 claims join. Then 999 bodies end, each of
    /// which is read by the one before: that is a cycle as well, of claims that have joined, and nothing is left to look at.
    pub(crate) fn unjoined(&self, low: Depth, claimed: Depth) -> Vec<Range<Depth>> {
        let around = self.components.partition_point(|component| component.low <= low).saturating_sub(1);
        let mut from = low;
        let mut ranges = Vec::new();
        for component in &self.components[around..] {
            if component.joined > from {
                ranges.extend((from < component.low).then_some(from..component.low));
                from = component.joined;
            }
        }
        ranges.extend((from < claimed).then_some(from..claimed));
        ranges
    }

    /// A claim has ended, so that only those below this depth are left: what is claimed there next has joined nothing.
    pub(crate) fn shorten(&mut self, depth: Depth) {
        for component in self.components.iter_mut().rev().take_while(|component| component.joined > depth) {
            component.joined = depth;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Closes a cycle at `low`, and returns the number of claims that had to be looked at.
    fn close(cycles: &mut Cycles, low: usize, claimed: usize) -> usize {
        let (low, claimed) = (Depth::new(low), Depth::new(claimed));
        let covered =
            cycles.components.iter().any(|component| (component.low..component.joined).contains(&low));
        let looked_at =
            cycles.unjoined(low, claimed).iter().map(|range| range.end.index() - range.start.index()).sum();
        cycles.merge(low, covered, claimed);
        looked_at
    }

    /// Each body that ended looked at all that were still open: 2,000 tasks, two million claims.
    #[test]
    fn a_ring_looks_at_each_of_its_claims_once() {
        const TASKS: usize = if cfg!(miri) { 50 } else { 2000 };
        let mut cycles = Cycles::default();
        let mut looked_at = close(&mut cycles, 0, TASKS);
        for open in (1..TASKS).rev() {
            cycles.shorten(Depth::new(open));
            looked_at += close(&mut cycles, 0, open);
        }
        assert_eq!(looked_at, TASKS);
    }

    #[test]
    fn a_body_that_reads_all_that_are_open_looks_at_each_once() {
        const TASKS: usize = if cfg!(miri) { 50 } else { 2000 };
        let mut cycles = Cycles::default();
        let looked_at: usize = (0..TASKS).rev().map(|low| close(&mut cycles, low, TASKS)).sum();
        assert_eq!(looked_at, TASKS);
        assert_eq!(cycles.components.len(), 1);
    }

    #[test]
    fn claims_between_components_and_claims_made_anew_are_looked_at() {
        let mut cycles = Cycles::default();
        assert_eq!(close(&mut cycles, 2, 4), 2);
        assert_eq!(close(&mut cycles, 6, 8), 2);
        let depths = |cycles: &Cycles, low, claimed| -> Vec<usize> {
            let ranges = cycles.unjoined(Depth::new(low), Depth::new(claimed)).into_iter();
            ranges.flat_map(|range| range.start.index()..range.end.index()).collect()
        };
        assert_eq!(depths(&cycles, 0, 10), [0, 1, 4, 5, 8, 9]);
        assert_eq!(depths(&cycles, 3, 10), [4, 5, 8, 9]);
        assert_eq!(depths(&cycles, 5, 7), [5]);
        assert_eq!(depths(&cycles, 7, 8), []);
        cycles.shorten(Depth::new(7));
        assert_eq!(depths(&cycles, 6, 9), [7, 8]);
        cycles.shorten(Depth::new(3));
        assert_eq!(depths(&cycles, 2, 5), [3, 4]);
        assert_eq!(close(&mut cycles, 1, 9), 7);
        assert_eq!(depths(&cycles, 1, 9), []);
    }
}
