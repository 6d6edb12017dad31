//! A check of an engine: whether it does what [`SharedEngine`] says.

use std::time::{Duration, Instant};

use larder_storage::{Digest, TaskKey};

use crate::{Holder, Kind, Lease, Namespace, Put, SharedEngine, SharedError, SharedKey};

/// Checks an engine that holds nothing in the namespace `conformance/NAME`, with `name` made of letters and digits. Items stay there.
///
/// Of an engine that cannot keep what is there (`Put::IfAbsent`), it is checked only that one of the two items stays.
///
/// # Errors
/// The fault, in a sentence.
pub fn check(engine: &dyn SharedEngine, name: &str) -> Result<(), String> {
    let namespace = Namespace::new(&format!("conformance/{name}")).map_err(str::to_owned)?;
    let key = |text: &str| SharedKey::of(&namespace, Kind::Pack, blake3::hash(text.as_bytes()).as_bytes());
    let fails = |what: &'static str| move |error: SharedError| format!("{what}: {error}");
    let soon = || Instant::now() + Duration::from_secs(60);
    let expect = |is: bool, what: &str| if is { Ok(()) } else { Err(what.to_owned()) };

    let absent = engine.get(&[key("a"), key("b")], soon()).map_err(fails("a look for what is not there"))?;
    expect(absent == [None, None], "what is not there has to be `None`, for each name")?;
    expect(
        engine.get(&[], soon()).map_err(fails("a look for nothing"))?.is_empty(),
        "no names have no items",
    )?;

    let large = vec![0xA5; engine.limits().item_bytes.min(8 << 20)];
    let items: [(SharedKey, &[u8]); 3] = [(key("a"), b"first"), (key("b"), b""), (key("c"), &large)];
    engine.put(&items, Put::Replace, soon()).map_err(fails("keeping three items"))?;
    let names = [key("c"), key("none"), key("a"), key("b"), key("a")];
    let found = engine.get(&names, soon()).map_err(fails("a look for five items"))?;
    let bytes = |at: usize| found.get(at).and_then(|item| item.as_deref());
    expect(found.len() == 5, "there have to be as many answers as names")?;
    expect(bytes(0) == Some(&large), "an item of 8 MiB, or of the largest size, has to come back")?;
    expect(bytes(1).is_none(), "what is not there is `None`, between others as well")?;
    expect(bytes(2) == Some(b"first") && bytes(4) == Some(b"first"), "answers have the order of the names")?;
    expect(bytes(3).is_none_or(<[u8]>::is_empty), "an empty item is empty, or not there")?;

    engine.put(&[(key("a"), b"second")], Put::Replace, soon()).map_err(fails("replacing an item"))?;
    let found = engine.get(&[key("a")], soon()).map_err(fails("a look for what was replaced"))?;
    expect(found == [Some(b"second".to_vec())], "an item that is replaced is the new one")?;
    engine.put(&[(key("a"), b"third")], Put::IfAbsent, soon()).map_err(fails("keeping what is there"))?;
    let found = engine.get(&[key("a")], soon()).map_err(fails("a look for what may have stayed"))?;
    let is_one = found == [Some(b"second".to_vec())] || found == [Some(b"third".to_vec())];
    expect(is_one, "`IfAbsent` leaves the old item or the new one")?;

    let names: Vec<_> = (0..engine.limits().keys.min(1000)).map(|number| key(&number.to_string())).collect();
    let found = engine.get(&names, soon()).map_err(fails("a look for as many names as may be"))?;
    expect(found.len() == names.len(), "as many names as the limits allow have to be answered at once")?;

    let other = Namespace::new(&format!("conformance/{name}/other")).map_err(str::to_owned)?;
    let elsewhere = SharedKey::of(&other, Kind::Pack, blake3::hash(b"a").as_bytes());
    let found = engine.get(&[elsewhere], soon()).map_err(fails("a look at another namespace"))?;
    expect(found == [None], "namespaces are apart")?;

    let over = Instant::now().checked_sub(Duration::from_millis(1)).unwrap_or_else(Instant::now);
    let late = engine.get(&[key("a")], over);
    expect(!matches!(late, Err(SharedError::Refused { .. })), "a moment that is over is no refusal")?;
    all_at_once(engine, &key)
}

/// Checks the leases of an engine, in the namespace `conformance/NAME`. Returns whether it has any.
///
/// # Errors
/// The fault, in a sentence.
pub fn check_leases(engine: &dyn SharedEngine, name: &str) -> Result<bool, String> {
    let namespace = Namespace::new(&format!("conformance/{name}")).map_err(str::to_owned)?;
    let key = |number| SharedKey::lease(&namespace, TaskKey(Digest(number)));
    let holder = || Holder::new().map_err(|error| error.to_string());
    let (one, other) = (holder()?, holder()?);
    let soon = || Instant::now() + Duration::from_secs(60);
    let long = Duration::from_secs(3600);
    let take = |key: &SharedKey, holder: &Holder, lasts: Duration| {
        engine.lease(key, holder, lasts, soon()).map_err(|error| format!("taking a lease: {error}"))
    };
    let end = |key: &SharedKey, holder: &Holder| {
        engine.end_lease(key, holder, soon()).map_err(|error| format!("ending a lease: {error}"))
    };
    let expect = |is: bool, what: &str| if is { Ok(()) } else { Err(what.to_owned()) };

    let first = take(&key(1), &one, long)?;
    if first == Lease::NotSupported {
        return Ok(false);
    }
    expect(first == Lease::Taken, "a lease that is free is taken")?;
    expect(take(&key(1), &other, long)? == Lease::Held, "a lease that one has is held for the other")?;
    expect(take(&key(1), &one, long)? == Lease::Taken, "the holder of a lease may take it again")?;
    expect(take(&key(2), &other, long)? == Lease::Taken, "leases of two names are apart")?;
    end(&key(1), &other)?;
    expect(take(&key(1), &other, long)? == Lease::Held, "only its holder ends a lease")?;
    end(&key(1), &one)?;
    end(&key(1), &one)?;
    expect(take(&key(1), &other, long)? == Lease::Taken, "a lease that was ended is free")?;

    // One that is as good as over when it is taken. The other one asks for the same time, and however long the clocks need.
    let short = Duration::from_millis(1);
    expect(take(&key(3), &one, short)? == Lease::Taken, "a short lease is taken")?;
    while take(&key(3), &other, short)? != Lease::Taken {
        std::thread::sleep(short);
    }
    Ok(true)
}

/// Several threads write and read one item: each sees one of what was written, as a whole.
fn all_at_once(engine: &dyn SharedEngine, key: &(impl Fn(&str) -> SharedKey + Sync)) -> Result<(), String> {
    let soon = || Instant::now() + Duration::from_secs(60);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u8)
            .map(|thread| {
                scope.spawn(move || {
                    for round in 0..20 {
                        let bytes = vec![thread * 20 + round; 50_000];
                        engine
                            .put(&[(key("shared"), &bytes)], Put::Replace, soon())
                            .map_err(|error| format!("keeping one item from four threads: {error}"))?;
                        let found = engine
                            .get(&[key("shared")], soon())
                            .map_err(|error| format!("a look from four threads: {error}"))?;
                        let is_whole = |bytes: &Vec<u8>| {
                            bytes.len() == 50_000 && bytes.iter().all(|byte| *byte == bytes[0])
                        };
                        if !found.first().and_then(Option::as_ref).is_some_and(is_whole) {
                            return Err("an item is seen as a whole, or not at all".to_owned());
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())));
        ended.collect::<Result<(), String>>()
    })
}
