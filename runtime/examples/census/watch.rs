//! Waiting for a change that matters.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::event::{CreateKind, ModifyKind, RemoveKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::roots::{CACHE_TAG, Roots};

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
        // Links are not counted, and one may lead to all there is.
        let config = Config::default().with_follow_symlinks(false);
        let mut watcher = RecommendedWatcher::new(sender, config)?;
        // Many editors replace a file when they save it, so it is its directory that has to be watched; and the manifest of the
        // package that it is in is in a directory above.
        let parents: BTreeSet<_> = roots.files.iter().filter_map(|file| file.parent()).collect();
        let above: BTreeSet<_> = parents.iter().flat_map(|dir| dir.ancestors().skip(1)).collect();
        for dir in &parents {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
        }
        for dir in above.difference(&parents) {
            // Of one that cannot be watched, nothing can be read either.
            let _ = watcher.watch(dir, RecursiveMode::NonRecursive);
        }
        // Last: to watch a directory in one way ends that it is watched in the other.
        for dir in &roots.dirs {
            watcher.watch(dir, RecursiveMode::Recursive)?;
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
            Ok(event) if event.need_rescan() => changed.extend(self.everything()),
            Ok(event) => {
                let (kind, paths) = (event.kind, event.paths.into_iter());
                changed.extend(paths.filter(|path| self.may_matter(kind, path)));
            }
            Err(error) if error.paths.is_empty() => changed.extend(self.everything()),
            Err(error) => changed.extend(error.paths),
        }
    }

    fn everything(&self) -> impl Iterator<Item = PathBuf> {
        self.roots.dirs.iter().chain(&self.roots.files).cloned()
    }

    /// Whether an event may be of something that the census reads. One that is not costs a look at the sources.
    fn may_matter(&self, kind: EventKind, path: &Path) -> bool {
        let is_around = |file: &PathBuf| path.parent().is_some_and(|dir| file.starts_with(dir));
        let of_a_file = || {
            self.roots.files.iter().any(|file| file == path)
                || path.ends_with("Cargo.toml") && self.roots.files.iter().any(is_around)
        };
        let of_a_tree = || is_read(kind, path) && self.roots.dirs.iter().any(|root| is_reached(root, path));
        of_a_tree() || of_a_file()
    }
}

/// Whether the walk below a root reads a path of this name, or may: what is renamed or has other rights may be a directory.
fn is_read(kind: EventKind, path: &Path) -> bool {
    let of_a_file = matches!(
        kind,
        EventKind::Create(CreateKind::File)
            | EventKind::Remove(RemoveKind::File)
            | EventKind::Modify(ModifyKind::Data(_))
    );
    let is_named = path.extension().is_some_and(|extension| extension == "rs")
        || path.ends_with("Cargo.toml")
        || path.ends_with(CACHE_TAG);
    is_named || !of_a_file
}

/// Whether the walk from a root comes to the directory that a path is in. The tag of a cache counts for what is beside it, not for
/// itself.
fn is_reached(root: &Path, path: &Path) -> bool {
    let Ok(way) = path.strip_prefix(root) else { return false };
    let is_hidden = |name: &OsStr| name.as_encoded_bytes().starts_with(b".");
    let is_tag = path.ends_with(CACHE_TAG);
    let between = path
        .ancestors()
        .skip(1 + usize::from(is_tag))
        .take_while(|dir| *dir != root && dir.starts_with(root));
    !way.iter().any(is_hidden) && !between.into_iter().any(|dir| dir.join(CACHE_TAG).is_file())
}
