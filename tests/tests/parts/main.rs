//! Parts: tasks that read some of a value, and are brought up to date by the task that they are a part of.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod awaited;
mod digested;
mod inputs;
mod methods;
mod sources;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use larder::{FunctionStats, Input, Runtime, task_fn};

/// `name=body` on each line.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
struct Item {
    line: usize,
    body: String,
}

type Index = Arc<BTreeMap<String, Item>>;

fn parse(text: &str) -> Index {
    let items = text.lines().enumerate().filter_map(|(line, text)| {
        let (name, body) = text.split_once('=')?;
        Some((name.trim().to_owned(), Item { line, body: body.trim().to_owned() }))
    });
    Arc::new(items.collect())
}

#[task_fn]
fn index(file: &Input<String>) -> Index {
    file.with(|text| parse(text))
}

#[task_fn]
fn check(file: &Input<String>, name: &str) -> usize {
    index::part(file, name, |index, name| index.get(name).map(|item| item.body.clone()))
        .map_or(0, |body| body.len())
}

#[task_fn]
fn total(file: &Input<String>) -> usize {
    index::keys(file).iter().map(|name| check(file, name)).sum()
}

fn runs(runtime: &Runtime, name: &str) -> u64 {
    of(runtime, name).runs
}

fn of(runtime: &Runtime, name: &str) -> FunctionStats {
    let stats = runtime.stats();
    let mut all = FunctionStats::default();
    // The parts of all functions have one name.
    for function in stats.functions.iter().filter(|function| function.name == name) {
        all.runs += function.runs;
        all.settled += function.settled;
    }
    all
}

/// The bodies that ran since `before`: of `index`, `check`, `total`, and of parts.
fn ran(runtime: &Runtime, before: [u64; 4]) -> [u64; 4] {
    let now = all_runs(runtime);
    std::array::from_fn(|at| now[at] - before[at])
}

fn all_runs(runtime: &Runtime) -> [u64; 4] {
    ["index", "check", "total", "part"].map(|name| runs(runtime, name))
}

#[test]
fn a_part_that_stays_equal_leaves_its_readers_alone() {
    let runtime = Runtime::new();
    let text: String = (0..100).map(|i| format!("f{i} = body {i}\n")).collect();
    let file = runtime.input("file", text.clone());
    let expected = |text: &str| parse(text).values().map(|item| item.body.len()).sum::<usize>();
    assert_eq!(runtime.run(|| total(&file)), expected(&text));
    assert_eq!(all_runs(&runtime), [1, 100, 1, 101]);

    // All lines move: no part changes.
    let shifted = format!("\n{text}");
    let before = all_runs(&runtime);
    runtime.update(|update| update.set(&file, shifted.clone())).unwrap();
    assert_eq!(runtime.run(|| total(&file)), expected(&shifted));
    assert_eq!(ran(&runtime, before), [1, 0, 0, 0]);
    assert_eq!(of(&runtime, "part").settled, 101);

    // One body changes.
    let changed = shifted.replace("body 50", "another body");
    let before = all_runs(&runtime);
    runtime.update(|update| update.set(&file, changed.clone())).unwrap();
    assert_eq!(runtime.run(|| total(&file)), expected(&changed));
    assert_eq!(ran(&runtime, before), [1, 1, 1, 0]);

    // One is put in at the top.
    let longer = format!("g = new\n{changed}");
    let before = all_runs(&runtime);
    runtime.update(|update| update.set(&file, longer.clone())).unwrap();
    assert_eq!(runtime.run(|| total(&file)), expected(&longer));
    assert_eq!(ran(&runtime, before), [1, 1, 1, 1]);

    // One goes.
    let before = all_runs(&runtime);
    runtime.update(|update| update.set(&file, changed.clone())).unwrap();
    assert_eq!(runtime.run(|| total(&file)), expected(&changed));
    assert_eq!(ran(&runtime, before), [1, 0, 1, 0]);
}

#[test]
fn an_entry_depends_on_its_key_alone() {
    #[task_fn]
    fn line_of(file: &Input<String>, name: &str) -> Option<usize> {
        index::entry(file, name).map(|item| item.line)
    }
    let runtime = Runtime::new();
    let file = runtime.input("file", "a = 1\nb = 2".to_owned());
    let lines = || runtime.run(|| ["a", "b", "c"].map(|name| line_of(&file, name)));
    assert_eq!(lines(), [Some(0), Some(1), None]);
    runtime.update(|update| update.set(&file, "a = 1\nb = 3\nc = 4".to_owned())).unwrap();
    assert_eq!(lines(), [Some(0), Some(1), Some(2)]);
    // `a` is as it was; the body of `b` is another one, at the same line; `c` is new.
    assert_eq!(runs(&runtime, "line_of"), 3 + 2);
    assert_eq!(runtime.run(|| index::keys(&file)), ["a", "b", "c"]);
}

#[test]
fn calls_with_one_selection_are_one_task_and_with_two_are_two() {
    #[task_fn]
    fn both(file: &Input<String>) -> (usize, usize) {
        let lines = index::part(file, &(), |index, ()| index.len());
        let bytes =
            index::part(file, &(), |index, ()| index.values().map(|item| item.body.len()).sum::<usize>());
        (lines, bytes)
    }
    let runtime = Runtime::new();
    let file = runtime.input("file", "a = 1\nb = 22".to_owned());
    assert_eq!(runtime.run(|| both(&file)), (2, 3));
    assert_eq!(runs(&runtime, "part"), 2);
}

#[test]
fn a_selection_by_another_path_than_the_companion() {
    struct Page(u64);
    impl Page {
        fn of(&self) -> u64 {
            self.0
        }
    }
    #[derive(Clone, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
    struct Doc(String);
    impl Doc {
        #[task_fn]
        fn words(&self) -> Vec<String> {
            self.0.split(' ').map(str::to_owned).collect()
        }
    }
    let _ = Page(1).of();
    let runtime = Runtime::new();
    let doc = Doc("one two three".to_owned());
    let second = runtime.run(|| {
        larder::ask(|| doc.words()).part(&1_usize, |words: &Vec<String>, at| words.get(*at).cloned())
    });
    assert_eq!(second.as_deref(), Some("two"));
}
