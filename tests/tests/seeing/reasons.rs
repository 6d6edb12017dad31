//! Explanations name what has really changed, whatever strand read it and however the task came to its value.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use larder::events::Cause;
use larder::explain::{Explanation, Happening};
use larder::storage::{BackingStorage as _, MemoryStorage, Table};
use larder::testing::advance_clock;
use larder::{Builder, Input, Runtime, current, par_map, task_fn};
use larder_storage::{Batch, Visit};

use super::set;

fn recording() -> Builder {
    Runtime::builder().record_causes(true)
}

fn stored(store: &MemoryStorage) -> Runtime {
    recording().storage(store.clone()).code_identity("reasons").build()
}

/// The steps in lines, without fingerprints: `half(input("i")): read 0`.
fn steps(explanation: &Explanation) -> Vec<String> {
    let step = |step: &larder::explain::Step| {
        let happened = match &step.happened {
            Happening::Ran(Cause::Read { position, .. }) => format!("read {position}"),
            Happening::Ran(Cause::StoredRead { before, after, .. }) => {
                assert_ne!(Some(*before), *after, "{explanation}");
                "stored read".to_owned()
            }
            Happening::Ran(cause) => format!("{cause:?}"),
            other => format!("{other:?}"),
        };
        format!("{}: {happened}", step.task)
    };
    explanation.steps.iter().map(step).collect()
}

#[task_fn(transient)]
fn tenth(input: &Input<u64>) -> u64 {
    input.get() / 10
}

// ---- strands ----

#[task_fn(transient)]
async fn fifth(input: &Input<u64>) -> u64 {
    tokio::task::yield_now().await;
    input.get() / 5
}

#[task_fn(transient)]
async fn awaits(one: &Input<u64>, other: &Input<u64>) -> u64 {
    let first = tenth(one);
    tokio::task::yield_now().await;
    first + tenth(other) + fifth(other).await
}

#[task_fn(transient)]
fn fans(inputs: &[Input<u64>]) -> u64 {
    let inputs = inputs.to_vec();
    par_map(0..inputs.len(), move |at| tenth(&inputs[at])).into_iter().sum()
}

#[task_fn(transient)]
fn carries(one: &Input<u64>, other: &Input<u64>) -> u64 {
    let (task, own, one) = (current(), tenth(other), one.clone());
    own + std::thread::spawn(move || task.run(|| tenth(&one))).join().unwrap()
}

#[test]
fn the_first_read_that_differs_is_named_on_all_strands() {
    let runtime = recording().threads(4).build();
    let inputs: Vec<_> = (0..50).map(|at| runtime.input(&format!("i{at}"), 10_u64)).collect();
    let (one, other) = (&inputs[40], &inputs[30]);
    let ask = || {
        smol::block_on(runtime.run_async(awaits(one, other)));
        runtime.run(|| (fans(&inputs), carries(one, other)));
    };
    ask();
    let update = runtime.update(|update| {
        // Of these, `tenth` stays what it is for `other` alone.
        update.set(one, 20);
        update.set(other, 15);
        update.set(&inputs[45], 30);
    });
    update.unwrap();
    ask();
    let cut_off = |explanation: &Explanation| explanation.steps[0].cut_off.clone();
    let fanned = runtime.explain(|| fans(&inputs));
    let below = [r#"tenth(input("i40")): read 0"#, r#"input("i40"): Set"#];
    assert_eq!(steps(&fanned)[1..], below);
    assert!(steps(&fanned)[0].ends_with(": read 40"), "{fanned}");
    assert_eq!(cut_off(&fanned).len(), 1);
    let carried = runtime.explain(|| carries(one, other));
    assert_eq!(steps(&carried)[1..], below);
    assert!(steps(&carried)[0].ends_with(": read 1") && cut_off(&carried).len() == 1, "{carried}");
    // The call alone is a call.
    let awaited = runtime.explain(|| drop(awaits(one, other)));
    assert_eq!(steps(&awaited)[1..], below);
    assert!(steps(&awaited)[0].ends_with(": read 0") && cut_off(&awaited).is_empty(), "{awaited}");
    runtime.update(|update| update.set(other, 14)).unwrap();
    ask();
    let awaited = runtime.explain(|| drop(awaits(one, other)));
    let expected = [r#"fifth(input("i30")): read 0"#, r#"input("i30"): Set"#];
    assert!(steps(&awaited)[0].ends_with(": read 2"), "{awaited}");
    assert_eq!(steps(&awaited)[1..], expected);
}

// ---- memory ----

#[task_fn(transient, weight = |text| text.len())]
fn heavy(input: &Input<u64>) -> String {
    input.get().to_string().repeat(1000)
}

#[task_fn(transient)]
fn length(input: &Input<u64>) -> usize {
    heavy(input).len()
}

#[task_fn(transient, lru = 2)]
fn few(n: u64) -> u64 {
    n
}

#[task_fn(transient)]
fn over_few(n: u64) -> u64 {
    few(n)
}

#[test]
fn what_was_dropped_to_save_memory_was_not_forgotten() {
    let runtime = recording().build();
    let input = runtime.input("i", 10);
    let _keeps = runtime.run(|| {
        length(&input);
        (0..10).for_each(|n| assert_eq!(over_few(n), n));
        (length::task(&input), (0..10).map(over_few::task).collect::<Vec<_>>())
    });
    assert!(runtime.shrink_to(0).unwrap().dropped > 0);
    runtime.run(|| (heavy(&input), few(0)));
    assert_eq!(steps(&runtime.explain(|| heavy(&input))), [r#"heavy(input("i")): Evicted"#]);
    assert_eq!(steps(&runtime.explain(|| few(0))), ["few(0): Evicted"]);
    // Dropped, and forgotten after that; and the other way round.
    runtime.shrink_to(0).unwrap();
    runtime.run(|| heavy::forget(&input));
    runtime.run(|| heavy(&input));
    assert_eq!(steps(&runtime.explain(|| heavy(&input))), [r#"heavy(input("i")): Forgotten"#]);
    runtime.shrink_to(0).unwrap();
    runtime.run(|| heavy(&input));
    assert_eq!(steps(&runtime.explain(|| heavy(&input))), [r#"heavy(input("i")): Evicted"#]);
    // Its reader is told which of the two it was, and what had changed.
    runtime.shrink_to(0).unwrap();
    set(&runtime, &input, 100);
    runtime.run(|| length(&input));
    let expected = [r#"length(input("i")): read 0"#, r#"heavy(input("i")): Evicted"#, r#"input("i"): Set"#];
    assert_eq!(steps(&runtime.explain(|| length(&input))), expected);
}

#[task_fn(weight = |text| text.len())]
fn stored_heavy(input: &Input<u64>) -> String {
    input.get().to_string().repeat(1000)
}

#[task_fn]
fn stored_length(input: &Input<u64>) -> usize {
    stored_heavy(input).len()
}

/// Takes all that is known of tasks out of a store.
fn lose_tasks(store: &MemoryStorage) {
    let mut batch = Batch::new();
    let scanned = store.scan(Table::Tasks, &[], &mut |key, _| {
        batch.delete(Table::Tasks, key);
        Visit::Continue
    });
    scanned.unwrap();
    store.commit(batch.writes()).unwrap();
}

#[test]
fn what_was_restored_and_is_not_in_the_store_any_more_says_so() {
    let store = MemoryStorage::new();
    let first = stored(&store);
    first.run(|| stored_length(&first.input("i", 10)));
    drop(first);
    let runtime = stored(&store);
    let input = runtime.input("i", 10);
    let _keeps = runtime.run(|| {
        stored_length(&input);
        stored_length::task(&input)
    });
    assert_eq!(runtime.stats().runs(), 0);
    lose_tasks(&store);
    set(&runtime, &input, 100);
    runtime.run(|| stored_length(&input));
    assert_eq!(steps(&runtime.explain(|| stored_length(&input))), [r#"stored_length(input("i")): Lost"#]);
}

#[test]
fn what_was_dropped_and_is_not_in_the_store_any_more_says_so() {
    let store = MemoryStorage::new();
    let runtime = stored(&store);
    let input = runtime.input("i", 10);
    let _keeps = runtime.run(|| {
        stored_length(&input);
        stored_length::task(&input)
    });
    runtime.flush().unwrap();
    // Less, and the reads of `stored_length` would go as well, and `stored_heavy` with them.
    runtime.shrink_to(runtime.memory().bytes - 1).unwrap();
    lose_tasks(&store);
    runtime.run(|| stored_heavy(&input));
    assert_eq!(steps(&runtime.explain(|| stored_heavy(&input))), [r#"stored_heavy(input("i")): Evicted"#]);
}

// ---- results that do not last ----

#[task_fn(transient)]
fn fails_below(input: &Input<u64>) -> u64 {
    assert!(input.get() >= 10, "too small");
    input.get()
}

#[task_fn(transient)]
fn over_fails(input: &Input<u64>) -> u64 {
    fails_below(input)
}

#[test]
fn a_failure_is_led_down_to_what_made_it_fail() {
    let runtime = recording().build();
    let input = runtime.input("i", 10);
    runtime.run(|| over_fails(&input));
    set(&runtime, &input, 3);
    assert!(runtime.try_run(|| over_fails(&input)).is_err());
    let expected =
        [r#"over_fails(input("i")): read 0"#, r#"fails_below(input("i")): read 0"#, r#"input("i"): Set"#];
    assert_eq!(steps(&runtime.explain(|| over_fails(&input))), expected);
    set(&runtime, &input, 4);
    assert!(runtime.try_run(|| over_fails(&input)).is_err());
    let expected =
        [r#"over_fails(input("i")): Failed"#, r#"fails_below(input("i")): Failed"#, r#"input("i"): Set"#];
    assert_eq!(steps(&runtime.explain(|| over_fails(&input))), expected);
}

#[task_fn(transient, ttl = Duration::from_secs(60))]
fn short(input: &Input<u64>) -> u64 {
    input.get() / 10
}

#[task_fn(transient)]
fn over_short(input: &Input<u64>) -> u64 {
    short(input)
}

static OUTSIDE: Mutex<u64> = Mutex::new(3);

#[task_fn(transient, volatile)]
fn outside() -> u64 {
    *OUTSIDE.lock().unwrap()
}

#[task_fn(transient)]
fn over_outside() -> u64 {
    outside()
}

#[test]
fn readers_of_what_does_not_last_ran_if_it_has_changed() {
    let runtime = recording().build();
    let input = runtime.input("i", 10);
    let ask = || runtime.run(|| (over_short(&input), over_outside()));
    ask();
    advance_clock(&runtime, Duration::from_secs(61));
    ask();
    let over = runtime.explain(|| over_short(&input));
    assert_eq!(steps(&over), [r#"over_short(input("i")): First"#]);
    assert_eq!(over.verified.as_ref().map(|verified| verified.cut_off.len()), Some(1), "{over}");
    advance_clock(&runtime, Duration::from_secs(61));
    set(&runtime, &input, 20);
    *OUTSIDE.lock().unwrap() = 4;
    ask();
    let expected =
        [r#"over_short(input("i")): read 0"#, r#"short(input("i")): Expired"#, r#"input("i"): Set"#];
    assert_eq!(steps(&runtime.explain(|| over_short(&input))), expected);
    assert_eq!(steps(&runtime.explain(over_outside)), ["over_outside(): read 0", "outside(): Volatile"]);
}

// ---- cycles ----

#[task_fn(cycle_initial = 0)]
fn even(input: &Input<u64>, n: u64) -> u64 {
    odd(input, n).min(stored_tenth(input)) + 1
}

#[task_fn]
fn odd(input: &Input<u64>, n: u64) -> u64 {
    even(input, n).min(7)
}

#[task_fn]
fn over_even(input: &Input<u64>) -> u64 {
    even(input, 1)
}

#[task_fn]
fn stored_tenth(input: &Input<u64>) -> u64 {
    input.get() / 10
}

#[test]
fn a_cycle_leads_down_to_what_had_changed_outside_of_it() {
    let runtime = recording().build();
    let input = runtime.input("i", 50);
    runtime.run(|| over_even(&input));
    set(&runtime, &input, 30);
    runtime.run(|| over_even(&input));
    let below = [r#"stored_tenth(input("i")): read 0"#, r#"input("i"): Set"#];
    let over = runtime.explain(|| over_even(&input));
    assert_eq!(steps(&over)[..2], [r#"over_even(input("i")): read 0"#, r#"even(input("i"), 1): Cycle"#]);
    assert_eq!(steps(&over)[2..], below);
    assert!(over.to_string().contains("on a cycle, as a read of that had changed:\n"), "{over}");
    let member = runtime.explain(|| odd(&input, 1));
    assert_eq!(steps(&member)[1..], below, "{member}");
}

#[test]
fn a_stored_cycle_leads_down_to_what_had_changed_outside_of_it() {
    let store = MemoryStorage::new();
    let first = stored(&store);
    first.run(|| over_even(&first.input("i", 50)));
    drop(first);
    let second = stored(&store);
    let input = second.input("i", 30);
    second.run(|| over_even(&input));
    let expected = [
        r#"over_even(input("i")): stored read"#,
        r#"even(input("i"), 1): stored read"#,
        r#"stored_tenth(input("i")): stored read"#,
        r#"input("i"): Differs"#,
    ];
    assert_eq!(steps(&second.explain(|| over_even(&input))), expected);
}

// ---- parts, removed inputs ----

#[expect(clippy::ptr_arg, reason = "a selection takes the value of the task")]
fn at(values: &Vec<u64>, at: &usize) -> u64 {
    values[*at]
}

#[task_fn(transient)]
fn values(input: &Input<u64>) -> Vec<u64> {
    vec![input.get() / 10, input.get()]
}

#[task_fn(transient)]
fn table(input: &Input<u64>) -> BTreeMap<String, u64> {
    [("a".to_owned(), input.get() / 10), ("b".to_owned(), input.get())].into()
}

#[task_fn(transient)]
fn reads_some(input: &Input<u64>) -> u64 {
    values::part(input, &0, at) + table::entry(input, "a").unwrap_or_default() + values::part(input, &1, at)
}

#[test]
fn of_several_parts_the_one_that_differs_is_named() {
    let runtime = recording().build();
    let input = runtime.input("i", 10);
    runtime.run(|| reads_some(&input));
    set(&runtime, &input, 11);
    runtime.run(|| reads_some(&input));
    let explanation = runtime.explain(|| reads_some(&input));
    assert_eq!(explanation.steps[0].cut_off.len(), 2, "{explanation}");
    let expected = [
        r#"reads_some(input("i")): read 2"#,
        r#"part(values(input("i")), ..): Settled"#,
        r#"values(input("i")): read 0"#,
        r#"input("i"): Set"#,
    ];
    assert_eq!(steps(&explanation), expected);
}

static HELD: Mutex<Option<Input<u64>>> = Mutex::new(None);

#[task_fn(transient)]
fn reads_held() -> u64 {
    let held = HELD.lock().unwrap().clone();
    held.map_or(0, |held| held.get())
}

#[test]
fn a_removed_input_is_named() {
    let runtime = recording().build();
    let input = runtime.input("i", 10);
    *HELD.lock().unwrap() = Some(input.clone());
    // Without it the task would go with its input, and be a new one after that.
    let _keeps = runtime.run(|| {
        reads_held();
        reads_held::task()
    });
    runtime.update(|update| update.remove(&input)).unwrap();
    *HELD.lock().unwrap() = Some(runtime.input("i", 11));
    runtime.run(reads_held);
    assert_eq!(steps(&runtime.explain(reads_held)), ["reads_held(): read 0", r#"input("i"): Removed"#]);
    runtime.update(|update| update.set(HELD.lock().unwrap().as_ref().unwrap(), 12)).unwrap();
    runtime.run(reads_held);
    assert_eq!(steps(&runtime.explain(reads_held)), ["reads_held(): read 0", r#"input("i"): Set"#]);
}

// ---- sources ----

#[task_fn]
fn size(path: &Path) -> u64 {
    larder::fs::read(path).map_or(99, |bytes| bytes.len() as u64)
}

#[task_fn]
fn over_size(path: &Path) -> u64 {
    size(path) + 1
}

#[task_fn]
fn text(path: &Path) -> String {
    larder::fs::read_to_string(path).map_or_else(|_| "none".to_owned(), |text| (*text).to_owned())
}

#[test]
fn files_that_are_made_edited_and_deleted_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let file = format!("file({path:?})");
    let runtime = recording().build();
    let ask = || {
        runtime.refresh().unwrap();
        runtime.run(|| (over_size(&path), text(&path)));
        (runtime.explain(|| over_size(&path)), runtime.explain(|| text(&path)))
    };
    ask();
    std::fs::write(&path, "a").unwrap();
    let (size, _) = ask();
    assert_eq!(steps(&size)[2], format!("{file}: Set"));
    assert_eq!(steps(&size)[0], format!("over_size({path:?}): read 0"));
    // The content is as long as before, and of the same time.
    let old = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, "b").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    let (size, text) = ask();
    assert_eq!(size.verified.as_ref().map(|verified| verified.update), Some(2), "{size}");
    assert_eq!(steps(&text), [format!("text({path:?}): read 0"), format!("{file}: Set")]);
    assert_eq!(text.steps[1].update, Some(2));
    assert_ne!(text.steps[1].before, text.steps[1].after);
    std::fs::remove_file(&path).unwrap();
    let (size, text) = ask();
    assert_eq!((steps(&size)[2].as_str(), size.steps[2].update), (format!("{file}: Set").as_str(), Some(3)));
    assert_eq!(text.steps[1].update, Some(3));
}

#[task_fn]
fn listed(path: &Path) -> usize {
    larder::fs::read_dir(path).map_or(0, |entries| entries.len())
}

#[task_fn]
fn matched(pattern: &str) -> usize {
    larder::fs::glob(pattern).map_or(0, |paths| paths.len())
}

#[task_fn]
fn is_there(path: &Path) -> bool {
    larder::fs::exists(path)
}

#[test]
fn sources_that_changed_while_no_process_ran_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, path) = (dir.path().to_owned(), dir.path().join("f.rs"));
    let pattern = format!("{}/*.rs", folder.display());
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime| {
        runtime.run(|| (over_size(&path), listed(&folder), matched(&pattern), is_there(&path)));
    };
    ask(&stored(&store));
    std::fs::write(&path, "abc").unwrap();
    let runtime = stored(&store);
    ask(&runtime);
    let last = |explanation: Explanation| {
        let step = explanation.steps.last().unwrap();
        assert!(step.task.is_leaf() && step.before.is_some() && step.before != step.after, "{explanation}");
        (explanation.steps.len(), format!("{}: {:?}", step.task, step.happened))
    };
    let over = runtime.explain(|| over_size(&path));
    assert!(over.to_string().ends_with("is not what an earlier process has read"), "{over}");
    assert_eq!(last(over), (3, format!("file({path:?}): Differs")));
    assert_eq!(last(runtime.explain(|| listed(&folder))), (2, format!("dir({folder:?}): Differs")));
    assert_eq!(last(runtime.explain(|| matched(&pattern))), (2, format!("glob({pattern:?}): Differs")));
    assert_eq!(last(runtime.explain(|| is_there(&path))), (2, format!("kind({path:?}): Differs")));
    let json: serde_json::Value =
        serde_json::from_str(&runtime.explain(|| over_size(&path)).to_json()).unwrap();
    assert_eq!(json["steps"][2]["task"], format!("file({path:?})"));
}
