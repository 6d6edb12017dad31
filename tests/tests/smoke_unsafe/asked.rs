//! Arguments in boxes and on the stack, questions about calls, a thread cache that outlives what it names, results that expire.

use std::time::Duration;

use larder::{Input, Runtime, Task, ask, task_fn};

/// Nothing, but at an odd place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[repr(align(32))]
struct Odd;

#[task_fn(transient)]
fn joined(text: &str, parts: &[u32], odd: &Odd, boxed: Box<[String]>) -> String {
    assert_ne!(text, "bad");
    format!("{text} {parts:?} {odd:?} {boxed:?}")
}

#[task_fn(transient)]
fn nothing() {}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Page(u64);

impl Page {
    #[task_fn(transient)]
    fn twice(&self, x: &Input<u64>) -> Vec<u64> {
        vec![self.0, x.get()]
    }
}

#[test]
fn arguments_are_boxed_moved_and_dropped_well() {
    let runtime = Runtime::new();
    let parts = || vec!["a".to_owned(), "b".to_owned()].into_boxed_slice();
    runtime.run(|| {
        let first = joined::boxed("text", &[1, 2], &Odd, parts());
        let again = joined::boxed("text", &[1, 2], &Odd, parts());
        let first = joined::call_boxed(first).unwrap();
        assert_eq!(joined::call_boxed(again).unwrap(), first);
        assert_eq!(joined("text", &[1, 2], &Odd, parts()), first);
        drop(joined::boxed("never", &[], &Odd, parts()));
        assert!(nothing::call_boxed(nothing::boxed()).is_ok());
        let Err(other) = nothing::call_boxed(joined::boxed("other", &[], &Odd, parts())) else {
            panic!("arguments of another call")
        };
        assert!(joined::call_boxed(other).unwrap().starts_with("other"));
        assert!(joined::task("bad", &[], &Odd, parts()).try_get().is_err());
        assert_eq!(joined::uncached("text", &[1, 2], &Odd, parts()), first);
    });
}

#[test]
fn questions_leave_by_unwinding_and_drop_what_they_hold() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 3);
    let page = Page(4);
    runtime.run(|| {
        assert!(!ask(|| page.twice(&x)).is_cached());
        let task: Task<Vec<u64>> = ask(|| page.twice(&x)).task();
        assert_eq!((task.get(), ask(|| page.twice(&x)).uncached()), (vec![4, 3], vec![4, 3]));
        assert!(ask(|| page.twice(&x)).collect::<String>().is_empty());
        assert!(ask(|| page.twice(&x)).forget());
    });
}

#[task_fn(transient, no_errors)]
fn evenly(x: &Input<u64>) -> Result<String, String> {
    if x.get() % 2 == 0 { Ok(x.get().to_string()) } else { Err("odd".to_owned()) }
}

#[test]
fn errors_that_are_not_kept_and_inputs_that_are_removed_are_dropped_well() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 3);
    assert_eq!(runtime.run(|| (evenly(&x), evenly(&x))).1, Err("odd".to_owned()));
    assert!(runtime.run(|| evenly(&x)).is_err());
    runtime.update(|update| update.remove(&x)).unwrap();
    assert!(runtime.try_run(|| evenly(&x)).is_err());
    runtime.update(|update| update.set(&x, 4)).unwrap();
    assert_eq!(runtime.run(|| evenly(&x)), Ok("4".to_owned()));
}

#[task_fn(transient, ttl = Duration::from_nanos(1))]
fn short(n: u64) -> String {
    n.to_string()
}

#[task_fn(transient)]
fn long(n: u64) -> usize {
    short(n).len()
}

/// How many tasks stand in the caches.
const MANY: u64 = if cfg!(miri) { 9 } else { 200 };

/// Nodes are freed whose addresses stand in the caches of two threads, one of which looks on only later.
#[test]
fn thread_caches_do_not_name_what_was_freed() {
    let runtime = Runtime::new();
    let digits = (0..MANY).map(|n| n.to_string().len()).sum::<usize>();
    let ask = || runtime.run(|| (0..MANY).map(long).sum::<usize>());
    std::thread::scope(|scope| {
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let (done, is_done) = std::sync::mpsc::channel();
        let other = scope.spawn(move || {
            for () in gone {
                assert_eq!(ask(), digits);
                done.send(()).unwrap();
            }
        });
        for _ in 0..3 {
            go.send(()).unwrap();
            is_done.recv().unwrap();
            assert_eq!(ask(), digits);
            runtime.run(|| (0..MANY).for_each(|n| assert!(long::forget(n) && short::forget(n))));
            runtime.run(|| ());
        }
        drop(go);
        other.join().unwrap();
    });
}
