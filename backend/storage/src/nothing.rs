//! The storage that holds nothing.

use super::{BackingStorage, StorageError, Table, Visit, Writes};

/// Holds nothing: every read is a miss, every write is forgotten. A runtime without storage uses it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStorage;

impl BackingStorage for NoStorage {
    fn get(&self, _: Table, _: &[u8], _: &mut Vec<u8>) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn scan(&self, _: Table, _: &[u8], _: &mut dyn FnMut(&[u8], &[u8]) -> Visit) -> Result<(), StorageError> {
        Ok(())
    }

    fn commit(&self, _: Writes<'_>) -> Result<(), StorageError> {
        Ok(())
    }

    fn holds_nothing(&self) -> bool {
        true
    }
}
