//! Bounds, each compared before anything is allocated for what it bounds.

/// The most bytes of a manifest with its envelope.
pub const MOST_MANIFEST_BYTES: usize = 1 << 20;
/// The most bytes of a pack as it is kept.
pub const MOST_PACK_BYTES: usize = 16 << 20;
/// The most bytes of a pack when it is unpacked.
pub const MOST_UNPACKED_BYTES: usize = 64 << 20;
/// The most packs of a manifest.
pub const MOST_PACKS: usize = 1024;

/// The most bytes of a record with its envelope.
pub const MOST_RECORD_BYTES: usize = 1 << 20;

/// A pack is closed when it has so many bytes, unpacked.
pub(crate) const PACK_BYTES: usize = 12 << 20;
/// The most deltas of a manifest; with one more, all is packed anew.
pub(crate) const MOST_DELTAS: usize = 8;
/// The most traces of a task.
pub(crate) const MOST_TRACES: usize = 8;
/// The most reads of a trace.
pub(crate) const MOST_READS: usize = 1 << 20;
/// The most bytes of a ref with its envelope.
pub(crate) const MOST_REF_BYTES: usize = 1024;
