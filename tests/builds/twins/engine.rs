//! The engine as a library of its own, which a program and other libraries share.

pub use larder::*;
