//! Every kind of task: methods, generic functions, handles as arguments, arguments that are only encoded, failures, async ones.

use super::*;

// ---- functions that are known when they are called ----

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Page(Input<String>, u32);

impl Page {
    #[task_fn]
    fn length(&self) -> usize {
        ran(format!("length {}", self.1));
        self.0.with(|text| text.trim().len())
    }

    #[task_fn]
    fn is_long(&self) -> bool {
        ran(format!("is_long {}", self.1));
        self.length() > 3
    }
}

#[task_fn]
fn same<
    T: Clone + Eq + std::hash::Hash + Send + Sync + serde::Serialize + serde::de::DeserializeOwned + 'static,
>(
    of: T,
    text: &Input<String>,
) -> (T, usize) {
    ran("same");
    (of, text.with(|text| text.trim().len()))
}

#[task_fn]
fn pages(text: &Input<String>) -> usize {
    ran("pages");
    let long = (0..3).filter(|number| Page(text.clone(), *number).is_long()).count();
    long + same(1_u8, text).1
}

/// A method and an instance of a generic function have no name before they are called: one chain of bodies runs for each of them.
#[test]
fn methods_and_generic_functions_are_known_from_their_first_call_on() {
    on_each_store(|open| {
        for (number, text) in ["abcd", "abcd ", "abcd  "].into_iter().enumerate() {
            let runtime = open();
            let input = runtime.input("text", text.to_owned());
            assert_eq!(runtime.run(|| pages(&input)), 7);
            let ran = take_ran();
            if number > 0 {
                assert_eq!(ran, ["is_long 0", "length 0", "length 1", "length 2", "pages", "same"]);
            }
        }
        let runtime = open();
        let input = runtime.input("text", "abcd   ".to_owned());
        assert_eq!(runtime.run(|| (Page(input.clone(), 7).is_long(), same(1_u8, &input).1)), (true, 4));
        take_ran();
        assert_eq!(runtime.run(|| pages(&input)), 7);
        assert_eq!(take_ran(), ["length 0", "length 1", "length 2"]);
    });
}

// ---- arguments ----

#[task_fn]
fn through(of: &Task<usize>) -> usize {
    ran("through");
    of.get() / 2
}

#[task_fn]
fn by_handle(text: &Input<String>) -> usize {
    ran("by_handle");
    through(&bottom::task(3, "", text)) + through(&bottom::task(4, "", text))
}

#[test]
fn a_task_of_a_handle_runs_before_its_readers() {
    on_each_store(|open| {
        for (text, expected) in [
            ("abcd", &["bottom", "bottom", "by_handle", "through", "through"][..]),
            ("abcd ", &["bottom", "bottom"]),
            ("abcde", &["bottom", "bottom", "through", "through"]),
        ] {
            let runtime = open();
            let input = runtime.input("text", text.to_owned());
            assert_eq!(runtime.run(|| by_handle(&input)), 4);
            assert_eq!(take_ran(), expected);
        }
    });
}

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct OnlyEncoded(String);

#[task_fn]
fn skips(text: &Input<String>, of: &OnlyEncoded) -> usize {
    ran("skips");
    text.with(|text| text.trim().len()) + of.0.len()
}

#[task_fn]
fn reads_skips(text: &Input<String>) -> usize {
    ran("reads_skips");
    skips(text, &OnlyEncoded("x".to_owned()))
}

/// A task whose arguments cannot be decoded runs when it is called.
#[test]
fn arguments_that_are_only_encoded_cost_their_readers_a_run() {
    on_each_store(|open| {
        for (text, expected) in
            [("abcd", &["reads_skips", "skips"][..]), ("abcd ", &["reads_skips", "skips"]), ("abcd ", &[])]
        {
            let runtime = open();
            let input = runtime.input("text", text.to_owned());
            assert_eq!(runtime.run(|| reads_skips(&input)), 5);
            assert_eq!(take_ran(), expected);
        }
    });
}

// ---- failures, futures, threads, cycles ----

#[task_fn]
fn fails_if_empty(text: &Input<String>) -> usize {
    ran("fails_if_empty");
    let length = text.with(|text| text.trim().len());
    assert!(length > 0, "the text is empty");
    length
}

#[task_fn]
fn reads_what_may_fail(text: &Input<String>) -> usize {
    ran("reads_what_may_fail");
    fails_if_empty(text) / 10
}

#[test]
fn a_leaf_that_fails_after_a_restart_fails_its_readers_and_runs_once() {
    on_each_store(|open| {
        let ask = |text: &str| {
            let runtime = open();
            let input = runtime.input("text", text.to_owned());
            runtime.try_run(|| reads_what_may_fail(&input))
        };
        assert_eq!(ask("abcd").unwrap(), 0);
        take_ran();
        assert!(matches!(ask(""), Err(TaskError::Panicked { .. })));
        assert_eq!(take_ran(), ["fails_if_empty", "reads_what_may_fail"]);
        assert_eq!(ask("abcd ").unwrap(), 0);
        assert_eq!(take_ran(), ["fails_if_empty"]);
    });
}

#[task_fn]
async fn later(text: Input<String>) -> usize {
    ran("later");
    std::future::ready(()).await;
    text.with(|text| text.trim().len())
}

#[task_fn]
async fn after(text: Input<String>) -> usize {
    ran("after");
    later(text).await
}

#[task_fn]
fn after_all(text: &Input<String>) -> usize {
    ran("after_all");
    after::task(text.clone()).get()
}

#[test]
fn async_tasks_run_before_their_readers_too() {
    on_each_store(|open| {
        let ask = |text: &str| {
            let runtime = open();
            let input = runtime.input("text", text.to_owned());
            assert_eq!(block_on(runtime.run_async(async { after(input.clone()).await })), 4);
            let by_future = take_ran();
            assert_eq!(runtime.run(|| after_all(&input)), 4);
            (by_future, take_ran())
        };
        ask("abcd");
        assert_eq!(ask("abcd "), (vec!["later".to_owned()], Vec::new()));
        let runtime = open();
        let input = runtime.input("text", " abcd".to_owned());
        assert_eq!(runtime.run(|| after_all(&input)), 4);
        assert_eq!(take_ran(), ["later"]);
    });
}

#[test]
fn threads_that_verify_the_same_tasks_run_each_body_once() {
    on_each_store(|open| {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let names: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        let sum = |runtime: &Runtime| runtime.run(|| par_map(names.iter(), |name| one(folder, name)).len());
        assert_eq!(sum(&open()), 30);
        for round in 0..4 {
            std::fs::write(folder.join(format!("unrelated{round}")), "").unwrap();
            let runtime = open();
            std::thread::scope(|scope| {
                (0..3).for_each(|_| {
                    scope.spawn(|| sum(&runtime));
                });
            });
            let stats = runtime.stats();
            let runs = |name: &str| stats.get(name).map_or(0, |function| function.runs);
            // The last counts of a thread may not be told yet.
            assert!(runs("has") <= 30 && runs("one") == 0, "{} and {}", runs("has"), runs("one"));
        }
        take_ran();
    });
}
