//! Read filter: which reads the stored traces of a task may hold.
//!
//! A task one of whose reads has changed asks the store whether an earlier trace holds again. Such a trace has read what the
//! changed read is now: up to there all reads are as they were, so the body would read that next. If no trace has, there is no need to ask.
//!
//! For example, an input was 1, then 2, and is set to 3. Its readers run without a look into the store. It is set to 1 again: the
//! filters know that, and the store has the results.

use larder_storage::record::Read;

/// A Bloom filter with two bits for each read, over the reads of all traces of a task. It may hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadFilter([u8; BYTES]);

/// The room in `Persisted` that makes it no longer.
const BYTES: usize = 5;

impl ReadFilter {
    /// Nothing is known of the traces.
    pub(crate) const UNKNOWN: Self = Self([u8::MAX; BYTES]);
    /// There is no trace.
    pub(crate) const NONE: Self = Self([0; BYTES]);

    /// Adds the reads of a trace.
    pub(crate) fn add(&mut self, reads: impl IntoIterator<Item = Read>) {
        for (byte, bit) in reads.into_iter().flat_map(bits) {
            self.0[byte] |= bit;
        }
    }

    /// Whether a trace may hold a read; `false` is certain.
    pub(crate) fn may_hold(self, read: Read) -> bool {
        bits(read).iter().all(|(byte, bit)| self.0[*byte] & bit != 0)
    }
}

/// The bits of a read, each as a byte and a bit in it.
fn bits(read: Read) -> [(usize, u8); 2] {
    // Both are digests. A read must not look like one whose parts are swapped.
    let mixed = read.key.0 ^ read.fingerprint.0.rotate_left(64);
    [mixed as u32, (mixed >> 32) as u32].map(|half| {
        let bit = half as usize % (8 * BYTES);
        (bit / 8, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use larder_storage::Digest;

    use super::*;

    fn read(key: u8, value: u8) -> Read {
        Read { key: Digest::xxh3(&[key]), fingerprint: Digest::xxh3(&[value]) }
    }

    #[test]
    fn it_holds_what_was_added_and_little_else() {
        let mut filter = ReadFilter::NONE;
        filter.add([read(1, 1), read(2, 1), read(1, 2)]);
        assert!([read(1, 1), read(2, 1), read(1, 2)].iter().all(|read| filter.may_hold(*read)));
        let others = (0..=255).filter(|value| filter.may_hold(read(3, *value))).count();
        assert!(others < 64, "{others} of 256");
        assert!(ReadFilter::UNKNOWN.may_hold(read(3, 3)));
    }
}
