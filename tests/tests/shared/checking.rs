//! A share of the results that came is computed all the same, and compared.

use std::cell::Cell;
use std::collections::HashMap;

use larder::shared::{Divergence, SharedStats};

use super::link::{Cache, FILES};
use super::*;

thread_local! {
    /// Which machine this thread is, as a broken body sees it.
    static MACHINE: Cell<u64> = const { Cell::new(0) };
}

/// A body that is not a function of what it reads.
#[task_fn]
fn impure(path: &str) -> u64 {
    words(path) as u64 + MACHINE.get()
}

#[task_fn]
fn above(path: &str) -> u64 {
    impure(path) * 10
}

#[task_fn]
fn top(path: &str) -> u64 {
    above(path) + 1
}

/// Equal maps of two processes are encoded in two orders.
#[task_fn]
fn counts(path: &str) -> HashMap<String, usize> {
    (0..50).map(|number| (format!("{path} {number}"), words(path))).collect()
}

#[task_fn]
fn reader_of_counts(path: &str) -> usize {
    counts(path).len()
}

/// Runs `work` as a machine that writes, and returns what it came to.
fn write<R>(cache: &Cache, machine: &Machine, work: impl FnOnce() -> R) -> R {
    let runtime = machine.builder().shared(cache.shared().writer(cache.key.clone())).build();
    runtime.run(work)
}

/// Runs `work` on a machine that reads and checks, and returns what it came to, the bodies that ran, and what was counted.
fn read<R>(cache: &Cache, machine: &Machine, share: f64, work: impl FnOnce() -> R) -> (R, u64, SharedStats) {
    let runtime = machine.builder().shared(cache.shared().check(share)).build();
    let value = runtime.run(work);
    (value, runtime.stats().runs(), runtime.shared_stats().unwrap())
}

#[test]
fn all_bodies_run_where_all_is_checked_and_honest_results_are_equal() {
    let (cache, ci) = (Cache::new(), Machine::with_files(FILES));
    let page = cache.write(&ci).0;
    let all = FILES as u64 + 2;
    let laptop = Machine::with_files(FILES);
    let of_src = || super::page("src").trim().parse::<usize>().unwrap();
    let (value, bodies, stats) = read(&cache, &laptop, 1.0, of_src);
    assert_eq!((value, bodies, stats.pulled), (page, all, all));
    assert_eq!((stats.checked, stats.diverged), (all, 0));
    assert!(stats.to_string().contains("0 of 52 checked results differ"), "{stats}");
    // Results that it has computed are its own now.
    let (value, bodies, stats) = read(&cache, &laptop, 1.0, of_src);
    assert_eq!((value, bodies, stats.checked), (page, 0, 0));
}

#[test]
fn a_share_is_checked() {
    let files = 300;
    let (cache, ci) = (Cache::new(), Machine::with_files(files));
    let all = || (0..files).map(|file| words(&format!("src/{file:03}"))).sum::<usize>();
    let sum = write(&cache, &ci, all);
    for (share, most) in [(0.0, 0), (0.5, 299)] {
        let (value, bodies, stats) = read(&cache, &Machine::with_files(files), share, all);
        assert_eq!((value, stats.diverged), (sum, 0));
        assert_eq!(bodies, stats.checked);
        assert!(stats.checked <= most && (share == 0.0 || stats.checked > 0), "{}", stats.checked);
    }
}

#[test]
fn a_result_that_the_body_does_not_come_to_here_is_told_and_not_used() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    MACHINE.set(100);
    assert_eq!(write(&cache, &ci, || top("src/002")), 1021);
    MACHINE.set(200);
    // Not checked, it is believed: the key is trusted, and all reads hold.
    let (value, bodies, _) = read(&cache, &Machine::with_files(3), 0.0, || top("src/002"));
    assert_eq!((value, bodies), (1021, 0));
    let laptop = Machine::with_files(3);
    let (value, bodies, stats) = read(&cache, &laptop, 1.0, || top("src/002"));
    assert_eq!((value, bodies), (2021, 4));
    // Those above it have read another value: what came for them does not hold any more, and is no divergence.
    assert_eq!(stats.diverged, 1, "{:?}", stats.divergences);
    let Divergence { task, came, computed, reads_differ, pack, signed, .. } = &stats.divergences[0];
    let pack: String = pack.expect("it came with one").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(cache.engine_names().iter().any(|name| name.ends_with(&pack) && name.contains("/p/")), "{pack}");
    assert_eq!((&**task, *reads_differ), (r#"impure("src/002")"#, false));
    assert_ne!(came, computed);
    assert_eq!(signed.as_ref().map(|(by, _)| &**by), Some("ci"));
    let text = stats.divergences[0].to_string();
    assert!(text.starts_with(r#"impure("src/002") came as "#) && text.ends_with("signed by ci"), "{text}");
    // The value that was computed stays.
    let (value, bodies, _) = read(&cache, &laptop, 0.0, || top("src/002"));
    assert_eq!((value, bodies), (2021, 0));
}

#[test]
fn equal_values_of_two_encodings_are_no_divergence_and_readers_hold() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    let work = || reader_of_counts("src/001");
    assert_eq!(write(&cache, &ci, work), 50);
    let (value, bodies, stats) = read(&cache, &Machine::with_files(3), 1.0, work);
    assert_eq!((value, bodies, stats.checked, stats.diverged), (50, 3, 3, 0));
}

#[test]
fn a_record_that_came_is_checked() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    let work = || top("src/001");
    MACHINE.set(0);
    write(&cache, &ci, work);
    let laptop = Machine::with_files(3);
    let runtime = laptop.builder().shared(cache.shared().check(1.0)).build();
    assert_eq!(runtime.run(work), 11);
    // A colleague's job has run on the same edit, and was wrong.
    MACHINE.set(7);
    ci.write(1, 4);
    assert_eq!(write(&cache, &ci, work), 111);
    MACHINE.set(0);
    laptop.write(1, 4);
    runtime.refresh().unwrap();
    assert_eq!(runtime.run(work), 41);
    let stats = runtime.shared_stats().unwrap();
    assert_eq!((stats.came, stats.diverged), (4, 1), "{:?}", stats.divergences);
    assert_eq!(stats.divergences[0].signed.as_ref().map(|(by, _)| &**by), Some("ci"));
    assert_eq!(stats.divergences[0].pack, None, "it came as a record");
}
