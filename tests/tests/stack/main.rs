//! How much stack there is where the engine calls what a value's type defines.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod deep;
mod everywhere;
