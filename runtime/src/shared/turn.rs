//! Turns: of several writers, one runs what takes long, and the others wait for its record.
//!
//! ```text
//! a body is to run         its lease is free                 taken; its record is looked for once more; the body runs, and its record is written
//!                                                            as soon as it is stored
//!                          another machine has it            its record is looked for, with longer and longer pauses
//! .. the record comes      it is merged, and verified        no body runs, if it holds here
//! .. or the lease is free  the machine that had it failed    taken
//! .. or a usual run is over                                  the body runs without a lease
//! .. or the session is cancelled                             no body runs
//! ```
//! For example, two jobs of CI ask for `link("app")`, which takes 20 s. The first one takes the lease and runs it. The second one looks every half a second,
//! and finds the record after 20 s. If the first one is killed, the second one runs the body after 20 s, without ever asking for more.
//!
//! A lease is advice. Nothing that is stored or served depends on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use larder_backend::Turn;
use larder_backend::storage::TaskKey;
use larder_backend::storage::inspect::StoreReader;
use larder_shared::{Holder, Lease, SharedError, SharedKey, SigningKey, publish};

use super::Link;

/// A lease lasts so many times as long as a usual run.
const LASTS: u32 = 3;
/// All waiting of a process is at most so many times the time from which on functions count as slow.
const WAITS: u32 = 10;
/// The first and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Sleeps for `pause`, or until the session is cancelled. Returns whether it is.
fn pauses_in_vain(turn: &Turn<'_>, pause: Duration) -> bool {
    let until = Instant::now() + pause;
    loop {
        if turn.is_cancelled() {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(PAUSES.0));
    }
}

impl Link {
    pub(super) fn wait_for_turn(&self, turn: &mut Turn<'_>) {
        // A reader could not tell others what came of its run.
        let (Some(slow), Some(holder)) = (self.config.leases, self.holder()) else { return };
        let usual = turn.usual.unwrap_or(slow);
        if usual < slow {
            return;
        }
        let begun = Instant::now();
        if self.waits(turn, usual, slow, &holder) {
            let mut state = self.state();
            state.waited_for_turns += begun.elapsed();
            state.stats.awaited += 1;
        }
    }

    /// Returns whether it had to wait.
    fn waits(&self, turn: &mut Turn<'_>, usual: Duration, slow: Duration, holder: &Holder) -> bool {
        let task = turn.task;
        let until = Instant::now() + usual.min(self.waits_left(slow));
        let mut pause = PAUSES.0;
        loop {
            match self.ask_for_lease(task, holder, usual) {
                Some(Lease::Held) => {}
                Some(Lease::Taken) => {
                    // The last holder may have written its record between the last look and the end of its lease.
                    if turn.take(self.fetch(&[task])) {
                        self.give_up(task, holder);
                    }
                    break;
                }
                _ => break,
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || pauses_in_vain(turn, pause.min(left)) {
                return pause > PAUSES.0;
            }
            pause = (pause * 2).min(PAUSES.1);
            if turn.take(self.fetch(&[task])) {
                return true;
            }
        }
        pause > PAUSES.0
    }

    /// Ends a lease that is not needed.
    fn give_up(&self, task: TaskKey, holder: &Holder) {
        self.state().leased.remove(&task);
        let Some(until) = self.breaker.allows() else { return };
        let key = SharedKey::lease(&self.config.namespace, task);
        // If that fails, it ends by time.
        _ = self.config.engine.end_lease(&key, holder, until);
    }

    /// Asks for the lease on a task. Returns none if the engine does not work, or is not to be asked.
    fn ask_for_lease(&self, task: TaskKey, holder: &Holder, usual: Duration) -> Option<Lease> {
        if self.state().has_no_leases {
            return None;
        }
        let until = self.breaker.allows()?;
        let key = SharedKey::lease(&self.config.namespace, task);
        let begun = Instant::now();
        let outcome = self.config.engine.lease(&key, holder, usual * LASTS, until);
        if let Ok(Lease::NotSupported) | Err(SharedError::Refused { .. }) = &outcome {
            // A user that may read and write, and not do this (a Redis without scripts), goes on with the rest.
            self.state().has_no_leases = true;
        }
        match &outcome {
            Ok(_) | Err(SharedError::Refused { .. }) => self.breaker.note(Ok(()), begun.elapsed()),
            Err(error) => self.breaker.note(Err(error), begun.elapsed()),
        }
        self.state().stats.trips += 1;
        match outcome {
            Ok(Lease::Taken) => {
                let mut state = self.state();
                state.leased.insert(task);
                state.stats.leases += 1;
                Some(Lease::Taken)
            }
            Ok(lease) => Some(lease),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// The number under which this process holds leases; none if it writes nothing.
    fn holder(&self) -> Option<Holder> {
        self.config.writer.as_ref()?;
        let mut state = self.state();
        if state.holder.is_none() {
            state.holder = Holder::new().ok();
        }
        state.holder
    }

    fn waits_left(&self, slow: Duration) -> Duration {
        (slow * WAITS).saturating_sub(self.state().waited_for_turns)
    }

    /// Writes the record of a task that others wait for, with those of all that has run before it, and ends its lease. On a thread of its own, so
    /// that the call of the task does not wait for the engine.
    pub(super) fn publish_soon(&self, task: TaskKey) {
        let Some(key) = self.config.writer.clone() else { return };
        let mut state = self.state();
        let ran: Vec<TaskKey> = state.ran.difference(&state.published).copied().collect();
        state.published.extend(&ran);
        let Some(holder) = state.holder else { return };
        let (config, storage) = (self.config.clone(), self.storage.clone());
        let shared = Arc::clone(&self.state);
        let work = move || {
            let until = Instant::now() + config.at_the_end;
            let publish = |key: &SigningKey| {
                let reader = StoreReader::of(storage, "the store of the runtime")?;
                publish(&*config.engine, &config.namespace, key, (&reader, &ran), until)
            };
            // An engine that panics is one that does not work.
            let published = catch_unwind(AssertUnwindSafe(|| publish(&key)));
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            match published {
                Ok(Ok(published)) => {
                    state.count(&published.counts);
                    state.stats.published += published.tasks;
                }
                failed => {
                    // They are written at the end.
                    ran.iter().for_each(|task| _ = state.published.remove(task));
                    let error = failed.ok().and_then(Result::err);
                    let text =
                        error.map_or_else(|| "the engine panicked".to_owned(), |error| error.to_string());
                    state.stats.error = Some(text.into());
                }
            }
            drop(state);
            let lease = SharedKey::lease(&config.namespace, task);
            let end = || config.engine.end_lease(&lease, &holder, until);
            _ = catch_unwind(AssertUnwindSafe(end));
        };
        match thread::Builder::new().name("larder-shared".into()).spawn(work) {
            Ok(thread) => state.threads.push(thread),
            // The lease ends by time, and the record is written at the end.
            Err(_) => state.published.clear(),
        }
    }

    /// Waits for the threads that write records.
    pub(super) fn join(&self) {
        let threads = std::mem::take(&mut self.state().threads);
        threads.into_iter().for_each(|thread| _ = thread.join());
    }

    /// Ends the leases on what was not stored: its body has failed, or has no value that can be stored.
    pub(super) fn end_leases(&self, within: Duration) {
        let mut state = self.state();
        let leased = std::mem::take(&mut state.leased);
        let Some(holder) = state.holder else { return };
        drop(state);
        let until = Instant::now() + within;
        for task in leased {
            let key = SharedKey::lease(&self.config.namespace, task);
            if self.config.engine.end_lease(&key, &holder, until).is_err() {
                return;
            }
        }
    }
}
