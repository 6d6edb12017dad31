//! The records of a component: of itself, and of each of its members, in one group.
//!
//! *The fingerprint of a member* is that of its value together with the component's key. A value says nothing of whether its task lies on a
//! cycle: for example, `b` has read `a` when that stood alone, and was 0. Now `a` and `b` read each other, and `a` falls back to 0. The run of `b`
//! does not hold any more, and by its fingerprint `a` is another one now. So for readers out of the store a task that comes to another component counts as
//! changed; for those in memory it does not.
//!
//! A component is stored if each of its members is, by itself, and all that they have read of others. It is not if a member is transient, volatile or
//! expires, or has come to its value by a member which is one of these and has left; nor if it has failed.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::restore::lasts;
use crate::evaluate::cycle::outer_reads;
use crate::graph::edges::Edge;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::reason::Reason;
use crate::graph::resolved::Resolved;
use crate::graph::task_fn::Ran;
use crate::persist::wide::read_all;
use crate::persist::{PendingChange, Persistence, StoredTrace};
use larder_storage::record::{ComponentMember, MemberRead, NewReads, NewTask, NewTrace, Read, component_key};
use larder_storage::{Digest, Fingerprints, TaskKey};

/// A member with what is stored of it.
struct Encoded {
    node: NodeRef,
    ran: Ran,
    task: TaskKey,
    key: Vec<u8>,
    output: Vec<u8>,
    emitted: Vec<u8>,
}

/// All members in the order of their keys, and what they have read of others.
struct Whole {
    members: Vec<Encoded>,
    key: Vec<u8>,
    task: TaskKey,
    reads: Vec<Read>,
    told: Vec<ComponentMember>,
}

impl Persistence {
    /// The claimed members of a component have come to their values, which may be used in later sessions if the component `lasts`: stores it,
    /// unless something speaks against it. All that is to be stored is in place.
    pub(crate) fn resolved(&self, resolved: &Arc<Resolved>, ran: &[Ran], lasts: bool) {
        self.writer.keep_pace();
        let outcome = if lasts { self.store_component(resolved, ran) } else { Err(Reason::DoesNotLast) };
        for (node, ran) in resolved.members.iter().zip(ran) {
            match outcome {
                Ok(()) => self.counts.stored.add(),
                Err(_) if node.task_fn.stored.is_none() => {}
                Err(reason) => self.not_stored(*node, *ran, reason),
            }
        }
    }

    /// The claimed members of a component have been found current by what they have read. The store is told; if something that they have
    /// read is not stored as it was, the component is written anew, if it can be.
    pub(crate) fn component_verified(&self, resolved: &Arc<Resolved>) {
        let members = || resolved.members.iter().filter_map(|node| Some((*node, Persisted::of(*node)?)));
        if !members().all(|(_, persisted)| persisted.is_stored && persisted.is_member) {
            return;
        }
        let is_stored = |edge: Edge| {
            Persisted::of(edge.node()).is_some_and(|persisted| persisted.is_stored && !persisted.has_joined)
        };
        let ran = vec![Ran::Equal; resolved.members.len()];
        if !outer_reads(resolved, resolved.members[0]).all(is_stored) {
            if self.store_component(resolved, &ran).is_err() {
                self.nodes.explore_anew();
                members().for_each(|(node, persisted)| Persisted { is_stored: false, ..persisted }.put(node));
            }
            return;
        }
        let mut keys: Vec<Digest> =
            members().filter(|(_, persisted)| persisted.is_marked).filter_map(|(_, own)| own.key).collect();
        let Some(component) = keys.first().and_then(|key| self.components.of(*key)) else { return };
        keys.insert(0, component);
        let mut group = self.group();
        keys.iter().for_each(|key| group.fresh(TaskKey(*key)));
        let changes = keys.into_iter().map(|key| (key, PendingChange::Fresh));
        let is_marked = !self.hand_over(&mut group, changes);
        members().for_each(|(node, persisted)| {
            let is_marked = persisted.is_marked && is_marked;
            Persisted { is_marked, is_orphan: false, ..persisted }.put(node);
        });
    }

    /// Returns why a component whose members are FRESH is not stored, if that can be found out anew.
    #[cold]
    pub(super) fn why_component_not_stored(&self, resolved: &Resolved) -> Result<(), Reason> {
        self.encode_component(resolved, &vec![Ran::Equal; resolved.members.len()]).map(|_| ())
    }

    fn encode_component(&self, resolved: &Resolved, ran: &[Ran]) -> Result<Whole, Reason> {
        if resolved.members.iter().any(|node| node.task_fn.stored.is_none()) {
            return Err(Reason::OnCycle);
        }
        if !resolved.members.iter().all(|node| lasts(*node) && !node.task_fn.may_expire()) {
            return Err(Reason::DoesNotLast);
        }
        let outer: Vec<Edge> = outer_reads(resolved, resolved.members[0]).collect();
        for member in &resolved.members {
            self.check_libraries(member.function, &outer)?;
            // SAFETY: the claim is held, or the node is FRESH in the open session.
            self.check_libraries(member.function, unsafe { member.deps() }.as_slice())?;
        }
        let mut members = Vec::with_capacity(resolved.members.len());
        for (node, ran) in resolved.members.iter().zip(ran) {
            let mut key = Vec::new();
            let task = self.named(*node, &mut key)?;
            let mut output = Vec::new();
            self.encode_value(*node, &mut output)?;
            // No member can be computed alone, should it not come back.
            self.check_return(*node, &output)?;
            members.push(Encoded { node: *node, ran: *ran, task, key, output, emitted: Vec::new() });
        }
        members.sort_unstable_by_key(|member| member.task);
        if members.windows(2).any(|two| two[0].task == two[1].task) {
            return Err(Reason::AmbiguousKey);
        }
        let tasks: Vec<TaskKey> = members.iter().map(|member| member.task).collect();
        let key = component_key(&tasks);
        let mut whole = Whole {
            members,
            task: TaskKey::of(self.fingerprints(), &key),
            key,
            reads: Vec::new(),
            told: Vec::new(),
        };
        whole.read(self, resolved, &outer)?;
        Ok(whole)
    }

    fn store_component(&self, resolved: &Resolved, ran: &[Ran]) -> Result<(), Reason> {
        let mut whole = self.encode_component(resolved, ran)?;
        let mut group = self.group();
        self.components.announce(&mut group);
        let mut output = Vec::new();
        // Emitted values are no part of the output, and tell its versions apart.
        let mut version = Vec::new();
        for (member, told) in whole.members.iter_mut().zip(&mut whole.told) {
            self.functions.announce(member.node.function, &mut group);
            told.fingerprint = self.fingerprint_of_member(member, whole.task);
            told.encode_into(&mut output);
            self.encode_emitted(member.node, &mut member.emitted)?;
            version.extend_from_slice(&self.fingerprints().digest(&member.emitted).to_bytes());
        }
        version.extend_from_slice(&output);
        let read = Read { key: whole.task.0, fingerprint: self.fingerprints().digest(&version) };
        let reads = NewReads::Here(&whole.reads);
        let trace = NewTrace { fingerprint: read.fingerprint, output: &output, reads, emitted: &[] };
        let mut changes = Vec::with_capacity(whole.members.len() + 1);
        changes.push((read.key, ran_to(self.fingerprints(), &trace)));
        group.ran(&NewTask { encoded_key: &whole.key, generation: self.generation, trace });
        for (member, told) in whole.members.iter().zip(&whole.told) {
            let mut buffer = Vec::new();
            let emitted = self.encode_emitted(member.node, &mut buffer)?;
            let trace = NewTrace {
                fingerprint: told.fingerprint,
                output: &member.output,
                reads: NewReads::Component(read),
                emitted: &emitted,
            };
            changes.push((member.task.0, ran_to(self.fingerprints(), &trace)));
            group.ran(&NewTask { encoded_key: &member.key, generation: self.generation, trace });
        }
        // Before it is handed over: what is marked from now on marks the component.
        let tasks: Vec<TaskKey> = whole.members.iter().map(|member| member.task).collect();
        self.components.stored(&tasks, whole.task);
        if !self.hand_over(&mut group, changes) {
            return Err(Reason::Refused);
        }
        for (member, told) in whole.members.iter().zip(&whole.told) {
            let named = Persisted::named(Some(member.task.0));
            let fingerprint = told.fingerprint;
            Persisted { fingerprint, is_stored: true, is_member: true, ..named }.put(member.node);
            crate::persist::wide::forget(member.node);
        }
        // The store will name a dependent of what it has read that no node stands for.
        self.nodes.explore_anew();
        Ok(())
    }

    /// The fingerprint of a member's value: that of the last one that is stored of it in this component, if the two are equal.
    fn fingerprint_of_member(&self, member: &Encoded, component: TaskKey) -> Digest {
        let mut mixed = self.fingerprints().digest(&member.output).to_bytes().to_vec();
        mixed.extend_from_slice(&component.to_bytes());
        let fingerprint = self.fingerprints().digest(&mixed);
        let before = Persisted::of(member.node).filter(|before| before.is_member);
        let Some(before) = before.map(|before| before.fingerprint).filter(|before| *before != fingerprint)
        else {
            return fingerprint;
        };
        let known = self.pending.known(&self.store, member.task, |_| true);
        let mut traces = known.iter().flat_map(|known| &known.traces);
        let earlier = traces.find(|trace| {
            let trace = trace.trace();
            trace.output.fingerprint == before
                && trace.component().is_some_and(|read| read.key == component.0)
        });
        let is_equal = member.ran == Ran::Equal
            || earlier.is_some_and(|earlier| self.is_equal(member.node, member.task, earlier));
        if earlier.is_some() && is_equal { before } else { fingerprint }
    }
}

fn ran_to(fingerprints: Fingerprints, trace: &NewTrace<'_>) -> PendingChange {
    let mut bytes = Vec::new();
    let reads = trace.encode_into(&mut bytes);
    PendingChange::Ran(StoredTrace::new(fingerprints, (&bytes, reads), trace.output, None))
}

impl Whole {
    /// Gathers what all members have read of others, in the order in which it comes to it, and what each has read.
    fn read(&mut self, persistence: &Persistence, resolved: &Resolved, outer: &[Edge]) -> Result<(), Reason> {
        let numbers = self.members.iter().enumerate().map(|(number, member)| (member.node, number as u32));
        let numbers: FxHashMap<NodeRef, u32> = numbers.collect();
        let mut found = FxHashMap::default();
        for edge in outer {
            self.note(persistence, *edge, &mut found, &mut |_| ())?;
        }
        for at in 0..self.members.len() {
            let Encoded { node, task, .. } = self.members[at];
            // SAFETY: the claim is held, or the node is FRESH in the open session.
            let edges = unsafe { node.deps() }.as_slice();
            let (first, later) = edges.split_at(resolved.first_reads(node).min(edges.len()));
            let mut reads = self.numbers(persistence, first, &numbers, &mut found)?;
            let first_reads = reads.len();
            reads.extend(self.numbers(persistence, later, &numbers, &mut found)?);
            let initial = resolved.initial_reads.get(&node).map_or(&[][..], Vec::as_slice);
            let initial_reads = self.numbers(persistence, initial, &numbers, &mut found)?;
            self.told.push(ComponentMember {
                task,
                fingerprint: Digest::default(),
                has_initial: node.task_fn.has_initial(),
                initial_reads,
                first_reads,
                reads,
            });
        }
        Ok(())
    }

    /// Returns the numbers of what these edges lead to.
    fn numbers(
        &mut self,
        persistence: &Persistence,
        edges: &[Edge],
        members: &FxHashMap<NodeRef, u32>,
        found: &mut FxHashMap<Digest, u32>,
    ) -> Result<Vec<MemberRead>, Reason> {
        let mut reads = Vec::with_capacity(edges.len());
        for edge in edges {
            match members.get(&edge.node()) {
                Some(_) if edge.reads_effects() => return Err(Reason::Collects),
                Some(number) => reads.push(MemberRead::Member(*number)),
                None => {
                    let mut tell = |number| reads.push(MemberRead::Outer(number));
                    self.note(persistence, *edge, found, &mut tell)?;
                }
            }
        }
        Ok(reads)
    }

    /// Adds what an edge to another task comes to, and tells its numbers.
    fn note(
        &mut self,
        persistence: &Persistence,
        edge: Edge,
        found: &mut FxHashMap<Digest, u32>,
        tell: &mut dyn FnMut(u32),
    ) -> Result<(), Reason> {
        let mut reads = Vec::new();
        match read_all(&[edge], &mut reads) {
            Err(Reason::ReadsUnstored) => {
                // A transient task stands for its reads, for each of the members.
                for member in &self.members {
                    persistence.reads_of(member.node, &[edge], &mut reads)?;
                }
            }
            outcome => outcome?,
        }
        for read in reads {
            let number = *found.entry(read.key).or_insert_with(|| {
                self.reads.push(read);
                self.reads.len() as u32 - 1
            });
            tell(number);
        }
        Ok(())
    }
}
