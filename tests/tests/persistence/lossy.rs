//! Types whose encoding leaves something out: what is decoded is another value, and is never handed out.

use super::*;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Counted {
    text: String,
    #[serde(skip)]
    words: usize,
}

#[task_fn]
fn counted(text: &str) -> Counted {
    ran("counted");
    Counted { text: text.to_owned(), words: text.split_whitespace().count() }
}

fn unstored(runtime: &Runtime) -> Vec<(Reason, u64)> {
    let storage = runtime.stats().storage.unwrap();
    storage.unstored.iter().map(|unstored| (unstored.reason, unstored.runs)).collect()
}

/// A field that is skipped came back as its default after a restart.
#[test]
fn an_output_with_a_skipped_field_is_not_stored_and_named_once() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| counted("a b c")).words, 3);
            assert_eq!(runtime.run(|| counted("a b")).words, 2);
            assert_eq!(take_ran(), ["counted", "counted"]);
            assert_eq!(unstored(&runtime), [(Reason::NoRoundTrip, 2)]);
            runtime.flush().unwrap();
        }
    });
}

/// The first value happens to have the default there, and comes back; the process that finds the fault tells the next ones.
#[test]
fn a_function_that_was_found_out_late_is_not_restored_by_later_processes() {
    on_each_store(|open| {
        let first = open();
        assert_eq!(first.run(|| counted("")).words, 0);
        assert_eq!(unstored(&first), []);
        assert_eq!(first.run(|| counted("a")).words, 1);
        assert_eq!(unstored(&first), [(Reason::NoRoundTrip, 1)]);
        assert_eq!(take_ran(), ["counted", "counted"]);
        first.flush().unwrap();
        drop(first);
        let second = open();
        assert_eq!(second.run(|| counted("")).words, 0);
        assert_eq!(second.run(|| counted("a")).words, 1);
        assert_eq!(take_ran(), ["counted", "counted"]);
        assert_eq!(unstored(&second), [(Reason::NoRoundTrip, 2)]);
        assert!(second.storage_report().unwrap().unwrap().is_sound());
    });
}

#[task_fn]
fn counted_of(text: Input<Counted>) -> Counted {
    ran("counted_of");
    let text = text.get();
    Counted { words: text.words + text.text.len(), ..text }
}

#[task_fn]
fn words_of(text: Input<Counted>) -> usize {
    ran("words_of");
    counted_of(text).words
}

/// The encoding of a value did not change, so a reader was given back its old result, in the process that made the change.
#[test]
fn a_change_that_the_encoding_does_not_show_reaches_the_readers() {
    on_each_store(|open| {
        let runtime = open();
        let value = |words| Counted { text: String::new(), words };
        let input = runtime.input("x", value(0));
        assert_eq!(runtime.run(|| words_of(input.clone())), 0);
        for words in [1, 2, 0, 1] {
            runtime.update(|update| update.set(&input, value(words))).unwrap();
            assert_eq!(runtime.run(|| words_of(input.clone())), words);
        }
        take_ran();
    });
}

#[task_fn]
fn rounded(x: Input<u32>) -> Counted {
    ran("rounded");
    Counted { text: String::new(), words: x.get() as usize }
}

#[task_fn]
fn reads_rounded(x: Input<u32>) -> usize {
    ran("reads_rounded");
    rounded(x).words
}

/// So with a task's value: the reader of the task was restored, as the fingerprint of what it reads was what it had been.
#[test]
fn a_value_that_changes_where_its_encoding_does_not_reaches_the_readers() {
    on_each_store(|open| {
        let runtime = open();
        let input = runtime.input("x", 0);
        for words in [0, 1, 2, 1, 0] {
            runtime.update(|update| update.set(&input, words)).unwrap();
            assert_eq!(runtime.run(|| reads_rounded(input.clone())), words as usize);
        }
        take_ran();
    });
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Query {
    text: String,
    #[serde(skip)]
    limit: usize,
}

#[task_fn]
fn answer(query: &Query) -> usize {
    ran("answer");
    query.limit
}

#[task_fn]
fn answer_all(queries: Vec<Option<Query>>) -> usize {
    ran("answer_all");
    queries.iter().flatten().map(|query| query.limit).sum()
}

/// Two queries that differ in what is skipped had one key, and the second one was given the answer to the first by a later process.
#[test]
fn arguments_with_a_skipped_field_are_no_key_of_a_store() {
    let query = |limit| Query { text: "x".to_owned(), limit };
    on_each_store(|open| {
        for limit in [0, 1, 2, 0] {
            let runtime = open();
            assert_eq!(runtime.run(|| answer(&query(limit))), limit);
            assert_eq!(runtime.run(|| answer_all(vec![None, Some(query(limit))])), limit);
            runtime.flush().unwrap();
        }
        take_ran();
    });
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Position {
    x: f64,
    name: Option<String>,
}

#[task_fn]
fn position(x: u32) -> Position {
    ran("position");
    Position { x: if x == 0 { f64::NAN } else { -0.0 }, name: None }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Weights(std::collections::HashMap<u32, f64>, f64);

#[task_fn]
fn weights(x: u32) -> Weights {
    ran("weights");
    Weights((0..x).map(|at| (at, -0.0)).collect(), f64::from(x))
}

/// A value that does not equal itself, and maps that come back in another order, are no faults of their encoding.
#[test]
fn types_that_come_back_are_stored_though_they_are_not_equal_to_themselves() {
    on_each_store(|open| {
        for expected in [4, 0] {
            let runtime = open();
            assert!(runtime.run(|| position(0)).x.is_nan());
            assert!(runtime.run(|| position(1)).x.is_sign_negative());
            assert_eq!(runtime.run(|| weights(9)).0.len(), 9);
            assert_eq!(runtime.run(|| weights(20)).0.len(), 20);
            assert_eq!(take_ran().len(), expected);
            assert_eq!(unstored(&runtime), []);
        }
    });
}

#[task_fn]
fn large(x: u32) -> Counted {
    Counted { text: String::new(), words: usize::from(x >= 700) }
}

/// One of the first 1,024 is always looked at, and then one in as many.
#[test]
fn a_function_that_stores_much_is_checked_again_and_again() {
    let runtime = open(&MemoryStorage::new());
    runtime.run(|| {
        for x in 0..1024 {
            large(x);
        }
    });
    assert_eq!(unstored(&runtime), [(Reason::NoRoundTrip, 1)]);
    runtime.run(|| large(5000));
    assert_eq!(unstored(&runtime), [(Reason::NoRoundTrip, 2)]);
}
