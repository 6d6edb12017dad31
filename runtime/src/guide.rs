//! The guide: a page for each question of the first days.
//!
//! The options of the attribute are in the documentation of [`task_fn`](macro@crate::task_fn). The promises, and what is not
//! promised, are in [guarantees.md](https://github.com/larder-rs/larder/blob/main/docs/guarantees.md). Each example runs with
//! the tests.
//!
//! | page | answers |
//! |---|---|
//! | [`first_steps`] | how a program is put together: inputs, tasks, sessions, updates |
//! | [`keys`] | what the arguments of a call cost, and what belongs into them |
//! | [`dependencies`] | what a task depends on, what it does not, and how to forbid the mistakes |
//! | [`cutting_off`] | how an edit of a large value costs little: content keys, parts, relative places |
//! | [`collections`] | how to work on 100,000 things in time proportional to the change |
//! | [`web_service`] | which async calls wait for which, and how a service is built |
//! | [`missing_files`] | how to look for files that may appear later |
//! | [`outputs`] | where files are written, as bodies have no effects |
//! | [`storage`] | what survives the process, what does not, and why |
//! | `shared_cache` | how machines use each other's results (feature `shared`) |
//! | [`memory`] | what stays in memory, and how to bound it |
//! | [`cycles`] | what happens when a task depends on itself |
//! | [`testing`] | how to test values, and which bodies ran |
//! | [`why`] | why did it run? |
//! | [`inspector`] | how to look at a running program, or a store, in a browser |
//! | [`cache_misses`] | my cache does not hit: from the symptom to the cause |
//! | [`messages`] | what to do about a message of the compiler |
//! | [`from_salsa`] | how a program of salsa is moved |
//! | [`from_cached`] | how functions of `cached`, or a cache of moka, are moved |
//! | [`from_turbo_tasks`] | how a program of turbo-tasks is moved |
//! | [`from_comemo`] | how a program of comemo is moved |
//!
//! Whole programs are in the [repository](https://github.com/larder-rs/larder/tree/main/examples): `calc`, `service`, `bundler`, `world`.

#[allow(unused_imports, reason = "the pages link to these names")]
use crate::*;

#[doc = include_str!("guide/first_steps.md")]
pub mod first_steps {}

#[doc = include_str!("guide/keys.md")]
pub mod keys {}

#[doc = include_str!("guide/dependencies.md")]
pub mod dependencies {}

#[doc = include_str!("guide/cutting_off.md")]
pub mod cutting_off {}

#[doc = include_str!("guide/collections.md")]
pub mod collections {}

#[doc = include_str!("guide/web_service.md")]
pub mod web_service {}

#[doc = include_str!("guide/missing_files.md")]
pub mod missing_files {}

#[doc = include_str!("guide/outputs.md")]
pub mod outputs {}

#[doc = include_str!("guide/storage.md")]
pub mod storage {}

#[cfg(feature = "shared")]
#[doc = include_str!("guide/shared_cache.md")]
pub mod shared_cache {}

#[doc = include_str!("guide/memory.md")]
pub mod memory {}

#[doc = include_str!("guide/cycles.md")]
pub mod cycles {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/why.md")]
pub mod why {}

#[doc = include_str!("guide/inspector.md")]
pub mod inspector {}

#[doc = include_str!("guide/cache_misses.md")]
pub mod cache_misses {}

#[doc = include_str!("guide/messages.md")]
pub mod messages {}

#[doc = include_str!("guide/from_salsa.md")]
pub mod from_salsa {}

#[doc = include_str!("guide/from_cached.md")]
pub mod from_cached {}

#[doc = include_str!("guide/from_turbo_tasks.md")]
pub mod from_turbo_tasks {}

#[doc = include_str!("guide/from_comemo.md")]
pub mod from_comemo {}
