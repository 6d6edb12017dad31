//! Waiting for a change that matters.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::roots::Roots;

/// An editor saves in several steps, and a `git switch` in thousands: a change is over when nothing follows for so long,
const QUIET: Duration = Duration::from_millis(80);
/// or has lasted for so long.
const LONGEST: Duration = Duration::from_secs(2);

pub struct Changes {
    events: Receiver<notify::Result<Event>>,
    roots: Roots,
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Starts to watch. To miss no change, do so before looking for the first time.
    pub fn below(roots: &Roots) -> notify::Result<Changes> {
        let (sender, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(sender)?;
        for dir in &roots.dirs {
            watcher.watch(dir, RecursiveMode::Recursive)?;
        }
        // Many editors replace a file when they save it, so it is its directory that has to be watched.
        let parents: BTreeSet<_> = roots.files.iter().filter_map(|file| file.parent()).collect();
        for dir in parents {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
        }
        Ok(Changes { events, roots: roots.clone(), _watcher: watcher })
    }

    /// Blocks until something changes, and tells what. Nothing: the watcher has ended.
    pub fn next(&self) -> Option<Vec<PathBuf>> {
        let mut changed = BTreeSet::new();
        while changed.is_empty() {
            self.take(self.events.recv().ok()?, &mut changed);
        }
        let first = Instant::now();
        while first.elapsed() < LONGEST {
            match self.events.recv_timeout(QUIET) {
                Ok(event) => self.take(event, &mut changed),
                Err(_) => break,
            }
        }
        Some(changed.into_iter().collect())
    }

    fn take(&self, event: notify::Result<Event>, changed: &mut BTreeSet<PathBuf>) {
        match event {
            // Reading is what the census itself does.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            // Events were lost: anything may have changed.
            Ok(event) if event.need_rescan() => changed.extend(self.roots.dirs.iter().cloned()),
            Ok(event) => changed.extend(event.paths.into_iter().filter(|path| self.matters(path))),
            Err(error) => changed.extend(error.paths),
        }
    }

    fn matters(&self, path: &Path) -> bool {
        self.roots.files.iter().any(|file| file == path)
            || self.roots.dirs.iter().filter_map(|dir| path.strip_prefix(dir).ok()).any(is_of_a_tree)
    }
}

/// A source, a manifest, or what may be a directory; nothing hidden, and nothing that Cargo builds.
fn is_of_a_tree(path: &Path) -> bool {
    let skipped = |name: &std::ffi::OsStr| name == "target" || name.as_encoded_bytes().starts_with(b".");
    let source = path.extension().is_none_or(|extension| extension == "rs");
    (source || path.ends_with("Cargo.toml")) && !path.iter().any(skipped)
}
