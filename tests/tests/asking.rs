//! `larder::ask`: the other ways to use a call, of methods and whatever else is called.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder::{Input, Runtime, Task, TaskExt, ask, task_fn};

fn panic_of<R>(work: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(work)) else { return "no panic".to_owned() };
    let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Page(&'static str);

static RUNS: AtomicU64 = AtomicU64::new(0);

trait Measure {
    fn longest(&self, at_least: usize) -> usize;
}

impl Measure for Page {
    #[task_fn(transient)]
    fn longest(&self, at_least: usize) -> usize {
        larder::emit(format!("longest of {}", self.0));
        self.0.split(' ').map(str::len).max().unwrap_or(0).max(at_least)
    }
}

impl Page {
    #[task_fn(transient)]
    fn words(&self, plus: &Input<usize>) -> usize {
        RUNS.fetch_add(1, Relaxed);
        self.0.split(' ').count() + plus.get()
    }

    #[task_fn(transient)]
    async fn title(&self) -> String {
        std::future::ready(self.0.to_uppercase()).await
    }

    #[task_fn(transient)]
    fn panics(&self) -> u32 {
        panic!("of {}", self.0)
    }
}

fn through_generics<M: Measure>(of: &M) -> bool {
    ask(|| of.longest(1)).is_cached()
}

#[test]
fn methods_can_be_asked_about() {
    let runtime = Runtime::new();
    let plus = runtime.input("plus", 0);
    let page = Page("to be or not");
    let before = RUNS.load(Relaxed);
    runtime.run(|| {
        assert!(!ask(|| page.words(&plus)).is_cached());
        assert!(!ask(|| page.words(&plus)).forget(), "there is nothing to drop");
        let task: Task<usize> = ask(|| page.words(&plus)).task();
        assert_eq!(RUNS.load(Relaxed), before, "no question runs the body");
        assert_eq!((task.get(), page.words(&plus)), (4, 4));
        assert!(ask(|| page.words(&plus)).is_cached());
        assert!(ask(|| page.words(&plus)).task::<usize>() == task);
        assert_eq!(RUNS.load(Relaxed), before + 1);
        assert_eq!(ask(|| page.words(&plus)).uncached(), 4);
        assert_eq!(RUNS.load(Relaxed), before + 2);
        assert!(ask(|| page.words(&plus)).forget());
    });
    runtime.run(|| assert_eq!(page.words(&plus), 4));
    assert_eq!(RUNS.load(Relaxed), before + 3, "a forgotten output is computed again");
}

#[test]
fn calls_through_dyn_and_generics_can_be_asked_about() {
    let runtime = Runtime::new();
    let page = Page("to be or not");
    runtime.run(|| {
        let of: &dyn Measure = &page;
        assert!(!ask(|| of.longest(1)).is_cached());
        assert_eq!(ask(|| of.longest(1)).collect::<String>(), ["longest of to be or not"]);
        assert!(ask(|| of.longest(1)).is_cached());
        assert!(through_generics(&page));
        assert!(!ask(|| of.longest(2)).is_cached());
    });
}

#[test]
fn async_methods_can_be_asked_about() {
    let runtime = Runtime::new();
    let page = Page("title");
    let title = smol::block_on(runtime.run_async(async {
        assert!(!ask(|| page.title()).is_cached());
        let task: Task<String> = ask(|| page.title()).task();
        let title = task.get_async().await;
        assert!(ask(|| page.title()).is_cached());
        title
    }));
    assert_eq!(title, "TITLE");
    runtime.run(|| {
        let message = panic_of(|| drop(ask(|| page.title()).uncached()));
        assert!(message.contains("sync task functions only"), "{message}");
    });
}

/// Asks within a task, with an answer that is read.
#[task_fn(transient)]
fn asks(of: Page, plus: &Input<usize>) -> usize {
    ask(|| of.words(plus)).uncached() + ask(|| of.words(plus)).task::<usize>().get()
}

#[test]
fn what_is_asked_in_a_task_belongs_to_it() {
    let runtime = Runtime::new();
    let plus = runtime.input("plus", 0);
    for value in [0, 5] {
        runtime.update(|update| update.set(&plus, value)).expect("no session is open");
        assert_eq!(runtime.run(|| asks(Page("a b"), &plus)), 2 * (2 + value));
    }
}

#[test]
fn questions_without_an_answer_say_why_and_leave_the_session_as_it_was() {
    let runtime = Runtime::new();
    let page = Page("a b");
    runtime.run(|| {
        let message = panic_of(|| ask(|| page.0.len()).is_cached());
        assert!(message.contains("calls no task function"), "{message}");
        let message = panic_of(|| ask(|| page.longest(1)).task::<String>());
        assert!(message.contains("another type"), "{message}");
        let message = panic_of(|| ask(|| -> usize { panic!("before the call") }).is_cached());
        assert_eq!(message, "before the call");
        let message = panic_of(|| ask(|| page.panics()).collect::<String>());
        assert_eq!(message, "of a b");
        assert_eq!(page.longest(1), 1);
    });
    let message = panic_of(|| ask(|| page.longest(1)).is_cached());
    assert!(message.contains("outside of a session"), "{message}");
}

#[task_fn]
fn joined(text: &str, parts: &[u32], times: u8) -> String {
    format!("{text} {parts:?}").repeat(times.into())
}

#[task_fn(transient)]
fn largest<T: Ord + Copy + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static>(
    of: Vec<T>,
) -> Option<T> {
    of.into_iter().max()
}

#[task_fn(transient)]
async fn later(text: &str) -> usize {
    std::future::ready(text.len()).await
}

#[test]
fn boxed_arguments_make_the_same_call() {
    let runtime = Runtime::new();
    runtime.run(|| {
        let boxed = joined::boxed("a", &[1, 2], 2);
        assert_eq!(joined::call_boxed(boxed).expect("they are its arguments"), "a [1, 2]a [1, 2]");
        assert!(joined::is_cached("a", &[1, 2], 2), "the borrowed call is the same task");
        assert_eq!(joined("b", &[], 1), "b []");
        let boxed = joined::boxed("b", &[], 1);
        let sent = std::thread::scope(|scope| scope.spawn(move || boxed).join().expect("it only moves"));
        assert_eq!(joined::call_boxed(sent).expect("they are its arguments"), "b []");
        assert_eq!(largest::call_boxed::<u8>(largest::boxed(vec![1u8, 3, 2])).ok(), Some(Some(3)));
        let other =
            largest::call_boxed::<u16>(joined::boxed("c", &[], 1)).expect_err("arguments of another call");
        assert_eq!(joined::call_boxed(other).expect("the box comes back"), "c []");
    });
    let stats = runtime.stats();
    assert_eq!(stats.get("joined").map(|joined| (joined.runs, joined.calls)), Some((3, 4)));
    let length = smol::block_on(runtime.run_async(async {
        match later::call_boxed(later::boxed("four")) {
            Ok(call) => call.await,
            Err(_) => unreachable!("they are its arguments"),
        }
    }));
    assert_eq!(length, 4);
}

#[test]
fn boxed_arguments_find_what_is_stored() {
    let store = larder::storage::MemoryStorage::new();
    for run in 0..2 {
        let runtime = Runtime::builder().storage(store.clone()).build();
        let value = runtime.run(|| joined::call_boxed(joined::boxed("x", &[7], 1)).expect("its arguments"));
        assert_eq!(value, "x [7]");
        let stats = runtime.stats();
        let joined = stats.get("joined").expect("it was called");
        assert_eq!((joined.runs, joined.storage_hits), if run == 0 { (1, 0) } else { (0, 1) });
        runtime.flush().expect("the store works");
    }
}
