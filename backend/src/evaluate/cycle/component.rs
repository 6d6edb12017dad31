//! Components that are being resolved: the state of it, without any code of the user's.

use rustc_hash::{FxHashMap, FxHashSet};

use super::way::Way;
use crate::evaluate::emit::EmittedValue;
use crate::evaluate::execute::Payload;
use crate::graph::edges::Edge;
use crate::graph::failure::TaskError;
use crate::graph::node::NodeRef;

/// What a strand knows of the cycles that it is resolving.
#[derive(Default)]
pub(crate) struct Cycles {
    /// By their heads, outermost first. The claims between two heads belong to the outer component or to none.
    components: Vec<Component>,
    /// The runs of rounds that are under way, outermost first.
    pub(super) runs: Vec<RoundRun>,
    /// What the strand gives up for another one.
    pub(super) way: Option<Way>,
    last_id: u64,
}

// SAFETY: edges and nodes may be used from any thread of the session (see `NodeRef`); emitted values are `Send + Sync`, payloads
// `Send`.
unsafe impl Send for Cycles {}

/// A body that runs in a round from the second on: at this depth of the claims.
pub(super) struct RoundRun {
    pub(super) depth: usize,
    pub(super) component: u64,
}

/// Tasks that depend on each other.
pub(super) struct Component {
    pub(super) id: u64,
    /// The depth of the outermost one, the head.
    pub(super) low: usize,
    pub(super) members: Vec<Member>,
    index: FxHashMap<NodeRef, usize>,
    /// The head's body has ended, and the rounds from the second on are under way.
    pub(super) is_in_rounds: bool,
    /// The round that is under way.
    pub(super) round: u32,
    /// A task has joined that the rounds did not know.
    pub(super) grown: bool,
    /// What members have read in later rounds only, in order.
    pub(super) later: Vec<Edge>,
    failed: Option<TaskError>,
    pub(super) payload: Option<Payload>,
    /// The members that are being evaluated in this round as part of another's body, outermost first.
    pub(super) evaluating: Vec<usize>,
    /// Which member has read which.
    readings: FxHashSet<(usize, usize)>,
    /// All twins that hold its provisional values.
    pub(super) twins: FxHashSet<NodeRef>,
    /// Those of them that no later round reads.
    unused: Vec<NodeRef>,
    /// The members that are due.
    due: Vec<usize>,
    /// Which members leave, if some do (`parting.rs`).
    pub(super) leaving: Vec<bool>,
}

/// A run of a body.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) twin: NodeRef,
    pub(super) reads: Vec<Edge>,
    pub(super) emitted: Vec<EmittedValue>,
}

/// A task of a component.
pub(super) struct Member {
    pub(super) node: NodeRef,
    /// Holds the value of round 0.
    pub(super) initial: Option<NodeRef>,
    pub(super) is_initialising: bool,
    /// The run of round 1.
    pub(super) first: Option<Run>,
    /// The last run. Its twin holds the value that the round under way reads.
    pub(super) last: Option<Run>,
    /// The run of the round under way, if its value is not in use yet.
    pub(super) next: Option<Run>,
    /// The round in which the value came to be what it is.
    pub(super) changed: u32,
    /// The round for which the last run is known to be good.
    pub(super) checked: u32,
    /// In how many rounds the value has changed.
    pub(super) changes: u32,
    /// In one of its last changes the value has come back to that of round 0 or 1.
    pub(super) goes_round: bool,
    /// It may have to run in the next round.
    is_due: bool,
    /// The last round in which it might have had to run.
    due_in: u32,
    /// Who has read it, by number.
    pub(super) readers: Vec<usize>,
    /// What it has read in all rounds, each once.
    pub(super) reads: Vec<Edge>,
    /// So many of these in the first one.
    pub(super) first_reads: usize,
    seen: FxHashSet<Edge>,
    /// It was released before its body has run.
    pub(super) has_left: bool,
}

impl Cycles {
    pub(super) fn last(&self) -> Option<&Component> {
        self.components.last()
    }

    /// Claims from the outermost to the innermost, with the members of each component that are not among them any more at the
    /// place of its head.
    pub(super) fn amend(&self, claimed: &[NodeRef]) -> Vec<NodeRef> {
        let mut all = claimed.to_vec();
        for component in self.components.iter().rev() {
            let parked =
                component.members.iter().map(|member| member.node).filter(|node| !claimed.contains(node));
            all.splice(component.low..component.low, parked);
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// Whether the rounds of a component whose head stood further in than `low` are under way.
    pub(super) fn has_rounds_above(&self, low: usize) -> bool {
        self.components.iter().any(|component| component.is_in_rounds && component.low > low)
    }

    pub(super) fn begin_rounds(&mut self) -> Option<u64> {
        let component = self.components.last_mut()?;
        component.is_in_rounds = true;
        Some(component.id)
    }

    pub(super) fn pop(&mut self) -> Option<Component> {
        self.components.pop()
    }

    /// The component that a claimed member at this depth belongs to.
    pub(super) fn innermost(&mut self, depth: usize) -> &mut Component {
        let at = self.components.iter().rposition(|component| component.low <= depth);
        &mut self.components[at.expect("a member's component lasts until its head has ended")]
    }

    pub(super) fn by_id(&mut self, id: u64) -> Option<&mut Component> {
        self.components.iter_mut().rfind(|component| component.id == id)
    }

    /// The component in which a node has its value of round 1.
    pub(super) fn of_parked(&self, node: NodeRef) -> Option<&Component> {
        self.components.iter().rfind(|component| component.has_first(node))
    }

    /// The component that has the node's entry, wherever it runs.
    pub(super) fn of_member(&mut self, node: NodeRef) -> Option<&mut Component> {
        self.components.iter_mut().rfind(|component| component.index.contains_key(&node))
    }

    /// Makes one component of all whose heads stand at `low` or above; or, if the claim at `low` is `covered` by a component,
    /// of that and these.
    pub(super) fn merge(&mut self, low: usize, covered: bool) -> &mut Component {
        let mut from = self.components.partition_point(|component| component.low < low);
        if covered && self.components.get(from).is_none_or(|component| component.low != low) {
            from = from.saturating_sub(1);
        }
        if self.components.len() == from {
            self.last_id += 1;
            self.components.push(Component::new(self.last_id, low));
        }
        let others: Vec<Component> = self.components.drain(from + 1..).collect();
        // A component with a head further in is part of the outer one: what its rounds have found so far is void.
        let absorbs = &mut self.components[from];
        if absorbs.low > low {
            // It gets another head: its own rounds, if they have begun, are not its any more.
            self.last_id += 1;
            absorbs.id = self.last_id;
            absorbs.low = low;
            absorbs.is_in_rounds = false;
            absorbs.evaluating.clear();
        }
        others.into_iter().for_each(|other| absorbs.absorb(other));
        absorbs
    }
}

impl Component {
    fn new(id: u64, low: usize) -> Self {
        Self {
            id,
            low,
            members: Vec::new(),
            index: FxHashMap::default(),
            is_in_rounds: false,
            round: 0,
            grown: false,
            later: Vec::new(),
            failed: None,
            payload: None,
            evaluating: Vec::new(),
            readings: FxHashSet::default(),
            twins: FxHashSet::default(),
            unused: Vec::new(),
            due: Vec::new(),
            leaving: Vec::new(),
        }
    }

    fn absorb(&mut self, other: Self) {
        for member in other.members {
            self.index.insert(member.node, self.members.len());
            self.members.push(member);
        }
        self.twins.extend(other.twins);
        self.later.extend(other.later);
        if let Some(error) = other.failed {
            self.fail(error, other.payload);
        }
    }

    pub(super) fn number(&self, node: NodeRef) -> Option<usize> {
        self.index.get(&node).copied()
    }

    pub(super) fn member(&mut self, node: NodeRef) -> &mut Member {
        let members = &mut self.members;
        let number = *self.index.entry(node).or_insert_with(|| {
            members.push(Member::new(node));
            members.len() - 1
        });
        &mut self.members[number]
    }

    pub(super) fn has_first(&self, node: NodeRef) -> bool {
        self.number(node).is_some_and(|number| self.members[number].first.is_some())
    }

    pub(super) fn note_reads(&mut self, node: NodeRef, reads: &[Edge]) {
        let begun = self.has_first(node);
        let member = self.member(node);
        let new = reads.iter().copied().filter(|read| member.seen.insert(*read)).collect::<Vec<_>>();
        member.reads.extend_from_slice(&new);
        if begun {
            self.later.extend(new);
        } else {
            member.first_reads = member.reads.len();
        }
    }

    /// Keeps the run of round 1. It may have been run for a reader already, with the same outcome.
    pub(super) fn keep_first(&mut self, node: NodeRef, run: Run) {
        self.member(node).first.get_or_insert(run);
    }

    pub(super) fn own(&mut self, twin: NodeRef) {
        self.twins.insert(twin);
    }

    /// Takes out the twins that neither a later round nor a new beginning reads.
    pub(super) fn take_unused(&mut self) -> Vec<NodeRef> {
        let unused = std::mem::take(&mut self.unused);
        unused.into_iter().filter(|twin| self.twins.remove(twin)).collect()
    }

    /// A member has run in this round: its last run is `run` from now on. If its value is the `same`, it stays the one that others
    /// have seen.
    pub(super) fn keep_last(&mut self, number: usize, mut run: Run, same: bool) {
        let member = &mut self.members[number];
        let superseded = match member.last.take() {
            Some(before) if same => std::mem::replace(&mut run.twin, before.twin),
            Some(before) => before.twin,
            None => run.twin,
        };
        let first = member.first.as_ref().map(|run| run.twin);
        if superseded != run.twin && Some(superseded) != first && Some(superseded) != member.initial {
            self.unused.push(superseded);
        }
        member.last = Some(run);
        if !same {
            member.changed = self.round;
            member.changes += 1;
        }
        self.note_readers(number);
    }

    /// Begins a round. The members that may have to run in it, in the order in which they were found.
    pub(super) fn begin_round(&mut self, round: u32) -> Vec<usize> {
        self.round = round;
        let mut due = std::mem::take(&mut self.due);
        due.sort_unstable();
        for number in &due {
            let member = &mut self.members[*number];
            member.is_due = false;
            member.due_in = round;
        }
        due
    }

    /// Whether a member may have to run in the round under way, and has not been looked at.
    pub(super) fn is_to_be_checked(&self, number: usize) -> bool {
        let member = &self.members[number];
        member.due_in == self.round && member.checked != self.round
    }

    /// The component fails. Of several errors the first by its text counts, but for a cancellation, which is no outcome.
    pub(super) fn fail(&mut self, error: TaskError, payload: Option<Payload>) {
        let counts = match &self.failed {
            None => true,
            Some(TaskError::Cancelled) => false,
            Some(_) if matches!(error, TaskError::Cancelled) => true,
            Some(before) => error.to_string() < before.to_string(),
        };
        if counts {
            self.failed = Some(error);
            self.payload = payload;
        }
    }

    pub(super) fn failure(&self) -> Option<TaskError> {
        self.failed.clone()
    }

    /// A member is released before its body has run: nothing can come of the others.
    pub(super) fn leave(&mut self, node: NodeRef) {
        self.member(node).has_left = true;
        self.fail(TaskError::Cancelled, None);
    }

    /// The members that the last run of one has read, in order.
    pub(super) fn read_members(&self, number: usize) -> Vec<usize> {
        let reads = self.members[number].last.as_ref().map_or(&[][..], |run| &run.reads);
        reads.iter().filter_map(|read| self.number(read.node())).collect()
    }

    /// Notes a member as a reader of those that its last run has read.
    pub(super) fn note_readers(&mut self, number: usize) {
        for read in self.read_members(number) {
            if self.readings.insert((number, read)) {
                self.members[read].readers.push(number);
            }
        }
    }

    /// All members that may come to another value in the next round because a fixpoint task has changed: those that have read it,
    /// and those that have read them in the same round.
    pub(super) fn mark_due(&mut self, changed: usize) {
        let mut work = vec![changed];
        while let Some(number) = work.pop() {
            for at in 0..self.members[number].readers.len() {
                let reader = self.members[number].readers[at];
                let member = &mut self.members[reader];
                if !std::mem::replace(&mut member.is_due, true) {
                    self.due.push(reader);
                    if !member.is_fixpoint() {
                        work.push(reader);
                    }
                }
            }
        }
    }
}

impl Member {
    fn new(node: NodeRef) -> Self {
        Self {
            node,
            initial: None,
            is_initialising: false,
            first: None,
            last: None,
            next: None,
            changed: 0,
            checked: 0,
            changes: 0,
            goes_round: false,
            is_due: false,
            due_in: 0,
            readers: Vec::new(),
            reads: Vec::new(),
            first_reads: 0,
            seen: FxHashSet::default(),
            has_left: false,
        }
    }

    /// Whether it has an initial value, and its values go from round to round.
    pub(super) fn is_fixpoint(&self) -> bool {
        self.node.task_fn.has_initial()
    }
}
