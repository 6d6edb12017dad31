//! A store in memory, for tests: it survives a "restart", crashes on demand and fails as told.

mod faults;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

pub use self::faults::Faults;
use self::faults::Outcome;
use super::{BackingStorage, Operation, StorageError, Table, Visit, Writes};

type Tables = [BTreeMap<Box<[u8]>, Box<[u8]>>; Table::ALL.len()];

/// A store in memory. Clones share it, so a test keeps one across the "restarts" of what it tests.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Replaced as a whole by a commit, unless no other thread reads it: a scan keeps what it started with.
    tables: RwLock<Arc<Tables>>,
    faults: Faults,
}

impl MemoryStorage {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the faults to come.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Returns the content that a machine would find on its disk if the process died now: a store of its own, with all that was
    /// committed and no faults. Later commits of the old process are lost with it.
    #[must_use]
    pub fn crash(&self) -> Self {
        let tables = RwLock::new(self.tables());
        Self { shared: Arc::new(Shared { tables, faults: Faults::default() }) }
    }

    /// Returns the number of records of a table.
    pub fn len(&self, table: Table) -> usize {
        self.tables()[table.index()].len()
    }

    /// Whether there is no record in any table.
    pub fn is_empty(&self) -> bool {
        self.tables().iter().all(BTreeMap::is_empty)
    }

    /// Flips one bit of one record, in its key or in its value. `position` counts the bits of all keys and values in
    /// order and wraps around. The table that was damaged, or `None` for an empty store.
    pub fn flip_bit(&self, position: u64) -> Option<Table> {
        let bits = |key: &[u8], value: &[u8]| (key.len() as u64 + value.len() as u64) * 8;
        let mut tables = self.shared.tables.write();
        let all: u64 = tables.iter().flatten().map(|(key, value)| bits(key, value)).sum();
        let mut position = position.checked_rem(all)?;
        for table in Table::ALL {
            let records = &mut Arc::make_mut(&mut tables)[table.index()];
            let mut hit = None;
            for (key, value) in records.iter() {
                let bits = bits(key, value);
                if position < bits {
                    hit = Some(key.clone());
                    break;
                }
                position -= bits;
            }
            if let Some((mut key, mut value)) = hit.and_then(|key| records.remove_entry(&key)) {
                let byte = usize::try_from(position / 8).unwrap_or(0);
                let bit = 1 << (position % 8);
                match byte.checked_sub(key.len()) {
                    None => key[byte] ^= bit,
                    Some(byte) => value[byte] ^= bit,
                }
                records.insert(key, value);
                return Some(table);
            }
        }
        None
    }

    fn tables(&self) -> Arc<Tables> {
        self.shared.tables.read().clone()
    }
}

impl BackingStorage for MemoryStorage {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.shared.faults.call(Operation::Get).map_err(|error| error.at(table))?;
        let tables = self.shared.tables.read();
        let Some(found) = tables[table.index()].get(key) else { return Ok(false) };
        value.clear();
        value.extend_from_slice(found);
        Ok(true)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        self.shared.faults.call(Operation::Scan).map_err(|error| error.at(table))?;
        let tables = self.tables();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, value) in tables[table.index()].range::<[u8], _>(from) {
            if !key.starts_with(prefix) || visit(key, value) == Visit::Stop {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        let outcome = self.shared.faults.call(Operation::Commit)?;
        if outcome == Outcome::Lose {
            return Ok(());
        }
        let mut tables = self.shared.tables.write();
        if outcome == Outcome::Tear {
            let mut torn = Tables::clone(&tables);
            apply(&mut torn, writes, writes.len() / 2);
            return Err(Faults::error(Operation::Commit));
        }
        apply(Arc::make_mut(&mut tables), writes, writes.len());
        Ok(())
    }

    fn size(&self) -> Result<Option<u64>, StorageError> {
        self.shared.faults.call(Operation::Size)?;
        let bytes = self.tables().iter().flatten().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        Ok(Some(bytes as u64))
    }

    fn compact(&self) -> Result<(), StorageError> {
        self.shared.faults.call(Operation::Compact).map(|_| ())
    }
}

fn apply(tables: &mut Tables, writes: Writes<'_>, count: usize) {
    for write in writes.iter().take(count) {
        let records = &mut tables[write.table.index()];
        match write.value {
            Some(value) => drop(records.insert(write.key.into(), value.into())),
            None => drop(records.remove(write.key)),
        }
    }
}

impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let records = Table::ALL.map(|table| (table.name(), self.len(table)));
        f.debug_struct("MemoryStorage").field("records", &records).finish_non_exhaustive()
    }
}
