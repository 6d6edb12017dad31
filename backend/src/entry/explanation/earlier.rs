//! Earlier runs: why a task ran last as the store tells it, with names for people.

use std::sync::Arc;

use super::EarlierRun;
use crate::graph::node::NodeRef;
use crate::persist::Persistence;
use larder_storage::inspect::{InspectError, StoreReader, preview};
use larder_storage::{Digest, TaskKey};

/// Characters of arguments in a name.
const SHOWN: usize = 100;

impl Persistence {
    /// Returns why a task ran last as the store tells it, in at most `most` steps. None if it is not stored or the store fails.
    #[cold]
    pub(crate) fn earlier_run(&self, node: NodeRef, most: usize) -> Option<EarlierRun> {
        let task = TaskKey::of(self.fingerprints(), &self.encoded_key(node)?);
        self.read_earlier(task, most).ok().flatten()
    }

    fn read_earlier(&self, task: TaskKey, most: usize) -> Result<Option<EarlierRun>, InspectError> {
        let reader = StoreReader::of(Arc::clone(self.store.storage()), "the store")?;
        let Some(run) = reader.last_run(task, most)? else { return Ok(None) };
        let functions = reader.functions()?;
        let name = |key: Digest| -> Result<Box<str>, InspectError> {
            if let Some(task) = reader.task(TaskKey(key))? {
                let record = task.record();
                let function = record.function().and_then(|id| functions.get(&id));
                let path = function.map_or("?", |function| &function.path);
                let arguments = record.encoded_key.get(16..).unwrap_or_default();
                return Ok(format!("{path}({})", preview(arguments, SHOWN)).into());
            }
            Ok(match reader.leaf(key)? {
                Some(leaf) => {
                    format!("{:?} {}", leaf.kind, String::from_utf8_lossy(&leaf.name).escape_debug()).into()
                }
                None => key.to_string().into(),
            })
        };
        let names = run.steps.iter().map(|step| name(step.key)).collect::<Result<_, _>>()?;
        Ok(Some(EarlierRun { run, names }))
    }
}
