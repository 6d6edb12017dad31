//! The plan of a collection: which tasks no root needs. It is made by reading alone.

use rustc_hash::FxHashMap;

use super::{InspectError, StoreReader};
use crate::record::members_of;
use crate::{Digest, FunctionId, Table, TaskKey, Visit};

/// The choice of what stays: *roots*, and whatever they have read, directly or not.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Collect {
    /// Roots are tasks of these functions alone, if there are any here.
    pub keep: Vec<FunctionId>,
    /// Tasks that no run has stored or used for so many runs are no roots.
    pub unused_for: Option<u64>,
    /// Tasks of code that has been replaced are no roots: their function's path has another code identity that was used later.
    pub old_code: bool,
    /// After that the least recently used go, until keys and records take at most so many bytes.
    pub max_bytes: Option<u64>,
}

/// The tasks that a collection drops.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Collection {
    /// Their keys, in ascending order.
    pub tasks: Vec<TaskKey>,
    /// Stored tasks in all.
    pub of: u64,
}

/// The outcome of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Tasks that were dropped because no root needs them.
    pub tasks: u64,
    /// Tasks that were dropped for their size.
    pub evicted: u64,
    /// Tasks that lost older traces for their size.
    pub trimmed: u64,
    /// Sources that were dropped because nothing that is stored has read them.
    pub sources: u64,
    /// Bytes of the file before and after, if it is one.
    pub file_bytes: Option<(u64, u64)>,
}

/// A stored task in a plan.
struct Planned {
    key: [u8; 16],
    function: u32,
    used: u64,
}

impl StoreReader {
    /// Names the tasks that `what` drops, size apart. Reads all tasks, and those that stay once more. Memory: 40 bytes a task.
    ///
    /// # Errors
    /// If the store fails.
    pub fn plan_collection(&self, what: &Collect) -> Result<Collection, InspectError> {
        let mut functions: Vec<FunctionId> = Vec::new();
        let mut indices: FxHashMap<FunctionId, u32> = FxHashMap::default();
        let mut tasks: Vec<Planned> = Vec::new();
        self.tasks(None, |key, record| {
            if let Some(function) = record.function() {
                let index = *indices.entry(function).or_insert_with(|| {
                    functions.push(function);
                    (functions.len() - 1) as u32
                });
                tasks.push(Planned { key: key.to_bytes(), function: index, used: record.generation.0 });
            }
            Visit::Continue
        })?;
        let mut at = 0;
        self.scan(Table::Uses, &[], |key, payload| {
            while tasks.get(at).is_some_and(|task| &task.key[..] < key) {
                at += 1;
            }
            if let (Some(task), Ok(used)) = (tasks.get_mut(at), payload.try_into())
                && task.key == key
            {
                task.used = task.used.max(u64::from_le_bytes(used));
            }
            Visit::Continue
        })?;
        let replaced =
            if what.old_code { self.replaced(&functions, &tasks)? } else { vec![false; functions.len()] };
        let oldest =
            what.unused_for.map_or(0, |runs| self.head().generation.0.saturating_sub(runs.max(1) - 1));
        let is_root = |task: &Planned| {
            let function = task.function as usize;
            task.used >= oldest
                && !replaced[function]
                && (what.keep.is_empty() || what.keep.contains(&functions[function]))
        };
        let needed = self.reached(&tasks, is_root)?;
        let of = tasks.len() as u64;
        let dropped = tasks.iter().zip(&needed).filter(|(_, needed)| !**needed);
        let tasks = dropped.map(|(task, _)| TaskKey(Digest::from_bytes(task.key))).collect();
        Ok(Collection { tasks, of })
    }

    /// Tells of each function whether its path has other code that was used later.
    fn replaced(&self, functions: &[FunctionId], tasks: &[Planned]) -> Result<Vec<bool>, InspectError> {
        let mut used = vec![0; functions.len()];
        for task in tasks {
            let function = task.function as usize;
            used[function] = task.used.max(used[function]);
        }
        let names = self.functions()?;
        let path = |id: &FunctionId| names.get(id).map(|function| &*function.path);
        let mut newest: FxHashMap<&str, u64> = FxHashMap::default();
        for (id, used) in functions.iter().zip(&used) {
            if let Some(path) = path(id) {
                let newest = newest.entry(path).or_default();
                *newest = (*newest).max(*used);
            }
        }
        let older = |(id, used): (&FunctionId, &u64)| path(id).is_some_and(|path| newest[path] > *used);
        Ok(functions.iter().zip(&used).map(older).collect())
    }

    /// Marks the roots among `tasks`, which are in the order of their keys, and whatever they have read; of a component all members.
    fn reached(
        &self,
        tasks: &[Planned],
        is_root: impl Fn(&Planned) -> bool,
    ) -> Result<Vec<bool>, InspectError> {
        let mut reached: Vec<bool> = tasks.iter().map(is_root).collect();
        let roots = reached.iter().enumerate().filter(|(_, root)| **root);
        let mut stack: Vec<u32> = roots.map(|(place, _)| place as u32).collect();
        if stack.len() == tasks.len() {
            return Ok(reached);
        }
        while let Some(place) = stack.pop() {
            let key = TaskKey(Digest::from_bytes(tasks[place as usize].key));
            let Some(task) = self.task(key)? else { continue };
            self.reads(key, &task.record().current, |read| {
                let read = read.key.to_bytes();
                if let Ok(place) = tasks.binary_search_by(|task| task.key.cmp(&read))
                    && !std::mem::replace(&mut reached[place], true)
                {
                    stack.push(place as u32);
                }
            })?;
            // The members of a component are of use together only.
            for member in members_of(task.record().encoded_key).into_iter().flatten() {
                let member = member.to_bytes();
                if let Ok(place) = tasks.binary_search_by(|task| task.key.cmp(&member))
                    && !std::mem::replace(&mut reached[place], true)
                {
                    stack.push(place as u32);
                }
            }
        }
        Ok(reached)
    }
}
