//! Packs: tasks with their traces, and the leaves that they have read. `docs/shared-format.md` has the bytes.
//!
//! A read of a task or leaf of the same pack is a number of four bytes, and mostly its fingerprint is known from there. For example, a task that has read
//! three files and one task of its pack takes 16 bytes for that, and not 128.

mod read;
mod write;

pub(crate) use self::read::{Pack, PackedTask, unpack};
pub(crate) use self::write::{Finished, PackWriter, trace_id};

const VERSION: u8 = 1;

/// A read of a task of the pack, whose current output it has read.
const TASK: u32 = 0;
/// A read of a task of the pack, with another fingerprint, which follows.
const TASK_WAS: u32 = 1;
/// A read of a leaf of the pack, as it stands there.
const LEAF: u32 = 2;
/// A read of a leaf of the pack, with another fingerprint, which follows.
const LEAF_WAS: u32 = 3;
/// A read of what is not in the pack: key and fingerprint follow.
const ELSEWHERE: u32 = u32::MAX;
/// Numbers of tasks and leaves are smaller.
const MOST_INDEX: usize = (1 << 30) - 1;
