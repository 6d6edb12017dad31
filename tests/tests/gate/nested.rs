//! Sessions that open ones wait for: on other threads, in work of their own, of other runtimes.

use std::thread;
use std::time::Duration;

use larder::storage::MemoryStorage;
use larder::{CancelToken, Runtime, UpdateError, current, par_map, scope, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor;

use super::{Flag, read, until_waiting};

/// A session joined a thread that opened a session, which waited for an update, which waited for the first one. Nothing led out:
/// no cancelling update, and no third party's deadline.
#[test]
fn a_session_on_a_thread_that_an_open_one_joins_goes_past_an_update() {
    in_time(|| {
        for kind in ["wait", "cancel", "async"] {
            let rt = Runtime::new();
            let input = rt.input("input", 1u64);
            let open = Flag::default();
            let value = thread::scope(|s| {
                let session = s.spawn(|| {
                    rt.try_run(|| {
                        open.set();
                        until_waiting(&rt, 0, 1);
                        if kind == "async" {
                            let session = rt.run_async(async { read(&input) });
                            thread::scope(|s| s.spawn(|| executor::block_on(session)).join().unwrap())
                        } else {
                            // Cancelled as every open session, if that is what the update wants.
                            let inner = || rt.try_run(|| read(&input)).unwrap_or(1);
                            thread::scope(|s| s.spawn(inner).join().unwrap())
                        }
                    })
                });
                open.wait();
                let change = |update: &mut larder::Update| update.set(&input, 5);
                match kind {
                    "cancel" => rt.update_with(larder::UpdatePolicy::Cancel, change).unwrap(),
                    _ => rt.update(change).unwrap(),
                }
                session.join().unwrap()
            });
            assert_eq!(value.unwrap(), 1, "{kind}: the update comes after both sessions");
            assert_eq!(rt.run(|| read(&input)), 5);
        }
    });
}

/// Each of many sessions that an open one waits for, one after the other, waited twice as long for the update as the one before.
#[test]
fn many_sessions_on_threads_that_an_open_one_joins_go_past_an_update() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 1u64);
        let open = Flag::default();
        thread::scope(|s| {
            s.spawn(|| {
                open.wait();
                rt.update(|update| update.set(&input, 5)).unwrap();
            });
            rt.run(|| {
                open.set();
                until_waiting(&rt, 0, 1);
                for _ in 0..10 {
                    assert_eq!(thread::scope(|s| s.spawn(|| rt.run(|| read(&input))).join().unwrap()), 1);
                }
            });
        });
        assert_eq!(rt.run(|| read(&input)), 5);
    });
}

/// Two threads each had a session of one runtime open and opened one of the other's, in opposite orders, while both were updated.
#[test]
fn sessions_of_two_runtimes_in_opposite_orders_go_on() {
    in_time(|| {
        let (one, two) = (Runtime::new(), Runtime::new());
        let (in_one, in_two) = (Flag::default(), Flag::default());
        let ready = || {
            in_one.wait();
            in_two.wait();
            until_waiting(&one, 0, 1);
            until_waiting(&two, 0, 1);
        };
        thread::scope(|s| {
            s.spawn(|| {
                one.run(|| {
                    in_one.set();
                    ready();
                    two.run(|| ());
                });
            });
            s.spawn(|| {
                two.run(|| {
                    in_two.set();
                    ready();
                    one.run(|| ());
                });
            });
            in_one.wait();
            in_two.wait();
            s.spawn(|| one.update(|_| ()).unwrap());
            s.spawn(|| two.update(|_| ()).unwrap());
        });
    });
}

#[task_fn(transient)]
fn runs_inside(n: u64, #[skip] rt: Runtime) -> u64 {
    assert_eq!(rt.update(|_| ()), Err(UpdateError::InSession));
    rt.run(|| n) + executor::block_on(rt.run_async(async move { n }))
}

#[task_fn(transient, heavy)]
async fn heavy_inside(n: u64, #[skip] rt: Runtime) -> u64 {
    std::future::ready(()).await;
    runs_inside(n, rt)
}

/// Work that is known to belong to a session opens no session of its own: it is part of that one, and an update is refused.
#[test]
fn work_of_a_session_joins_it_on_whatever_thread() {
    in_time(|| {
        let rt = Runtime::builder().threads(3).storage(MemoryStorage::new()).build();
        let (open, over) = (Flag::default(), Flag::default());
        let updated = Flag::default();
        thread::scope(|s| {
            s.spawn(|| {
                open.wait();
                s.spawn(|| {
                    rt.update(|_| ()).unwrap();
                    updated.set();
                });
                until_waiting(&rt, 0, 1);
                over.set();
            });
            rt.run(|| {
                open.set();
                over.wait();
                let items = par_map(0..64u64, |n| runs_inside(n, rt.clone()));
                assert_eq!(items, (0..64).map(|n| 2 * n).collect::<Vec<_>>());
                scope(|scope| {
                    for n in 100..110 {
                        let rt = rt.clone();
                        scope.spawn(move || assert_eq!(runs_inside(n, rt.clone()), 2 * n));
                    }
                });
                let carried = current();
                thread::scope(|s| {
                    let work = || carried.run(|| runs_inside(200, rt.clone()));
                    assert_eq!(s.spawn(work).join().unwrap(), 400);
                });
                let carried = carried.future(async { rt.run(|| 1) + rt.run_async(async { 2 }).await });
                assert_eq!(thread::scope(|s| s.spawn(|| executor::block_on(carried)).join().unwrap()), 3);
                let heavy = executor::block_on(rt.run_async(async { heavy_inside(300, rt.clone()).await }));
                assert_eq!(heavy, 600);
                rt.flush().unwrap();
                assert!(!updated.is_set());
            });
        });
        assert!(rt.activity().at_gate.is_empty());
        assert_eq!(rt.stats().gate.long_waits, 0, "{:?}", rt.stats().gate);
    });
}

/// An update on a thread that a session joins waits for that session: nothing can be done but to say so, and to end at the deadline.
#[test]
fn an_update_on_a_thread_that_a_session_joins_ends_at_its_deadline_or_is_reported() {
    in_time(|| {
        let rt = Runtime::new();
        rt.run(|| {
            let token = CancelToken::new();
            thread::scope(|s| {
                let update = s.spawn(|| rt.update_with(&token, |_| ()));
                while rt.stats().gate.long_waits == 0 {
                    thread::sleep(Duration::from_millis(20));
                }
                token.cancel();
                let outcome = update.join().unwrap();
                assert!(matches!(outcome, Err(UpdateError::Cancelled(_))), "{outcome:?}");
            });
        });
        assert_eq!(rt.stats().gate.last.len(), 1);
    });
}

/// An update's closure that waited for an async update or session of its own runtime waited for itself.
#[test]
fn futures_inside_an_update_are_refused_as_threads_are() {
    in_time(|| {
        let rt = Runtime::new();
        rt.update(|_| {
            let inner = executor::block_on(rt.update_async(|_| ()));
            assert_eq!(inner, Err(UpdateError::InUpdate));
            let session = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                executor::block_on(rt.run_async(async {}));
            }));
            assert!(session.is_err());
        })
        .unwrap();
        assert_eq!(rt.run(|| 1), 1);
    });
}
