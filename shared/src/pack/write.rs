//! Packing.

use std::collections::HashMap;

use larder_storage::record::{ForeignTrace, Read};
use larder_storage::{Digest, Fingerprints, FunctionId, TaskKey};

use super::{ELSEWHERE, LEAF, LEAF_WAS, MOST_INDEX, TASK, TASK_WAS, VERSION};
use crate::bounds::{MOST_PACK_BYTES, MOST_UNPACKED_BYTES};
use crate::export::{ExportedLeaf, ExportedTask};
use crate::wire::{put_bytes, put_count};

/// A pack in the making.
#[derive(Default)]
pub(crate) struct PackWriter {
    functions: HashMap<FunctionId, usize>,
    function_bytes: Vec<u8>,
    leaves: HashMap<Digest, (usize, Digest)>,
    leaf_bytes: Vec<u8>,
    /// Tasks that are in it, with the fingerprints of their current outputs.
    tasks: HashMap<Digest, (usize, Digest)>,
    task_bytes: Vec<u8>,
}

/// A pack that is done.
pub(crate) struct Finished {
    pub(crate) bytes: Vec<u8>,
    pub(crate) unpacked: usize,
    pub(crate) tasks: usize,
}

impl PackWriter {
    /// Returns the number of its tasks.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Returns its bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.function_bytes.len() + self.leaf_bytes.len() + self.task_bytes.len() + 16
    }

    /// Adds a task; `leaf` finds a leaf by its key.
    pub(crate) fn add<'l>(
        &mut self,
        task: &ExportedTask,
        (path, code): (&str, Digest),
        leaf: impl Fn(Digest) -> Option<&'l ExportedLeaf>,
    ) {
        let id = FunctionId::new(path, code);
        let next = self.functions.len();
        let function = *self.functions.entry(id).or_insert_with(|| {
            self.function_bytes.extend_from_slice(&code.to_bytes());
            put_bytes(&mut self.function_bytes, path.as_bytes());
            next
        });
        put_count(&mut self.task_bytes, function);
        put_bytes(&mut self.task_bytes, task.arguments());
        self.task_bytes.push(u8::try_from(task.traces.len()).expect("a task has few traces"));
        for trace in &task.traces {
            self.task_bytes.extend_from_slice(&trace.fingerprint.to_bytes());
            put_bytes(&mut self.task_bytes, &trace.output);
            put_count(&mut self.task_bytes, trace.reads.len());
            for read in &trace.reads {
                self.read(*read, &leaf);
            }
            put_count(&mut self.task_bytes, trace.emitted.len());
            for (channel, value) in &trace.emitted {
                self.task_bytes.extend_from_slice(&channel.to_bytes());
                put_bytes(&mut self.task_bytes, value);
            }
        }
        let current = task.traces.first().map_or(Digest::default(), |trace| trace.fingerprint);
        self.tasks.insert(task.key.0, (self.tasks.len(), current));
    }

    fn read<'l>(&mut self, read: Read, leaf: &impl Fn(Digest) -> Option<&'l ExportedLeaf>) {
        let here = match self.tasks.get(&read.key) {
            Some((index, current)) => Some((*index, *current, TASK, TASK_WAS)),
            None => self.leaf(read.key, leaf).map(|(index, content)| (index, content, LEAF, LEAF_WAS)),
        };
        let Some((index, usual, same, other)) = here.filter(|(index, ..)| *index < MOST_INDEX) else {
            self.task_bytes.extend_from_slice(&ELSEWHERE.to_le_bytes());
            self.task_bytes.extend_from_slice(&read.key.to_bytes());
            self.task_bytes.extend_from_slice(&read.fingerprint.to_bytes());
            return;
        };
        let is_usual = usual == read.fingerprint;
        let tag = if is_usual { same } else { other };
        put_count(&mut self.task_bytes, index << 2 | tag as usize);
        if !is_usual {
            self.task_bytes.extend_from_slice(&read.fingerprint.to_bytes());
        }
    }

    /// Returns the number and content of a leaf, which is put into the pack when it is first read.
    fn leaf<'l>(
        &mut self,
        key: Digest,
        leaf: &impl Fn(Digest) -> Option<&'l ExportedLeaf>,
    ) -> Option<(usize, Digest)> {
        if let Some(found) = self.leaves.get(&key) {
            return Some(*found);
        }
        let leaf = leaf(key)?;
        self.leaf_bytes.push(leaf.kind as u8);
        self.leaf_bytes.extend_from_slice(&leaf.content.to_bytes());
        put_bytes(&mut self.leaf_bytes, &leaf.name);
        let place = (self.leaves.len(), leaf.content);
        self.leaves.insert(key, place);
        Some(place)
    }

    /// Packs what was added. None if that comes to more than a pack may be.
    pub(crate) fn finish(self) -> Option<Finished> {
        let mut raw = Vec::with_capacity(self.len());
        raw.push(VERSION);
        for (count, bytes) in [
            (self.functions.len(), &self.function_bytes),
            (self.leaves.len(), &self.leaf_bytes),
            (self.tasks.len(), &self.task_bytes),
        ] {
            put_count(&mut raw, count);
            raw.extend_from_slice(bytes);
        }
        let bytes = zstd::bulk::compress(&raw, 3).ok()?;
        let fits = raw.len() <= MOST_UNPACKED_BYTES && bytes.len() <= MOST_PACK_BYTES;
        fits.then_some(Finished { bytes, unpacked: raw.len(), tasks: self.tasks.len() })
    }
}

/// Returns the key under which a task's traces are told apart: the digest of its reads.
pub(crate) fn trace_id(fingerprints: Fingerprints, reads: &[Read]) -> Digest {
    let mut bytes = Vec::with_capacity(reads.len() * 32);
    reads.iter().for_each(|read| read.encode_into(&mut bytes));
    fingerprints.digest(&bytes)
}

impl ExportedTask {
    /// Returns about the bytes that it takes in a pack.
    pub(crate) fn bytes(&self) -> usize {
        let of_trace = |trace: &ForeignTrace| {
            let emitted: usize = trace.emitted.iter().map(|(_, value)| value.len() + 20).sum();
            trace.output.len() + trace.reads.len() * 36 + emitted + 28
        };
        self.encoded_key.len() + self.traces.iter().map(of_trace).sum::<usize>()
    }

    /// Returns the encoded arguments: what follows the function's id in the encoded key.
    fn arguments(&self) -> &[u8] {
        self.encoded_key.get(TaskKey::FUNCTION_BYTES..).unwrap_or_default()
    }
}
