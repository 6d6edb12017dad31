//! Components that are being resolved: the state of it, without any code of the user's.

mod joined;
mod member;

pub(crate) use self::member::{Member, Run};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::context::local::Local;
use crate::context::strand::Gathered;
use crate::graph::depth::Depth;
use crate::graph::edges::Edge;
use crate::graph::failure::{TaskError, ValueChange};
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;

/// The cycles that a strand is resolving.
#[derive(Default)]
pub(crate) struct Cycles {
    /// By their heads, outermost first. The claims between two heads belong to the outer component or to none.
    components: Vec<Component>,
    /// The runs of rounds that are under way, outermost first.
    pub(crate) runs: Vec<RoundRun>,
    /// The claims that the strand gives up for another one.
    pub(crate) way: Option<Way>,
    last_id: ComponentId,
}

// SAFETY: edges and nodes may be used from any thread of the session (see `NodeRef`); emitted values are `Send + Sync`, reasons
// to stop `Send`.
unsafe impl Send for Cycles {}

/// Tells the components of a strand apart. One that gets another head is another component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ComponentId(u64);

/// A body that runs in a round from the second on: at this depth.
pub(crate) struct RoundRun {
    pub(crate) depth: Depth,
    pub(crate) component: ComponentId,
}

/// Tasks that depend on each other.
pub(crate) struct Component {
    pub(crate) id: ComponentId,
    /// The depth of the outermost one, the head.
    pub(crate) low: Depth,
    /// All claims from the head on up to this depth are members, and need not be looked at when another cycle closes.
    joined: Depth,
    pub(crate) members: Vec<Member>,
    index: FxHashMap<NodeRef, usize>,
    /// The head's body has ended, and the rounds from the second on are under way.
    pub(crate) is_in_rounds: bool,
    /// The round that is under way.
    pub(crate) round: u32,
    /// A task has joined that the rounds did not know.
    pub(crate) grown: bool,
    /// Nodes that members have read in later rounds only, in order.
    pub(crate) later: Vec<Edge>,
    failed: Option<TaskError>,
    pub(crate) stop: Option<Stop>,
    /// The members that are being evaluated in this round as part of another's body, outermost first.
    evaluating: Vec<usize>,
    /// Which member has read which.
    readings: FxHashSet<(usize, usize)>,
    /// All twins that hold its provisional values.
    pub(crate) twins: FxHashSet<NodeRef>,
    /// Those nodes of `extra` that no later round reads.
    unused: Vec<NodeRef>,
    /// The members that are due.
    due: Vec<usize>,
    /// Which members leave, if some do (`parting.rs`).
    pub(crate) leaving: Vec<bool>,
}

impl Cycles {
    pub(crate) fn last(&self) -> Option<&Component> {
        self.components.last()
    }

    /// Claims from the outermost to the innermost, with the members of each component that are not among them any more at the
    /// place of its head.
    pub(crate) fn amend(&self, claimed: &[NodeRef]) -> Vec<NodeRef> {
        let mut all = claimed.to_vec();
        let claimed: FxHashSet<NodeRef> = claimed.iter().copied().collect();
        for component in self.components.iter().rev() {
            let parked =
                component.members.iter().map(|member| member.node).filter(|node| !claimed.contains(node));
            let head = component.low.index();
            all.splice(head..head, parked);
        }
        all
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// Whether the rounds of a component whose head stood further in than `low` are under way.
    pub(crate) fn has_rounds_above(&self, low: Depth) -> bool {
        self.components.iter().any(|component| component.is_in_rounds && component.low > low)
    }

    pub(crate) fn begin_rounds(&mut self) -> Option<ComponentId> {
        let component = self.components.last_mut()?;
        component.is_in_rounds = true;
        Some(component.id)
    }

    pub(crate) fn pop(&mut self) -> Option<Component> {
        let mut component = self.components.pop()?;
        component.count_initial_reads();
        Some(component)
    }

    /// The component that a claimed member at this depth belongs to.
    pub(crate) fn innermost(&mut self, depth: Depth) -> &mut Component {
        let at = self.components.partition_point(|component| component.low <= depth).checked_sub(1);
        &mut self.components[at.expect("a member's component lasts until its head has ended")]
    }

    pub(crate) fn by_id(&mut self, id: ComponentId) -> Option<&mut Component> {
        self.components.iter_mut().rfind(|component| component.id == id)
    }

    /// The component in which a node has its value of round 1.
    pub(crate) fn of_parked(&self, node: NodeRef) -> Option<&Component> {
        if !node.flag(Flags::ON_CYCLE) {
            return None;
        }
        self.components.iter().rfind(|component| component.has_first(node))
    }

    /// The component that has the node's entry, wherever it runs.
    pub(crate) fn of_member(&mut self, node: NodeRef) -> Option<&mut Component> {
        self.components.iter_mut().rfind(|component| component.index.contains_key(&node))
    }

    /// Makes one component of all whose heads stand at `low` or above; or, if the claim at `low` is `covered` by a component,
    /// of that and these.
    /// All claims from its head on up to the depth `claimed` are its members then.
    /// It is the last one.
    pub(crate) fn merge(&mut self, low: Depth, covered: bool, claimed: Depth) -> &mut Component {
        let mut from = self.components.partition_point(|component| component.low < low);
        if covered && self.components.get(from).is_none_or(|component| component.low != low) {
            from = from.saturating_sub(1);
        }
        if self.components.len() == from {
            self.last_id.0 += 1;
            self.components.push(Component::new(self.last_id, low));
        }
        let others: Vec<Component> = self.components.drain(from + 1..).collect();
        // A component with a head further in is part of the outer one: what its rounds have found so far is void.
        let absorbs = &mut self.components[from];
        if absorbs.low > low {
            // It gets another head: its own rounds, if they have begun, are not its any more.
            self.last_id.0 += 1;
            absorbs.id = self.last_id;
            absorbs.low = low;
            absorbs.is_in_rounds = false;
            absorbs.end_all_evaluations();
        }
        absorbs.joined = claimed;
        others.into_iter().for_each(|other| absorbs.absorb(other));
        absorbs
    }
}

impl Component {
    fn new(id: ComponentId, low: Depth) -> Self {
        Self {
            id,
            low,
            joined: low,
            members: Vec::new(),
            index: FxHashMap::default(),
            is_in_rounds: false,
            round: 0,
            grown: false,
            later: Vec::new(),
            failed: None,
            stop: None,
            evaluating: Vec::new(),
            readings: FxHashSet::default(),
            twins: FxHashSet::default(),
            unused: Vec::new(),
            due: Vec::new(),
            leaving: Vec::new(),
        }
    }

    fn absorb(&mut self, mut other: Self) {
        other.end_all_evaluations();
        for member in other.members {
            self.index.insert(member.node, self.members.len());
            self.members.push(member);
        }
        self.twins.extend(other.twins);
        self.later.extend(other.later);
        if let Some(error) = other.failed {
            self.fail(error, other.stop);
        }
    }

    pub(crate) fn number(&self, node: NodeRef) -> Option<usize> {
        self.index.get(&node).copied()
    }

    pub(crate) fn member(&mut self, node: NodeRef) -> &mut Member {
        let members = &mut self.members;
        let number = *self.index.entry(node).or_insert_with(|| {
            members.push(Member::new(node));
            members.len() - 1
        });
        &mut self.members[number]
    }

    pub(crate) fn has_first(&self, node: NodeRef) -> bool {
        self.number(node).is_some_and(|number| self.members[number].first.is_some())
    }

    pub(crate) fn note_reads(&mut self, node: NodeRef, reads: &[Edge]) {
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

    /// Returns a member whose value of round 0 has read a member, and that one.
    pub(crate) fn circle_of_initial_value(&self) -> Option<[NodeRef; 2]> {
        self.members.iter().find_map(|member| {
            let reads = member.initial_reads.iter().map(|read| read.node());
            reads.into_iter().find(|read| self.index.contains_key(read)).map(|read| [member.node, read])
        })
    }

    /// Adds what initial values have read to the reads of their members.
    fn count_initial_reads(&mut self) {
        for member in &mut self.members {
            let Member { initial_reads, seen, reads, .. } = member;
            let new: Vec<Edge> = initial_reads.iter().copied().filter(|read| seen.insert(*read)).collect();
            reads.extend_from_slice(&new);
            self.later.extend(new);
        }
    }

    /// Keeps the run of round 1. It may have been run for a reader already, with the same outcome.
    pub(crate) fn keep_first(&mut self, node: NodeRef, run: Run) {
        self.member(node).first.get_or_insert(run);
    }

    /// Keeps the value of round 1 that a step has made, with what it has read and emitted beside the body.
    pub(crate) fn keep_first_step(&mut self, node: NodeRef, twin: NodeRef, gathered: Gathered) {
        let member = self.member(node);
        member.has_stepped = true;
        if let Some(first) = &mut member.first {
            first.twin = twin;
            first.reads.extend(gathered.reads);
            first.emitted.extend(gathered.emitted);
        }
    }

    pub(crate) fn own(&mut self, twin: NodeRef) {
        self.twins.insert(twin);
    }

    /// Takes out the twins that neither a later round nor a new beginning reads.
    pub(crate) fn take_unused(&mut self) -> Vec<NodeRef> {
        let unused = std::mem::take(&mut self.unused);
        unused.into_iter().filter(|twin| self.twins.remove(twin)).collect()
    }

    /// A member has run in this round: its last run is `run` from now on. If its value is the `same`, it stays the one that others
    /// have seen.
    pub(crate) fn keep_last(&mut self, number: usize, mut run: Run, same: bool) {
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

    /// Notes how a value changes in the round under way.
    pub(crate) fn note_change(&mut self, number: usize, change: ValueChange) {
        let told = &mut self.members[number].told;
        told.swap(0, 1);
        told[0] = Some((self.round, change));
    }

    /// Begins a round. The members that may have to run in it, in the order in which they were found.
    pub(crate) fn begin_round(&mut self, round: u32) -> Vec<usize> {
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
    pub(crate) fn is_to_be_checked(&self, number: usize) -> bool {
        let member = &self.members[number];
        member.due_in == self.round && member.checked != self.round
    }

    /// Begins to evaluate a member as part of another's body.
    ///
    /// # Errors
    /// The members from it on, outermost first, if it is being evaluated already.
    pub(crate) fn begin_evaluation(&mut self, number: usize) -> Result<(), Vec<NodeRef>> {
        if self.members[number].is_evaluating {
            let circle = self.evaluating.iter().skip_while(|other| **other != number);
            return Err(circle.map(|number| self.members[*number].node).collect());
        }
        self.members[number].is_evaluating = true;
        self.evaluating.push(number);
        Ok(())
    }

    /// Ends the innermost evaluation.
    pub(crate) fn end_evaluation(&mut self) {
        if let Some(number) = self.evaluating.pop() {
            self.members[number].is_evaluating = false;
        }
    }

    fn end_all_evaluations(&mut self) {
        while !self.evaluating.is_empty() {
            self.end_evaluation();
        }
    }

    /// The component fails. Of several errors the first by its text counts, but for a cancellation, which is no outcome.
    pub(crate) fn fail(&mut self, error: TaskError, stop: Option<Stop>) {
        let counts = match &self.failed {
            None => true,
            Some(TaskError::Cancelled) => false,
            Some(_) if matches!(error, TaskError::Cancelled) => true,
            Some(before) => error.to_string() < before.to_string(),
        };
        if counts {
            self.failed = Some(error);
            self.stop = stop;
        }
    }

    pub(crate) fn failure(&self) -> Option<TaskError> {
        self.failed.clone()
    }

    /// A member is released before its body has run: nothing can come of the others.
    pub(crate) fn leave(&mut self, node: NodeRef) {
        self.member(node).has_left = true;
        self.fail(TaskError::Cancelled, None);
    }

    /// The members that the last run of one has read, in order.
    pub(crate) fn read_members(&self, number: usize) -> Vec<usize> {
        let reads = self.members[number].last.as_ref().map_or(&[][..], |run| &run.reads);
        reads.iter().filter_map(|read| self.number(read.node())).collect()
    }

    /// Notes a member as a reader of those that its last run has read.
    pub(crate) fn note_readers(&mut self, number: usize) {
        for read in self.read_members(number) {
            if self.readings.insert((number, read)) {
                self.members[read].readers.push(number);
            }
        }
    }

    /// All members that may come to another value in the next round because a fixpoint task has changed: those that have read it,
    /// and those that have read them in the same round. A step reads the value that the task itself has had.
    pub(crate) fn mark_due(&mut self, changed: usize) {
        let member = &mut self.members[changed];
        if member.node.task_fn.has_step() && !std::mem::replace(&mut member.is_due, true) {
            self.due.push(changed);
        }
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

/// The claims that a strand gives up.
pub(crate) struct Way {
    /// All its claims from this depth on.
    pub(crate) low: Depth,
    /// The task to wait for then.
    pub(crate) wait_for: Option<NodeRef>,
}

/// Returns all nodes that the current strand has claimed: the way that a cycle takes goes through them.
pub(crate) fn all_claims(local: &Local) -> Vec<NodeRef> {
    let (claimed, cycles) = (local.claimed.borrow(), local.cycles.borrow());
    if cycles.is_empty() { claimed.clone() } else { cycles.amend(&claimed) }
}
