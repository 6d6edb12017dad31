//! Inputs that are removed when what depends on them is in the store alone: for the ways in which that comes to be. The records go all the same.

use super::*;

#[task_fn]
fn letters(of: &Input<String>) -> usize {
    of.with(String::len)
}

#[task_fn]
fn odd_letters(of: &Input<String>) -> usize {
    letters(of) % 2
}

#[task_fn]
fn of_all(inputs: &[Input<String>]) -> usize {
    inputs.iter().map(odd_letters).sum()
}

/// Expires between the input and its reader.
#[task_fn(ttl = Duration::from_secs(60))]
fn letters_for_now(of: &Input<String>) -> usize {
    of.with(String::len)
}

#[task_fn]
fn odd_letters_for_now(of: &Input<String>) -> usize {
    letters_for_now(of) % 2
}

/// These read each other.
#[task_fn(cycle_initial = 0)]
fn climbs(of: &Input<String>) -> usize {
    rests(of).min(letters(of))
}

#[task_fn]
fn rests(of: &Input<String>) -> usize {
    climbs(of) + 1
}

#[task_fn]
fn above_them(of: &Input<String>) -> usize {
    rests(of) + 1
}

fn call_all(inputs: &[Input<String>]) -> usize {
    let each = |of: &Input<String>| odd_letters(of) + odd_letters_for_now(of) + above_them(of);
    of_all(inputs) + inputs.iter().map(each).sum::<usize>()
}

fn open(store: &MemoryStorage, with: fn(Builder) -> Builder) -> Runtime {
    with(Runtime::builder()).storage(store.clone()).code_identity("on disk").try_build().unwrap()
}

fn inputs(runtime: &Runtime, round: u32) -> Vec<Input<String>> {
    let input = |n: usize| runtime.input(&format!("{n} of {round}"), "x".repeat(n));
    (0..10).map(input).collect()
}

const HOUR: Duration = Duration::from_secs(3600);

/// Records by table, when what waits is stored and swept.
fn records_by_table(runtime: &Runtime, round: u32) -> Vec<u64> {
    // Sessions let things go, and before each batch goes a slice of the sweep.
    let beat = runtime.input("beat", 0_u64);
    for n in 1..40 {
        if n == 20 {
            // Moments at which results expire go when they have come. Each process has a clock of its own.
            advance_clock(runtime, HOUR * (round + 1));
        }
        runtime.run(|| ());
        runtime.update(|update| update.set(&beat, n)).unwrap();
        runtime.flush().unwrap();
    }
    let report = runtime.storage_report().unwrap().unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    report.records.to_vec()
}

/// Something that is done with the inputs of a runtime.
type Step = fn(&Runtime, &[Input<String>]);

/// How what depends on the inputs comes to be in the store alone.
struct Way {
    name: &'static str,
    builder: fn(Builder) -> Builder,
    /// Behind the session that has computed them.
    leave: fn(&Runtime, &[Input<String>]),
    /// In a process of its own, in which the inputs are removed; none if it is the same one.
    again: Option<Step>,
    /// Between the removal and the end of the handles.
    before_handles_go: fn(&Runtime),
}

impl Way {
    fn new(name: &'static str) -> Self {
        Self { name, builder: |builder| builder, leave: |_, _| (), again: None, before_handles_go: |_| () }
    }

    fn round(&self, store: &MemoryStorage, runtime: Runtime, round: u32) -> Runtime {
        let texts = inputs(&runtime, round);
        runtime.run(|| call_all(&texts));
        runtime.flush().unwrap();
        (self.leave)(&runtime, &texts);
        let (runtime, texts) = match self.again {
            None => (runtime, texts),
            Some(again) => {
                drop((texts, runtime));
                let runtime = open(store, self.builder);
                let texts = inputs(&runtime, round);
                again(&runtime, &texts);
                (runtime, texts)
            }
        };
        runtime.update(|update| texts.iter().for_each(|text| update.remove(text))).unwrap();
        (self.before_handles_go)(&runtime);
        drop(texts);
        runtime
    }

    fn check(&self) {
        let store = MemoryStorage::new();
        let mut runtime = open(&store, self.builder);
        let mut all = Vec::new();
        for round in 0..3 {
            runtime = self.round(&store, runtime, round);
            all.push(records_by_table(&runtime, round));
        }
        assert_eq!(all[2], all[0], "{}: records by table, of {:?}", self.name, Table::ALL);
        drop(runtime);
        // The store is sound, and gives the right answers.
        let runtime = open(&store, self.builder);
        let texts = inputs(&runtime, 0);
        let fresh = Runtime::new();
        let of_fresh = inputs(&fresh, 0);
        assert_eq!(runtime.run(|| call_all(&texts)), fresh.run(|| call_all(&of_fresh)), "{}", self.name);
    }
}

fn sessions(runtime: &Runtime) {
    (0..4).for_each(|_| runtime.run(|| ()));
}

#[test]
fn nothing_is_left_of_tasks_over_removed_inputs_that_are_stored_alone() {
    let _alone = alone();
    let ways = [
        Way::new("all is in memory"),
        Way {
            builder: |builder| builder.memory_cap(0),
            leave: |runtime, _| sessions(runtime),
            ..Way::new("memory is short")
        },
        Way {
            builder: |builder| builder.memory_cap(0),
            before_handles_go: sessions,
            ..Way::new("memory is short, and handles to the inputs outlive the tasks")
        },
        Way { leave: |runtime, _| _ = runtime.shrink_to(0).unwrap(), ..Way::new("by its word") },
        Way {
            builder: |builder| builder.collect_after(1),
            leave: |runtime, _| sessions(runtime),
            ..Way::new("they were not asked for")
        },
        Way { again: Some(|_, _| ()), ..Way::new("an earlier process has computed them") },
        Way {
            again: Some(|runtime, texts| {
                runtime.run(|| _ = call_all(texts));
                assert_eq!(runtime.stats().runs(), 0);
            }),
            ..Way::new("an earlier process has computed them, and those are restored that are asked for")
        },
        Way {
            again: Some(|runtime, texts| {
                runtime.run(|| {
                    texts.iter().for_each(|text| drop((odd_letters::task(text), letters::task(text))))
                });
            }),
            ..Way::new("there were handles to them")
        },
        Way {
            leave: |runtime, texts| {
                runtime.run(|| texts.iter().for_each(|text| _ = letters::forget(text)));
                runtime.shrink_to(0).unwrap();
            },
            ..Way::new("what they have read was forgotten")
        },
        Way {
            leave: |runtime, _| {
                runtime.run(|| _ = letters::clear());
                runtime.shrink_to(0).unwrap();
            },
            ..Way::new("what they have read was cleared")
        },
        Way {
            leave: |runtime, _| {
                runtime.forget_if(|task| task.function() == "letters");
                runtime.shrink_to(0).unwrap();
            },
            ..Way::new("what they have read was forgotten by a predicate")
        },
        Way {
            leave: |runtime, _| {
                advance_clock(runtime, HOUR);
                sessions(runtime);
                runtime.shrink_to(0).unwrap();
            },
            ..Way::new("what they have read has expired")
        },
        Way {
            leave: |runtime, _| {
                advance_clock(runtime, HOUR);
                sessions(runtime);
                runtime.shrink_to(0).unwrap();
            },
            again: Some(|_, _| ()),
            ..Way::new("what they have read has expired, and an earlier process has computed them")
        },
    ];
    ways.into_iter().for_each(|way| way.check());
}
