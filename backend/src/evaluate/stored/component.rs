//! Members of a component out of the store. A member is restored only if all are at hand: its component is *live* then
//! (`persist/components.rs`), and none of its members runs as long as it is.

use super::restore::Restored;
use crate::context::local::Local;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::persist::components::{Live, LiveMember};
use crate::persist::pending::load_older;
use crate::persist::{Known, Persistence, StoredTrace};
use larder_storage::record::{ComponentMember, MemberRead, Read};
use larder_storage::{Digest, Guarded, TaskKey};

/// A component as one of its traces tells of it.
struct Component {
    members: Vec<ComponentMember>,
    /// The keys of what its members have read of others.
    outer: Vec<Digest>,
}

impl Persistence {
    /// The body of a claimed node is about to run, or the node to be found current by what it has read. If it belongs to a live component, its
    /// value comes from there. None if there is none.
    pub(crate) fn by_component(&self, local: &Local, node: NodeRef) -> Option<Restored> {
        let key = Persisted::of(node)?.key?;
        let trace = self.components.trace_of(key)?;
        self.fill_member(local, node, TaskKey(key), &trace)
    }

    /// Whether a claimed node belongs to a live component.
    pub(crate) fn is_live_member(&self, node: NodeRef) -> bool {
        Persisted::of(node).and_then(|own| own.key).is_some_and(|key| self.components.has(key))
    }

    /// Does so for a claimed node whose body is about to run.
    pub(crate) fn instead_of_run(&self, local: &Local, node: NodeRef) -> Option<Restored> {
        node.task_fn.stored?;
        // Before the look at live components: pairs with `put_up`.
        Persisted::change(node, |persisted| persisted.runs = true);
        self.by_component(local, node)
    }

    fn fill_member(
        &self,
        local: &Local,
        node: NodeRef,
        task: TaskKey,
        trace: &StoredTrace,
    ) -> Option<Restored> {
        let fill = |encoded: &[u8]| self.fill(local, node, task, &trace.trace(), encoded, None);
        let restored = trace.with_output(&self.store, task, fill)??;
        self.components.note(task.0, node);
        // That it is what it was says nothing about the other members, as whose origin it may stand (`cycle/resolved.rs`).
        node.set_flag(Flags::BROKEN);
        Some(restored)
    }

    /// Puts the value in place that a task of which this trace holds has in its component, if it has one; `None` if the trace is that of a task by itself, and
    /// `Some(None)` if the component cannot be had as a whole.
    #[expect(clippy::option_option, reason = "two questions at once")]
    pub(super) fn restore_member(
        &self,
        local: &Local,
        node: NodeRef,
        task: TaskKey,
        component: Option<Read>,
    ) -> Option<Option<Restored>> {
        match component {
            Some(read) if !self.is_live(TaskKey(read.key), read.fingerprint) => return Some(None),
            Some(_) => {}
            None if !self.components.has(task.0) => return None,
            None => {}
        }
        let trace = self.components.trace_of(task.0);
        Some(trace.and_then(|trace| self.fill_member(local, node, task, &trace)))
    }

    /// Whether a component, of which a trace with this output holds, is live now.
    fn is_live(&self, component: TaskKey, fingerprint: Digest) -> bool {
        if self.components.is_live(component, fingerprint) {
            return true;
        }
        let Some(live) = self.load(component, fingerprint) else { return false };
        let members: Vec<TaskKey> = live.members.iter().map(|member| member.task).collect();
        let is_live = self.components.put_up(&self.nodes, component, live);
        if is_live {
            // They stay or go together.
            self.note_use(component);
            members.into_iter().for_each(|member| self.note_use(member));
        }
        is_live
    }

    /// Loads all members of a component as they are with this output. None if one of them is not there.
    fn load(&self, component: TaskKey, fingerprint: Digest) -> Option<Live> {
        if self.pending.concerns(component) && !self.commits_at_once() {
            // The edges to what it has read may be neither in memory nor in the store.
            return None;
        }
        let read = Read { key: component.0, fingerprint };
        let members = self.component(component, fingerprint)?.members.into_iter().map(|member| {
            let task = member.task;
            let known = self.pending.known(&self.store, task, |_| true)?;
            let is_of_it = |trace: &StoredTrace| {
                let trace = trace.trace();
                trace.component() == Some(read) && trace.output.fingerprint == member.fingerprint
            };
            let mut trace = self.find_trace(task, known, is_of_it)?;
            trace.hold_output(&self.store, task)?;
            Some(LiveMember { task, trace, node: None })
        });
        Some(Live { fingerprint, members: members.collect::<Option<Vec<_>>>()? })
    }

    /// Returns the most recent trace of a task that `is_it`.
    fn find_trace(
        &self,
        task: TaskKey,
        known: Known,
        is_it: impl Fn(&StoredTrace) -> bool,
    ) -> Option<StoredTrace> {
        let at_hand = known.traces.into_iter();
        let older = known.older.iter().filter_map(|older| load_older(&self.store, task, older));
        at_hand.chain(older).find(|trace| is_it(trace))
    }

    /// Returns what a trace of a component with this output tells, if it is in the store.
    fn component(&self, component: TaskKey, fingerprint: Digest) -> Option<Component> {
        let known = self.pending.known(&self.store, component, |_| true)?;
        let is_it = |trace: &StoredTrace| trace.trace().output.fingerprint == fingerprint;
        let trace = self.find_trace(component, known, is_it)?;
        let members = trace.with_output(&self.store, component, ComponentMember::decode_all)?.ok()?;
        let outer = trace.trace().reads().map(|read| read.key).collect();
        Some(Component { members, outer })
    }

    /// The keys of what a member has read, in order, other members among it. None if the store has lost them.
    pub(super) fn keys_read_by_member(&self, task: TaskKey, read: Read) -> Option<Vec<Digest>> {
        let Component { members, outer } = self.component(TaskKey(read.key), read.fingerprint)?;
        let member = members.iter().find(|member| member.task == task)?;
        let key = |read: &MemberRead| match *read {
            MemberRead::Outer(number) => outer.get(number as usize).copied(),
            MemberRead::Member(number) => members.get(number as usize).map(|member| member.task.0),
        };
        member.reads.iter().map(key).collect()
    }
}

impl StoredTrace {
    /// The trace of a component with its reads in the order in which they come to it when one of its members is asked first, as
    /// `evaluate/cycle/resolved.rs` tells it. None if the store has lost them.
    pub(super) fn entered_at(self, store: &Guarded, component: TaskKey, asked: TaskKey) -> Option<Self> {
        let members = self.with_output(store, component, ComponentMember::decode_all)?.ok()?;
        let reads: Vec<Read> = self.trace().reads().collect();
        let entry = members.iter().position(|member| member.task == asked)?;
        let mut numbers = Order::of(&members, entry, reads.len()).gather()?;
        // Reads of later rounds come last.
        let mut is_left = vec![true; reads.len()];
        numbers.iter().for_each(|number| is_left[*number] = false);
        numbers.extend((0..reads.len()).filter(|number| is_left[*number]));
        let ordered = numbers.into_iter().map(|number| reads[number]).collect();
        Some(self.in_order(ordered))
    }
}

/// A walk over the reads that members have made in round 1, and for their values of round 0, depth first.
struct Order<'a> {
    members: &'a [ComponentMember],
    entered: Vec<Entered>,
    /// The members on the way, each with what is left of its reads, and none at the place of a value of round 0.
    path: Vec<(Option<usize>, std::slice::Iter<'a, MemberRead>)>,
    found: Vec<usize>,
    is_found: Vec<bool>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Entered {
    has_begun: bool,
    has_ended: bool,
    has_initial: bool,
}

impl<'a> Order<'a> {
    fn of(members: &'a [ComponentMember], entry: usize, reads: usize) -> Self {
        let entered = vec![Entered::default(); members.len()];
        let mut order =
            Self { members, entered, path: Vec::new(), found: Vec::new(), is_found: vec![false; reads] };
        order.begin(entry);
        order
    }

    fn begin(&mut self, member: usize) {
        let ComponentMember { reads, first_reads, .. } = &self.members[member];
        self.path.push((Some(member), reads[..*first_reads].iter()));
        self.entered[member].has_begun = true;
    }

    /// None if a number is out of range.
    fn gather(mut self) -> Option<Vec<usize>> {
        while let Some((member, reads)) = self.path.last_mut() {
            match reads.next() {
                Some(MemberRead::Outer(number)) => {
                    let is_found = self.is_found.get_mut(*number as usize)?;
                    if !std::mem::replace(is_found, true) {
                        self.found.push(*number as usize);
                    }
                }
                Some(MemberRead::Member(number)) => self.enter(*number as usize)?,
                None => {
                    if let Some(member) = *member {
                        self.entered[member].has_ended = true;
                    }
                    self.path.pop();
                }
            }
        }
        Some(self.found)
    }

    fn enter(&mut self, member: usize) -> Option<()> {
        let ComponentMember { has_initial, initial_reads, .. } = self.members.get(member)?;
        let before = self.entered[member];
        if *has_initial && !before.has_initial {
            self.entered[member].has_initial = true;
            self.path.push((None, initial_reads.iter()));
        }
        if !before.has_begun {
            self.begin(member);
        } else if !before.has_ended && !has_initial {
            // It is begun once more for one that needs its value, and no more after that.
            self.begin(member);
            self.entered[member].has_ended = true;
        }
        Some(())
    }
}
