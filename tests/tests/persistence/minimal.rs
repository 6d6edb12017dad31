//! Which bodies run after a restart.
//!
//! A leaf whose file had changed was known to have to run by its record, and could not be run by it: so all bodies above it ran, 601
//! of 601 where 300 were right, though every leaf came to what it was.

mod kinds;

use std::collections::HashMap;

use super::sources::settle;
use super::*;
use larder::{TaskError, par_map};
use larder_tests::executor::block_on;

#[task_fn]
fn has(folder: &Path, name: &str) -> bool {
    ran(format!("has {name}"));
    fs::read_dir(folder).unwrap().iter().any(|entry| entry.path.ends_with(name))
}

#[task_fn]
fn one(folder: &Path, name: &str) -> u32 {
    ran(format!("one {name}"));
    u32::from(has(folder, name))
}

#[task_fn]
fn all(folder: &Path) -> u32 {
    ran("all");
    ["a", "b", "c"].into_iter().map(|name| one(folder, name)).sum()
}

#[test]
fn leaves_over_a_changed_folder_that_come_to_the_same_run_alone() {
    on_each_store(|open| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("a"), "").unwrap();
        assert_eq!(open().run(|| all(folder)), 1);
        take_ran();
        assert_eq!(open().run(|| all(folder)), 1);
        assert_eq!(take_ran(), [""; 0]);
        std::fs::write(folder.join("unrelated"), "").unwrap();
        assert_eq!(open().run(|| all(folder)), 1);
        assert_eq!(take_ran(), ["has a", "has b", "has c"]);
        std::fs::write(folder.join("b"), "").unwrap();
        assert_eq!(open().run(|| all(folder)), 2);
        assert_eq!(take_ran(), ["all", "has a", "has b", "has c", "one b"]);
        // And where the process had them in memory.
        let runtime = open();
        assert_eq!(runtime.run(|| all(folder)), 2);
        std::fs::write(folder.join("more"), "").unwrap();
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| all(folder)), 2);
        assert_eq!(take_ran(), ["has a", "has b", "has c"]);
    });
}

// ---- every kind of leaf, at the bottom of a chain ----

/// The length of a file, of what a pattern finds, of a variable, or of an input.
#[task_fn]
fn bottom(kind: u32, of: &str, input: &Input<String>) -> usize {
    ran("bottom");
    match kind {
        0 => fs::read_to_string(of).unwrap().trim().len(),
        1 => fs::glob(of).unwrap().len() / 1000,
        2 => larder::env::var(of).unwrap().trim().len(),
        _ => input.with(|value| value.trim().len()),
    }
}

#[task_fn]
fn middle(kind: u32, of: &str, input: &Input<String>) -> usize {
    ran("middle");
    bottom(kind, of, input) / 2
}

#[task_fn]
fn top(kind: u32, of: &str, input: &Input<String>) -> String {
    ran("top");
    // In a table of its own.
    format!("{:>2000}", middle(kind, of, input))
}

#[test]
fn whatever_leaf_has_changed_bodies_run_up_to_the_first_that_comes_to_the_same() {
    on_each_store(|open| {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        let variable = format!("LARDER_MINIMAL_{}", std::process::id());
        let pattern = format!("{}/*", folder.path().display());
        let set = |kind: u32, text_now: &str, is_racy: bool| {
            std::fs::write(&text, text_now).unwrap();
            if !is_racy {
                settle(&text, 1000 + text_now.len() as u64);
            }
            std::fs::write(folder.path().join(format!("{kind} {text_now}_")), "").unwrap();
            // SAFETY: no other test of this binary reads or sets this variable, and no thread reads the environment without the
            // standard library's lock.
            unsafe { std::env::set_var(&variable, text_now) };
        };
        for kind in 0..4 {
            let of = match kind {
                0 => text.to_str().unwrap(),
                1 => &pattern,
                _ => &variable,
            };
            // Other texts, and of another length, or the state would be one from before.
            for (is_racy, letters) in [(true, "abcdef"), (false, "mnopqrstuv")] {
                let go = |length: usize, spaces: &str, expected: usize| {
                    let length = length + letters.len() - 6;
                    let text = format!("{}{spaces}", &letters[..length]);
                    set(kind, &text, is_racy);
                    let runtime = open();
                    let input = runtime.input("text", text);
                    let expected = if kind == 1 { 0 } else { expected + (letters.len() - 6) / 2 }.to_string();
                    assert_eq!(runtime.run(|| top(kind, of, &input)).trim(), expected);
                    take_ran()
                };
                go(4, "", 2);
                assert_eq!(go(4, "", 2), [""; 0]);
                // The bottom comes to the same.
                assert_eq!(go(4, " ", 2), ["bottom"], "kind {kind}, racy {is_racy}");
                if kind != 1 {
                    assert_eq!(go(5, "", 2), ["bottom", "middle"], "kind {kind}, racy {is_racy}");
                    assert_eq!(go(6, "", 3), ["bottom", "middle", "top"]);
                    // Back in a state from before.
                    assert_eq!(go(4, " ", 2), [""; 0]);
                }
            }
        }
    });
}

#[test]
fn marks_survive_processes_that_ask_for_nothing() {
    on_each_store(|open| {
        let ask = |runtime: &Runtime, value: &str| {
            let input = runtime.input("text", value.to_owned());
            runtime.run(|| top(3, "", &input)).trim().to_owned()
        };
        assert_eq!(ask(&open(), "abcd"), "2");
        take_ran();
        open().input("text", "abcdef".to_owned());
        drop(open());
        open().input("text", "abcd ".to_owned());
        assert_eq!(take_ran(), [""; 0]);
        // Partial questions are verified in part.
        let runtime = open();
        let input = runtime.input("text", "abcd ".to_owned());
        assert_eq!(runtime.run(|| middle(3, "", &input)), 2);
        assert_eq!(take_ran(), ["bottom"]);
        drop(runtime);
        assert_eq!(ask(&open(), "abcd "), "2");
        assert_eq!(take_ran(), [""; 0]);
        open().input("text", "ab".to_owned());
        assert_eq!(ask(&open(), "ab"), "1");
        assert_eq!(take_ran(), ["bottom", "middle", "top"]);
    });
}

#[test]
fn after_a_crash_only_what_was_not_committed_runs_again() {
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime, value: &str| {
        let input = runtime.input("text", value.to_owned());
        runtime.run(|| top(3, "", &input)).trim().to_owned()
    };
    let first = open(&store);
    assert_eq!(ask(&first, "abcd"), "2");
    first.flush().unwrap();
    take_ran();
    let second = store.crash();
    drop(first);
    let runtime = open(&second);
    assert_eq!(ask(&runtime, "abcd "), "2");
    assert_eq!(take_ran(), ["bottom"]);
    runtime.flush().unwrap();
    let third = second.crash();
    drop(runtime);
    assert_eq!(ask(&open(&third), "abcd "), "2");
    assert_eq!(take_ran(), [""; 0]);
}

// ---- values that are equal and do not encode alike ----

#[task_fn]
fn letters(text: &Input<String>) -> HashMap<char, usize> {
    ran("letters");
    let mut letters = HashMap::new();
    text.with(|text| text.trim().chars().for_each(|letter| *letters.entry(letter).or_default() += 1));
    letters
}

#[task_fn]
fn most(text: &Input<String>) -> usize {
    ran("most");
    letters(text).into_values().max().unwrap_or(0)
}

#[test]
fn an_equal_value_that_encodes_to_other_bytes_is_no_change() {
    on_each_store(|open| {
        let text = "the quick brown fox jumps over the lazy dog";
        for (number, spaces) in ["", " ", "  ", "   ", "    ", "     "].into_iter().enumerate() {
            let runtime = open();
            let input = runtime.input("text", format!("{text}{spaces}"));
            assert_eq!(runtime.run(|| most(&input)), 8);
            let expected: &[&str] = if number == 0 { &["letters", "most"] } else { &["letters"] };
            assert_eq!(take_ran(), expected);
        }
    });
}

#[task_fn]
fn outer(turn: &Input<u32>) -> u32 {
    ran("outer");
    between(turn)
}

#[task_fn]
fn between(turn: &Input<u32>) -> u32 {
    ran("between");
    inner(turn)
}

#[task_fn]
fn inner(turn: &Input<u32>) -> u32 {
    ran("inner");
    if turn.get() == 0 { 1 } else { outer(turn) }
}

#[task_fn]
fn outer_of_three(turn: &Input<u32>) -> u32 {
    ran("outer_of_three");
    settles(turn)
}

#[task_fn(cycle_initial = 5)]
fn settles(turn: &Input<u32>) -> u32 {
    ran("settles");
    closes(turn)
}

#[task_fn]
fn closes(turn: &Input<u32>) -> u32 {
    ran("closes");
    if turn.get() == 0 { 1 } else { outer_of_three(turn) }
}

/// A task that has become a part of a cycle is run for one that is verified, with those in between in the store alone: each of them
/// is claimed in turn, or the cycle would be told without them, and not be resolved if one of them has an initial value.
#[test]
fn a_cycle_that_closes_over_a_restart_is_seen_whole() {
    on_each_store(|open| {
        let runtime = open();
        let turn = runtime.input("turn", 0);
        assert_eq!(runtime.run(|| (outer(&turn), outer_of_three(&turn))), (1, 1));
        drop(runtime);
        take_ran();
        let runtime = open();
        let turn = runtime.input("turn", 1);
        let Err(TaskError::Cycle(cycle)) = runtime.try_run(|| outer(&turn)) else { panic!("it has a value") };
        assert_eq!(cycle.path.len(), 3, "{cycle}");
        assert_eq!(runtime.run(|| outer_of_three(&turn)), 5);
        drop(runtime);
        let runtime = open();
        let turn = runtime.input("turn", 0);
        take_ran();
        assert_eq!(runtime.run(|| (outer(&turn), outer_of_three(&turn))), (1, 1));
        assert_eq!(take_ran(), [""; 0]);
    });
}

// ---- another build ----

#[task_fn(version = 1)]
fn declared(text: &Input<String>) -> usize {
    ran("declared");
    text.with(|text| text.trim().len())
}

#[task_fn(version = 1)]
fn reads_declared(text: &Input<String>) -> usize {
    ran("reads_declared");
    declared(text) / 10
}

#[test]
fn functions_with_a_version_are_verified_and_cut_off_over_builds() {
    let store = MemoryStorage::new();
    for (build, text, expected) in [
        ("one", "abcd", &["declared", "reads_declared"][..]),
        ("two", "abcd", &[]),
        ("three", "abcd ", &["declared"]),
        ("four", "abcd", &[]),
    ] {
        let runtime = Runtime::builder().storage(store.clone()).code_identity(build).try_build().unwrap();
        let input = runtime.input("text", text.to_owned());
        assert_eq!(runtime.run(|| reads_declared(&input)), 0);
        assert_eq!(take_ran(), expected, "build {build}");
    }
}

// ---- what is not there ----

#[test]
fn a_task_that_was_forgotten_costs_its_reader_a_run_and_no_wrong_value() {
    on_each_store(|open| {
        let runtime = open();
        let input = runtime.input("text", "abcd".to_owned());
        assert_eq!(runtime.run(|| top(3, "", &input)).trim(), "2");
        runtime.run(|| bottom::forget(3, "", &input));
        // A forgotten task is dropped when no session is open.
        runtime.run(|| ());
        drop(runtime);
        take_ran();
        let runtime = open();
        let input = runtime.input("text", "abcd ".to_owned());
        assert_eq!(runtime.run(|| top(3, "", &input)).trim(), "2");
        // `middle` is run by its record, and comes to the same.
        assert_eq!(take_ran(), ["bottom", "middle"]);
    });
}

#[task_fn]
fn first_letters(text: &Input<String>, count: &Input<usize>) -> String {
    ran("first_letters");
    let count = count.get();
    text.with(|text| text.chars().take(count).collect())
}

#[task_fn(transient)]
fn reads_letters(text: &Input<String>, count: &Input<usize>) -> usize {
    ran("reads_letters");
    first_letters(text, count).len()
}

/// The store had an earlier run on other reads that came to the same value. It was put in place as another value, as its fingerprint
/// was not known any more, and readers that are not stored ran again.
#[test]
fn a_restored_value_that_equals_the_one_in_place_is_no_change() {
    on_each_store(|open| {
        let runtime = open();
        let (text, count) = (runtime.input("text", "abc".to_owned()), runtime.input("count", 2));
        let set = |new: &str| runtime.update(|update| update.set(&text, new.to_owned())).unwrap();
        assert_eq!(runtime.run(|| reads_letters(&text, &count)), 2);
        set("abd");
        runtime.run(|| reads_letters(&text, &count));
        assert_eq!(take_ran(), ["first_letters", "first_letters", "reads_letters"]);
        set("abc");
        assert_eq!(runtime.run(|| reads_letters(&text, &count)), 2);
        assert_eq!(take_ran(), [""; 0]);
    });
}
