//! Recall: a node for a task that is only stored, made from its encoded key. So its body can run before the bodies that read it,
//! and they need not if it returns what it did: the early cutoff over a restart.
//!
//! A key begins with the function's id. It is found if this process has called the function, or if the function has
//! [`Registered`] itself when the program was loaded, as free functions without type parameters do. The arguments are decoded,
//! and have to encode to the same bytes again. Where one of these is missing there is no node, and the body that reads the task
//! runs, calls it, and so makes one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::stack::on_enough_stack;
use crate::call::digested::keyed;
use crate::context::local::Local;
use crate::evaluate::lookup::{insert, peek};
use crate::graph::claim::Phase;
use crate::graph::flags::Leaving;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::table::Inserted;
use crate::persist::Persistence;
use larder_storage::record::TaskRecord;
use larder_storage::{Digest, FunctionId, Table, TaskKey};

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
}

/// Handles are arguments of tasks to which there are handles. So deep may they nest for a task to be recalled.
const DEEPEST: u32 = 1_000;

impl Persistence {
    /// The node of a stored task: the one that it has, or one that is made from its key. None if that is not possible.
    pub(crate) fn node_of(&self, local: &Local, key: Digest) -> Option<NodeRef> {
        self.nodes.get(key).or_else(|| {
            let nested = NESTED.get();
            if nested >= DEEPEST {
                return None;
            }
            NESTED.set(nested + 1);
            let node = on_enough_stack(|| self.recall(local, TaskKey(key)));
            NESTED.set(nested);
            node
        })
    }

    fn recall(&self, local: &Local, task: TaskKey) -> Option<NodeRef> {
        let mut buffer = Vec::new();
        let payload = self.store.get(Table::Tasks, &task.to_bytes(), &mut buffer)?;
        let encoded = TaskRecord::decode(payload).ok()?.encoded_key;
        if TaskKey::of(self.fingerprints(), encoded) != task {
            return None;
        }
        let (id, arguments) = encoded.split_first_chunk::<16>()?;
        let task_fn = self.functions.find(FunctionId(Digest::from_bytes(*id)))?;
        let recall = task_fn.recall?;
        let mut node = None;
        let mut make = |hash, slot: &mut crate::call::args::ArgsSlot<'_>| {
            node = Some(peek(local, task_fn, hash, slot).unwrap_or_else(|| {
                match insert(local, task_fn, hash, slot, Phase::Empty) {
                    Inserted::New(node) => {
                        // Unless it is asked for its value, nothing keeps it but handles.
                        node.put_on(Leaving::ABANDONED);
                        node
                    }
                    Inserted::Existing(node) => node,
                }
            }));
        };
        // Runs the user's `Deserialize`, `Serialize`, `Hash` and `Eq`.
        let recall = || keyed(self.fingerprints(), || recall(task_fn, arguments, &mut make));
        let is_made = catch_unwind(AssertUnwindSafe(recall));
        let node = node.filter(|_| is_made.unwrap_or(false))?;
        let name = match Persisted::of(node) {
            Some(persisted) => persisted.key.map(TaskKey),
            None => self.own(node, Some(task.0)),
        };
        (name == Some(task)).then_some(node)
    }
}
