//! A deadline: a hang is a failed test, not a test run that never ends.

use std::panic::resume_unwind;
use std::sync::mpsc;
use std::time::Duration;

/// An interpreter takes its time.
const LIMIT: Duration = Duration::from_secs(if cfg!(miri) { 3600 } else { 60 });

/// Runs `work` on a thread of its own with the stack that threads have by default, for at most a minute (an hour under Miri).
///
/// # Panics
/// Panics as `work` does; and if it takes too long.
pub fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    let thread = thread.expect("a thread can be had");
    match is_done.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|payload| resume_unwind(payload))
        }
    }
}
