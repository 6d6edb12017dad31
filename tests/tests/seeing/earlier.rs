//! Why a task has run last, of runs of earlier processes: random programs over restarts, against a log of what their bodies have read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use larder::storage::{BackingStorage, MemoryStorage, Table};
use larder::{Input, Runtime, task_fn};
use larder_storage::codec::{decode, encode_into};
use larder_storage::inspect::{LastRun, RanBecause, StoreReader};
use larder_storage::record::Because;
use larder_storage::{Batch, Digest, Guarded, TaskKey, Visit};

/// A read: of an input, or of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    Input(u32),
    Node(u32),
}

type Reads = Vec<(Name, i64)>;

thread_local! {
    /// The reads of this test's bodies, run by run.
    static LOG: std::cell::RefCell<HashMap<u32, Vec<Reads>>> = std::cell::RefCell::default();
}

const INPUTS: u64 = 4;
const NODES: u32 = 10;

fn mixed(seed: u64, salt: u64) -> u64 {
    let mut mixed = seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Reads up to five others, and which ones depends on what the earlier ones were. Often comes to an equal value.
#[task_fn]
fn node(seed: u64, id: u32, inputs: &[Input<i64>]) -> i64 {
    let mut reads = Reads::new();
    let mut sum = 0_i64;
    for at in 0..1 + mixed(seed, u64::from(id)) % 5 {
        let chosen = mixed(seed, u64::from(id) << 32 | at << 16 | (sum.rem_euclid(3) as u64));
        let (name, value) = match chosen % u64::from(id + 2) {
            lower if lower < u64::from(id) => {
                let lower = u32::try_from(lower).unwrap();
                (Name::Node(lower), node(seed, lower, inputs))
            }
            _ => {
                let number = (chosen >> 8) % INPUTS;
                (Name::Input(number as u32), inputs[number as usize].get())
            }
        };
        // A second read of the same is no other read.
        if !reads.contains(&(name, value)) {
            reads.push((name, value));
        }
        sum += value;
    }
    LOG.with_borrow_mut(|log| log.entry(id).or_default().push(reads));
    sum.rem_euclid(1 + (mixed(seed, 77 + u64::from(id)) % 6) as i64)
}

fn fingerprint(value: i64) -> Digest {
    let mut encoded = Vec::new();
    encode_into(&value, &mut encoded).unwrap();
    Digest::xxh3(&encoded)
}

fn open(storage: &MemoryStorage, records: bool) -> Runtime {
    let builder = Runtime::builder().record_causes(records).storage(storage.clone());
    builder.code_identity("one").max_results_per_call(64).try_build().unwrap()
}

fn read(storage: &MemoryStorage) -> StoreReader {
    StoreReader::of(Arc::new(storage.clone()), "memory").unwrap()
}

/// The nodes that are stored, by key.
fn names(reader: &StoreReader) -> HashMap<Digest, u32> {
    let mut names = HashMap::new();
    let tasks = reader.tasks(None, |key, record| {
        if let Ok((_, id, _)) = decode::<(u64, u32, Vec<String>)>(&record.encoded_key[16..]) {
            names.insert(key.0, id);
        }
        Visit::Continue
    });
    tasks.unwrap();
    names
}

/// Checks the first step of an explanation, which is one of the last run, against all runs of the task. Returns whether a read was named.
fn check(id: u32, run: &LastRun, names: &HashMap<Digest, u32>, runs: &[Reads]) -> bool {
    let (last, earlier) = runs.split_last().expect("what is stored has run");
    match &run.steps[0].why {
        RanBecause::First { other_code } => {
            assert!(earlier.is_empty() && other_code.is_empty(), "{id}: {runs:?}")
        }
        RanBecause::SameReads => assert!(earlier.contains(last), "{id}: {runs:?}"),
        RanBecause::Read { position, key, before, after, cut_off } => {
            let position = usize::try_from(*position).unwrap();
            let (name, now) = last[position];
            if let Name::Node(lower) = name {
                assert_eq!(names[key], lower, "{id}");
            }
            assert_eq!(*after, fingerprint(now), "{id}: {runs:?}");
            let is_the_one = |run: &&Reads| {
                let then = run.get(position).filter(|then| then.0 == name);
                run[..position.min(run.len())] == last[..position]
                    && then.is_some_and(|then| then.1 != now && fingerprint(then.1) == *before)
            };
            assert!(earlier.iter().any(|run| is_the_one(&run)), "{id}, read {position}: {runs:?}");
            if let [first] = earlier {
                assert!(is_the_one(&first), "{id}: {runs:?}");
            }
            for task in cut_off {
                let is_before = |read: &(Name, i64)| read.0 == Name::Node(names[&task.0]);
                assert!(last[..position].iter().any(is_before), "{id}: {cut_off:?}");
            }
            return true;
        }
        other => panic!("{id}: {other:?}, {runs:?}"),
    }
    false
}

/// Each further step is one of what the step before has read, and leads from the same value to the same value; the last one is a leaf.
fn check_chain(run: &LastRun, names: &HashMap<Digest, u32>, log: &HashMap<u32, Vec<Reads>>) {
    for pair in run.steps.windows(2) {
        let RanBecause::Read { key, .. } = &pair[0].why else { panic!("{run:?}") };
        assert_eq!(pair[1].key, *key);
        let Some(id) = names.get(key) else {
            assert!(matches!(pair[1].why, RanBecause::Leaf), "{run:?}");
            continue;
        };
        let RanBecause::Read { position, before, after, .. } = &pair[1].why else { panic!("{run:?}") };
        let position = usize::try_from(*position).unwrap();
        let holds = |old: &Reads, new: &Reads| {
            old.len() > position
                && new.len() > position
                && old[..position] == new[..position]
                && (fingerprint(old[position].1), fingerprint(new[position].1)) == (*before, *after)
        };
        let runs = &log[id];
        assert!(runs.iter().any(|new| runs.iter().any(|old| holds(old, new))), "{id}, {pair:?}: {runs:?}");
    }
    let ends_well = run.leaf.is_some() || !matches!(run.steps.last().unwrap().why, RanBecause::Leaf);
    assert!(run.is_complete && ends_well);
}

fn explains(seed: u64) -> (usize, usize) {
    LOG.take();
    let storage = MemoryStorage::new();
    let (mut named, mut deep) = (0, 0);
    let mut values = [0_i64; INPUTS as usize];
    for process in 0..5_u64 {
        let runtime = open(&storage, seed.is_multiple_of(2));
        let inputs: Vec<_> = (0..INPUTS).map(|number| runtime.input(&format!("i{number}"), 0)).collect();
        let draw = |salt| mixed(seed, 1000 + process * 100 + salt);
        for step in 0..draw(0) % 4 {
            let changes: Vec<_> = (0..1 + draw(step) % 2)
                .map(|change| {
                    ((draw(10 + step * 4 + change) % INPUTS) as usize, draw(40 + step * 4 + change))
                })
                .collect();
            changes.iter().for_each(|(at, value)| values[*at] = (value % 4) as i64);
            let update = runtime.update(|update| {
                inputs.iter().zip(values).for_each(|(input, value)| update.set(input, value));
            });
            update.unwrap();
            let root = (NODES as u64 - 1 - draw(80 + step) % 3) as u32;
            runtime.run(|| node(seed, root, &inputs));
        }
        runtime.flush().unwrap();
        drop(runtime);
        let reader = read(&storage);
        let names = names(&reader);
        LOG.with_borrow(|log| {
            for (key, id) in &names {
                let run = reader.last_run(TaskKey(*key), 1000).unwrap().unwrap();
                named += usize::from(check(*id, &run, &names, &log[id]));
                deep += usize::from(run.steps.len() > 2);
                check_chain(&run, &names, log);
            }
        });
    }
    (named, deep)
}

#[test]
fn the_read_that_is_named_is_the_first_one_that_differs_between_the_two_runs() {
    let rounds: u64 = std::env::var("LARDER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let (mut named, mut deep) = (0, 0);
    for seed in 0..150 * rounds {
        let (of_seed, deep_of_seed) = explains(seed);
        (named, deep) = (named + of_seed, deep + deep_of_seed);
    }
    assert!(named > 500 && deep > 100, "too little was tried: {named} reads, {deep} chains");
}

// ---- causes that are no reads ----

#[task_fn(ttl = Duration::from_secs(60))]
fn rate() -> u32 {
    7
}

#[task_fn]
fn price() -> u32 {
    rate() * 3
}

/// The last run of the only stored task whose function's path ends so.
fn last_run_of(storage: &MemoryStorage, function: &str) -> LastRun {
    let reader = read(storage);
    let functions = reader.functions().unwrap();
    let mut key = None;
    let tasks = reader.tasks(None, |task, record| {
        if record.function().is_some_and(|id| functions[&id].path.ends_with(function)) {
            key = Some(task);
        }
        Visit::Continue
    });
    tasks.unwrap();
    reader.last_run(key.unwrap(), 100).unwrap().unwrap()
}

#[test]
fn a_run_for_another_cause_than_a_value_says_so() {
    let storage = MemoryStorage::new();
    let runtime = open(&storage, true);
    let input = runtime.input("i", 4_i64);
    runtime.run(|| plain(&input));
    runtime.run(|| larder::ask(|| plain(&input)).invalidate());
    runtime.run(|| plain(&input));
    drop(runtime);
    let run = last_run_of(&storage, "::plain");
    // Its stored record went when it was invalidated.
    assert!(matches!(run.steps[..], [ref only] if only.why == RanBecause::Dropped), "{run:?}");
    assert_eq!(run.steps[0].cause.map(|cause| cause.because), Some(Because::Invalidated));
}

#[task_fn]
fn plain(input: &Input<i64>) -> i64 {
    input.get()
}

#[test]
fn a_run_because_its_value_had_expired_says_so() {
    let storage = MemoryStorage::new();
    let runtime = open(&storage, true);
    runtime.run(price);
    larder::testing::advance_clock(&runtime, Duration::from_secs(61));
    runtime.run(price);
    drop(runtime);
    let run = last_run_of(&storage, "::rate");
    assert_eq!(run.steps[0].cause.map(|cause| cause.because), Some(Because::Expired), "{run:?}");
    // Its reader was found to be current, and is stored as it was.
    assert!(matches!(last_run_of(&storage, "::price").steps[0].why, RanBecause::First { .. }));
}

#[task_fn(keep_if = |n| *n > 10)]
fn judged(input: &Input<i64>) -> i64 {
    assert!(input.get() != 13, "no");
    input.get()
}

#[test]
fn a_run_after_one_that_failed_or_was_not_kept_says_so() {
    let storage = MemoryStorage::new();
    let runtime = open(&storage, true);
    let input = runtime.input("i", 20_i64);
    runtime.run(|| judged(&input));
    for (between, after, because) in [(13, 21, Because::Failed), (3, 22, Because::NotKept)] {
        for value in [between, after] {
            runtime.update(|update| update.set(&input, value)).unwrap();
            let got = runtime.try_run(|| judged(&input));
            assert_eq!(got.is_err(), value == 13);
        }
        runtime.flush().unwrap();
        let run = last_run_of(&storage, "::judged");
        // The values of the last two runs that are stored tell the rest.
        let RanBecause::Read { position: 0, after: now, .. } = run.steps[0].why else { panic!("{run:?}") };
        assert_eq!(now, fingerprint(after));
        assert_eq!(run.steps[0].cause.map(|cause| cause.because), Some(because), "{run:?}");
    }
}

// ---- the same from the library ----

#[task_fn]
fn double(input: &Input<i64>) -> i64 {
    input.get() * 2
}

#[task_fn]
fn shown(input: &Input<i64>, name: &str) -> String {
    format!("{name} {}", double(input))
}

#[test]
fn the_runtime_explains_runs_of_an_earlier_process() {
    let storage = MemoryStorage::new();
    let runtime = open(&storage, false);
    let input = runtime.input("i", 4_i64);
    runtime.run(|| shown(&input, "a"));
    runtime.update(|update| update.set(&input, 5)).unwrap();
    runtime.run(|| shown(&input, "a"));
    drop(runtime);

    for records in [true, false] {
        let runtime = open(&storage, records);
        let input = runtime.input("i", 5_i64);
        for is_restored in [false, true] {
            if is_restored {
                runtime.run(|| shown(&input, "a"));
            }
            let explanation = runtime.explain(|| shown(&input, "a"));
            let earlier = explanation.earlier.as_ref().unwrap();
            assert_eq!(&*earlier.names[2], "Input i", "{explanation}");
            assert!(earlier.names[0].ends_with("::shown(\"i\" \"a\")"), "{:?}", earlier.names);
            let RanBecause::Read { position: 0, before, after, .. } = earlier.run.steps[1].why else {
                panic!("{explanation}")
            };
            assert_eq!((before, after), (fingerprint(4), fingerprint(5)));
            let text = explanation.to_string();
            assert!(text.contains("why it ran last, as the store tells:\n"), "{text}");
            let json: serde_json::Value = serde_json::from_str(&explanation.to_json()).unwrap();
            assert_eq!(
                (&json["earlier"]["steps"][2]["why"], &json["earlier"]["complete"]),
                (&"leaf".into(), &true.into())
            );
        }
        assert_eq!(runtime.stats().runs(), 0);
    }

    // This process tells of its own runs.
    let runtime = open(&storage, true);
    let input = runtime.input("i", 5_i64);
    runtime.update(|update| update.set(&input, 6)).unwrap();
    runtime.run(|| shown(&input, "a"));
    let explanation = runtime.explain(|| shown(&input, "a"));
    assert!(explanation.earlier.is_none() && !explanation.steps.is_empty(), "{explanation}");
}

/// A store of two tasks that have run twice.
fn twice_run() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let runtime = open(&storage, false);
    let input = runtime.input("i", 4_i64);
    runtime.run(|| shown(&input, "a"));
    runtime.flush().unwrap();
    assert!(storage.len(Table::Causes) == 0, "a first run has no cause");
    runtime.update(|update| update.set(&input, 5)).unwrap();
    runtime.run(|| shown(&input, "a"));
    drop(runtime);
    assert_eq!(storage.len(Table::Causes), 2);
    storage
}

#[test]
fn the_record_of_a_cause_goes_with_its_task() {
    let storage = twice_run();
    larder_storage::evict(&Guarded::over(Arc::new(storage.clone())), 0).unwrap();
    assert_eq!((storage.len(Table::Tasks), storage.len(Table::Causes)), (0, 0));
}

#[test]
fn a_store_without_records_of_causes_and_one_with_damaged_ones_serve_as_ever() {
    for damage in [None, Some(&b""[..]), Some(&[7; 42][..])] {
        let storage = twice_run();
        let mut keys = Vec::new();
        storage
            .scan(Table::Causes, &[], &mut |key, _| {
                keys.push(key.to_vec());
                Visit::Continue
            })
            .unwrap();
        let mut batch = Batch::new();
        for key in &keys {
            match damage {
                None => batch.delete(Table::Causes, key),
                Some(bytes) => batch.put(Table::Causes, key, bytes),
            }
        }
        storage.commit(batch.writes()).unwrap();
        let run = last_run_of(&storage, "::shown");
        assert_eq!(run.steps[0].why, RanBecause::Dropped, "{run:?}");
        let runtime = open(&storage, false);
        let input = runtime.input("i", 5_i64);
        assert_eq!(runtime.run(|| shown(&input, "a")), "a 10");
        assert_eq!(runtime.stats().runs(), 0);
    }
}
