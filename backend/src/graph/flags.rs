//! Flags: facts about a node that take one bit each, and which of them go together.

use bitflags::bitflags;

use crate::graph::claim::Phase;

bitflags! {
    /// Facts about a node's value and its run. The holder of the claim sets and clears them, or of the gate.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Flags: u16 {
        /// The output is initialised.
        const HAS_VALUE = 1 << 0;
        /// The body has to run, whatever verification would say (volatile, expired, failed half-way).
        const MUST_RUN = 1 << 1;
        /// An EMPTY node whose dependents have been marked since it was last claimed.
        const MARKED = 1 << 2;
        /// Waiting to have its dead reverse edges purged, or what memory these have too much given back.
        const TIDY_QUEUED = 1 << 3;
        /// Listed among the nodes to drop when the gate is next held exclusively.
        const DROP_QUEUED = 1 << 4;
        /// The output was dropped to save memory or on request; the edges stay.
        const FORGOTTEN = 1 << 5;
        /// The last run failed: its readers saw the failure, so a success counts as a change.
        const FAILED = 1 << 6;
        /// Listed among the engine's sources.
        const SOURCE = 1 << 7;
        /// The wave of which this node is the origin is not intact (see `invalidate.rs`).
        const BROKEN = 1 << 8;
        /// Marks may name this node as their origin, so it must not be freed (see `invalidate.rs`).
        const ORIGIN = 1 << 9;
        /// A node apart from the graph that holds another one's value (`apart.rs`).
        const TWIN = 1 << 10;
        /// The reads of the last run are known to the store alone, not to `deps` (see `persist.rs`).
        const RESTORED = 1 << 11;
        /// A source whose content cannot be had any more as it was observed.
        const LOST = 1 << 12;
        /// Claimed, and a member of a component that is being resolved: what its body returns is provisional (see `cycle.rs`).
        const ON_CYCLE = 1 << 13;
        /// A member of a resolved component, which is verified as one (see `cycle/resolved.rs`).
        const RESOLVED = 1 << 14;
        /// Claimed as the origin of a wave, ahead of the tasks between it and the strand that verifies (see `demand.rs`).
        const AHEAD = 1 << 15;
    }

    /// Facts about a node's way out, which reclaim alone looks at (see `reclaim.rs`). Set and cleared with the gate held exclusively, but
    /// for `ABANDONED`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Leaving: u8 {
        /// The program does not want the task any more: it goes when nothing reads or holds it.
        const ABANDONED = 1 << 0;
        /// Out of the table and of the edges, and waiting to be freed.
        const LIMBO = 1 << 1;
        /// Listed among those that may have to go.
        const LISTED = 1 << 2;
        /// All marks are being searched for its name.
        const SOUGHT = 1 << 3;
        /// It was a member of a component, whose members read each other.
        const MEMBER = 1 << 4;
        /// An input that was removed: its name is free.
        const NAMELESS = 1 << 5;
        /// A source that a task has read, which does not read it any more.
        const WAS_READ = 1 << 6;
        /// Its arguments hold handles to inputs that were removed, and that nothing else holds: no call can ask for it.
        const UNREACHABLE = 1 << 7;
    }
}

bitflags! {
    /// Facts about how a value is kept, and, in the upper bits, a count of uses (`session/reclaim/sweep.rs`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Keeping: u8 {
        /// A copy of [`Persisted::is_stored`](crate::graph::persisted::Persisted), next to fields that a pass over many reads looks at
        /// anyway.
        const STORED = 1 << 0;
        /// The output was dropped to save memory, and readers have seen it: the store has it, by the node's fingerprint.
        const EVICTED = 1 << 1;
        /// No sweep has met the node so far.
        const YOUNG = 1 << 2;
        /// Its output is one of those that a function with `lru` has in memory.
        const RECENT = 1 << 3;
        /// New, and listed as such: it goes before others if it is not used again soon.
        const ON_PROBATION = 1 << 4;
        /// Parts have been made of the value (`evaluate/parts.rs`).
        const HAS_PARTS = 1 << 5;
    }
}

impl Keeping {
    /// One use, in the bits above the facts.
    pub(crate) const USE: u8 = 1 << 6;
    pub(crate) const MOST_USES: u8 = 3;

    /// How often the node was used since sweeps last came by, up to [`Self::MOST_USES`].
    pub(crate) fn uses(self) -> u8 {
        self.bits() >> Self::USE.trailing_zeros()
    }
}

/// A rule about flags when a claim ends: with `phase` and all of `given`, all of `has` are set and none of `lacks`.
struct Rule {
    phase: Option<Phase>,
    given: Flags,
    has: Flags,
    lacks: Flags,
}

/// The legal combinations. For example, a node that becomes FRESH has a value, and is not on a cycle that is still being resolved.
const RULES: &[Rule] = &[
    Rule {
        phase: Some(Phase::Fresh),
        given: Flags::empty(),
        has: Flags::HAS_VALUE,
        lacks: Flags::FORGOTTEN.union(Flags::FAILED).union(Flags::MARKED).union(Flags::MUST_RUN),
    },
    // Claims on the way through a cycle, or ahead of other tasks, end with these taken off.
    Rule {
        phase: None,
        given: Flags::empty(),
        has: Flags::empty(),
        lacks: Flags::ON_CYCLE.union(Flags::AHEAD).union(Flags::TWIN),
    },
    // No rule says that what is FORGOTTEN has no value: a run that is cancelled after its output was in place leaves both.
    Rule { phase: None, given: Flags::LOST, has: Flags::SOURCE, lacks: Flags::empty() },
    Rule { phase: Some(Phase::Stale), given: Flags::empty(), has: Flags::HAS_VALUE, lacks: Flags::empty() },
];

/// Asserts, in debug builds, that a claim which ends with `phase` leaves a legal combination behind.
#[inline(always)]
pub(crate) fn check(phase: Phase, flags: Flags) {
    if cfg!(debug_assertions) {
        for rule in
            RULES.iter().filter(|rule| rule.phase.is_none_or(|of| of == phase) && flags.contains(rule.given))
        {
            assert!(
                flags.contains(rule.has) && !flags.intersects(rule.lacks),
                "a claim ends {phase:?} with {flags:?}: it has to have {:?} and must not have {:?}",
                rule.has,
                rule.lacks
            );
        }
    }
}
