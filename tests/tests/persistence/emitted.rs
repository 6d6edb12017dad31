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
