//! The way of a failure: which task failed, and which tasks it came through to the asker.

use larder::{Input, Runtime, TaskError, TaskExt, par_map, task_fn};
use larder_tests::executor::block_on;

#[task_fn(transient)]
fn parse(text: &str) -> usize {
    assert!(!text.is_empty(), "nothing to parse");
    text.len()
}

#[task_fn(transient)]
fn title(text: &str) -> usize {
    parse(text) + 1
}

#[task_fn(transient)]
fn page(text: &str) -> usize {
    title(text) + 1
}

/// The task that failed, and those that the failure came through.
#[track_caller]
fn way(failed: Result<usize, TaskError>) -> (String, Vec<String>, usize) {
    match failed {
        Err(TaskError::Panicked { task, through, .. }) => (task, through.tasks().to_vec(), through.omitted()),
        other => panic!("{other:?}"),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_failure_names_the_task_that_failed_and_those_that_had_asked() {
    let runtime = Runtime::new();
    let failed = runtime.try_run(|| page(""));
    let text = format!("{}", failed.as_ref().unwrap_err());
    assert_eq!(text, "task parse(\"\") panicked: nothing to parse");
    let text = format!("{:#}", failed.as_ref().unwrap_err());
    assert_eq!(
        text,
        "task parse(\"\") panicked: nothing to parse\n  asked for by title(\"\")\n  asked for by page(\"\")"
    );
    assert_eq!(way(failed), ("parse(\"\")".into(), names(&["title(\"\")", "page(\"\")"]), 0));
    assert_eq!(way(runtime.try_run(|| parse(""))).1, names(&[]));
    // Asked for again, in a session in which it has failed: the way is that of each asker.
    runtime.run(|| {
        assert_eq!(way(runtime.try_run(|| page(""))).1.len(), 2);
        assert_eq!(way(title::task("").try_get()).1, names(&["title(\"\")"]));
        assert_eq!(way(page::task("").try_get()).1, names(&["title(\"\")", "page(\"\")"]));
    });
}

#[test]
fn a_task_that_catches_a_failure_ends_its_way() {
    #[task_fn(transient)]
    fn caught(text: &str) -> usize {
        page::task(text).try_get().unwrap_or(0)
    }
    #[task_fn(transient)]
    fn told_otherwise(text: &str) -> usize {
        page::task(text).try_get().expect("a page")
    }
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| caught("")), 0);
    let (task, through, _) = way(runtime.try_run(|| told_otherwise("")));
    assert_eq!((task.as_str(), through), ("told_otherwise(\"\")", names(&[])));
}

#[test]
fn the_way_leads_through_threads_and_futures() {
    #[task_fn(transient)]
    fn many(text: &str) -> usize {
        par_map(0..4, |number| if number == 3 { page(text) } else { number }).into_iter().sum()
    }
    #[task_fn(transient)]
    async fn later(text: &str) -> usize {
        std::future::ready(()).await;
        many(text)
    }
    #[task_fn(transient)]
    async fn last(text: &str) -> usize {
        later(text).await
    }
    let expected = names(&["title(\"\")", "page(\"\")", "many(\"\")", "later(\"\")", "last(\"\")"]);
    let runtime = Runtime::builder().threads(3).build();
    assert_eq!(way(runtime.try_run(|| many(""))).1, expected[..3]);
    assert_eq!(way(block_on(runtime.try_run_async(async || last("").await))).1, expected);
    assert_eq!(way(runtime.try_run(|| last::task("").get())).1, expected);
    let handle = runtime.run(|| last::task(""));
    assert_eq!(way(block_on(runtime.try_run_async(async || handle.get_async().await))).1, expected);
}

#[test]
fn the_way_is_bounded_in_count_and_in_bytes() {
    #[task_fn(transient)]
    fn chain(left: u32, text: &str) -> usize {
        assert!(left > 0, "the end");
        chain(left - 1, text)
    }
    let runtime = Runtime::new();
    let text = "\u{e4}".repeat(10_000);
    let (_, through, omitted) = way(runtime.try_run(|| chain(5_000, &text)));
    assert_eq!((through.len(), omitted), (16, 4_984));
    assert!(through.iter().all(|name| name.len() <= 200));
    let error = runtime.try_run(|| chain(20, "x")).unwrap_err();
    assert!(
        format!("{error:#}").ends_with("\n  asked for by chain(16, \"x\")\n  and so on, by 4 more"),
        "{error:#}"
    );
}

#[test]
fn a_removed_input_is_the_task_that_failed() {
    #[task_fn(transient)]
    fn reader(input: &Input<usize>) -> usize {
        input.get()
    }
    let runtime = Runtime::new();
    let input = runtime.input("x", 1);
    assert_eq!(runtime.run(|| reader(&input)), 1);
    runtime.update(|update| update.remove(&input)).expect("no session is open");
    let (task, through, _) = way(runtime.try_run(|| reader(&input)));
    assert_eq!((task.as_str(), through), ("input(\"x\")", names(&["reader(input(\"x\"))"])));
}
