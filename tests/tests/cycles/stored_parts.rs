//! Components that read parts, entries and other tasks of their own source, over a store: `a` and `b` read each other, `a` reads a reader of
//! `d`, and `d` reads `a` while `x` is 0, so that all are one component then.

use std::collections::BTreeMap;

use super::stored::{all_runs, open};
use super::*;

type Entries = BTreeMap<u32, u32>;

/// How `c` reads `d`.
const WAYS: [&str; 6] = ["value", "part", "entry", "keys", "collect", "handle"];

#[task_fn(cycle_fallback = 2)]
fn a(x: &Input<u32>, way: usize) -> u32 {
    b(x, way) + c(x, way)
}

#[task_fn(cycle_initial = 0)]
fn b(x: &Input<u32>, way: usize) -> u32 {
    a(x, way).min(9)
}

#[task_fn]
fn c(x: &Input<u32>, way: usize) -> u32 {
    match WAYS[way] {
        "value" => d(x, way).len() as u32,
        "part" => d::part(x, way, &(), |entries, ()| entries.len() as u32),
        "entry" => d::entry(x, way, &7).unwrap_or(0),
        "keys" => d::keys(x, way).len() as u32,
        // Emitted values of a cycle cannot be had from within.
        "collect" => e(x, way),
        _ => d::task(x, way).get().len() as u32,
    }
}

#[task_fn]
fn d(x: &Input<u32>, way: usize) -> Entries {
    let value = if x.get() == 1 { 5 } else { a(x, way) };
    [(7, value)].into()
}

#[task_fn]
fn e(x: &Input<u32>, way: usize) -> u32 {
    d(x, way)[&7]
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    AskA,
    AskC,
    AskD,
    Set(u32),
    Restart,
}

fn ask(runtime: &Runtime, x: &Input<u32>, way: usize, which: usize) -> u32 {
    runtime.run(|| match which {
        0 => a(x, way),
        1 => c(x, way),
        _ => d(x, way)[&7],
    })
}

/// The values of the three questions, for each of the two values of `x`.
type Answers = [[u32; 3]; 2];

fn from_scratch(way: usize) -> Answers {
    std::array::from_fn(|x| {
        std::array::from_fn(|which| {
            let runtime = Runtime::new();
            let input = runtime.input("x", x as u32);
            ask(&runtime, &input, way, which)
        })
    })
}

fn walk(way: usize, expected: &Answers, deeds: &[Deed]) -> Result<(), String> {
    let store = MemoryStorage::new();
    let mut runtime = open(&store);
    let mut x = runtime.input_or_set("x", 1).expect("no session is open");
    let (mut value, mut asked) = (1, BTreeSet::new());
    for (number, deed) in deeds.iter().enumerate() {
        let runs = all_runs(&runtime);
        let which = match deed {
            Deed::Set(to) => {
                runtime.update(|update| update.set(&x, *to)).expect("no session is open");
                value = *to;
                continue;
            }
            Deed::Restart => {
                drop(runtime);
                runtime = open(&store);
                x = runtime.input_or_set("x", value).expect("no session is open");
                continue;
            }
            Deed::AskA => 0,
            Deed::AskC => 1,
            Deed::AskD => 2,
        };
        let (got, expected) = (ask(&runtime, &x, way, which), expected[value as usize][which]);
        if got != expected {
            return Err(format!("step {number}: {got} instead of {expected}"));
        }
        let ran = all_runs(&runtime) - runs;
        if !asked.insert((value, which)) && ran > 0 {
            return Err(format!("step {number}: {ran} bodies run"));
        }
    }
    Ok(())
}

/// The bodies of `a` and `b` ran in the end, where `c` reads a part.
#[test]
fn back_again_with_nothing_asked_in_between_no_body_runs() {
    use Deed::{AskA, AskD, Set};
    let deeds = [AskA, Set(0), AskD, Set(1), AskA, Set(0), Set(1), AskA];
    let outcomes = (0..WAYS.len()).map(|way| (WAYS[way], walk(way, &from_scratch(way), &deeds)));
    let failures: Vec<_> = outcomes.filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(failures.is_empty(), "{failures:?}");
}

/// Walks that ask for `a`, and then take three of these blocks, none twice in a row.
#[test]
fn wherever_one_goes_no_body_runs_for_what_was_asked_for_before() {
    use Deed::{AskA, AskC, AskD, Restart, Set};
    let blocks: [&[Deed]; 6] =
        [&[AskA], &[AskC], &[Set(0), AskD], &[Set(1), AskA], &[Set(0), Set(1), AskA], &[Restart]];
    let mut failures = Vec::new();
    for (way, name) in WAYS.iter().enumerate() {
        let expected = from_scratch(way);
        for number in 0..blocks.len().pow(3) {
            let taken: [usize; 3] =
                std::array::from_fn(|at| number / blocks.len().pow(at as u32) % blocks.len());
            let choice: Vec<usize> = [0].into_iter().chain(taken).collect();
            if choice.windows(2).any(|pair| pair[0] == pair[1]) {
                continue;
            }
            let deeds: Vec<Deed> = choice.iter().flat_map(|at| blocks[*at]).copied().collect();
            if let Err(error) = walk(way, &expected, &deeds) {
                failures.push(format!("{name} {deeds:?}: {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of them: {:#?}", failures.len(), &failures[..failures.len().min(12)]);
}
