//! One read transaction with its tables.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, TableError};

use super::contain::{Trouble, contain};
use crate::{Table, Visit};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

pub(super) const TABLES: [Definition; Table::ALL.len()] = {
    let mut tables = [TableDefinition::new("larder.meta"); Table::ALL.len()];
    let mut index = 1;
    while index < tables.len() {
        tables[index] = TableDefinition::new(match Table::ALL[index] {
            Table::Meta => "larder.meta",
            Table::Tasks => "larder.tasks",
            Table::Traces => "larder.traces",
            Table::Values => "larder.values",
            Table::Dependents => "larder.dependents",
            Table::Sources => "larder.sources",
            Table::Inputs => "larder.inputs",
            Table::Uses => "larder.uses",
            Table::Functions => "larder.functions",
            Table::Reads => "larder.reads",
            Table::Causes => "larder.causes",
        });
        index += 1;
    }
    tables
};

pub(super) struct Snapshot {
    tables: [Option<ReadOnlyTable<&'static [u8], &'static [u8]>>; Table::ALL.len()],
}

impl Snapshot {
    pub(super) fn take(transaction: ReadTransaction) -> Result<Self, Trouble> {
        let mut tables = [const { None }; Table::ALL.len()];
        for table in Table::ALL {
            tables[table.index()] = match transaction.open_table(TABLES[table.index()]) {
                Ok(opened) => Some(opened),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Self { tables })
    }

    /// Whether every table is there.
    pub(super) fn is_complete(&self) -> bool {
        self.tables.iter().all(Option::is_some)
    }

    #[inline]
    pub(super) fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, Trouble> {
        let Some(table) = &self.tables[table.index()] else { return Ok(false) };
        // Through the trait: the inherent method returns a guard that is not tied to the table, at the price of
        // two more reference counts.
        let Some(found) = ReadableTable::get(table, key)? else { return Ok(false) };
        value.clear();
        value.extend_from_slice(found.value());
        Ok(true)
    }

    /// Only redb runs contained: a panic of `visit` is the caller's.
    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), Trouble> {
        let Some(table) = &self.tables[table.index()] else { return Ok(()) };
        let mut range = contain(|| ReadableTable::range::<&[u8]>(table, prefix..))??;
        while let Some(entry) = contain(|| range.next())? {
            let (key, value) = entry?;
            let (key, value) = contain(|| (key.value(), value.value()))?;
            if !key.starts_with(prefix) || visit(key, value) == Visit::Stop {
                break;
            }
        }
        Ok(())
    }
}
