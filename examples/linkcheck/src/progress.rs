//! A bar on a terminal; nothing anywhere else. It looks at the runtime's progress: no body knows of it.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use larder::Runtime;
use larder::progress::Progress;

/// Moves until it is dropped.
pub struct Bar(Option<Shown>);

struct Shown {
    progress: Progress,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub fn start(runtime: &Runtime) -> Bar {
    if !std::io::stderr().is_terminal() {
        return Bar(None);
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {human_pos}/{human_len} links  {elapsed}") {
        bar.set_style(style.progress_chars("━╸ "));
    }
    let (stop, stopped) = mpsc::channel();
    let progress = runtime.progress(["verdict"]);
    let (shown, watched) = (bar.clone(), progress.clone());
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            let now = watched.now();
            shown.set_length(now.known);
            shown.set_position(now.done);
        }
        shown.finish_and_clear();
    });
    Bar(Some(Shown { progress, stop: Some(stop), thread: Some(thread) }))
}

impl Bar {
    /// Learns how many there are to judge, at most. Not asked for where no terminal shows it.
    pub fn expect(&self, links: impl FnOnce() -> usize) {
        if let Bar(Some(shown)) = self {
            shown.progress.expect(links() as u64);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has to be gone before anything else is printed; its panic would be no reason for ours.
            let _ = thread.join();
        }
    }
}
