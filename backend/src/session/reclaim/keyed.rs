//! Keyed: tasks that are out of reach because their arguments hold a removed input that nothing else holds.
//!
//! A task that takes an input as an argument keeps it, by a handle in its key. Once the program has let go of a removed input, such
//! tasks keep it, and themselves, for nothing: a call that is equal to theirs takes a handle. So when inputs are removed, the keys of
//! the tasks that depend on them are searched for their handles, and counted. When an input has no other handle left than those,
//! these tasks are unreachable by a call. They go as soon as nothing reads or holds them.
//!
//! For example: `total(&doc)` calls `lines(&doc)`, which reads `doc`. After `update.remove(&doc)` three handles are left, two of them in
//! keys. When the program drops its own, both tasks go, and the input with them.
//!
//! A search looks at all that depends on the inputs, which may be the same 100,000 tasks for each of 10,000 inputs that are removed one
//! after the other. So when searches have looked at more than so many tasks, the next one waits until further updates have paid for
//! that, and is for all inputs that were removed meanwhile.
//!
//! This sees what a key's `Hash` shows, and tasks that depend on the input when it is removed. Handles that stand anywhere else
//! (in values, in keys of tasks that never read the input) count as the program's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustc_hash::{FxHashMap, FxHashSet};

use super::lists::Lists;
use crate::context::local::OutOfSight;
use crate::graph::flags::Leaving;
use crate::graph::held::Seeker;
use crate::graph::node::NodeRef;

/// The most tasks that are searched: a removal that reaches more leaves them as they are.
const MOST: usize = 1 << 18;

/// For how many looks an update pays.
const PAID: usize = 1 << 12;

/// Which tasks hold a removed input in their keys, how often.
#[derive(Default)]
pub(super) struct Keyed {
    by_input: FxHashMap<NodeRef, Keys>,
    by_task: FxHashMap<NodeRef, FxHashSet<NodeRef>>,
    /// Removed inputs for which keys are still to be searched.
    unsearched: FxHashSet<NodeRef>,
    /// How many looks are not paid for.
    debt: usize,
}

/// The keys that hold one input.
#[derive(Default)]
struct Keys {
    handles: FxHashMap<NodeRef, usize>,
    /// How many handles that is in all.
    inner: usize,
    /// Whether their tasks have been found to be unreachable.
    are_unreachable: bool,
}

/// The findings of a search of keys.
#[derive(Default)]
pub(super) struct Findings {
    /// Inputs, tasks, and how many handles to the one are in the key of the other.
    handles: Vec<(NodeRef, NodeRef, usize)>,
    looks: usize,
}

impl Findings {
    /// Searches all that depends on inputs, which were removed and have been marked, beginning with `known`.
    ///
    /// Runs the user's `Hash`, with the gate held exclusively, inside of an update. One that panics has shown nothing.
    pub(super) fn search(inputs: &[NodeRef], known: &[NodeRef]) -> Self {
        let cell_of = |node: &NodeRef| {
            node.extra()
                .and_then(|extra| extra.handle.lock().as_ref().map(|shared| (shared.address(), *node)))
        };
        let cells: FxHashMap<usize, NodeRef> = inputs.iter().filter_map(cell_of).collect();
        let mut found = Self::default();
        if cells.is_empty() {
            return found;
        }
        let _out_of_sight = OutOfSight::begin();
        let mut counts: FxHashMap<usize, usize> = cells.keys().map(|cell| (*cell, 0)).collect();
        for task in dependents_of(inputs, known, &mut found.looks) {
            let mut seeker = Seeker::new(&mut counts);
            // SAFETY: the operations are those of the node's types.
            let search = || unsafe { (task.task_fn.ops.seek_handles)(task, &mut seeker) };
            let outcome = catch_unwind(AssertUnwindSafe(search));
            for cell in seeker.into_cells() {
                let count = counts.get_mut(&cell).map_or(0, std::mem::take);
                if outcome.is_ok() {
                    found.handles.push((cells[&cell], task, count));
                }
            }
        }
        found
    }
}

/// All tasks that depend on these inputs, as far as memory knows, or are `known` to; none if they are very many.
fn dependents_of(inputs: &[NodeRef], known: &[NodeRef], looks: &mut usize) -> Vec<NodeRef> {
    let mut tasks = known.to_vec();
    let mut seen: FxHashSet<NodeRef> = known.iter().copied().collect();
    let mut next = 0;
    let mut push_readers = |node: NodeRef, tasks: &mut Vec<NodeRef>| {
        node.with_dependents(|dependents| {
            *looks += 1 + dependents.as_slice().len();
            for dependent in dependents.as_slice() {
                // SAFETY: the gate is held exclusively.
                if unsafe { dependent.position_of(node) }.is_some() && seen.insert(dependent.reader()) {
                    tasks.push(dependent.reader());
                }
            }
        });
    };
    inputs.iter().for_each(|input| push_readers(*input, &mut tasks));
    while let Some(task) = tasks.get(next).copied() {
        next += 1;
        if next > MOST {
            return Vec::new();
        }
        push_readers(task, &mut tasks);
    }
    tasks
}

impl Keyed {
    pub(super) fn has_unsearched(&self) -> bool {
        !self.unsearched.is_empty()
    }

    /// An update has removed inputs. Takes those for which keys are to be searched now: all, or none if that has to wait.
    pub(super) fn take_due(&mut self, removed: &[NodeRef], must: bool) -> Vec<NodeRef> {
        self.debt = self.debt.saturating_sub(PAID);
        self.unsearched.extend(removed);
        if self.debt > MOST && !must { Vec::new() } else { self.unsearched.drain().collect() }
    }

    /// How many handles to an input stand in keys of tasks that are there.
    pub(super) fn inner_handles(&self, input: NodeRef) -> usize {
        self.by_input.get(&input).map_or(0, |keys| keys.inner)
    }

    /// Whether the key of a task holds a removed input.
    pub(super) fn has(&self, task: NodeRef) -> bool {
        self.by_task.contains_key(&task)
    }

    /// Gives back what room there is, if there is nothing.
    pub(super) fn shrink(&mut self) {
        if self.by_input.is_empty() && self.by_task.is_empty() && self.by_task.capacity() > 0 {
            (self.by_input, self.by_task) = Default::default();
        }
        if self.unsearched.is_empty() && self.unsearched.capacity() > 0 {
            self.unsearched = FxHashSet::default();
        }
    }

    /// A task is about to go.
    pub(super) fn forget_task(&mut self, task: NodeRef) {
        if self.by_task.is_empty() {
            return;
        }
        for input in self.by_task.remove(&task).unwrap_or_default() {
            if let Some(keys) = self.by_input.get_mut(&input) {
                keys.inner -= keys.handles.remove(&task).unwrap_or_default();
            }
        }
    }

    /// An input is about to go, or has its name again.
    pub(super) fn forget_input(&mut self, input: NodeRef) {
        self.unsearched.remove(&input);
        for task in self.by_input.remove(&input).unwrap_or_default().handles.into_keys() {
            if let Some(inputs) = self.by_task.get_mut(&task) {
                inputs.remove(&input);
                if inputs.is_empty() {
                    self.by_task.remove(&task);
                }
            }
        }
    }
}

impl Lists {
    /// Notes what the keys of tasks hold of inputs that were removed.
    pub(super) fn note_keys(&mut self, found: Findings, inputs: &[NodeRef]) {
        self.keyed.debt += found.looks;
        for (input, task, count) in found.handles {
            let keys = self.keyed.by_input.entry(input).or_default();
            keys.inner -= keys.handles.insert(task, count).unwrap_or_default();
            keys.inner += count;
            keys.are_unreachable = false;
            self.keyed.by_task.entry(task).or_default().insert(input);
        }
        for input in inputs {
            self.look_at_handles(*input);
        }
    }

    /// If a removed input has no handle but in keys, their tasks are unreachable.
    pub(super) fn look_at_handles(&mut self, input: NodeRef) {
        let inner = self.keyed.inner_handles(input);
        let extra = input.extra();
        let is_let_go = extra.is_some_and(|extra| {
            extra.handle.lock().as_ref().is_some_and(|shared| shared.abandon_but(inner))
        });
        let Some(keys) = self.keyed.by_input.get_mut(&input).filter(|_| is_let_go) else { return };
        if !std::mem::replace(&mut keys.are_unreachable, true) {
            let tasks: Vec<_> = keys.handles.keys().copied().collect();
            for task in tasks {
                task.put_on(Leaving::UNREACHABLE);
                self.list(task);
            }
        }
    }
}
