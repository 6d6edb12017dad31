//! Waits until files have changed.

use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// An editor saves in several steps: a change is over when nothing follows for so long.
const QUIET: Duration = Duration::from_millis(50);

/// Watches a folder as long as it lives.
#[derive(Debug)]
pub struct Changes {
    events: Receiver<notify::Result<Event>>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Starts to watch. To miss no change, do so before the first build.
    ///
    /// # Errors
    /// If the system does not watch the folder.
    pub fn below(folder: &Path) -> notify::Result<Changes> {
        let (sender, events) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(sender)?;
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(Changes { events, _watcher: watcher })
    }

    /// Blocks until something may have changed, or the watcher has ended: then it returns false. Which files have changed is found
    /// by `Runtime::refresh`, so that a lost event costs a look and no wrong result.
    pub fn wait(&self) -> bool {
        loop {
            match self.events.recv() {
                // Reading is what the bundler itself does.
                Ok(Ok(event)) if matches!(event.kind, EventKind::Access(_)) => {}
                Ok(_) => break,
                Err(_) => return false,
            }
        }
        while self.events.recv_timeout(QUIET).is_ok() {}
        true
    }
}
