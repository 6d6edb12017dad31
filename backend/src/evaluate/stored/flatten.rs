//! Flattened reads: those of a task that has read transient tasks, which no store knows.
//!
//! In the record of such a task stand, in place of a transient task, the reads of that task. For example, `lint(path)` reads the
//! transient `parse(path)`, which reads the file, and then a stored `config()`: its record has read the file, then `config()`. In another process it is
//! restored if both are as they were, and `parse` does not run at all. The value of the transient task itself is not needed for
//! that: on the same reads it comes to the same.
//!
//! This holds of a transient task whose own reads all are stored, in turn as here, and whose value they decide alone. So there is none if it
//! is volatile, expires, does not keep each value, lies on a cycle, emits (a collector would miss it), is a part, or stands in a library that the
//! reader's identity does not stand for. A reader with a declared version has no flattened reads: its version says nothing of
//! the transient function's code.
//!
//! *Cutting off.* In one process a transient task that comes to the same leaves its readers current; they are stored anew then, with the
//! reads as they are now ([`verified`](super::verified)). Between processes there is no value to compare with: a flattened read that differs makes the body
//! run.

use rustc_hash::FxHashSet;

use crate::graph::edges::Edge;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::reason::Reason;
use crate::persist::Persistence;
use crate::persist::wide::{is_wide, read_all};
use larder_storage::record::Read;

/// The most transient tasks that are looked through for one run. More than these make the reader unstored.
const MOST: usize = 256;

impl Persistence {
    /// Gathers the reads of a claimed node that has been found current or has run, with their fingerprints, or returns why the node cannot
    /// be stored.
    pub(super) fn reads_of(
        &self,
        node: NodeRef,
        edges: &[Edge],
        reads: &mut Vec<Read>,
    ) -> Result<(), Reason> {
        match read_all(edges, reads) {
            Err(Reason::ReadsUnstored) if may_be_flat(node) => self.flatten(node, edges, reads),
            outcome => outcome,
        }
    }

    #[cold]
    fn flatten(&self, reader: NodeRef, edges: &[Edge], reads: &mut Vec<Read>) -> Result<(), Reason> {
        reads.clear();
        let (mut seen, mut transient) = (FxHashSet::default(), FxHashSet::default());
        let mut path = vec![edges.iter()];
        while let Some(left) = path.last_mut() {
            let Some(edge) = left.next() else {
                path.pop();
                continue;
            };
            let node = edge.node();
            if edge.reads_effects() {
                return Err(Reason::Collects);
            }
            if !node.state.is_fresh() {
                return Err(Reason::ReadsFailed);
            }
            match Persisted::of(node) {
                Some(Persisted { key: Some(key), fingerprint, is_stored: true, .. }) => {
                    if !self.functions.covers(reader.function, node.function) {
                        return Err(Reason::ReadsLibrary);
                    }
                    // A read that comes a second time says nothing new.
                    if seen.insert(key) {
                        reads.push(Read { key, fingerprint });
                    }
                }
                _ if transient.contains(&node) => {}
                _ if is_decided_by_its_reads(node) && transient.len() < MOST => {
                    if !self.functions.is_of_the_build(node.function, node.task_fn) {
                        return Err(Reason::ReadsLibrary);
                    }
                    transient.insert(node);
                    // SAFETY: the node has just been seen FRESH, and stays so as long as the session is open, which the reader's claim
                    // is part of.
                    path.push(unsafe { node.deps() }.as_slice().iter());
                }
                _ => return Err(Reason::ReadsUnstored),
            }
            if is_wide(reads.len()) {
                return Err(Reason::ReadsUnstored);
            }
        }
        Ok(())
    }
}

impl Persistence {
    /// Returns the way from a node to the read because of which it is not stored: a read, a read of that one, and so on, but for those of
    /// the node that are stored. Empty if it is not for a read. The node is claimed, or FRESH in the open session.
    #[cold]
    pub(crate) fn way_to_unstored(&self, node: NodeRef) -> Vec<NodeRef> {
        let (mut way, mut reader) = (Vec::new(), node);
        while way.len() < MOST {
            let step = self.first_unstored(reader);
            let Some(last) = step.last().copied() else { break };
            way.extend(step);
            // The reads of a restored task are stored.
            let is_task = last.task_fn.stored.is_some() && !last.task_fn.is_leaf();
            if !is_task || !last.state.is_fresh() || last.flag(Flags::RESTORED | Flags::RESOLVED) {
                break;
            }
            reader = last;
        }
        way
    }

    /// Returns the first read of a node that makes it unstored, after the transient tasks that lead to it.
    fn first_unstored(&self, reader: NodeRef) -> Vec<NodeRef> {
        let looks_through = may_be_flat(reader);
        let mut met = FxHashSet::from_iter([reader]);
        // SAFETY: the node is claimed, or FRESH in the open session.
        let mut path = vec![(reader, unsafe { reader.deps() }.as_slice().iter())];
        let nodes = |path: &[(NodeRef, _)]| path.iter().skip(1).map(|(node, _)| *node).collect::<Vec<_>>();
        while let Some((_, left)) = path.last_mut() {
            let Some(edge) = left.next() else {
                path.pop();
                continue;
            };
            let node = edge.node();
            if edge.reads_effects() {
                // Collecting is what the task on the way does, not what it reads.
                return nodes(&path);
            }
            if node.is_stored() || !met.insert(node) {
                continue;
            }
            let leads_on = looks_through && node.state.is_fresh() && is_decided_by_its_reads(node);
            if !leads_on || !self.functions.is_of_the_build(node.function, node.task_fn) {
                let mut way = nodes(&path);
                way.push(node);
                return way;
            }
            // SAFETY: the node has just been seen FRESH in the open session.
            path.push((node, unsafe { node.deps() }.as_slice().iter()));
        }
        Vec::new()
    }
}

/// Whether what a node reads by way of transient tasks may stand for these. A part that is restored has to read its source, and nothing else.
fn may_be_flat(node: NodeRef) -> bool {
    node.task_fn.version.is_none() && node.task_fn.part.is_none()
}

/// Whether a fresh node is that of a transient task whose value and effects depend on its arguments and its reads alone.
fn is_decided_by_its_reads(node: NodeRef) -> bool {
    let task_fn = node.task_fn;
    let is_transient = task_fn.stored.is_none() && task_fn.emits() && task_fn.part.is_none();
    let lasts = !task_fn.volatile && !task_fn.may_expire() && !task_fn.judges() && !task_fn.has_initial();
    let is_plain = !node.flag(Flags::RESOLVED | Flags::TWIN | Flags::MUST_RUN);
    let emits_nothing = || node.extra().is_none_or(|extra| extra.emitted.lock().is_empty());
    is_transient && lasts && is_plain && emits_nothing()
}
