//! The record of a component: tasks that depend on each other, and have come to their values together.
//!
//! A component is stored as a task is. The arguments in its encoded key are the keys of its members, and its reads are those of all
//! members that leave it. Its output tells of each member, in the order of these keys:
//! ```text
//! 16      key of the member
//! 16      fingerprint of its value
//! 1       flags: 1 it has a value of round 0
//! 4       number of reads for that
//! 4 each  read, in order: the number of a read of the component; or that of a member, with the highest bit set
//! 4       how many of its reads it made in round 1
//! 4       number of its reads in all rounds
//! 4 each  read, in order, as above
//! ```
//! A member's own trace has one read, the component's output, and bit 30 set in the number of reads. So a member holds if its component does,
//! and whatever marks the component stale marks its members. For example, `even(4)` and `odd(3)` read each other, and `odd(3)` the
//! input `n`: their component has read `n` and has both as members, and each of them has read the component.

use super::super::wire::{Put, Reader, count};
use super::super::{Digest, FunctionId, TaskKey};
use super::{Malformed, NotARecord};

/// Set in the number of a read that is a member.
const MEMBER: u32 = 1 << 31;

/// The path under which the store names components.
pub const COMPONENT_PATH: &str = "larder::component";

/// Returns the function id that the encoded keys of components begin with. No task function has it: paths of functions name their crate's root.
pub fn component_function() -> FunctionId {
    FunctionId::new(COMPONENT_PATH, Digest::default())
}

/// Returns the encoded key of the component of these members, which are in ascending order.
pub fn component_key(members: &[TaskKey]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(16 * (members.len() + 1));
    TaskKey::start(component_function(), &mut encoded);
    members.iter().for_each(|member| encoded.extend_from_slice(&member.to_bytes()));
    encoded
}

/// Returns the members that an encoded key names, if it is that of a component.
pub fn members_of(encoded_key: &[u8]) -> Option<impl ExactSizeIterator<Item = TaskKey> + Clone + use<'_>> {
    let (function, members) = encoded_key.split_first_chunk::<16>()?;
    let (members, rest) = members.as_chunks::<16>();
    let is_one = *function == component_function().0.to_bytes() && rest.is_empty();
    is_one.then(|| members.iter().map(|member| TaskKey(Digest::from_bytes(*member))))
}

/// A member of a component, as the component's output tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentMember {
    /// Its key.
    pub task: TaskKey,
    /// The fingerprint of its value.
    pub fingerprint: Digest,
    /// Whether it has a value of round 0.
    pub has_initial: bool,
    /// The reads that led to that.
    pub initial_reads: Vec<MemberRead>,
    /// So many of `reads` were made in round 1.
    pub first_reads: usize,
    /// Its reads in all rounds, in order.
    pub reads: Vec<MemberRead>,
}

/// A read of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberRead {
    /// The read of this number of the component.
    Outer(u32),
    /// The member of this number.
    Member(u32),
}

const HAS_INITIAL: u8 = 1;

impl ComponentMember {
    /// Appends what the component's output tells of the member.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.digest(self.task.0);
        out.digest(self.fingerprint);
        out.u8(if self.has_initial { HAS_INITIAL } else { 0 });
        encode_reads(&self.initial_reads, out);
        out.u32(count(self.first_reads));
        encode_reads(&self.reads, out);
    }

    /// Reads all members out of the output of a component.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode_all(output: &[u8]) -> Result<Vec<Self>, NotARecord> {
        let mut reader = Reader::new(output);
        let mut members = Vec::new();
        while !reader.rest().is_empty() {
            let (task, fingerprint) = (TaskKey(reader.digest()?), reader.digest()?);
            let flags = reader.u8()?;
            let initial_reads = decode_reads(&mut reader)?;
            let first_reads = reader.u32()? as usize;
            let reads = decode_reads(&mut reader)?;
            if flags & !HAS_INITIAL != 0 || first_reads > reads.len() {
                return Err(NotARecord);
            }
            let has_initial = flags == HAS_INITIAL;
            members.push(Self { task, fingerprint, has_initial, initial_reads, first_reads, reads });
        }
        Ok(members)
    }
}

fn encode_reads(reads: &[MemberRead], out: &mut Vec<u8>) {
    out.u32(count(reads.len()));
    for read in reads {
        out.u32(match read {
            MemberRead::Outer(number) => number & !MEMBER,
            MemberRead::Member(number) => number | MEMBER,
        });
    }
}

fn decode_reads(reader: &mut Reader<'_>) -> Result<Vec<MemberRead>, Malformed> {
    let reads = reader.items(4)?.as_chunks::<4>().0.iter().map(|bytes| {
        let number = u32::from_le_bytes(*bytes);
        if number & MEMBER == 0 { MemberRead::Outer(number) } else { MemberRead::Member(number & !MEMBER) }
    });
    Ok(reads.collect())
}
