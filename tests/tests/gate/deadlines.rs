//! Waits at the gate can be given up: by a token or a deadline, by dropping the future.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use larder::{CancelToken, GateWaiter, Held, Runtime, TaskError, UpdateError, current};
use larder_tests::deadline::in_time;
use larder_tests::executor;

use super::{Flag, read, until, until_waiting};

const SHORT: Duration = Duration::from_millis(30);

/// Runs `work` while a session is open and an update waits for it, and ends the session when `work` returns.
fn while_an_update_waits(rt: &Runtime, work: impl FnOnce()) {
    let (open, over) = (Flag::default(), Flag::default());
    thread::scope(|s| {
        s.spawn(|| {
            rt.run(|| {
                open.set();
                over.wait();
            });
        });
        open.wait();
        s.spawn(|| rt.update(|_| ()).unwrap());
        until_waiting(rt, 0, 1);
        work();
        over.set();
    });
}

/// A session with a deadline of 100 ms that waited for an update, which waited for a session of 3 s, came back after 2,907 ms.
#[test]
fn a_deadline_ends_the_wait_of_a_session_at_the_gate() {
    in_time(|| {
        let rt = Runtime::new();
        while_an_update_waits(&rt, || {
            let outcome = rt
                .session()
                .token(&CancelToken::with_timeout(SHORT))
                .try_run(|| unreachable!("it is not opened"));
            assert!(matches!(outcome, Err(TaskError::Cancelled)), "{:?}", outcome.map(|never: ()| never));
            let token = CancelToken::with_timeout(SHORT);
            let future = rt.session().token(&token).try_run_async(async { unreachable!("it is not opened") });
            let outcome = executor::block_on(future);
            assert!(matches!(outcome, Err(TaskError::Cancelled)), "{:?}", outcome.map(|never: ()| never));
        });
        assert_eq!(rt.run(|| 1), 1);
    });
}

#[test]
fn a_token_ends_the_wait_of_a_session_at_the_gate() {
    in_time(|| {
        let rt = Runtime::new();
        while_an_update_waits(&rt, || {
            let token = CancelToken::new();
            let (thread, future) = thread::scope(|s| {
                let thread = s.spawn(|| rt.session().token(&token).try_run(|| ()).is_err());
                let future = s.spawn(|| {
                    executor::block_on(rt.session().token(&token).try_run_async(async {})).is_err()
                });
                until_waiting(&rt, 2, 1);
                token.cancel();
                (thread.join().unwrap(), future.join().unwrap())
            });
            assert!(thread && future);
            assert!(rt.session().token(&token).try_run(|| ()).is_err(), "cancelled before it came");
        });
    });
}

/// An update had no way out at all, and did not say what it waited for.
#[test]
fn a_deadline_ends_the_wait_of_an_update_and_names_the_sessions() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 1u64);
        let (open, over) = (Flag::default(), Flag::default());
        thread::scope(|s| {
            let named = thread::Builder::new().name("the-long-one".to_owned());
            let session = named.spawn_scoped(s, || {
                rt.run(|| {
                    open.set();
                    over.wait();
                    read(&input)
                })
            });
            open.wait();
            let token = || CancelToken::with_timeout(SHORT);
            let outcomes = [
                rt.update_with(&token(), |update| update.set(&input, 2)),
                rt.update_with(
                    larder::UpdateOptions::from(larder::UpdatePolicy::Cancel).token(&token()),
                    |update| update.set(&input, 3),
                ),
                executor::block_on(rt.update_async_with(&token(), |update| update.set(&input, 4))),
                executor::block_on(rt.update_async_with(
                    larder::UpdateOptions::from(larder::UpdatePolicy::Cancel).token(&token()),
                    |update| update.set(&input, 4),
                )),
                rt.refresh_with(&token()).map(|_| ()),
            ];
            for outcome in outcomes {
                let Err(UpdateError::Cancelled(wait)) = outcome else { panic!("{outcome:?}") };
                assert_eq!(
                    (wait.waiter, wait.held_by.len(), wait.parts),
                    (GateWaiter::Update, 1, 0),
                    "{wait}"
                );
                assert_eq!(wait.held_by[0].held, Held::Session);
                assert!(!wait.waited.is_zero() && wait.held_by[0].age >= wait.waited, "{wait}");
                assert!(
                    UpdateError::Cancelled(wait).to_string().contains("the session of thread `the-long-one`")
                );
            }
            // Sessions do not wait for what was given up.
            assert_eq!(rt.run(|| read(&input)), 1);
            over.set();
            assert_eq!(session.unwrap().join().unwrap(), 1);
        });
        assert_eq!(rt.run(|| read(&input)), 1);
        let late = rt.update_with(&CancelToken::with_timeout(Duration::ZERO), |update| update.set(&input, 5));
        assert!(matches!(late, Err(UpdateError::Cancelled(_))), "{late:?}");
        rt.update_with(&CancelToken::new(), |update| update.set(&input, 6)).unwrap();
        assert_eq!(rt.run(|| read(&input)), 6);
    });
}

/// A piece of carried work keeps a session open that has returned; the thread that holds it waited for itself.
#[test]
fn an_update_that_waits_for_carried_work_says_so() {
    in_time(|| {
        let rt = Runtime::new();
        let carried = rt.run(current);
        let outcome = rt.update_with(&CancelToken::with_timeout(SHORT), |_| ());
        let Err(UpdateError::Cancelled(wait)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((wait.held_by.len(), wait.parts), (0, 1), "{wait}");
        assert!(wait.to_string().contains("1 piece of carried work"), "{wait}");
        drop(carried);
        rt.update(|_| ()).unwrap();
    });
}

/// A deadline was seen when the future was polled for another reason, so perhaps never.
#[test]
fn a_future_is_woken_at_its_deadline() {
    in_time(|| {
        let rt = Runtime::new();
        let token = CancelToken::with_timeout(SHORT);
        let outcome =
            executor::block_on(rt.session().token(&token).try_run_async(std::future::pending::<()>()));
        assert!(matches!(outcome, Err(TaskError::Cancelled)), "{outcome:?}");
        rt.update(|_| ()).unwrap();
    });
}

#[test]
fn futures_that_are_dropped_at_the_gate_leave_no_place_behind() {
    in_time(|| {
        let rt = Runtime::new();
        while_an_update_waits(&rt, || {
            let token = CancelToken::with_timeout(SHORT);
            executor::block_on(async {
                let mut session = Box::pin(rt.run_async(async {}));
                let mut update = Box::pin(rt.update_async(|_| unreachable!("it is not granted")));
                for _ in 0..3 {
                    assert!(poll_once(&mut session).await.is_none());
                    assert!(poll_once(&mut update).await.is_none());
                }
                until_waiting(&rt, 1, 2);
                assert_eq!(rt.activity().at_gate.len(), 3);
            });
            assert_eq!(rt.activity().at_gate.len(), 1);
            assert!(rt.update_with(&token, |_| ()).is_err());
        });
        rt.update(|_| ()).unwrap();
        assert_eq!(rt.run(|| 1), 1);
        assert!(rt.activity().at_gate.is_empty() && rt.activity().held_by.is_empty());
    });
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// A thread of an executor waited at the gate for an update whose future was to be polled by that thread; and the reverse.
#[test]
fn a_thread_goes_past_a_future_that_only_it_could_poll() {
    in_time(|| {
        let rt = Runtime::new();
        for by_session in [true, false] {
            let (open, over) = (Flag::default(), Flag::default());
            thread::scope(|s| {
                s.spawn(|| {
                    rt.run(|| {
                        open.set();
                        over.wait();
                    });
                });
                open.wait();
                executor::block_on(async {
                    // It is called when the session ends, and does not come.
                    let mut update = Box::pin(rt.update_async(|_| ()));
                    assert!(poll_once(&mut update).await.is_none());
                    let mut session = Box::pin(rt.run_async(async {}));
                    assert!(poll_once(&mut session).await.is_none());
                    over.set();
                    if by_session {
                        assert_eq!(rt.run(|| 1), 1);
                    } else {
                        rt.update(|_| ()).unwrap();
                    }
                    update.await.unwrap();
                    session.await;
                });
            });
        }
    });
}

/// A session of another runtime, inside of which a thread waits at the gate, was cancelled in vain.
#[test]
fn a_wait_inside_the_session_of_another_runtime_ends_with_that() {
    in_time(|| {
        let (rt, outer) = (Runtime::new(), Runtime::new());
        while_an_update_waits(&rt, || {
            let token = CancelToken::with_timeout(SHORT);
            let outcome =
                outer.session().token(&token).try_run(|| rt.run(|| unreachable!("it is not opened")));
            assert!(matches!(outcome, Err(TaskError::Cancelled)), "{:?}", outcome.map(|never: ()| never));
            let began = Flag::default();
            let outcome = thread::scope(|s| {
                let session = s.spawn(|| {
                    outer.try_run(|| {
                        began.set();
                        rt.update(|_| ())
                    })
                });
                began.wait();
                until_waiting(&rt, 0, 2);
                outer.update_with(larder::UpdatePolicy::Cancel, |_| ()).unwrap();
                session.join().unwrap()
            });
            let Ok(Err(UpdateError::Cancelled(_))) = outcome else { panic!("{outcome:?}") };
        });
    });
}

/// `activity` opened a session of its own: it could not tell what an update waits for while one did.
#[test]
fn activity_waits_for_nobody() {
    in_time(|| {
        let rt = Runtime::new();
        while_an_update_waits(&rt, || {
            let activity = rt.activity();
            assert_eq!((activity.held_by.len(), activity.at_gate.len()), (1, 1), "{activity:?}");
            assert_eq!(activity.at_gate[0].held_by[0].held, Held::Session);
        });
        rt.update(|_| {
            let activity = rt.activity();
            assert_eq!(activity.held_by[0].held, Held::Update);
        })
        .unwrap();
    });
}

/// No report told why nothing went on.
#[test]
fn a_wait_of_more_than_a_second_is_reported_once() {
    in_time(|| {
        let rt = Arc::new(Runtime::new());
        let (open, over) = (Flag::default(), Flag::default());
        thread::scope(|s| {
            s.spawn(|| {
                executor::block_on(rt.run_async(async {
                    open.set();
                    until(&over).await;
                }));
            });
            open.wait();
            s.spawn(|| rt.update(|_| ()).unwrap());
            s.spawn(|| executor::block_on(rt.update_async(|_| ())).unwrap());
            while rt.stats().gate.long_waits < 2 {
                thread::sleep(Duration::from_millis(20));
            }
            thread::sleep(Duration::from_millis(100));
            over.set();
        });
        let stats = rt.stats();
        assert_eq!((stats.gate.long_waits, stats.gate.last.len()), (2, 2), "{:?}", stats.gate);
        for wait in &stats.gate.last {
            assert_eq!(
                (wait.waiter, wait.held_by[0].held),
                (GateWaiter::Update, Held::AsyncSession),
                "{wait}"
            );
        }
        assert!(stats.to_string().contains("2 waits of more than a second"), "{stats}");
    });
}
