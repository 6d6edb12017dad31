//! Opening the file again after a read has failed.
//!
//! redb refuses all work after the first error of the file. A commit opens the file again by itself; a process that only
//! reads commits nothing, and one error would switch the store off for its whole life. So a read that fails opens the file again, at
//! once the first time, then after pauses that grow.

use std::time::{Duration, Instant};

/// The first pause; each further one is twice as long, up to 64 times this.
const FIRST: Duration = if cfg!(test) { Duration::from_millis(1) } else { Duration::from_secs(1) };
const LONGEST: u32 = 64;

/// When the file may be opened again.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    over: Option<Instant>,
    length: Duration,
}

impl Pauses {
    /// Whether the pause is over, if there was one; then the next one begins.
    pub(super) fn is_over(&mut self) -> bool {
        let now = Instant::now();
        match self.over {
            Some(over) if now < over => return false,
            // After a long time without trouble it is new trouble.
            Some(over) if now < over + FIRST * LONGEST => {
                self.length = (self.length * 2).min(FIRST * LONGEST)
            }
            _ => self.length = FIRST,
        }
        self.over = Some(now + self.length);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::super::*;
    use super::Duration;
    use crate::Batch;

    /// One error of the disk switched the store off for the life of a process that only read.
    #[test]
    #[cfg_attr(miri, ignore = "Miri does not know the locks of files")]
    fn a_disk_that_reads_again_is_found_without_a_commit() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let path = folder.path().join("store");
        for read_only in [false, true] {
            let mut options = RedbOptions::new().cache_bytes(0);
            if read_only {
                options = options.read_only();
            }
            let storage = options.open(&path).expect("nothing is wrong yet");
            if !read_only {
                let mut batch = Batch::new();
                (0..200_u8).for_each(|key| batch.put(Table::Uses, &[key], &[key; 1000]));
                storage.commit(batch.writes()).expect("nothing is wrong yet");
            }
            let mut value = Vec::new();
            let mut read =
                |key: u8| storage.get(Table::Uses, &[key], &mut value).map(|found| found && value[0] == key);
            assert!(matches!(read(3), Ok(true)));
            storage.file.fails.store(true, Relaxed);
            for key in 0..200 {
                assert!(read(key).is_err_and(|error| error.is_transient()));
            }
            storage.file.fails.store(false, Relaxed);
            let again = (0..60_000).any(|_| {
                std::thread::sleep(Duration::from_millis(1));
                matches!(read(7), Ok(true))
            });
            assert!(again, "it stays off");
            assert!((0..200).all(|key| matches!(read(key), Ok(true))));
            assert_eq!(storage.set_aside(), None, "an error is no damage");
        }
    }
}
