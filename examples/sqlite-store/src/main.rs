//! A store of another kind: results in SQLite, through rusqlite. `cargo run -p sqlite-store`
//!
//! Four methods make a store. The engine seals and checks every record itself, so that a store has to be no more than
//! atomic and durable; the conformance suite says whether it is.

#![allow(clippy::print_stdout, reason = "a program talks to its user there")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use larder::storage::{BackingStorage, Operation, StorageError, Table, Visit, Writes, conformance};
use larder::{Runtime, task_fn};
use rusqlite::{Connection, OptionalExtension, params};

/// A store in one SQLite database, with one table for each of ours.
struct Sqlite(Mutex<Connection>);

impl Sqlite {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        // Durable when a commit returns; readers see no half of one.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        for table in Table::ALL {
            let name = table.name();
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS larder_{name} (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
            );
            connection.execute(&sql, [])?;
        }
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(operation: Operation) -> impl Fn(rusqlite::Error) -> StorageError {
    move |error| StorageError::failed(operation, error)
}

impl BackingStorage for Sqlite {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        let connection = self.connection();
        let sql = format!("SELECT value FROM larder_{} WHERE key = ?", table.name());
        let mut query = connection.prepare_cached(&sql).map_err(failed(Operation::Get))?;
        let found = query.query_row([key], |row| {
            value.clear();
            value.extend_from_slice(row.get_ref(0)?.as_blob()?);
            Ok(())
        });
        Ok(found.optional().map_err(failed(Operation::Get))?.is_some())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        // The visitor may read from the store, so that the connection must be free when it is called.
        let records: Vec<(Vec<u8>, Vec<u8>)> = {
            let connection = self.connection();
            let sql = format!("SELECT key, value FROM larder_{} WHERE key >= ? ORDER BY key", table.name());
            let mut query = connection.prepare_cached(&sql).map_err(failed(Operation::Scan))?;
            let rows = query
                .query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))
                .map_err(failed(Operation::Scan))?;
            let is_under = |row: &rusqlite::Result<(Vec<u8>, _)>| {
                row.as_ref().map_or(true, |(key, _)| key.starts_with(prefix))
            };
            rows.take_while(is_under).collect::<rusqlite::Result<_>>().map_err(failed(Operation::Scan))?
        };
        let _ = records.iter().try_for_each(|(key, value)| match visit(key, value) {
            Visit::Continue => Ok(()),
            Visit::Stop => Err(()),
        });
        Ok(())
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        let write_all = || -> rusqlite::Result<()> {
            let mut connection = self.connection();
            let transaction = connection.transaction()?;
            for write in writes.iter() {
                let table = write.table.name();
                let (put, delete) = (
                    format!("INSERT OR REPLACE INTO larder_{table} VALUES (?, ?)"),
                    format!("DELETE FROM larder_{table} WHERE key = ?"),
                );
                match write.value {
                    Some(value) => transaction.prepare_cached(&put)?.execute(params![write.key, value])?,
                    None => transaction.prepare_cached(&delete)?.execute([write.key])?,
                };
            }
            transaction.commit()
        };
        write_all().map_err(failed(Operation::Commit))
    }
}

#[task_fn]
fn letters(text: &str) -> usize {
    text.chars().filter(|letter| letter.is_alphabetic()).count()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("results.sqlite");
    for _ in 0..2 {
        let runtime = Runtime::builder().storage(Sqlite::open(&path)?).try_build()?;
        let found = runtime.run(|| letters("a store of another kind"));
        println!("{found} letters, {} bodies run", runtime.stats().runs());
    }
    let count = Cell::new(0);
    let make = || {
        count.set(count.get() + 1);
        Sqlite::open(&folder.path().join(count.get().to_string())).expect("the folder is there")
    };
    let reopen = |store: Sqlite| {
        let path = store.connection().path().map(PathBuf::from).expect("it is in a file");
        drop(store);
        Sqlite::open(&path).expect("it has been opened before")
    };
    conformance::check_durable(make, reopen);
    println!("conforms");
    Ok(())
}
