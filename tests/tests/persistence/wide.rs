//! Tasks with very many reads, whose traces are stored in chunks.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

#[derive(Clone)]
struct Cells(std::sync::Arc<Vec<Input<u64>>>);

/// Reads the first cell, then so many others that it says, beginning where it says.
#[task_fn]
fn sum_of(#[skip] cells: &Cells, group: u32) -> u64 {
    ran("sum_of");
    let first = cells.0[0].get();
    let (from, len) = ((first >> 32) as usize, first as u32 as usize);
    u64::from(group) + (from..from + len).map(|at| halved(cells, at as u32)).sum::<u64>()
}

/// Stays equal when its cell changes by less than two.
#[task_fn]
fn halved(#[skip] cells: &Cells, at: u32) -> u64 {
    cells.0[1 + at as usize].get() / 2
}

#[task_fn]
fn above(#[skip] cells: &Cells) -> u64 {
    ran("above");
    sum_of(cells, 0) + sum_of(cells, 1)
}

const CELLS: usize = 2600;

/// All cells as they should be.
#[derive(Clone, PartialEq)]
struct Model(Vec<u64>);

impl Model {
    fn sum(&self) -> u64 {
        let (from, len) = ((self.0[0] >> 32) as usize, self.0[0] as u32 as usize);
        1 + 2 * self.0[1 + from..1 + from + len].iter().map(|cell| cell / 2).sum::<u64>()
    }

    fn open(&self, open: &dyn Fn() -> Runtime) -> (Runtime, Cells) {
        let runtime = open();
        let cells = self.0.iter().enumerate();
        let cells = cells.map(|(at, value)| runtime.input(&format!("cell {at}"), *value)).collect();
        (runtime, Cells(std::sync::Arc::new(cells)))
    }

    /// Brings the cells of a runtime to these values.
    fn apply(&self, runtime: &Runtime, cells: &Cells) {
        let set = |update: &mut larder::Update| {
            cells.0.iter().zip(&self.0).for_each(|(cell, value)| update.set(cell, *value));
        };
        runtime.update(set).unwrap();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<(usize, u64)>),
    Window(usize, usize),
    /// Back to the state of so many steps ago.
    Back(usize),
    Flush,
    Restart,
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec((0..CELLS - 1, 0..40_u64), 1..4).prop_map(Step::Set),
        2 => (0..300_usize, 900..2200_usize).prop_map(|(from, len)| Step::Window(from, len)),
        4 => (1..6_usize).prop_map(Step::Back),
        2 => Just(Step::Flush),
        3 => Just(Step::Restart),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 4..14)
}

/// Runs the steps; after each the value is that of a naive evaluation, and a state of before runs no body.
fn check(steps: &[Step], open: &dyn Fn() -> Runtime) -> Result<(), TestCaseError> {
    let mut model = Model((0..CELLS as u64).collect());
    model.0[0] = 1800;
    let mut history = vec![model.clone()];
    let (mut runtime, mut cells) = model.open(open);
    prop_assert_eq!(runtime.run(|| above(&cells)), model.sum());
    // Since a task was last forgotten: at most eight states are kept of it.
    let mut seen = vec![model.clone()];
    for step in steps {
        match step {
            Step::Set(values) => values.iter().for_each(|(at, value)| model.0[1 + at] = *value),
            Step::Window(from, len) => model.0[0] = (*from as u64) << 32 | *len as u64,
            Step::Back(by) => model = history[history.len().saturating_sub(*by + 1)].clone(),
            Step::Flush => runtime.flush().unwrap(),
            Step::Restart => {
                drop((runtime, cells));
                (runtime, cells) = model.open(open);
            }
            Step::Forget => {
                runtime.run(|| sum_of::forget(&cells, 0));
                seen.clear();
            }
        }
        model.apply(&runtime, &cells);
        take_ran();
        prop_assert_eq!(runtime.run(|| above(&cells)), model.sum(), "after {:?}", step);
        let ran = take_ran();
        // A forgotten task has no state that could be gone back to before it has run again, which a hit above it spares it.
        let is_kept = !ran.is_empty() || seen.contains(&model);
        if seen.iter().rev().take(6).any(|seen| *seen == model) {
            prop_assert_eq!(ran, [""; 0], "a state of before runs nothing, after {:?}", step);
        }
        history.push(model.clone());
        if is_kept && seen.last() != Some(&model) {
            seen.push(model.clone());
        }
    }
    Ok(())
}

#[test]
fn edits_of_wide_tasks_are_as_from_scratch_and_the_way_back_runs_nothing() {
    let cases = std::env::var("LARDER_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(6);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&steps(), |steps| {
            let memory = MemoryStorage::new();
            check(&steps, &|| self::open(&memory))
        })
        .unwrap();
}

/// An edit of one read of thousands used to write all of them again, and eight times over.
#[test]
fn an_edit_of_one_read_stores_one_chunk() {
    on_each_store(|open| {
        let mut model = Model((0..CELLS as u64).collect());
        model.0[0] = 2400;
        let (runtime, cells) = model.open(open);
        assert_eq!(runtime.run(|| above(&cells)), model.sum());
        runtime.flush().unwrap();
        let chunks = |runtime: &Runtime| {
            let report = runtime.storage_report().unwrap().unwrap();
            assert!(report.is_sound(), "{:?}", report.damage);
            report.records[Table::Reads.index()]
        };
        let first = chunks(&runtime);
        assert!(first > 4, "2,400 reads are cut into chunks, for two tasks: {first}");
        for edit in 1..=20 {
            model.0[1 + 37 * edit] += 100;
            model.apply(&runtime, &cells);
            assert_eq!(runtime.run(|| above(&cells)), model.sum());
            runtime.flush().unwrap();
            // Eight traces of each of the two tasks are kept, and each has one chunk that the one before has not.
            assert!(chunks(&runtime) <= first + 2 * edit.min(7) as u64, "after edit {edit}");
        }
    });
}
