//! The test kit, by itself: each assertion holds where it should, and where it fails it says what happened, as kit.txt has it.
//! `TRYBUILD=overwrite` accepts what it says now.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use larder::storage::MemoryStorage;
use larder::testing::{Ran, function, ran, watch, watch_for};
use larder::{Input, Runtime, task_fn};

#[task_fn(transient)]
fn parse(file: &Input<String>) -> Vec<String> {
    file.with(|text| text.split(' ').map(str::to_owned).collect())
}

#[task_fn(transient)]
fn item(file: &Input<String>, number: usize) -> String {
    parse(file).get(number).cloned().unwrap_or_default()
}

#[task_fn(transient)]
fn check(file: &Input<String>, number: usize) -> bool {
    item(file, number).len() < 3
}

#[task_fn(transient)]
fn unused() -> u64 {
    0
}

#[task_fn]
fn kept(file: &Input<String>) -> usize {
    file.with(String::len)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Method;
impl Method {
    #[task_fn(transient)]
    fn twice(&self, n: u64) -> u64 {
        n * 2
    }
}

#[task_fn(transient)]
async fn asynchronous(n: u64) -> u64 {
    std::future::ready(n).await
}

fn checks(runtime: &Runtime, file: &Input<String>) -> Vec<bool> {
    runtime.run(|| (0..2).map(|number| check(file, number)).collect())
}

fn edited() -> (Runtime, Input<String>, Ran) {
    let runtime = Runtime::new();
    let file = runtime.input("f", "a b".to_owned());
    checks(&runtime, &file);
    let ran = watch(&runtime, || {
        runtime.update(|update| update.set(&file, "a bcd".to_owned())).unwrap();
        assert_eq!(checks(&runtime, &file), [true, false]);
    });
    (runtime, file, ran)
}

#[test]
fn what_ran_is_told_by_calls() {
    let (runtime, file, ran) = edited();
    ran.assert_exactly(ran![parse(&file), item(&file, 0), item(&file, 1), check(&file, 1)]);
    ran.assert_ran(ran![parse(&file)]);
    ran.assert_verified(ran![check(&file, 0)]);
    ran.assert_cut_off(ran![item(&file, 0)]);
    ran.assert_none(function!(unused, kept));
    let names: Vec<_> = ran.ran().iter().map(|task| task.as_str().to_owned()).collect();
    assert_eq!(
        names,
        [
            r#"check(input("f"), 1)"#,
            r#"item(input("f"), 0)"#,
            r#"item(input("f"), 1)"#,
            r#"parse(input("f"))"#
        ]
    );
    let (answers, ran) = watch_for(&runtime, || checks(&runtime, &file));
    assert_eq!(answers, [true, false]);
    ran.assert_nothing_ran();
    ran.assert_hit(ran![check(&file, 0), check(&file, 1)]);
}

#[test]
fn methods_and_async_functions_are_named_as_well() {
    let runtime = Runtime::new();
    let ran = watch(&runtime, || {
        runtime.run(|| Method.twice(3));
        smol::block_on(runtime.run_async(asynchronous(4)));
    });
    ran.assert_exactly(ran![Method.twice(3), asynchronous(4)]);
}

#[test]
fn what_is_restored_is_told() {
    let store = MemoryStorage::new();
    let first = Runtime::builder().storage(store.clone()).build();
    let file = first.input("f", "abc".to_owned());
    first.run(|| kept(&file));
    drop((file, first));
    let next = Runtime::builder().storage(store).build();
    let file = next.input("f", "abc".to_owned());
    let ran = watch(&next, || next.run(|| kept(&file)));
    ran.assert_restored(ran![kept(&file)]);
    ran.assert_nothing_ran();
}

#[test]
fn each_failure_says_what_happened_instead() {
    let (runtime, file, ran) = edited();
    let again = watch(&runtime, || checks(&runtime, &file));
    let failures: [(&str, &dyn Fn()); 10] = [
        ("too few are expected", &|| ran.assert_exactly(ran![parse(&file), item(&file, 0), item(&file, 1)])),
        ("others are expected", &|| {
            ran.assert_exactly(ran![
                parse(&file),
                item(&file, 0),
                item(&file, 1),
                check(&file, 0),
                check(&file, 1),
                unused()
            ]);
        }),
        ("one is missing", &|| ran.assert_ran(ran![check(&file, 0)])),
        ("nothing is expected", &|| watch(&runtime, || runtime.run(unused)).assert_nothing_ran()),
        ("none of a function is expected", &|| ran.assert_none(function!(check))),
        ("a hit that ran", &|| ran.assert_hit(ran![check(&file, 1)])),
        ("a hit that was never asked for", &|| again.assert_hit(ran![check(&file, 7)])),
        ("verified, and ran", &|| ran.assert_verified(ran![check(&file, 1)])),
        ("restored, and was not", &|| again.assert_restored(ran![check(&file, 1)])),
        ("cut off, and verified", &|| ran.assert_cut_off(ran![check(&file, 0)])),
    ];
    let mut said = String::new();
    for (what, assert) in failures {
        let failure = catch_unwind(AssertUnwindSafe(assert)).expect_err(what);
        let message = failure.downcast_ref::<String>().expect("an assertion's message");
        writeln!(said, "{what}\n{message}\n").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeing/kit.txt");
    if std::env::var("TRYBUILD").is_ok_and(|mode| mode == "overwrite") {
        std::fs::write(path, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(path).unwrap());
}

static TICKETS: AtomicU64 = AtomicU64::new(0);

#[task_fn]
fn impure(file: &Input<String>, names: u64) -> u64 {
    names + file.with(|text| text.len() as u64) + TICKETS.fetch_add(1, Ordering::Relaxed)
}

#[task_fn(transient)]
fn hidden(#[skip] changes: &'static AtomicU64, file: &Input<String>) -> u64 {
    if changes.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        file.with(|text| text.len() as u64)
    } else {
        3
    }
}

static CHANGES: AtomicU64 = AtomicU64::new(0);

#[task_fn(transient)]
fn fails_then(n: u64) -> u64 {
    assert!(TICKETS_OF_FAILING.fetch_add(1, Ordering::Relaxed) < 1, "the second time");
    n
}

static TICKETS_OF_FAILING: AtomicU64 = AtomicU64::new(0);

#[test]
fn impure_bodies_are_named_with_what_they_read() {
    let runtime = Runtime::builder().check_determinism(1.0).threads(3).build();
    let file = runtime.input("f", "a b".to_owned());
    let ran = watch(&runtime, || checks(&runtime, &file));
    ran.assert_deterministic();
    assert_eq!(runtime.stats().runs(), 5, "second runs are not counted");
    let (values, ran) = watch_for(&runtime, || {
        runtime.run(|| {
            (impure(&file, 1000), hidden(&CHANGES, &file), fails_then(4), asynchronous::task(4).get())
        })
    });
    // The first run's values are used.
    assert_eq!(values, (1003, 3, 4, 4));
    let failure = catch_unwind(AssertUnwindSafe(|| ran.assert_deterministic())).unwrap_err();
    let message = failure.downcast_ref::<String>().unwrap();
    let lines: Vec<_> = message.lines().map(str::trim).collect();
    assert_eq!(lines[0], "these came to something else when they were run once more:");
    assert!(lines[1].starts_with(r#"`impure(input("f"), 1000)`: "#), "{message}");
    assert_eq!(
        lines[2..],
        [
            r#"it had read `input("f")`"#,
            r#"`hidden(_, input("f"))`: ? and ?"#,
            r#"it had read `input("f")`"#,
            "and it read something else the second time",
            "`fails_then(4)`: ? and ?",
        ]
    );
    let first = &runtime.impure()[0];
    assert!(first.first.is_some() && first.second.is_some() && first.first != first.second);
}
