//! Writes results to files. Tasks compute them, and this driver, outside of all tasks, writes those that differ: a task
//! that is answered from the cache has no effects, so effects do not belong into tasks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::Chunk;

/// A folder of outputs, and the digests of what was written there.
#[derive(Debug)]
pub struct Output {
    folder: PathBuf,
    written: BTreeMap<String, u128>,
}

/// Files that were written, and files that were removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names of files that were written.
    pub written: Vec<String>,
    /// Names of files that were removed.
    pub removed: Vec<String>,
}

impl Output {
    /// Returns a folder of which nothing is known: the first writing writes everything.
    #[must_use]
    pub fn to(folder: &Path) -> Output {
        Output { folder: folder.to_owned(), written: BTreeMap::new() }
    }

    /// Brings the folder up to date: writes the chunks that differ from the last ones, and removes what has gone.
    ///
    /// # Errors
    /// If a file cannot be written or removed. It is tried again the next time.
    pub fn write(&mut self, chunks: &BTreeMap<String, Chunk>) -> io::Result<Changes> {
        std::fs::create_dir_all(&self.folder)?;
        let mut changes = Changes::default();
        for (name, chunk) in chunks {
            let digest = chunk.text.digest();
            if self.written.get(name) != Some(&digest) {
                self.written.remove(name);
                std::fs::write(self.folder.join(name), chunk.text.as_bytes())?;
                self.written.insert(name.clone(), digest);
                changes.written.push(name.clone());
            }
        }
        let gone: Vec<_> = self.written.keys().filter(|name| !chunks.contains_key(*name)).cloned().collect();
        for name in gone {
            match std::fs::remove_file(self.folder.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => _ = self.written.remove(&name),
            }
            changes.removed.push(name);
        }
        Ok(changes)
    }
}
