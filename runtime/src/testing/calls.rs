//! Calls and functions as tests name them.

use std::collections::BTreeSet;

use crate::events::TaskId;
use crate::{Runtime, ask};

/// Calls that are written as calls: made by [`ran!`](super::ran). Nothing of them runs.
#[must_use = "calls are for an assertion"]
pub struct Calls<'a>(Vec<Box<dyn Fn() + 'a>>);

impl std::fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

impl<'a> Calls<'a> {
    #[doc(hidden)]
    pub fn new(calls: Vec<Box<dyn Fn() + 'a>>) -> Self {
        Self(calls)
    }

    /// The names of the calls.
    #[track_caller]
    pub(super) fn names(&self, runtime: &Runtime) -> BTreeSet<TaskId> {
        runtime.run(|| self.0.iter().map(|call| ask(call).id()).collect())
    }

    /// The names of the calls, and whether each would be answered from memory.
    #[track_caller]
    pub(super) fn cached(&self, runtime: &Runtime) -> Vec<(TaskId, bool)> {
        runtime.run(|| self.0.iter().map(|call| (ask(call).id(), ask(call).is_cached())).collect())
    }
}

/// Functions by their names: made by [`function!`](super::function).
#[derive(Clone, Debug)]
#[must_use = "functions are for an assertion"]
pub struct Functions(Vec<&'static str>);

impl Functions {
    #[doc(hidden)]
    pub fn new(names: Vec<&'static str>) -> Self {
        Self(names)
    }

    pub(super) fn contain(&self, task: &TaskId) -> bool {
        self.0.iter().any(|name| name.rsplit("::").next().is_some_and(|name| name.trim() == task.function()))
    }
}

/// Calls for an assertion of [`Ran`](crate::testing::Ran), written as calls. They run nothing; their arguments are evaluated.
#[doc(hidden)]
#[macro_export]
macro_rules! __ran {
    ($($call:expr),* $(,)?) => {
        $crate::testing::Calls::new(::std::vec![$(::std::boxed::Box::new(|| { let _ = $call; })),*])
    };
}

/// Functions for [`Ran::assert_none`](crate::testing::Ran::assert_none). Each has to be in scope, so that a name that is misspelt does
/// not pass.
#[doc(hidden)]
#[macro_export]
macro_rules! __function {
    ($($function:path),* $(,)?) => {
        $crate::testing::Functions::new(::std::vec![$({ let _ = $function; ::std::stringify!($function) }),*])
    };
}
