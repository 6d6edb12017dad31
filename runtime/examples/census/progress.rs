//! A bar on a terminal; nothing anywhere else.
//!
//! It looks at a counter ten times a second. Nothing in the task functions knows of it: a body that moved a bar would
//! be a body with an effect, and a hit would not move it.

use std::io::IsTerminal;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Moves until it is dropped.
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// `total`, where it is known, is asked for only when there is a terminal to show it on.
    pub fn start(total: impl FnOnce() -> Option<u64>, done: impl Fn() -> u64 + Send + 'static) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let (bar, template) = match total() {
            Some(total) => (ProgressBar::new(total), "{bar:32} {human_pos}/{human_len} files  {elapsed}"),
            None => (ProgressBar::no_length(), "{human_pos} files  {elapsed}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                bar.set_position(done());
            }
            bar.finish_and_clear();
        });
        Progress(Some((stop, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // The bar has to be gone before anything else is printed; its panic would be no reason for ours.
            let _ = thread.join();
        }
    }
}
