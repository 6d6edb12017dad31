//! Runtimes that are used while a thread ends, by the destructors of its thread-locals.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::cell::RefCell;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, TaskExt, ask, current, emit, par_map, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor::{block_on, give_way};

#[task_fn]
fn half(input: &Input<u64>) -> u64 {
    emit(input.get());
    input.get() / 2
}

#[task_fn]
async fn quarter(input: &Input<u64>) -> u64 {
    give_way().await;
    half(input) / 2
}

struct Halves(Input<u64>);

impl Halves {
    fn get(&self) -> u64 {
        self.0.get() / 2
    }
}

#[task_fn]
fn of_key(key: &str) -> usize {
    key.len()
}

#[task_fn(transient)]
fn sum(input: &Input<u64>) -> u64 {
    let carried = current();
    let other = thread::scope(|threads| threads.spawn(|| carried.run(|| half(input))).join().unwrap());
    other + par_map([1, 2, 3], |n| half(input) * n).into_iter().sum::<u64>()
}

/// Everything that a program may do with a runtime.
fn use_it(rt: &Runtime, input: &Input<u64>) {
    for value in [8u64, 20] {
        rt.update(|update| update.set(input, value)).unwrap();
        rt.run(|| {
            assert_eq!(half(input), value / 2);
            assert_eq!(half(input), value / 2);
            assert_eq!(rt.run(|| sum(input)), value / 2 * 7);
            assert_eq!(half::collect::<u64>(input), [value]);
            assert!(ask(|| half(input)).is_cached());
            assert!(half::task(input).try_get().is_ok());
            assert_eq!(of_key("four"), 4);
            assert_eq!(Halves(input.clone()).get(), value / 2);
        });
        assert_eq!(block_on(rt.run_async(async { quarter(input).await })), value / 4);
        assert_eq!(block_on(rt.run_async(async { quarter::task(input).get_async().await })), value / 4);
        assert_eq!(rt.run(|| quarter::task(input).get()), value / 4);
        assert!(rt.try_run(|| -> u64 { std::panic::resume_unwind(Box::new("on purpose")) }).is_err());
        rt.refresh().unwrap();
        assert!(rt.activity().tasks > 0);
        rt.run(|| half::forget(input));
    }
    rt.flush().unwrap();
    assert!(rt.stats().runs() > 0);
}

/// Uses a runtime when it is dropped.
struct OnExit(Runtime, Input<u64>, Sender<()>);

impl Drop for OnExit {
    fn drop(&mut self) {
        use_it(&self.0, &self.1);
        self.2.send(()).unwrap();
    }
}

thread_local! {
    static EARLY: RefCell<Option<OnExit>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<OnExit>> = const { RefCell::new(None) };
}

/// Thread-locals are dropped in one order or the other. If the runtime's went first, what was done with it in another one's destructor
/// panicked, which ends the process.
#[test]
fn a_runtime_may_be_used_while_its_thread_ends() {
    for is_stored in [false, true] {
        in_time(move || {
            let rt = if is_stored {
                let storage = MemoryStorage::new();
                Runtime::builder().threads(2).storage(storage).code_identity("test").try_build().unwrap()
            } else {
                Runtime::builder().threads(2).build()
            };
            for round in 0..8 {
                let input = rt.input(&format!("input {round}"), 4u64);
                let (sender, receiver) = channel();
                let runtime = rt.clone();
                let thread = thread::spawn(move || {
                    // The first to be used is the last to go, or the other way round: both ways, whichever it is.
                    let place = || Some(OnExit(runtime.clone(), input.clone(), sender.clone()));
                    if round % 2 == 0 {
                        EARLY.set(place());
                    }
                    if round % 4 < 2 {
                        use_it(&runtime, &input);
                    }
                    LATE.set(place());
                });
                thread.join().unwrap();
                assert_eq!(receiver.iter().count(), 1 + (round + 1) % 2);
            }
        });
    }
}

/// The last clone goes with the thread, and what it has computed is durable then.
#[test]
fn a_runtime_may_be_dropped_while_its_thread_ends() {
    in_time(|| {
        for is_used_before in [false, true] {
            let storage = MemoryStorage::new();
            let open = || {
                Runtime::builder()
                    .threads(2)
                    .storage(storage.clone())
                    .code_identity("test")
                    .try_build()
                    .unwrap()
            };
            let rt = open();
            let (sender, receiver) = channel();
            thread::spawn(move || {
                let input = rt.input("input", 4u64);
                EARLY.set(Some(OnExit(rt.clone(), input.clone(), sender)));
                if is_used_before {
                    use_it(&rt, &input);
                }
            })
            .join()
            .unwrap();
            assert_eq!(receiver.iter().count(), 1);
            let rt = open();
            let input = rt.input("input", 20u64);
            assert_eq!(rt.run(|| quarter::task(&input).get()), 5);
            assert_eq!(rt.stats().runs(), 0);
        }
    });
}

/// Two runtimes, one of which has been used by the thread before.
#[test]
fn what_a_thread_does_while_it_ends_is_counted() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 4u64);
        let (sender, _receiver) = channel();
        let before = rt.stats();
        let at_exit = OnExit(rt.clone(), input.clone(), sender);
        thread::spawn(move || {
            EARLY.set(Some(at_exit));
            let other = Runtime::new();
            let input = other.input("input", 4u64);
            use_it(&other, &input);
        })
        .join()
        .unwrap();
        assert!(rt.stats().since(&before).runs() >= 7);
        assert_eq!(rt.run(|| half(&input)), 10);
    });
}

#[task_fn(transient)]
fn once(number: u32) -> u32 {
    number
}

/// A scope of threads ends before their thread-locals do.
#[test]
fn the_counts_of_a_thread_that_is_about_to_end_are_never_missing() {
    let rt = Runtime::new();
    for number in 0..500 {
        thread::scope(|scope| {
            scope.spawn(|| rt.run(|| once(number)));
        });
        assert_eq!(rt.stats().get("once").map(|once| once.runs), Some(u64::from(number) + 1));
    }
}
