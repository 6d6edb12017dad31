//! A bar on a terminal; nothing anywhere else. It looks at the runtime's counters: no body knows of it.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use larder::{Runtime, Stats};

/// Moves until it is dropped.
pub struct Bar(Option<Shown>);

struct Shown {
    bar: ProgressBar,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Links that have been judged so far, now or before.
fn judged(stats: &Stats) -> u64 {
    stats.get("verdict").map_or(0, |function| function.runs)
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
    let (shown, runtime) = (bar.clone(), runtime.clone());
    let before = judged(&runtime.stats());
    let thread = std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            shown.set_position(judged(&runtime.stats()) - before);
        }
        shown.finish_and_clear();
    });
    Bar(Some(Shown { bar, stop: Some(stop), thread: Some(thread) }))
}

impl Bar {
    /// Learns how many there are to judge, at most. Not asked for where no terminal shows it.
    pub fn expect(&self, links: impl FnOnce() -> usize) {
        if let Bar(Some(shown)) = self {
            shown.bar.set_length(links() as u64);
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
