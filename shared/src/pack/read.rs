//! Unpacking: bytes whose digest stands in a signed manifest. Still each number is checked, since a key may be stolen.

use larder_storage::record::{ForeignTrace, FunctionRecord, Read, SourceKind, source_key};
use larder_storage::{Digest, Fingerprints, TaskKey};

use super::{ELSEWHERE, LEAF, LEAF_WAS, TASK, TASK_WAS, VERSION};
use crate::Rejection;
use crate::bounds::{MOST_READS, MOST_TRACES, MOST_UNPACKED_BYTES};
use crate::manifest::PackEntry;
use crate::wire::{Malformed, Reader};

/// The least bytes of a function, of a leaf, and of a task with a trace.
const LEAST: [usize; 3] = [20, 21, 37];
/// The most of each: what is made of so many takes no more than the pack.
const MOST: usize = 4 << 20;

/// Unpacks the bytes of a pack, if they are those that the manifest describes.
pub(crate) fn unpack(entry: &PackEntry, bytes: Option<&[u8]>) -> Result<Vec<u8>, Rejection> {
    let bytes = bytes.ok_or(Rejection::Absent)?;
    if bytes.len() != entry.bytes as usize || entry.unpacked as usize > MOST_UNPACKED_BYTES {
        return Err(Rejection::Size);
    }
    if *blake3::hash(bytes).as_bytes() != entry.digest {
        return Err(Rejection::Digest);
    }
    // No more than that is allocated, or unpacked.
    let raw = zstd::bulk::decompress(bytes, entry.unpacked as usize).map_err(|_| Rejection::Size)?;
    if raw.len() == entry.unpacked as usize { Ok(raw) } else { Err(Rejection::Size) }
}

/// An unpacked pack, of which all parts are where they should be.
pub(crate) struct Pack<'a> {
    pub(crate) functions: Vec<FunctionRecord<'a>>,
    pub(crate) leaves: Vec<PackedLeaf<'a>>,
    /// The keys of its tasks, and the fingerprints of their current outputs.
    tasks: Vec<(TaskKey, Digest)>,
    body: Reader<'a>,
}

#[derive(Clone, Copy)]
pub(crate) struct PackedLeaf<'a> {
    pub(crate) kind: SourceKind,
    pub(crate) content: Digest,
    pub(crate) name: &'a [u8],
    pub(crate) key: Digest,
}

/// A task of a pack.
pub(crate) struct PackedTask {
    pub(crate) key: TaskKey,
    pub(crate) encoded_key: Vec<u8>,
    /// The most recent one first.
    pub(crate) traces: Vec<ForeignTrace>,
}

impl<'a> Pack<'a> {
    /// Reads a pack of tasks and leaves whose keys are digests of this kind.
    pub(crate) fn decode(fingerprints: Fingerprints, raw: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(raw);
        if reader.u8()? != VERSION {
            return Err(Malformed);
        }
        let mut functions = Vec::new();
        for _ in 0..reader.count(LEAST[0], MOST)? {
            let code = Digest::from_bytes(reader.array()?);
            let path = std::str::from_utf8(reader.bytes()?).map_err(|_| Malformed)?;
            functions.push(FunctionRecord { path, code });
        }
        let mut leaves = Vec::new();
        for _ in 0..reader.count(LEAST[1], MOST)? {
            let kind = SourceKind::of(reader.u8()?).ok_or(Malformed)?;
            let content = Digest::from_bytes(reader.array()?);
            let name = reader.bytes()?;
            leaves.push(PackedLeaf { kind, content, name, key: source_key(fingerprints, kind, name) });
        }
        let count = reader.count(LEAST[2], MOST)?;
        let mut pack = Self { functions, leaves, tasks: Vec::new(), body: reader };
        let mut tasks = Vec::with_capacity(count);
        for _ in 0..count {
            let (encoded_key, current) = pack.skip_task(&mut reader)?;
            tasks.push((TaskKey::of(fingerprints, &encoded_key), current));
        }
        reader.end()?;
        pack.tasks = tasks;
        Ok(pack)
    }

    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    fn encoded_key(&self, reader: &mut Reader<'a>) -> Result<Vec<u8>, Malformed> {
        let function = self.functions.get(reader.u32()? as usize).ok_or(Malformed)?;
        let mut key = Vec::new();
        TaskKey::start(function.id(), &mut key);
        key.extend_from_slice(reader.bytes()?);
        Ok(key)
    }

    fn skip_task(&self, reader: &mut Reader<'a>) -> Result<(Vec<u8>, Digest), Malformed> {
        let key = self.encoded_key(reader)?;
        let mut current = None;
        for _ in 0..traces(reader)? {
            let fingerprint = Digest::from_bytes(reader.array()?);
            current.get_or_insert(fingerprint);
            reader.bytes()?;
            for _ in 0..reader.count(4, MOST_READS)? {
                match reader.u32()? {
                    ELSEWHERE => _ = reader.take(32)?,
                    word if matches!(word & 3, TASK_WAS | LEAF_WAS) => _ = reader.take(16)?,
                    _ => {}
                }
            }
            for _ in 0..reader.count(20, MOST_READS)? {
                reader.take(16)?;
                reader.bytes()?;
            }
        }
        Ok((key, current.ok_or(Malformed)?))
    }

    /// Runs `visit` for each task, in order.
    pub(crate) fn for_each<E: From<Malformed>>(
        &self,
        mut visit: impl FnMut(PackedTask) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = self.body;
        for (key, _) in &self.tasks {
            let encoded_key = self.encoded_key(&mut reader)?;
            let mut packed = PackedTask { key: *key, encoded_key, traces: Vec::new() };
            for _ in 0..traces(&mut reader)? {
                packed.traces.push(self.trace(&mut reader)?);
            }
            visit(packed)?;
        }
        Ok(())
    }

    fn trace(&self, reader: &mut Reader<'a>) -> Result<ForeignTrace, Malformed> {
        let fingerprint = Digest::from_bytes(reader.array()?);
        let output = reader.bytes()?.to_vec();
        let count = reader.count(4, MOST_READS)?;
        let mut reads = Vec::with_capacity(count);
        for _ in 0..count {
            reads.push(self.read(reader)?);
        }
        let mut emitted = Vec::new();
        for _ in 0..reader.count(20, MOST_READS)? {
            let channel = Digest::from_bytes(reader.array()?);
            emitted.push((channel, reader.bytes()?.to_vec()));
        }
        Ok(ForeignTrace { fingerprint, output, reads, emitted })
    }

    fn read(&self, reader: &mut Reader<'a>) -> Result<Read, Malformed> {
        let word = reader.u32()?;
        if word == ELSEWHERE {
            let key = Digest::from_bytes(reader.array()?);
            return Ok(Read { key, fingerprint: Digest::from_bytes(reader.array()?) });
        }
        let (index, tag) = ((word >> 2) as usize, word & 3);
        let (key, usual) = match tag {
            TASK | TASK_WAS => self.tasks.get(index).map(|(key, current)| (key.0, *current)),
            _ => self.leaves.get(index).map(|leaf| (leaf.key, leaf.content)),
        }
        .ok_or(Malformed)?;
        let fingerprint = match tag {
            TASK | LEAF => usual,
            _ => Digest::from_bytes(reader.array()?),
        };
        Ok(Read { key, fingerprint })
    }
}

fn traces(reader: &mut Reader<'_>) -> Result<usize, Malformed> {
    let traces = usize::from(reader.u8()?);
    if traces == 0 || traces > MOST_TRACES { Err(Malformed) } else { Ok(traces) }
}

#[cfg(test)]
mod tests {
    use larder_storage::FunctionId;
    use proptest::prelude::*;

    use super::*;
    use crate::export::{ExportedLeaf, ExportedTask};
    use crate::pack::PackWriter;

    /// Returns a pack of three tasks over two leaves, unpacked.
    fn sample() -> Vec<u8> {
        let leaf = |name: &[u8]| ExportedLeaf::for_test(SourceKind::File, name);
        let leaves = [leaf(b"a"), leaf(b"src/b")];
        let key_of = |leaf: &ExportedLeaf| source_key(Fingerprints::Blake3, leaf.kind, &leaf.name);
        let function = FunctionId::new("f", Digest(3));
        let mut writer = PackWriter::default();
        let mut reads: Vec<Read> =
            leaves.iter().map(|leaf| Read { key: key_of(leaf), fingerprint: leaf.content }).collect();
        reads.push(Read { key: Digest(99), fingerprint: Digest(98) });
        for argument in 0..3_u8 {
            let mut encoded_key = Vec::new();
            TaskKey::start(function, &mut encoded_key);
            encoded_key.push(argument);
            let key = TaskKey::of(Fingerprints::Blake3, &encoded_key);
            let trace = |fingerprint| ForeignTrace {
                fingerprint: Digest(fingerprint),
                output: vec![argument; 40],
                reads: reads.clone(),
                emitted: vec![(Digest(5), b"told".to_vec())],
            };
            let traces = vec![trace(1), trace(2)];
            let task = ExportedTask {
                key,
                encoded_key: encoded_key.into(),
                function,
                traces,
                is_of_any_build: true,
            };
            writer.add(&task, ("f", Digest(3)), |key| leaves.iter().find(|leaf| key_of(leaf) == key));
            reads.push(Read { key: key.0, fingerprint: Digest(1) });
            reads.push(Read { key: key.0, fingerprint: Digest(7) });
        }
        let finished = writer.finish().expect("it is small");
        zstd::bulk::decompress(&finished.bytes, finished.unpacked).expect("it was packed just now")
    }

    fn read_all(raw: &[u8]) -> Result<Vec<(TaskKey, Vec<Read>)>, Malformed> {
        let mut all = Vec::new();
        Pack::decode(Fingerprints::Blake3, raw)?.for_each(|task| {
            let reads = task.traces.iter().flat_map(|trace| trace.reads.iter().copied()).collect();
            all.push((task.key, reads));
            Ok::<(), Malformed>(())
        })?;
        Ok(all)
    }

    #[test]
    fn what_is_packed_comes_back() {
        let all = read_all(&sample()).expect("it is whole");
        assert_eq!(all.iter().map(|(_, reads)| reads.len()).collect::<Vec<_>>(), [6, 10, 14]);
        let last = &all[2].1[..7];
        assert_eq!(last[2], Read { key: Digest(99), fingerprint: Digest(98) });
        assert_eq!(last[3], Read { key: all[0].0.0, fingerprint: Digest(1) });
        assert_eq!(last[6], Read { key: all[1].0.0, fingerprint: Digest(7) });
    }

    #[test]
    fn no_more_is_unpacked_than_the_manifest_says() {
        let bomb = zstd::bulk::compress(&vec![0; 32 << 20], 3).expect("zeros can be packed");
        assert!(bomb.len() < 16 << 10);
        let entry = |unpacked| PackEntry {
            digest: *blake3::hash(&bomb).as_bytes(),
            bytes: u32::try_from(bomb.len()).expect("it is small"),
            unpacked,
            tasks: 1,
            build: Digest(0),
            is_delta: false,
        };
        assert_eq!(unpack(&entry(1000), Some(&bomb)), Err(Rejection::Size));
        assert_eq!(unpack(&entry(u32::MAX), Some(&bomb)), Err(Rejection::Size));
        assert_eq!(unpack(&entry(32 << 20), Some(&bomb[1..])), Err(Rejection::Size));
        assert!(
            unpack(&entry(32 << 20), Some(&bomb))
                .is_ok_and(|raw| Pack::decode(Fingerprints::Blake3, &raw).is_err())
        );
    }

    proptest! {
        /// A key may be stolen, so bytes that are signed may be any. Nothing of them panics, and nothing is made of what is not there.
        #[test]
        fn bytes_that_were_changed_are_read_or_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), cuts in any::<bool>()) {
            let mut raw = sample();
            for (at, byte) in changes {
                let at = at.index(raw.len());
                raw[at] = byte;
            }
            if cuts {
                raw.truncate(cut.index(raw.len()));
            }
            let _ = read_all(&raw);
        }
    }
}
