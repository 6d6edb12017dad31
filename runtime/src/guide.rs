//! The guide: a page for each question of the first days.
//!
//! The options of the attribute are in the documentation of [`task_fn`](macro@crate::task_fn). The promises, and what is not
//! promised, are in [guarantees.md](https://github.com/larder-rs/larder/blob/main/docs/guarantees.md). Each example runs with
//! the tests.
//!
//! | page | answers |
//! |---|---|
//! | [`first_steps`] | how a program is put together: inputs, tasks, sessions, updates |
//! | [`cutting_off`] | how a task depends on some of a large value: content keys, parts |
//! | [`collections`] | how to work on 100,000 things in time proportional to the change |
//! | [`web_service`] | how async functions wait, and how a service is built |
//! | [`storage`] | what survives the process |
//! | [`memory`] | what stays in memory, and how to bound it |
//! | [`messages`] | what to do about a message of the compiler |

#[allow(unused_imports, reason = "the pages link to these names")]
use crate::*;

#[doc = include_str!("guide/first_steps.md")]
pub mod first_steps {}

#[doc = include_str!("guide/cutting_off.md")]
pub mod cutting_off {}

#[doc = include_str!("guide/collections.md")]
pub mod collections {}

#[doc = include_str!("guide/web_service.md")]
pub mod web_service {}

#[doc = include_str!("guide/storage.md")]
pub mod storage {}

#[doc = include_str!("guide/memory.md")]
pub mod memory {}

#[doc = include_str!("guide/messages.md")]
pub mod messages {}
