//! Writes that belong together: a batch is built by the engine and committed by a store, all or nothing.

use super::Table;

/// Puts and deletes, in the order in which they were asked for; of several for one key, the last counts.
///
/// All bytes stand in one buffer, so that filling a reused batch allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Whether `entries` is sorted and has one entry per key.
    sorted: bool,
}

/// A write, in 32 bytes: a batch of small tasks has two for each of them.
#[derive(Clone, Debug)]
struct Entry {
    /// The first 8 bytes of the key, big-endian: decides nearly every comparison without touching `bytes`.
    head: u64,
    /// The place of the key; the value stands behind it. Grows from write to write.
    at: usize,
    key: u32,
    /// The length of the value, or [`DELETED`].
    value: u32,
    table: Table,
}

const DELETED: u32 = u32::MAX;

/// The length of a key or value. Encoded values are limited to far less.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes != DELETED)
        .expect("keys and values are shorter than 4 GiB")
}

/// One write of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: &'a [u8],
    /// The value to put, or `None` to delete what the key holds. Deleting what is not there is no error.
    pub value: Option<&'a [u8]>,
}

/// The writes of one batch, sorted by table and key, each key once. Given to [`BackingStorage::commit`].
///
/// [`BackingStorage::commit`]: super::BackingStorage::commit
#[derive(Clone, Copy, Debug)]
pub struct Writes<'a> {
    batch: &'a Batch,
}

impl Batch {
    /// Returns an empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `value` at `key`.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.put_with(table, key, |_, out| out.extend_from_slice(value));
    }

    /// Puts at `key` what `fill` appends, given the key and the buffer; what stands in the buffer before is not
    /// `fill`'s to change.
    pub fn put_with(&mut self, table: Table, key: &[u8], fill: impl FnOnce(&[u8], &mut Vec<u8>)) {
        let start = self.push_key(key);
        let from = self.bytes.len();
        fill(key, &mut self.bytes);
        let value = length(self.bytes.len().max(from) - from);
        self.push(table, start, from, value);
    }

    /// Deletes what `key` holds.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        let start = self.push_key(key);
        self.push(table, start, self.bytes.len(), DELETED);
    }

    /// Appends all writes of `other`, later than those here.
    pub fn append(&mut self, other: &Self) {
        let by = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.iter().map(|entry| Entry { at: entry.at + by, ..*entry }));
        self.sorted = false;
    }

    /// Returns the number of writes asked for.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the bytes of all keys and values asked for.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Makes room for so many writes of so many bytes in all: a buffer that grows stands in memory twice for a moment.
    pub(crate) fn reserve(&mut self, writes: usize, bytes: usize) {
        self.entries.reserve(writes);
        self.bytes.reserve(bytes);
    }

    /// Forgets all writes, keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.sorted = false;
    }

    /// Returns the writes, sorted by table and key, each key once.
    pub fn writes(&mut self) -> Writes<'_> {
        if !self.sorted {
            let bytes = &self.bytes;
            // By place, so that of equal keys the last asked for comes last; that takes no memory beside the list.
            self.entries.sort_unstable_by(|a, b| {
                (a.table, a.head)
                    .cmp(&(b.table, b.head))
                    .then_with(|| a.key_in(bytes).cmp(b.key_in(bytes)))
                    .then(a.at.cmp(&b.at))
            });
            self.entries.dedup_by(|later, kept| {
                let same = later.table == kept.table
                    && later.head == kept.head
                    && later.key_in(bytes) == kept.key_in(bytes);
                if same {
                    kept.clone_from(later);
                }
                same
            });
            self.sorted = true;
        }
        Writes { batch: self }
    }

    fn push_key(&mut self, key: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        start
    }

    /// Adds a write whose key stands from `at` up to `end`.
    fn push(&mut self, table: Table, at: usize, end: usize, value: u32) {
        let mut head = [0; 8];
        let bytes = &self.bytes[at..end];
        let short = bytes.len().min(8);
        head[..short].copy_from_slice(&bytes[..short]);
        self.entries.push(Entry { table, head: u64::from_be_bytes(head), at, key: length(end - at), value });
        self.sorted = false;
    }
}

impl Entry {
    fn key_in<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.at..self.at + self.key as usize]
    }

    fn value_in<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let from = self.at + self.key as usize;
        (self.value != DELETED).then(|| &bytes[from..from + self.value as usize])
    }
}

impl<'a> Writes<'a> {
    /// Returns the number of writes.
    pub fn len(self) -> usize {
        self.batch.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.batch.entries.is_empty()
    }

    /// Returns all writes, in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Write<'a>> + Clone {
        self.batch.entries.iter().map(move |entry| self.write(entry))
    }

    /// Returns the writes of each table that has some, in order.
    pub fn by_table(self) -> impl Iterator<Item = (Table, impl ExactSizeIterator<Item = Write<'a>> + Clone)> {
        self.batch
            .entries
            .chunk_by(|a, b| a.table == b.table)
            .map(move |chunk| (chunk[0].table, chunk.iter().map(move |entry| self.write(entry))))
    }

    fn write(self, entry: &Entry) -> Write<'a> {
        let bytes = &self.batch.bytes;
        Write { table: entry.table, key: entry.key_in(bytes), value: entry.value_in(bytes) }
    }
}
