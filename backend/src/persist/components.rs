//! Components that are stored: which task belongs to which, and those whose members are restored.
//!
//! The members of a component have come to their values together, and one of them says nothing without the others. For example,
//! `a` and `b` read each other and fall back to 0. If `a` were restored, and the body of `b` ran, `b` would read `a` as a task like any other,
//! and return something else than 0. So a member is restored only if all are at hand (`evaluate/stored/component.rs`): the component is *live* then, and
//! holds their traces and outputs, until something that it has read changes. As long as it is, each member comes from it.
//!
//! # Which is first
//! One thread may be about to run the body of `b` while another one is about to restore `a`. The first notes that it [runs](Persisted::runs), and then
//! asks for a live component; the second puts the component up, and then looks for members that run, or that are FRESH by other means. So at least one of
//! them sees the other. If the second does, there is no component, and the body of `a` runs, too.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::stored_trace::StoredTrace;
use super::{Nodes, Persistence};
use crate::graph::claim::Phase;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use larder_storage::record::{COMPONENT_PATH, FunctionRecord};
use larder_storage::{Digest, Group, TaskKey};

/// Components that are stored or live.
#[derive(Default)]
pub(crate) struct Components {
    state: Mutex<State>,
    /// The number of live ones.
    live: AtomicUsize,
    is_announced: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The component of a task that has a node, and was last stored, or restored, as a member.
    of: FxHashMap<Digest, Digest>,
    live: FxHashMap<Digest, Live>,
    /// The live component of a task, and its number there.
    members: FxHashMap<Digest, (Digest, usize)>,
}

/// A component all of whose members can be restored.
pub(crate) struct Live {
    /// The fingerprint of the component's output.
    pub(crate) fingerprint: Digest,
    pub(crate) members: Vec<LiveMember>,
}

pub(crate) struct LiveMember {
    pub(crate) task: TaskKey,
    /// With its output.
    pub(crate) trace: StoredTrace,
    /// The node that has been restored.
    pub(crate) node: Option<NodeRef>,
}

impl Live {
    /// Whether no member runs, or has come to its value by other means.
    fn is_free(&self, nodes: &Nodes) -> bool {
        self.members.iter().all(|member| match nodes.get(member.task.0) {
            Some(node) => match node.state.phase() {
                Phase::Fresh => member.node == Some(node),
                Phase::Running => Persisted::of(node).is_none_or(|persisted| !persisted.runs),
                Phase::Stale | Phase::Empty => true,
            },
            None => true,
        })
    }
}

impl LiveMember {
    /// Whether a node is FRESH with the member's value: the fingerprint says of which component that is.
    fn is_value_of(&self, node: NodeRef) -> bool {
        let own = Persisted::of(node).filter(|own| own.is_member && own.is_stored);
        let fingerprint = self.trace.trace().output.fingerprint;
        node.state.is_fresh() && own.is_some_and(|own| own.fingerprint == fingerprint)
    }
}

impl State {
    fn remove(&mut self, component: Digest) -> Option<Live> {
        let live = self.live.remove(&component)?;
        for member in &live.members {
            if self.members.get(&member.task.0).is_some_and(|(of, _)| *of == component) {
                self.members.remove(&member.task.0);
            }
        }
        Some(live)
    }
}

impl Components {
    /// Names the function of components in `group`, if no group of this run has.
    pub(crate) fn announce(&self, group: &mut Group) {
        if !self.is_announced.swap(true, Relaxed) {
            group.function(&FunctionRecord { path: COMPONENT_PATH, code: Digest::default() });
        }
    }

    /// Whether this component is live, with this output.
    pub(crate) fn is_live(&self, component: TaskKey, fingerprint: Digest) -> bool {
        let state = self.state.lock();
        state.live.get(&component.0).is_some_and(|live| live.fingerprint == fingerprint)
    }

    /// Whether a component is live, with any output.
    pub(crate) fn lives(&self, component: Digest) -> bool {
        self.live.load(SeqCst) > 0 && self.state.lock().live.contains_key(&component)
    }

    /// Makes a component live. Returns whether it is: not, if a member runs or has another value.
    pub(crate) fn put_up(&self, nodes: &Nodes, component: TaskKey, mut live: Live) -> bool {
        let mut state = self.state.lock();
        let mut others: Vec<Digest> = live
            .members
            .iter()
            .filter_map(|member| state.members.get(&member.task.0).map(|(component, _)| *component))
            .collect();
        others.sort_unstable();
        others.dedup();
        for other in others {
            let Some(before) = state.live.get(&other) else { continue };
            if other == component.0 && before.fingerprint == live.fingerprint {
                return true;
            }
            let is_in_use = |member: &LiveMember| member.node.is_some_and(|node| node.state.is_fresh());
            if before.members.iter().any(is_in_use) {
                return false;
            }
            state.remove(other);
        }
        for member in &mut live.members {
            member.node = nodes.get(member.task.0).filter(|node| member.is_value_of(*node));
        }
        for (number, member) in live.members.iter().enumerate() {
            state.members.insert(member.task.0, (component.0, number));
        }
        state.live.insert(component.0, live);
        self.live.store(state.live.len(), SeqCst);
        // Before the look at what runs: pairs with the fence in `trace_of`.
        fence(SeqCst);
        let is_free = state.live[&component.0].is_free(nodes);
        if is_free {
            let State { of, live, .. } = &mut *state;
            of.extend(live[&component.0].members.iter().map(|member| (member.task.0, component.0)));
        } else {
            state.remove(component.0);
            self.live.store(state.live.len(), SeqCst);
        }
        is_free
    }

    /// Returns the trace that a task has in a live component. The task's body is about to run if there is none: its node says so already.
    pub(crate) fn trace_of(&self, task: Digest) -> Option<StoredTrace> {
        fence(SeqCst);
        if self.live.load(SeqCst) == 0 {
            return None;
        }
        let state = self.state.lock();
        let (component, number) = state.members.get(&task)?;
        Some(state.live.get(component)?.members[*number].trace.clone())
    }

    /// Whether a task belongs to a live component.
    pub(crate) fn has(&self, task: Digest) -> bool {
        self.live.load(SeqCst) > 0 && self.state.lock().members.contains_key(&task)
    }

    /// A node has been restored out of a live component.
    pub(crate) fn note(&self, task: Digest, node: NodeRef) {
        let mut state = self.state.lock();
        let State { of, live, members } = &mut *state;
        if let Some((component, number)) = members.get(&task)
            && let Some(live) = live.get_mut(component)
        {
            live.members[*number].node = Some(node);
            of.insert(task, *component);
        }
    }

    /// A node is about to be freed that is, or was, a member.
    pub(crate) fn forget_member(&self, task: Digest) {
        const FEW: usize = 64;
        let of = &mut self.state.lock().of;
        of.remove(&task);
        if of.capacity() > FEW && of.len() < of.capacity() / 8 {
            of.shrink_to(of.len() * 2);
        }
    }

    /// A node is about to be freed.
    pub(crate) fn disown(&self, task: Digest, node: NodeRef) {
        if self.live.load(SeqCst) == 0 {
            return;
        }
        let mut state = self.state.lock();
        let Some((component, number)) = state.members.get(&task).copied() else { return };
        let Some(live) = state.live.get_mut(&component) else { return };
        if live.members[number].node == Some(node) {
            live.members[number].node = None;
        }
        if live.members.iter().all(|member| member.node.is_none()) {
            state.remove(component);
            self.live.store(state.live.len(), SeqCst);
        }
    }

    /// Members have been stored with their component, or are about to be; they have run.
    pub(crate) fn stored(&self, members: &[TaskKey], component: TaskKey) {
        let mut state = self.state.lock();
        for member in members {
            if let Some((live, _)) = state.members.get(&member.0).copied() {
                state.remove(live);
            }
            state.of.insert(member.0, component.0);
        }
        self.live.store(state.live.len(), SeqCst);
    }

    /// Returns the component of a task that has its value as a member.
    pub(crate) fn of(&self, task: Digest) -> Option<Digest> {
        self.state.lock().of.get(&task).copied()
    }

    /// Something that these tasks depend on has changed: those among them that are components are live no more.
    pub(crate) fn changed(&self, tasks: impl Iterator<Item = TaskKey>) {
        if self.live.load(SeqCst) == 0 {
            return;
        }
        let mut state = self.state.lock();
        tasks.for_each(|task| _ = state.remove(task.0));
        self.live.store(state.live.len(), SeqCst);
    }

    /// Returns the nodes restored from the live component of a task, which is live no more.
    pub(crate) fn take_down(&self, task: Digest) -> Vec<NodeRef> {
        if self.live.load(SeqCst) == 0 {
            return Vec::new();
        }
        let mut state = self.state.lock();
        let component = state.members.get(&task).map(|(component, _)| *component);
        let live = component.and_then(|component| state.remove(component));
        self.live.store(state.live.len(), SeqCst);
        live.into_iter().flat_map(|live| live.members).filter_map(|member| member.node).collect()
    }
}

impl Persistence {
    /// The nodes, and all that were restored with them, as members of one component. The caller holds the gate exclusively.
    pub(crate) fn whole_components(&self, nodes: &mut Vec<NodeRef>) {
        let mut met: FxHashSet<NodeRef> = nodes.iter().copied().collect();
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            next += 1;
            let Some(key) = Persisted::of(node).and_then(|persisted| persisted.key) else { continue };
            nodes.extend(self.components.take_down(key).into_iter().filter(|other| met.insert(*other)));
        }
    }

    /// Returns the components of tasks that are to run again, whether they are in memory or only stored.
    pub(crate) fn components_of(&self, nodes: &[NodeRef]) -> Vec<Digest> {
        let component = |node: &NodeRef| {
            let persisted = Persisted::of(*node)?;
            let key = persisted.key?;
            if persisted.is_member {
                return self.components.of(key);
            }
            let is_unknown = !node.state.is_fresh();
            let known = is_unknown.then(|| self.pending.known(&self.store, TaskKey(key), |_| true))??;
            known.traces.first()?.trace().component().map(|read| read.key)
        };
        nodes.iter().filter_map(component).collect()
    }
}
