//! Crew threads that run heavy bodies.

use std::thread::{self, Thread};

use crate::base::sync::Mutex;

/// The crew threads that run heavy bodies now: an async one may be asleep, and has to see a cancellation.
#[derive(Default)]
pub(crate) struct Runners(Mutex<Vec<Thread>>);

impl Runners {
    pub(crate) fn begin(&self) -> impl Drop {
        struct Runs<'a>(&'a Runners);
        impl Drop for Runs<'_> {
            fn drop(&mut self) {
                let me = thread::current().id();
                self.0.0.lock().retain(|runner| runner.id() != me);
            }
        }
        self.0.lock().push(thread::current());
        Runs(self)
    }

    /// Wakes all of them to look.
    pub(crate) fn wake(&self) {
        self.0.lock().iter().for_each(Thread::unpark);
    }
}
