//! Members: the tasks of a component, each with its runs and how its value goes from round to round.

use rustc_hash::FxHashSet;

use crate::graph::edges::Edge;
use crate::graph::emitted::EmittedValue;
use crate::graph::failure::ValueChange;
use crate::graph::node::NodeRef;

/// A run of a body.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) twin: NodeRef,
    pub(crate) reads: Vec<Edge>,
    pub(crate) emitted: Vec<EmittedValue>,
}

/// A task of a component.
pub(crate) struct Member {
    pub(crate) node: NodeRef,
    /// Holds the value of round 0.
    pub(crate) initial: Option<NodeRef>,
    pub(crate) is_initialising: bool,
    /// The reads of the initial value, each once, and what it emitted.
    pub(crate) initial_reads: Vec<Edge>,
    pub(crate) initial_emitted: Vec<EmittedValue>,
    /// The run of round 1.
    pub(crate) first: Option<Run>,
    /// The twin in `first` holds what the step has made of what the body has returned.
    pub(crate) has_stepped: bool,
    /// The last run. Its twin holds the value that the round under way reads.
    pub(crate) last: Option<Run>,
    /// The run of the round under way, if its value is not in use yet.
    pub(crate) next: Option<Run>,
    /// The round in which the value came to be what it is.
    pub(crate) changed: u32,
    /// The round for which the last run is known to be good.
    pub(crate) checked: u32,
    /// In how many rounds the value has changed.
    pub(crate) changes: u32,
    /// It stands in `evaluating`.
    pub(super) is_evaluating: bool,
    /// In one of its last changes the value has come back to that of round 0 or 1.
    pub(crate) goes_round: bool,
    /// The last two rounds in which its value has changed near a bound, and how; the last one first.
    pub(super) told: [Option<(u32, ValueChange)>; 2],
    /// It may have to run in the next round.
    pub(super) is_due: bool,
    /// The last round in which it might have had to run.
    pub(super) due_in: u32,
    /// The members that have read it, by number.
    pub(crate) readers: Vec<usize>,
    /// The nodes that it has read in all rounds, each once.
    pub(crate) reads: Vec<Edge>,
    /// So many of these in the first one.
    pub(crate) first_reads: usize,
    pub(super) seen: FxHashSet<Edge>,
    /// It was released before its body has run.
    pub(crate) has_left: bool,
}

impl Member {
    pub(super) fn new(node: NodeRef) -> Self {
        Self {
            node,
            initial: None,
            is_initialising: false,
            initial_reads: Vec::new(),
            initial_emitted: Vec::new(),
            first: None,
            has_stepped: false,
            last: None,
            next: None,
            changed: 0,
            checked: 0,
            changes: 0,
            is_evaluating: false,
            goes_round: false,
            told: [None, None],
            is_due: false,
            due_in: 0,
            readers: Vec::new(),
            reads: Vec::new(),
            first_reads: 0,
            seen: FxHashSet::default(),
            has_left: false,
        }
    }

    /// Whether it has an initial value or a fallback, and others read its value of the round before.
    pub(crate) fn is_fixpoint(&self) -> bool {
        self.node.task_fn.has_initial()
    }

    /// Returns how its value changed in a round, if that was one of the last two in which it changed near a bound.
    pub(crate) fn change_in(&self, round: u32) -> Option<&ValueChange> {
        self.told.iter().flatten().find(|(told, _)| *told == round).map(|(_, change)| change)
    }

    /// Returns its outcome of round 1, once its body has run and its value of round 0 is known.
    ///
    /// The body of one with a fallback has run to find out what that depends on; its value counts for nothing, nor does what it emitted.
    pub(crate) fn outcome_of_first(&self) -> Option<Run> {
        let first = self.first.clone()?;
        if !self.node.task_fn.falls_back() {
            return Some(first);
        }
        Some(Run { twin: self.initial?, reads: first.reads, emitted: self.initial_emitted.clone() })
    }
}
