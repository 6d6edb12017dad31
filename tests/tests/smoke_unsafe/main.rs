//! A walk over the engine's unsafe code that is short enough for Miri and the sanitizers. Run by `ci/miri.sh`: each file of
//! `backend/src` that docs/architecture.md lists as holding `unsafe` has to be reached from here.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod asked;
mod bounded;
mod cycles;
mod fanning;
mod futures;
mod nodes;
mod parts;
mod seen;
mod stored;
