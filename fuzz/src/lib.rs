//! The targets: four functions of bytes, which must return whatever the bytes are.
//!
//! `tests/tests/fuzz.rs` includes these files, and runs them over seeded mutations of their seeds where there is no
//! cargo-fuzz.

pub mod codec;
pub mod program;
pub mod records;
pub mod sealed_store;
pub mod store_file;
