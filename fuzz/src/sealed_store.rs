//! A store whose records were changed by an attacker that can seal them: it may lie, and nothing more. No panic, no hang, no
//! memory without bound.

use std::sync::OnceLock;

use larder::storage::{BackingStorage, MemoryStorage, Table, Visit};
use larder_storage::{Batch, ENVELOPE_BYTES};

use super::program::{STATES, answer, fill, open};

type Records = Vec<(Table, Vec<u8>, Vec<u8>)>;

/// Changes a store as `data` says, and uses it.
pub fn run(data: &[u8]) {
    static STORED: OnceLock<Records> = OnceLock::new();
    let mut records = STORED.get_or_init(stored).clone();
    let mut rest = data;
    while let Some((op, after)) = rest.split_first_chunk::<6>() {
        rest = change(&mut records, *op, after);
    }
    let mut batch = Batch::new();
    for (table, key, payload) in &records {
        batch.seal(*table, key, |out| out.extend_from_slice(payload));
    }
    let store = MemoryStorage::new();
    store.commit(batch.writes()).expect("it is in memory");
    for state in [STATES[0], STATES[3], STATES[1]] {
        let runtime = open(store.clone());
        answer(&runtime, state);
        answer(&runtime, STATES[2]);
        let _ = runtime.storage_report();
    }
}

/// One change, of six bytes and perhaps some of those behind them.
fn change<'a>(records: &mut Records, op: [u8; 6], rest: &'a [u8]) -> &'a [u8] {
    let [what, low, high, at, more, value] = op;
    let which = usize::from(u16::from_le_bytes([low, high])) % records.len().max(1);
    let Some((table, key, payload)) = records.get_mut(which) else { return &[] };
    let at = usize::from(u16::from_le_bytes([at, more])) % payload.len().max(1);
    match what % 8 {
        0..3 => payload.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value),
        3 => payload.truncate(at),
        4 => {
            // Another payload altogether.
            let (taken, rest) = rest.split_at(usize::from(value).min(rest.len()));
            *payload = taken.to_vec();
            return rest;
        }
        5 => {
            // One record's reads or dependents in place of another's.
            let (table, payload) = (*table, payload.clone());
            let other = (which + usize::from(value)) % records.len();
            if records[other].0 == table {
                records[other].2 = payload;
            }
        }
        6 => key.iter_mut().skip(at % 20).take(1).for_each(|byte| *byte ^= value),
        _ => drop(records.swap_remove(which)),
    }
    rest
}

fn stored() -> Records {
    let store = MemoryStorage::new();
    fill(|| open(store.clone()));
    let mut records = Records::new();
    for table in Table::ALL {
        let collect = &mut |key: &[u8], record: &[u8]| {
            records.push((table, key.to_vec(), record[ENVELOPE_BYTES..].to_vec()));
            Visit::Continue
        };
        store.scan(table, &[], collect).expect("it is in memory");
    }
    records
}

/// Some scripts of changes.
pub fn seeds() -> Vec<Vec<u8>> {
    (0..64_u8)
        .map(|seed| (0..30).map(|at: u8| seed.wrapping_mul(31).wrapping_add(at.wrapping_mul(seed))).collect())
        .collect()
}
