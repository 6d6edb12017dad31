//! Duties that one thread can see.

use std::collections::BTreeMap;

use super::{Case, all, get, put, under, works};
use crate::{BackingStorage, Batch, Table, Visit};

pub(super) const CASES: &[Case] = &[
    ("a new store is empty", a_new_store_is_empty),
    ("what was put is read back, and replaced", what_was_put_is_read_back),
    ("deletes remove, and deleting nothing is no error", deletes_remove),
    ("tables are independent", tables_are_independent),
    ("empty keys and empty values are records like others", empty_keys_and_values),
    ("all bytes may stand in keys and values", all_bytes),
    ("keys of every length up to 64 bytes", keys_of_every_length),
    ("values of 16 MiB", big_values),
    ("a scan goes in order of the keys, as unsigned bytes", scans_are_ordered),
    ("a scan visits exactly what starts with the prefix", scans_keep_to_the_prefix),
    ("a scan stops when told to", scans_stop),
    ("the visitor of a scan may read", visitors_may_read),
    ("an empty batch is no error", empty_batches),
    ("puts and deletes mix in one batch, over all tables", mixed_batches),
    ("10,000 writes in one batch", many_writes),
    ("it agrees with a map, over many random batches", agrees_with_a_map),
    ("size and compact work, and compacting loses nothing", compacting_loses_nothing),
    ("a store that holds records does not claim to hold nothing", holds_something),
];

fn a_new_store_is_empty(store: &dyn BackingStorage) {
    for table in Table::ALL {
        assert_eq!(all(store, table), []);
        assert_eq!(get(store, table, b"key"), None);
        assert_eq!(get(store, table, b""), None);
    }
}

fn what_was_put_is_read_back(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"key", b"first");
    put(store, &mut batch);
    assert_eq!(get(store, Table::Tasks, b"key").as_deref(), Some(&b"first"[..]));
    for value in [&b"longer than the first"[..], b"short"] {
        batch.put(Table::Tasks, b"key", value);
        put(store, &mut batch);
        assert_eq!(get(store, Table::Tasks, b"key").as_deref(), Some(value));
    }
    assert_eq!(all(store, Table::Tasks).len(), 1);
    assert_eq!(get(store, Table::Tasks, b"ke"), None);
    assert_eq!(get(store, Table::Tasks, b"keys"), None);
}

fn deletes_remove(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    batch.delete(Table::Tasks, b"nothing");
    put(store, &mut batch);
    batch.put(Table::Tasks, b"a", b"1");
    batch.put(Table::Tasks, b"b", b"2");
    put(store, &mut batch);
    batch.delete(Table::Tasks, b"a");
    put(store, &mut batch);
    assert_eq!(get(store, Table::Tasks, b"a"), None);
    assert_eq!(all(store, Table::Tasks), [(b"b".to_vec(), b"2".to_vec())]);
    batch.put(Table::Tasks, b"a", b"3");
    put(store, &mut batch);
    assert_eq!(get(store, Table::Tasks, b"a").as_deref(), Some(&b"3"[..]));
}

fn tables_are_independent(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for table in Table::ALL {
        batch.put(table, b"key", table.name().as_bytes());
    }
    put(store, &mut batch);
    batch.delete(Table::Traces, b"key");
    put(store, &mut batch);
    for table in Table::ALL {
        let expected = (table != Table::Traces).then(|| table.name().as_bytes().to_vec());
        assert_eq!(get(store, table, b"key"), expected);
    }
}

fn empty_keys_and_values(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    batch.put(Table::Sources, b"", b"value");
    batch.put(Table::Sources, b"key", b"");
    batch.put(Table::Inputs, b"", b"");
    put(store, &mut batch);
    assert_eq!(get(store, Table::Sources, b"").as_deref(), Some(&b"value"[..]));
    assert_eq!(get(store, Table::Sources, b"key").as_deref(), Some(&b""[..]));
    assert_eq!(get(store, Table::Inputs, b"").as_deref(), Some(&b""[..]));
    assert_eq!(all(store, Table::Sources).len(), 2);
    batch.delete(Table::Sources, b"");
    put(store, &mut batch);
    assert_eq!(get(store, Table::Sources, b""), None);
}

fn all_bytes(store: &dyn BackingStorage) {
    let bytes: Vec<u8> = (0..=255).collect();
    let mut batch = Batch::new();
    for chunk in bytes.chunks(64) {
        batch.put(Table::Values, chunk, &bytes);
    }
    put(store, &mut batch);
    for chunk in bytes.chunks(64) {
        assert_eq!(get(store, Table::Values, chunk).as_deref(), Some(&bytes[..]));
    }
}

fn keys_of_every_length(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for length in 0..=64_u8 {
        batch.put(Table::Traces, &vec![0; length.into()], &[length]);
    }
    put(store, &mut batch);
    for length in 0..=64_u8 {
        assert_eq!(get(store, Table::Traces, &vec![0; length.into()]), Some(vec![length]));
    }
    let lengths: Vec<_> = all(store, Table::Traces).iter().map(|(key, _)| key.len()).collect();
    assert_eq!(lengths, (0..=64).collect::<Vec<_>>());
}

fn big_values(store: &dyn BackingStorage) {
    let big: Vec<u8> = (0..16_u32 << 20).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let mut batch = Batch::new();
    batch.put(Table::Values, b"a", &big);
    batch.put(Table::Values, b"b", b"small");
    put(store, &mut batch);
    assert!(get(store, Table::Values, b"a").as_ref() == Some(&big));
    assert_eq!(get(store, Table::Values, b"b").as_deref(), Some(&b"small"[..]));
    batch.put(Table::Values, b"a", &big[1..]);
    put(store, &mut batch);
    assert!(get(store, Table::Values, b"a").as_deref() == Some(&big[1..]));
}

fn scans_are_ordered(store: &dyn BackingStorage) {
    let keys: &[&[u8]] =
        &[b"\xff", b"b", b"", b"a\0", b"a", b"\x80", b"\x7f", b"a\xff", b"aa", b"\0", b"\xff\xff"];
    let mut batch = Batch::new();
    for key in keys {
        batch.put(Table::Tasks, key, key);
        put(store, &mut batch);
    }
    let mut sorted: Vec<_> = keys.iter().map(|key| key.to_vec()).collect();
    sorted.sort();
    let seen: Vec<_> = all(store, Table::Tasks).into_iter().map(|(key, _)| key).collect();
    assert_eq!(seen, sorted);
}

fn scans_keep_to_the_prefix(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for key in
        [&b""[..], b"a", b"ab", b"ab\0", b"abc", b"ab\xff", b"ab\xff\xff", b"ac", b"b", b"\xff", b"\xff\xff"]
    {
        batch.put(Table::Dependents, key, b"x");
    }
    put(store, &mut batch);
    let keys = |prefix: &[u8]| {
        under(store, Table::Dependents, prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(b"ab"), [&b"ab"[..], b"ab\0", b"abc", b"ab\xff", b"ab\xff\xff"]);
    assert_eq!(keys(b"ab\xff"), [&b"ab\xff"[..], b"ab\xff\xff"]);
    assert_eq!(keys(b"\xff"), [&b"\xff"[..], b"\xff\xff"]);
    assert_eq!(keys(b"\xff\xff\xff"), Vec::<Vec<u8>>::new());
    assert_eq!(keys(b"aba"), Vec::<Vec<u8>>::new());
    assert_eq!(keys(b"").len(), 11);
}

fn scans_stop(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for number in 0..10_u8 {
        batch.put(Table::Uses, &[number], &[]);
    }
    put(store, &mut batch);
    let mut seen = 0;
    works(store.scan(Table::Uses, &[], &mut |_, _| {
        seen += 1;
        if seen == 3 { Visit::Stop } else { Visit::Continue }
    }));
    assert_eq!(seen, 3);
}

fn visitors_may_read(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for number in 0..10_u8 {
        batch.put(Table::Sources, &[number], &[number + 1]);
    }
    put(store, &mut batch);
    let mut found = 0;
    works(store.scan(Table::Sources, &[], &mut |_, value| {
        found += u32::from(get(store, Table::Sources, value).is_some());
        Visit::Continue
    }));
    assert_eq!(found, 9);
}

fn empty_batches(store: &dyn BackingStorage) {
    put(store, &mut Batch::new());
    assert_eq!(all(store, Table::Meta), []);
}

fn mixed_batches(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for table in Table::ALL {
        batch.put(table, b"goes", b"1");
        batch.put(table, b"stays", b"1");
    }
    put(store, &mut batch);
    for table in Table::ALL {
        batch.delete(table, b"goes");
        batch.put(table, b"comes", b"2");
        batch.put(table, b"stays", b"2");
    }
    put(store, &mut batch);
    for table in Table::ALL {
        let expected = [(b"comes".to_vec(), b"2".to_vec()), (b"stays".to_vec(), b"2".to_vec())];
        assert_eq!(all(store, table), expected);
    }
}

fn many_writes(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for number in 0..10_000_u64 {
        // Spread as digests are.
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        batch.put(Table::Tasks, &key, &number.to_le_bytes().repeat(20));
    }
    put(store, &mut batch);
    assert_eq!(all(store, Table::Tasks).len(), 10_000);
    for number in (0..10_000_u64).step_by(97) {
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        assert_eq!(get(store, Table::Tasks, &key), Some(number.to_le_bytes().repeat(20)));
    }
}

fn agrees_with_a_map(store: &dyn BackingStorage) {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut map = BTreeMap::new();
    let mut batch = Batch::new();
    for _ in 0..60 {
        for _ in 0..random(40) {
            let key = vec![random(6) as u8; random(5) as usize];
            if random(3) == 0 {
                batch.delete(Table::Traces, &key);
                map.remove(&key);
            } else {
                let value = vec![random(256) as u8; random(5000) as usize];
                batch.put(Table::Traces, &key, &value);
                map.insert(key, value);
            }
        }
        put(store, &mut batch);
        assert!(all(store, Table::Traces).into_iter().eq(map.clone()));
    }
}

fn compacting_loses_nothing(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    for number in 0..2000_u32 {
        batch.put(Table::Values, &number.to_be_bytes(), &[7; 1000]);
    }
    put(store, &mut batch);
    for number in (0..2000_u32).filter(|number| number % 10 != 0) {
        batch.delete(Table::Values, &number.to_be_bytes());
    }
    put(store, &mut batch);
    let before = works(store.size());
    works(store.compact());
    let after = works(store.size());
    assert!(after <= before, "{after:?} bytes after compacting, {before:?} before");
    assert_eq!(all(store, Table::Values).len(), 200);
    batch.put(Table::Values, b"later", b"works");
    put(store, &mut batch);
    assert_eq!(get(store, Table::Values, b"later").as_deref(), Some(&b"works"[..]));
}

fn holds_something(store: &dyn BackingStorage) {
    assert!(!store.holds_nothing());
}
