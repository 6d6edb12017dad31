//! The identity of the store, and since when which build has written to it.
//!
//! ```text
//! at "store":                                   at "sources":
//! 4       0x01020304 in the order of the        1       flags: 1 incomplete; all others 0
//!         machine that wrote it                 8       number of sources and inputs
//! 2       format of the record layouts          8       the sum of xxh3-64 of each one's key, wrapping
//! 1       codec
//! 1       fingerprints: 0 xxh3-128, 1 BLAKE3, its first 128 bits
//! 1       bytes of a pointer
//! 16      build
//! 8       generation: how many runs have written
//! 4       length of "created with"
//! length  "created with", UTF-8
//! ```

use xxhash_rust::xxh3::xxh3_64;

use super::super::wire::{Malformed, Put, Reader};
use super::super::{Digest, ENVELOPE_VERSION, Fingerprints, Guarded, RunNumber, Table, Visit};
use super::NotARecord;

pub(in super::super) const STORE: &[u8] = b"store";
pub(in super::super) const SOURCES: &[u8] = b"sources";
pub(in super::super) const SINCE: &[u8] = b"since";
const ORDER: u32 = 0x0102_0304;

/// The identity of the store, the build that wrote it, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetaRecord<'a> {
    /// The machine's byte order, as its `0x01020304` looks.
    pub order: [u8; 4],
    /// The format of the record layouts.
    pub format: u16,
    /// The codec of keys and values.
    pub codec: u8,
    /// The number of the kind of digests.
    pub fingerprints: u8,
    /// The bytes of a pointer.
    pub pointer: u8,
    /// The build that wrote last.
    pub build: Digest,
    /// How many runs have written.
    pub generation: RunNumber,
    /// The version of the library that created the store; for people.
    pub created_with: &'a str,
}

impl<'a> MetaRecord<'a> {
    /// Returns the record of this program's own format.
    pub fn own(build: Digest, generation: RunNumber, fingerprints: Fingerprints) -> MetaRecord<'static> {
        MetaRecord {
            order: ORDER.to_ne_bytes(),
            format: u16::from(ENVELOPE_VERSION),
            codec: crate::codec::CODEC,
            fingerprints: fingerprints.number(),
            pointer: size_of::<usize>() as u8,
            build,
            generation,
            created_with: concat!("larder ", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Whether what is stored can be read by this program.
    pub fn is_readable(&self) -> bool {
        self.is_of_own_format() && self.fingerprints().is_some()
    }

    /// Whether it is this program's format, whatever its digests are.
    pub(crate) fn is_of_own_format(&self) -> bool {
        let own = Self::own(self.build, self.generation, Fingerprints::default());
        (self.order, self.format, self.codec, self.pointer) == (own.order, own.format, own.codec, own.pointer)
    }

    /// Returns the kind of digests, if this program has it.
    pub fn fingerprints(&self) -> Option<Fingerprints> {
        Fingerprints::of_number(self.fingerprints)
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.order);
        out.u16(self.format);
        out.u8(self.codec);
        out.u8(self.fingerprints);
        out.u8(self.pointer);
        out.digest(self.build);
        out.u64(self.generation.0);
        out.counted(self.created_with.as_bytes());
    }

    /// Reads the record that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let record = Self {
            order: reader.array()?,
            format: reader.u16()?,
            codec: reader.u8()?,
            fingerprints: reader.u8()?,
            pointer: reader.u8()?,
            build: reader.digest()?,
            generation: RunNumber(reader.u64()?),
            created_with: std::str::from_utf8(reader.bytes()?).map_err(|_| Malformed)?,
        };
        reader.end()?;
        Ok(record)
    }
}

/// Since when one build alone has written to the store.
///
/// ```text
/// at "since":
/// 16      build
/// 8       the generation of its first run, of those without another build's in between
/// ```
/// A record of an earlier run, by a task function with a declared version, may have read functions of another build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinceRecord {
    /// The build.
    pub build: Digest,
    /// The generation.
    pub generation: RunNumber,
}

impl SinceRecord {
    pub(crate) fn encode_into(self, out: &mut Vec<u8>) {
        out.digest(self.build);
        out.u64(self.generation.0);
    }

    /// Reads the record that `payload` is.
    pub fn decode(payload: &[u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let record = Self { build: reader.digest()?, generation: RunNumber(reader.u64()?) };
        reader.end()?;
        Ok(record)
    }
}

/// Returns the build that has written to a store last, and the kind of its digests, if its head can be read.
pub fn stored_build(store: &Guarded) -> Option<(Digest, Fingerprints)> {
    let mut buffer = Vec::new();
    let payload = store.read(Table::Meta, STORE, &mut buffer).ok()??;
    let meta = MetaRecord::decode(payload).ok().filter(MetaRecord::is_readable)?;
    Some((meta.build, meta.fingerprints()?))
}

/// The beginning of the keys in table `Meta` of lists of shared results.
pub(crate) const PULLED: &[u8] = b"pulled ";

pub(crate) fn pulled_key(name: &str) -> Vec<u8> {
    // Keys have at most 64 bytes.
    let mut key = PULLED.to_vec();
    key.extend_from_slice(&Digest::xxh3(name.as_bytes()).to_bytes());
    key
}

/// A list of shared results that has been put into a store as a whole.
///
/// ```text
/// at "pulled " and the digest of the list's name:
/// 32      digest of the list, and of the build that it was pulled for
/// 8       generation of the tasks that came with it
/// 8       when it was signed, in seconds from 1970 on
/// 8       its sequence number
/// length  name of the key that has signed it (UTF-8)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PulledRecord<'a> {
    /// The digest of the list, and of the build.
    pub list: [u8; 32],
    /// The generation of the tasks that came with it, but for those of functions that declare a version.
    pub generation: RunNumber,
    /// When it was signed, in seconds from 1970 on.
    pub signed_at: u64,
    /// Its number: one more with each push.
    pub sequence: u64,
    /// The name of the key that has signed it.
    pub signer: &'a str,
}

impl<'a> PulledRecord<'a> {
    pub(crate) fn encode_into(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.list);
        out.u64(self.generation.0);
        out.u64(self.signed_at);
        out.u64(self.sequence);
        out.extend_from_slice(self.signer.as_bytes());
    }

    /// Reads the record that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let list = reader.take(32)?.try_into().map_err(|_| NotARecord)?;
        let (generation, signed_at, sequence) = (RunNumber(reader.u64()?), reader.u64()?, reader.u64()?);
        let signer = std::str::from_utf8(reader.rest()).map_err(|_| NotARecord)?;
        Ok(Self { list, generation, signed_at, sequence, signer })
    }
}

/// Returns what a store tells of the list of shared results of this name that has been put into it last.
pub fn read_pulled<'b>(store: &Guarded, name: &str, buffer: &'b mut Vec<u8>) -> Option<PulledRecord<'b>> {
    PulledRecord::decode(store.get(Table::Meta, &pulled_key(name), buffer)?).ok()
}

/// Runs `each` for all lists of shared results that have been put into a store.
pub fn for_each_pulled(store: &Guarded, mut each: impl FnMut(PulledRecord<'_>)) {
    // Of a store that fails nothing is known.
    _ = store.scan(Table::Meta, PULLED, |_, payload| {
        PulledRecord::decode(payload).into_iter().for_each(&mut each);
        Visit::Continue
    });
}

/// Returns since when this build alone has written to the store; `now` if it has not yet, or that cannot be told.
pub fn read_since(store: &Guarded, build: Digest, now: RunNumber) -> RunNumber {
    let mut buffer = Vec::new();
    let record =
        store.get(Table::Meta, SINCE, &mut buffer).and_then(|payload| SinceRecord::decode(payload).ok());
    record.filter(|record| record.build == build).map_or(now, |record| record.generation)
}

/// The keys of all sources and inputs, summed up: whether one was lost can be told by looking at those that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceSet {
    incomplete: bool,
    count: u64,
    sum: u64,
}

impl SourceSet {
    /// In place of one that was lost. It stays incomplete for good, and that is how the loss stays known.
    pub(crate) fn lost() -> Self {
        Self { incomplete: true, ..Self::default() }
    }

    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    pub(crate) fn insert(&mut self, key: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(xxh3_64(key));
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(xxh3_64(key));
    }

    pub(crate) fn encode_into(self, out: &mut Vec<u8>) {
        out.u8(u8::from(self.incomplete));
        out.u64(self.count);
        out.u64(self.sum);
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let flags = reader.u8()?;
        let record = Self { incomplete: flags != 0, count: reader.u64()?, sum: reader.u64()? };
        reader.end()?;
        if flags > 1 { Err(NotARecord) } else { Ok(record) }
    }
}
