//! Memory: what tasks take, as data and as a table, and less of it on request.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::context::engine::Engine;
use crate::context::gate::UpdatePolicy;
use crate::context::watch::UpdateError;
use crate::graph::flags::Flags;
use crate::graph::footprint;
use crate::graph::node::NodeRef;
use crate::graph::table::Place;

/// The places of the table that are looked at in one session.
const PLACES: usize = 8192;

/// The sweeps that are tried to shrink: results expire meanwhile, which is to be stored before their tasks go.
const SWEEPS: usize = 4;

/// The memory that the tasks of one function take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionMemory {
    /// The function's name.
    pub name: &'static str,
    /// The module path and name.
    pub path: &'static str,
    /// Tasks in memory.
    pub tasks: usize,
    /// Tasks whose output is in memory.
    pub outputs: usize,
    /// The bytes of their nodes, arguments and outputs, of the edges to what they read, and of what hangs on outputs, as far as that is
    /// weighed.
    pub bytes: usize,
}

/// The memory that the tasks of a runtime take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// The bytes of all tasks. Those that open sessions have added lately may be missing.
    pub bytes: usize,
    /// The most that they may be between sessions.
    pub cap: Option<usize>,
    /// By how many bytes the last sweep has missed the cap: what was held, in use or kept took more. 0 when the cap has been met since.
    pub missed: usize,
    /// The tasks that have gone to save memory, or because nothing asked for them.
    pub freed: u64,
    /// The outputs that have gone to save memory, of tasks that are read by others.
    pub dropped: u64,
    /// The longest that a slice of what is to go has kept sessions from opening.
    pub longest_slice: Duration,
    /// One entry per function with tasks in memory, the greatest first.
    pub functions: Vec<FunctionMemory>,
}

/// A task in memory, to be told from others.
pub struct KnownTask(NodeRef);

impl KnownTask {
    /// Returns the name of its function.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.0.task_fn.site.name
    }

    /// Returns the path of its function: the module path and name.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.0.task_fn.site.path
    }

    /// Whether its output is in memory.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.0.flag(Flags::HAS_VALUE)
    }
}

/// Writes the task as errors name it: the function and its arguments, each cut short.
impl fmt::Display for KnownTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Debug for KnownTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The effect of shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Swept {
    /// The bytes of all tasks before.
    pub before: usize,
    /// The bytes of all tasks now.
    pub after: usize,
    /// The tasks that have gone.
    pub freed: u64,
    /// The outputs that have gone, of tasks that are read by others.
    pub dropped: u64,
}

impl MemoryUse {
    /// Returns the entry of a function, by its name or its path.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FunctionMemory> {
        self.functions.iter().find(|function| function.name == name || function.path == name)
    }
}

impl fmt::Display for MemoryUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)?;
        if let Some(cap) = self.cap {
            write!(f, " of {cap}")?;
        }
        if self.missed > 0 {
            write!(f, ", {} more than the cap could not go", self.missed)?;
        }
        writeln!(f, "; {} tasks and {} outputs have gone", self.freed, self.dropped)?;
        for FunctionMemory { path, tasks, outputs, bytes, .. } in &self.functions {
            writeln!(f, "{bytes:>14} bytes {tasks:>10} tasks {outputs:>10} outputs  {path}")?;
        }
        Ok(())
    }
}

impl Engine {
    /// Returns what the tasks take, by function. Looks at each task once, in short sessions.
    ///
    /// # Panics
    /// Inside of an update.
    #[must_use]
    #[track_caller]
    pub fn memory_use(self: &Arc<Self>) -> MemoryUse {
        let mut by_function: Vec<(usize, usize, usize)> = Vec::new();
        let mut next = Some(Place::default());
        while let Some(place) = next {
            next = self.run(None, || self.count_from(place, &mut by_function));
        }
        let functions = self.functions.all().into_iter().zip(by_function);
        let mut functions: Vec<_> = functions
            .filter(|(_, (tasks, ..))| *tasks > 0)
            .map(|(task_fn, (tasks, outputs, bytes))| FunctionMemory {
                name: task_fn.site.name,
                path: task_fn.site.path,
                tasks,
                outputs,
                bytes,
            })
            .collect();
        functions.sort_by_key(|function| (std::cmp::Reverse(function.bytes), function.path));
        let Self { memory, .. } = &**self;
        MemoryUse {
            bytes: memory.used(),
            cap: memory.cap(),
            missed: memory.missed(),
            freed: memory.freed.load(Relaxed),
            dropped: memory.dropped.load(Relaxed),
            longest_slice: memory.longest_slice(),
            functions,
        }
    }

    fn count_from(&self, place: Place, by_function: &mut Vec<(usize, usize, usize)>) -> Option<Place> {
        let mut nodes = Vec::new();
        let next = self.table.nodes_from(place, PLACES, &mut nodes);
        for node in nodes {
            let at = node.function as usize;
            if by_function.len() <= at {
                by_function.resize(at + 1, (0, 0, 0));
            }
            let (tasks, outputs, bytes) = &mut by_function[at];
            *tasks += 1;
            *outputs += usize::from(node.flag(Flags::HAS_VALUE));
            *bytes += if node.state.is_fresh() {
                // SAFETY: the node was seen FRESH in the open session.
                unsafe { footprint::of(node) }
            } else {
                footprint::fixed(node) + footprint::weight(node)
            };
        }
        next
    }

    /// Forgets the tasks that `forgets` says of, which runs in a session and under no lock. Returns how many. Inputs, sources and what
    /// has no task function are not asked about.
    ///
    /// # Panics
    /// Inside of an update; if `forgets` does.
    #[track_caller]
    pub fn forget_if(self: &Arc<Self>, mut forgets: impl FnMut(&KnownTask) -> bool) -> usize {
        self.run(None, || {
            self.forget_nodes(|node| {
                let is_task = !node.task_fn.is_leaf() && node.task_fn.observe.is_none();
                is_task && forgets(&KnownTask(node))
            })
        })
    }

    /// Sets how many outputs of a function with `lru` stay in memory. Returns whether there is one of this name or path that has been called.
    pub fn set_lru(&self, name: &str, most: usize) -> bool {
        let mut is_known = false;
        for (function, task_fn) in self.functions.all().into_iter().enumerate() {
            let is_it = task_fn.site.name == name || task_fn.site.path == name;
            if is_it && task_fn.most.is_some() && self.recents.set(function as u32, most) {
                self.chores.list_prompt();
            }
            is_known |= is_it && task_fn.most.is_some();
        }
        is_known
    }

    /// Commits what waits to be stored, then drops tasks and outputs until no more than `bytes` are used, or nothing is left that may go. Waits for the open sessions, and lets
    /// others in between its slices.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this engine open; [`UpdateError::InUpdate`] inside an update.
    pub fn shrink_to(&self, bytes: usize) -> Result<Swept, UpdateError> {
        self.check_no_session()?;
        let counts = || (self.memory.freed.load(Relaxed), self.memory.dropped.load(Relaxed));
        let (before, (freed, dropped)) = (self.memory.used(), counts());
        for _ in 0..SWEEPS {
            // A task whose records wait stays. If they cannot be stored now, so be it.
            let _failed = self.flush();
            self.exclusively(UpdatePolicy::Wait, None, |_| self.reclaim.begin_shrinking(self, bytes))?;
            while self.exclusively(UpdatePolicy::Wait, None, |_| self.reclaim.is_shrinking())? {}
            if !self.reclaim.awaits_commit() {
                break;
            }
        }
        let (freed_now, dropped_now) = counts();
        let after = self.memory.used();
        Ok(Swept { before, after, freed: freed_now - freed, dropped: dropped_now - dropped })
    }
}
