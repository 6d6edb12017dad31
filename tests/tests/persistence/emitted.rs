//! Emitted values.

use super::*;

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Warning(String);

#[task_fn]
fn warns(text: &str) -> usize {
    ran("warns");
    if text.len() > 3 {
        emit(Warning(format!("{text} is long")));
    }
    text.len()
}

#[allow(dead_code, reason = "asked for by its companion only")]
#[task_fn]
pub(crate) fn warns_about_all(text: &str) -> usize {
    ran("warns_about_all");
    emit(Warning("all".to_owned()));
    words(text).iter().map(|word| warns(word)).sum()
}

#[test]
fn emitted_values_are_replayed_from_the_store() {
    on_each_store(|open| {
        let expected = ["longer is long", "longest is long", "all"].map(|text| Warning(text.to_owned()));
        let first = open();
        assert_eq!(first.run(|| warns_about_all::collect::<Warning>("longer is longest")), expected);
        drop(first);
        take_ran();
        let second = open();
        assert_eq!(second.run(|| warns_about_all::collect::<Warning>("longer is longest")), expected);
        assert_eq!(second.run(|| warns::collect::<Warning>("longer")), expected[..1]);
        assert_eq!(second.run(|| warns_about_all::collect::<Warning>("longer is longest")), expected);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[task_fn]
fn counts_warnings(text: &str) -> usize {
    ran("counts_warnings");
    warns_about_all::collect::<Warning>(text).len()
}

#[test]
fn who_collects_runs_again_over_what_is_restored() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| counts_warnings("longer is longest")), 3);
            assert!(take_ran().contains(&"counts_warnings".to_owned()));
        }
        let runtime = open();
        assert_eq!(runtime.run(|| counts_warnings("longer is longest")), 3);
        assert_eq!(take_ran(), ["counts_warnings"]);
    });
}

/// Values of it stay in memory.
#[derive(Clone, Debug, PartialEq)]
struct Remark(&'static str);

impl larder::Emitted for Remark {}

#[task_fn]
fn remarks(text: &str) -> usize {
    ran("remarks");
    emit(Remark("in memory"));
    text.len()
}

#[task_fn(transient)]
fn remarks_in_passing(text: &str) -> usize {
    ran("remarks_in_passing");
    emit(Remark("in passing"));
    warns(text)
}

/// The encoding of a value without serde must not be taken for an empty one: the run would be restored without what it has emitted.
#[test]
fn a_run_that_emits_a_value_without_serde_is_not_stored_and_loses_nothing() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| remarks::collect::<Remark>("ab")), [Remark("in memory")]);
            assert_eq!(runtime.run(|| remarks::collect::<Remark>("ab")), [Remark("in memory")]);
            assert_eq!(take_ran(), ["remarks"], "it runs once in each process");
            let unstored = runtime.stats().storage.unwrap().unstored;
            assert_eq!(
                unstored.iter().map(|unstored| unstored.reason).collect::<Vec<_>>(),
                [Reason::NotEncoded]
            );
        }
    });
}

/// A transient task passes on what stored ones have emitted, out of the store, beside its own.
#[test]
fn values_without_serde_stand_beside_those_of_a_store() {
    on_each_store(|open| {
        let warning = [Warning("longer is long".to_owned())];
        for ran in [&["remarks_in_passing", "warns"][..], &["remarks_in_passing"]] {
            let runtime = open();
            runtime.run(|| {
                assert_eq!(remarks_in_passing::collect::<Remark>("longer"), [Remark("in passing")]);
                assert_eq!(remarks_in_passing::collect::<Warning>("longer"), warning);
            });
            assert_eq!(take_ran(), ran);
        }
    });
}
