//! The engine of larder: lookup, incrementality, storage. Synchronous; names no future.

pub mod codec;
pub mod storage;
