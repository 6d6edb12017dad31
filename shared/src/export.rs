//! Export: the results in a store that are of use to others, in an order in which each task comes after all that it has read.

use std::collections::HashMap;

use larder_storage::inspect::{InspectError, StoreReader, StoredFunction, StoredTask};
use larder_storage::record::{self, ForeignTrace, SourceKind, Trace};
use larder_storage::{Digest, FunctionId, TaskKey, Visit};

use crate::bounds::{MOST_READS, MOST_TRACES, MOST_UNPACKED_BYTES};

/// Counts of results that were not pushed, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Results that have read an absolute path, or one above the base, by themselves or through others. See `Builder::base`.
    pub absolute_paths: u64,
    /// Results that have read an environment variable that is named like a secret, by themselves or through others.
    pub secrets: u64,
    /// Results of functions whose values do not come back from their encoding.
    pub lossy: u64,
    /// Results of which something is missing in the store.
    pub incomplete: u64,
    /// Results that are larger than a pack.
    pub too_large: u64,
}

/// A source or input that shared tasks have read.
pub(crate) struct ExportedLeaf {
    pub(crate) kind: SourceKind,
    pub(crate) content: Digest,
    pub(crate) name: Box<[u8]>,
    shares: Result<(), Why>,
}

#[cfg(test)]
impl ExportedLeaf {
    pub(crate) fn for_test(kind: SourceKind, name: &[u8]) -> Self {
        Self { kind, content: Digest::xxh3(name), name: name.into(), shares: Ok(()) }
    }
}

pub(crate) struct ExportedTask {
    pub(crate) key: TaskKey,
    pub(crate) encoded_key: Box<[u8]>,
    pub(crate) function: FunctionId,
    /// The most recent one first.
    pub(crate) traces: Vec<ForeignTrace>,
    /// Whether it and all that it has read are of functions that are shared between builds.
    pub(crate) is_of_any_build: bool,
}

/// Why something is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    AbsolutePath,
    Secret,
    Incomplete,
}

/// All that is shared of a store.
pub(crate) struct Export {
    pub(crate) functions: HashMap<FunctionId, StoredFunction>,
    pub(crate) leaves: HashMap<Digest, ExportedLeaf>,
    /// Each after what it has read.
    pub(crate) tasks: Vec<ExportedTask>,
    pub(crate) skipped: Skipped,
}

impl Export {
    /// Reads a store. Memory: about the bytes of its records.
    pub(crate) fn of(reader: &StoreReader) -> Result<Self, InspectError> {
        let mut export = Self {
            functions: HashMap::new(),
            leaves: HashMap::new(),
            tasks: Vec::new(),
            skipped: Skipped::default(),
        };
        let functions = reader.functions()?;
        for function in functions.values().filter(|function| !function.is_lossy && !function.is_local) {
            export.functions.insert(function.id, function.clone());
        }
        reader.leaves(|leaf| {
            let shares = shares(leaf.kind, &leaf.name);
            let (kind, content) = (leaf.kind, leaf.fingerprint);
            export.leaves.insert(leaf.key, ExportedLeaf { kind, content, name: leaf.name, shares });
            Visit::Continue
        })?;
        let mut keys = Vec::new();
        reader.tasks(None, |key, record| {
            let function = record.function().unwrap_or(FunctionId(Digest::default()));
            keys.push((function, record.encoded_key.to_vec(), key));
            Visit::Continue
        })?;
        // Arguments that resemble each other stand together, which packs better.
        keys.sort_unstable();
        let mut all = Vec::with_capacity(keys.len());
        for (function, encoded_key, key) in keys {
            if !export.functions.contains_key(&function) {
                export.skipped.lossy += 1;
                continue;
            }
            let Some(task) = reader.task(key)? else { continue };
            let traces = export.traces_of(reader, &task)?;
            let encoded_key = encoded_key.into();
            all.push(ExportedTask { key, encoded_key, function, traces, is_of_any_build: true });
        }
        export.sort(all);
        Ok(export)
    }

    fn traces_of(
        &mut self,
        reader: &StoreReader,
        task: &StoredTask,
    ) -> Result<Vec<ForeignTrace>, InspectError> {
        let mut traces = Vec::new();
        // A task stands in one pack, with all its traces.
        let mut room = MOST_UNPACKED_BYTES / 2;
        let older = reader.older_traces(task)?;
        let decoded = older.iter().filter_map(|payload| Trace::decode(payload).ok());
        for trace in [task.record().current].into_iter().chain(decoded).take(MOST_TRACES) {
            let mut reads = Vec::new();
            let is_whole = reader.reads(task.key(), &trace, |read| reads.push(read))?;
            let output = reader.output(task.key(), &trace.output)?;
            let Some(output) = output.filter(|_| is_whole) else {
                self.skipped.incomplete += 1;
                continue;
            };
            let bytes = output.len() + reads.len() * 36;
            if reads.len() > MOST_READS || bytes > room {
                self.skipped.too_large += 1;
                continue;
            }
            room -= bytes;
            let emitted = trace.emitted().map(|emitted| (emitted.channel, emitted.value.to_vec())).collect();
            traces.push(ForeignTrace { fingerprint: trace.output.fingerprint, output, reads, emitted });
        }
        Ok(traces)
    }

    /// Puts tasks behind what they have read, and drops what cannot be shared. Nothing here recurses.
    fn sort(&mut self, all: Vec<ExportedTask>) {
        let index: HashMap<Digest, usize> =
            all.iter().enumerate().map(|(at, task)| (task.key.0, at)).collect();
        let mut places: Vec<Place> = all.iter().map(|_| Place::New).collect();
        let mut waiting: Vec<Option<ExportedTask>> = all.into_iter().map(Some).collect();
        for root in 0..waiting.len() {
            if !matches!(places[root], Place::New) {
                continue;
            }
            let mut path = vec![Step { task: root, trace: 0, read: 0 }];
            while let Some(step) = path.last_mut() {
                places[step.task] = Place::Open;
                let task = waiting[step.task].as_ref().expect("an open task is not done");
                let is_new = |at: &usize| matches!(places[*at], Place::New);
                match step.next(task, |key| index.get(&key).copied().filter(is_new)) {
                    Some(to) => path.push(Step { task: to, trace: 0, read: 0 }),
                    None => {
                        let at = step.task;
                        path.pop();
                        if let Some(task) = waiting[at].take() {
                            places[at] = self.judge(task, &index, &places);
                        }
                    }
                }
            }
        }
    }

    /// Keeps of a task what can be shared; all that it has read has been judged.
    fn judge(&mut self, mut task: ExportedTask, index: &HashMap<Digest, usize>, places: &[Place]) -> Place {
        let mut is_of_any_build =
            self.functions.get(&task.function).is_some_and(|function| function.is_shared);
        let mut why = Why::Incomplete;
        let mut fits = |trace: &ForeignTrace| {
            for read in &trace.reads {
                let found = match (self.leaves.get(&read.key), index.get(&read.key).map(|at| places[*at])) {
                    (Some(leaf), _) => leaf.shares,
                    (None, Some(Place::Shared { is_of_any_build: too })) => {
                        is_of_any_build &= too;
                        Ok(())
                    }
                    (None, Some(Place::Dropped(why))) => Err(why),
                    // It reads itself by an earlier result, or what the store does not have.
                    (None, _) => Err(Why::Incomplete),
                };
                if let Err(found) = found {
                    why = found;
                    return false;
                }
            }
            true
        };
        let has_current = task.traces.first().is_some_and(&mut fits);
        task.traces.retain(&mut fits);
        if !has_current {
            match why {
                Why::AbsolutePath => self.skipped.absolute_paths += 1,
                Why::Secret => self.skipped.secrets += 1,
                Why::Incomplete => self.skipped.incomplete += 1,
            }
        }
        if task.traces.is_empty() {
            return Place::Dropped(why);
        }
        task.is_of_any_build = is_of_any_build;
        self.tasks.push(task);
        Place::Shared { is_of_any_build }
    }
}

/// A task on the way, and the read that is looked at next.
struct Step {
    task: usize,
    trace: usize,
    read: usize,
}

impl Step {
    /// Goes on to the next read that leads to a new task.
    fn next(&mut self, task: &ExportedTask, new: impl Fn(Digest) -> Option<usize>) -> Option<usize> {
        while let Some(trace) = task.traces.get(self.trace) {
            while let Some(read) = trace.reads.get(self.read) {
                self.read += 1;
                if let Some(to) = new(read.key) {
                    return Some(to);
                }
            }
            (self.trace, self.read) = (self.trace + 1, 0);
        }
        None
    }
}

#[derive(Clone, Copy)]
enum Place {
    New,
    Open,
    Shared { is_of_any_build: bool },
    Dropped(Why),
}

/// Returns why results that have read a source or variable stay on their machine, if they do.
#[must_use]
pub fn stays_here(kind: SourceKind, name: &[u8]) -> Option<&'static str> {
    match shares(kind, name).err()? {
        Why::AbsolutePath => Some("it is an absolute path, or one above the base"),
        Why::Secret => Some("it is named like a secret"),
        Why::Incomplete => None,
    }
}

/// Whether a leaf means the same on another machine, and may be named there.
fn shares(kind: SourceKind, name: &[u8]) -> Result<(), Why> {
    match kind {
        SourceKind::Environment if is_secret(name) => Err(Why::Secret),
        _ if !is_below_base(kind, name) => Err(Why::AbsolutePath),
        _ => Ok(()),
    }
}

/// Whether a source is named relative to the base, and lies below it. Inputs and variables are no paths.
pub(crate) fn is_below_base(kind: SourceKind, name: &[u8]) -> bool {
    let path = match kind {
        SourceKind::Input | SourceKind::Environment | SourceKind::Deadline => return true,
        SourceKind::File | SourceKind::Directory => name,
        // A word says what is looked at, as in `glob src/*.rs`.
        _ => match name.iter().position(|byte| *byte == b' ') {
            Some(space) => &name[space + 1..],
            None => return false,
        },
    };
    record::is_below_base(path)
}

/// Whether a variable is named like one whose value is a secret. Its fingerprint would let others guess it.
fn is_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
    [&b"TOKEN"[..], b"SECRET", b"PASSWORD", b"PASSWD", b"KEY", b"CREDENTIAL"].into_iter().any(has)
}
