//! A test kit: which bodies run, and why (feature `testing`).
//!
//! A test of an incremental program says what has to run after a change, and what must not. [`watch`] takes down what happens while a
//! closure runs; the assertions of [`Ran`] name calls as calls are written. One that fails prints what happened instead, and why.
//!
//! ```
//! use larder::testing::{ran, watch};
//! use larder::{Input, Runtime, task_fn};
//!
//! #[task_fn]
//! fn lines(text: &Input<String>) -> Vec<String> {
//!     text.with(|text| text.lines().map(str::to_owned).collect())
//! }
//!
//! #[task_fn]
//! fn line(text: &Input<String>, number: usize) -> String {
//!     lines(text)[number].clone()
//! }
//!
//! #[task_fn]
//! fn words(text: &Input<String>, number: usize) -> usize {
//!     line(text, number).split_whitespace().count()
//! }
//!
//! let runtime = Runtime::new();
//! let text = runtime.input("text", "a b\nc".to_owned());
//! let count = || runtime.run(|| words(&text, 0) + words(&text, 1));
//! assert_eq!(count(), 3);
//!
//! runtime.update(|update| update.set(&text, "a b\nc d".to_owned()))?;
//! let ran = watch(&runtime, || assert_eq!(count(), 4));
//! ran.assert_exactly(ran![lines(&text), line(&text, 0), line(&text, 1), words(&text, 1)]);
//! ran.assert_verified(ran![words(&text, 0)]);
//! ran.assert_cut_off(ran![line(&text, 0)]);
//!
//! watch(&runtime, || assert_eq!(count(), 4)).assert_nothing_ran();
//! # Ok::<(), larder::UpdateError>(())
//! ```

mod calls;
mod report;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::events::{Event, Lost, Outcome, TaskId};
use crate::{Builder, Runtime};

pub use self::calls::{Calls, Functions};
pub use larder_backend::Clock;

pub use crate::storage::{Faults, MemoryStorage, Operation};
#[doc(inline)]
pub use crate::{__function as function, __ran as ran};

/// How many events are taken down at most.
const MOST: usize = 1 << 20;

/// Makes a runtime go by `clock`, which a test puts ahead: for results that expire (`ttl`, `expires`), for [`Builder::patience`], for the deadlines of its
/// sessions and updates, for the age of files' stamps, and for the time in bodies ([`FunctionStats::time`](crate::FunctionStats::time)). Several runtimes may share one.
///
/// - Expiry is judged when a session opens alone, as ever.
/// - A session that waits for an update, or the other way round, is woken when its deadline comes by the clock. So are those with a
///   token of [`Clock::token`].
/// - A stamp of a file that is younger than some seconds proves nothing, so that the file is read again. With the clock ahead by a minute it is trusted:
///   a change of the same size within one step of the file system's clock is not noticed then.
///
/// ```
/// use std::time::Duration;
/// use larder::testing::{Clock, ran, watch, with_clock};
/// use larder::{Runtime, storage::MemoryStorage, task_fn};
///
/// #[task_fn(ttl = Duration::from_secs(3600))]
/// fn rate() -> u32 {
///     7
/// }
///
/// let (store, clock) = (MemoryStorage::new(), Clock::new());
/// let open = || with_clock(Runtime::builder(), &clock).storage(store.clone()).build();
/// open().run(rate);
/// clock.advance(Duration::from_secs(3000));
/// let runtime = open();
/// watch(&runtime, || runtime.run(rate)).assert_restored(ran![rate()]);
/// clock.advance(Duration::from_secs(700));
/// watch(&runtime, || runtime.run(rate)).assert_exactly(ran![rate()]);
///
/// // An update waits for a session that does not end, and is given up after a minute.
/// std::thread::scope(|scope| {
///     runtime.run(|| {
///         let within = larder::UpdateOptions::default().timeout(Duration::from_secs(60));
///         let update = scope.spawn(|| runtime.update_with(within, |_| ()));
///         while runtime.activity().at_gate.is_empty() {
///             std::thread::yield_now();
///         }
///         clock.advance(Duration::from_secs(60));
///         assert!(update.join().unwrap().is_err());
///     });
/// });
/// ```
#[must_use]
pub fn with_clock(mut builder: Builder, clock: &Clock) -> Builder {
    builder.config.clock = clock.clone();
    builder
}

/// Lets `time` pass for `runtime`, and all others with its clock. See [`with_clock`].
///
/// ```
/// use std::time::Duration;
/// use larder::testing::{advance_clock, ran, watch};
/// use larder::{Runtime, task_fn};
///
/// #[task_fn(ttl = Duration::from_secs(3600))]
/// fn rate() -> u32 {
///     7
/// }
///
/// let runtime = Runtime::new();
/// runtime.run(rate);
/// advance_clock(&runtime, Duration::from_secs(3000));
/// watch(&runtime, || runtime.run(rate)).assert_nothing_ran();
/// advance_clock(&runtime, Duration::from_secs(700));
/// watch(&runtime, || runtime.run(rate)).assert_exactly(ran![rate()]);
/// ```
pub fn advance_clock(runtime: &Runtime, time: Duration) {
    runtime.engine.advance_clock(time);
}

/// Makes a runtime start with a clock that is ahead of the system's by `time`, for results that expire (`ttl`, `expires`): as a process does that is
/// started so much later, for what a store holds.
///
/// ```
/// use std::time::Duration;
/// use larder::testing::{ran, watch, with_clock_ahead};
/// use larder::{Runtime, storage::MemoryStorage, task_fn};
///
/// #[task_fn(ttl = Duration::from_secs(3600))]
/// fn rate() -> u32 {
///     7
/// }
///
/// let store = MemoryStorage::new();
/// let later = |minutes: u64| {
///     let builder = with_clock_ahead(Runtime::builder(), Duration::from_secs(60 * minutes));
///     builder.storage(store.clone()).build()
/// };
/// later(0).run(rate);
/// let runtime = later(50);
/// watch(&runtime, || runtime.run(rate)).assert_restored(ran![rate()]);
/// drop(runtime);
/// let runtime = later(70);
/// watch(&runtime, || runtime.run(rate)).assert_exactly(ran![rate()]);
/// ```
#[must_use]
pub fn with_clock_ahead(mut builder: Builder, time: Duration) -> Builder {
    builder.config.clock = Clock::new();
    builder.config.clock.advance(time);
    builder
}

/// Takes down what happens in `runtime` while `work` runs, on all of its threads.
pub fn watch<R>(runtime: &Runtime, work: impl FnOnce() -> R) -> Ran {
    watch_for(runtime, work).1
}

/// Takes down what happens as [`watch`] does, and returns the result of `work` as well.
pub fn watch_for<R>(runtime: &Runtime, work: impl FnOnce() -> R) -> (R, Ran) {
    let events = runtime.subscribe(MOST);
    let result = work();
    let (events, lost) = events.drain();
    (result, Ran { runtime: runtime.clone(), events, lost })
}

/// The events of a runtime while it was watched.
///
/// Runs of the library's own functions (collections, parts, files) are left out: they follow from those of the program.
#[derive(Debug)]
#[must_use = "what was seen is looked at by one of its methods"]
pub struct Ran {
    runtime: Runtime,
    events: Vec<Event<TaskId>>,
    lost: Lost,
}

impl Ran {
    /// Returns the events, in the order in which they happened.
    #[must_use]
    pub fn events(&self) -> &[Event<TaskId>] {
        &self.events
    }

    /// Returns the tasks whose bodies have run, in the order of the alphabet.
    #[must_use]
    pub fn ran(&self) -> Vec<TaskId> {
        self.ran_set().into_iter().cloned().collect()
    }

    /// Asserts that the bodies of these calls have run, and no others. How often is not asked: a body that fails may run again.
    ///
    /// # Panics
    /// If that is not so, with what ran instead, and why.
    #[track_caller]
    pub fn assert_exactly(&self, calls: Calls<'_>) {
        self.check_complete();
        let (wanted, ran) = (calls.names(&self.runtime), self.ran_set());
        let unexpected: Vec<_> = ran.iter().filter(|task| !wanted.contains(task)).copied().collect();
        let missing: Vec<_> = wanted.iter().filter(|task| !ran.contains(task)).collect();
        assert!(unexpected.is_empty() && missing.is_empty(), "{}", self.difference(&unexpected, &missing));
    }

    /// Asserts that the bodies of these calls have run; others may have.
    ///
    /// # Panics
    /// If one has not, with what happened to it instead.
    #[track_caller]
    pub fn assert_ran(&self, calls: Calls<'_>) {
        self.check_complete();
        let ran = self.ran_set();
        let wanted = calls.names(&self.runtime);
        let missing: Vec<_> = wanted.iter().filter(|task| !ran.contains(task)).collect();
        assert!(missing.is_empty(), "{}", self.difference(&[], &missing));
    }

    /// Asserts that no body has run.
    ///
    /// # Panics
    /// If one has, with the reason.
    #[track_caller]
    pub fn assert_nothing_ran(&self) {
        self.check_complete();
        let ran: Vec<_> = self.ran_set().into_iter().collect();
        assert!(ran.is_empty(), "{}", self.difference(&ran, &[]));
    }

    /// Asserts that no body of these functions has run: `assert_none(function![layout, paint])`.
    ///
    /// # Panics
    /// If one has, with the reason.
    #[track_caller]
    pub fn assert_none(&self, functions: Functions) {
        self.check_complete();
        let ran: Vec<_> = self.ran_set().into_iter().filter(|task| functions.contain(task)).collect();
        assert!(ran.is_empty(), "{}", self.difference(&ran, &[]));
    }

    /// Asserts that these calls are answered from memory now, and that nothing had to be done for it: they were neither computed nor
    /// verified nor restored while the runtime was watched.
    ///
    /// # Panics
    /// If that is not so, with what happened instead.
    #[track_caller]
    pub fn assert_hit(&self, calls: Calls<'_>) {
        self.check_complete();
        let mut wrong = Vec::new();
        for (task, is_cached) in calls.cached(&self.runtime) {
            if self.what_happened(&task).is_some() || !is_cached {
                wrong.push(task);
            }
        }
        assert!(wrong.is_empty(), "{}", self.expected("answered from memory", &wrong));
    }

    /// Asserts that these calls were found to be current without a run of their bodies, though something behind them had changed.
    ///
    /// # Panics
    /// If that is not so, with what happened instead.
    #[track_caller]
    pub fn assert_verified(&self, calls: Calls<'_>) {
        self.assert_each(
            calls,
            "verified",
            |event, task| matches!(event, Event::Verified(verified) if verified.task == *task),
        );
    }

    /// Asserts that these calls have got their values from the store.
    ///
    /// # Panics
    /// If that is not so, with what happened instead.
    #[track_caller]
    pub fn assert_restored(&self, calls: Calls<'_>) {
        self.assert_each(
            calls,
            "restored from the store",
            |event, task| matches!(event, Event::Restored(restored) if restored.task == *task),
        );
    }

    /// Asserts that the bodies of these calls have run, and come to equal values: their readers need not run for that.
    ///
    /// # Panics
    /// If that is not so, with what happened instead.
    #[track_caller]
    pub fn assert_cut_off(&self, calls: Calls<'_>) {
        self.assert_each(calls, "cut off", |event, task| {
            matches!(event, Event::Ran(ran) if ran.task == *task && ran.outcome == Outcome::CutOff)
        });
    }

    /// Asserts that no body was found to come to something else when it was run once more ([`Builder::check_determinism`](crate::Builder)),
    /// since the runtime was made.
    ///
    /// # Panics
    /// If one was, with what it had read.
    #[track_caller]
    pub fn assert_deterministic(&self) {
        let impure = self.runtime.impure();
        assert!(impure.is_empty(), "{}", report::impure(&impure));
    }

    #[track_caller]
    fn assert_each(&self, calls: Calls<'_>, what: &str, is_it: impl Fn(&Event<TaskId>, &TaskId) -> bool) {
        self.check_complete();
        let missing: Vec<_> = calls
            .names(&self.runtime)
            .into_iter()
            .filter(|task| !self.events.iter().any(|event| is_it(event, task)))
            .collect();
        assert!(missing.is_empty(), "{}", self.expected(what, &missing));
    }

    #[track_caller]
    fn check_complete(&self) {
        assert!(self.lost == Lost(0), "too much has happened to be taken down: {}", self.lost);
    }

    /// The tasks of the program whose bodies have run.
    fn ran_set(&self) -> BTreeSet<&TaskId> {
        let ran = self.events.iter().filter_map(|event| match event {
            Event::Ran(ran) => Some(&ran.task),
            _ => None,
        });
        ran.filter(|task| !task.path().starts_with("larder::")).collect()
    }
}
