//! A small program over a store: what is stored of it is what gets damaged.

use larder::storage::BackingStorage;
use larder::{Input, Runtime, emit, task_fn};
use serde::{Deserialize, Serialize};

const PARTS: u64 = 12;

/// The values that tasks emit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note(u64);

#[task_fn]
fn part(input: &Input<u64>, number: u64) -> u64 {
    let value = input.get() % (number + 2);
    if value == 0 {
        emit(Note(number));
    }
    value
}

#[task_fn]
fn page(input: &Input<u64>, number: u64) -> String {
    // Longer than what stands in the record of a task.
    format!("{:>1200}", part(input, number) * number)
}

#[task_fn]
fn total(input: &Input<u64>) -> u64 {
    (0..PARTS)
        .map(|number| part(input, number) + page(input, number).trim().parse::<u64>().unwrap_or(0))
        .sum()
}

/// The states that are stored, the last one first; then one that is not.
pub const STATES: [u64; 4] = [1_000_003, 5040, 77, 123_456];

/// A runtime of the program over a store; without one, if it cannot be used.
pub fn open(storage: impl BackingStorage) -> Runtime {
    Runtime::builder().storage(storage).code_identity("fuzz").build()
}

/// The answers of the program in a state.
pub fn answer(runtime: &Runtime, state: u64) -> (u64, Vec<Note>) {
    let input = runtime.input("state", state);
    runtime.update(|update| update.set(&input, state)).expect("no session is open");
    runtime.run(|| (total(&input), total::collect::<Note>(&input)))
}

/// The same, from scratch.
pub fn expected(state: u64) -> (u64, Vec<Note>) {
    let part = |number: u64| state % (number + 2);
    let notes = (0..PARTS).filter(|number| part(*number) == 0).map(Note);
    ((0..PARTS).map(|number| part(number) * (number + 1)).sum(), notes.collect())
}

/// Computes and stores all states but the last.
pub fn fill(open: impl Fn() -> Runtime) {
    for state in STATES[..3].iter().rev() {
        assert_eq!(answer(&open(), *state), expected(*state));
    }
}
