//! Sessions, updates and cancellation.

use super::*;

#[test]
fn an_update_waits_for_open_sessions_and_new_sessions_wait_for_it() {
    let (rt, gate) = (Runtime::new(), Gate::default());
    let input = rt.input("in", 1);
    let mut session = Box::pin(rt.run_async(async {
        let before = input.get();
        gate.pass().await;
        (before, input.get())
    }));
    assert!(poll_once(session.as_mut()).is_pending());
    let mut update = Box::pin(rt.update_async(|u| u.set(&input, 2)));
    assert!(poll_once(update.as_mut()).is_pending());
    let mut late = Box::pin(rt.run_async(async { input.get() }));
    assert!(poll_once(late.as_mut()).is_pending());
    gate.open();
    assert_eq!(block_on(session), (1, 1));
    block_on(update).unwrap();
    assert_eq!(block_on(late), 2);
    // An update that is given up lets sessions in again.
    let gate = Gate::default();
    let mut session = Box::pin(rt.run_async(gate.pass()));
    assert!(poll_once(session.as_mut()).is_pending());
    let mut update = Box::pin(rt.update_async(|u| u.set(&input, 5)));
    assert!(poll_once(update.as_mut()).is_pending());
    let late = thread::spawn({
        let (rt, input) = (rt.clone(), input.clone());
        move || block_on(rt.run_async(async { input.get() }))
    });
    thread::sleep(Duration::from_millis(20));
    drop(update);
    assert_eq!(late.join().unwrap(), 2);
    drop(session);
    rt.update(|u| u.set(&input, 6)).unwrap();
    let refused = block_on(rt.run_async(async { rt.update_async(|u| u.set(&input, 7)).await }));
    assert!(refused.is_err(), "an update inside of a session would wait for itself");
}

#[test]
fn a_cancelling_update_ends_sessions_that_wait() {
    let (rt, gate, drops) = (Runtime::new(), Gate::default(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    let open = AtomicUsize::new(0);
    let call = || {
        open.fetch_add(1, SeqCst);
        guarded(1, gate.clone(), drops.clone())
    };
    thread::scope(|s| {
        let waiters = [
            s.spawn(|| smol::block_on(rt.try_run_async(async { call().await }))),
            s.spawn(|| rt.try_run(|| block_on(call()))),
            s.spawn(|| {
                rt.try_run(|| {
                    drop(call());
                    guarded::task(1, gate.clone(), drops.clone()).get()
                })
            }),
        ];
        while gate.waiting() == 0 || open.load(SeqCst) < 3 {
            thread::yield_now();
        }
        smol::block_on(rt.update_async_with(larder::UpdatePolicy::Cancel, |u| u.set(&input, 2))).unwrap();
        for waiter in waiters {
            assert!(matches!(waiter.join().unwrap(), Err(TaskError::Cancelled)));
        }
    });
    assert_eq!(drops.load(SeqCst), 1);
    gate.open();
    assert_eq!(rt.run(|| block_on(guarded(1, gate.clone(), drops.clone()))), 1);
}

/// A thread that asked for an async task first used to run its body by itself, deaf to everything but the body's own waker.
#[test]
fn a_thread_that_runs_an_async_body_is_cancelled_while_the_body_sleeps() {
    let (rt, gate, drops) =
        (Runtime::builder().threads(2).build(), Gate::default(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    #[task_fn(transient, heavy)]
    async fn heavy_and_asleep(#[skip] gate: Gate) {
        gate.pass().await;
    }
    for round in 0..4 {
        thread::scope(|s| {
            let waiter = match round {
                0 => s.spawn(|| rt.try_run(|| guarded::task(1, gate.clone(), drops.clone()).get())),
                1 => s.spawn(|| {
                    rt.try_run(|| guarded::collect::<u8>(1, gate.clone(), drops.clone()).len() as u64)
                }),
                2 => s.spawn(|| rt.try_run(|| sum_of_guarded(guarded::task(1, gate.clone(), drops.clone())))),
                _ => s.spawn(|| {
                    block_on(rt.try_run_async(async { heavy_and_asleep(gate.clone()).await })).map(|()| 0)
                }),
            };
            while gate.waiting() == 0 {
                thread::yield_now();
            }
            rt.update_with(larder::UpdatePolicy::Cancel, |u| u.set(&input, round)).unwrap();
            assert!(matches!(waiter.join().unwrap(), Err(TaskError::Cancelled)), "round {round}");
        });
        gate.0.lock().unwrap().1.clear();
    }
    assert_eq!(drops.load(SeqCst), 3);
}

#[task_fn(transient)]
fn sum_of_guarded(guarded: Task<u64>) -> u64 {
    guarded.get() + 1
}

#[test]
fn a_session_that_is_dropped_releases_what_it_claimed() {
    let (rt, gate, drops) = (Runtime::new(), Gate::default(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    for n in 0..10 {
        let mut session = Box::pin(rt.run_async(async { guarded(n, gate.clone(), drops.clone()).await }));
        assert!(poll_once(session.as_mut()).is_pending());
        drop(session);
        assert_eq!(drops.load(SeqCst), n as usize + 1);
        rt.update(|u| u.set(&input, n)).unwrap();
    }
}

#[task_fn(transient)]
async fn slow_leaf(n: u64, input: Input<u64>) -> u64 {
    smol::Timer::after(Duration::from_micros(n % 7 * 100)).await;
    input.get() + n
}

#[task_fn(transient)]
async fn layer(n: u64, inputs: Vec<Input<u64>>) -> u64 {
    let (a, b) =
        join(slow_leaf(n % 5, inputs[n as usize % 3].clone()), slow_leaf(n % 4, inputs[0].clone())).await;
    if n > 2 { a + b + layer(n - 1, inputs).await } else { a + b }
}

/// Random sessions on several executors and threads, some dropped half-way, with updates between them: every value is the
/// one that its session's inputs lead to.
#[test]
fn sessions_that_come_and_go_always_see_their_inputs() {
    let (rt, tokio) = (Runtime::new(), tokio());
    let inputs: Vec<_> = (0..3).map(|n| rt.input(&format!("in{n}"), 0)).collect();
    let expected = |n: u64, values: &[u64]| {
        let leaf = |n: u64, input: u64| input + n;
        (2..=n).map(|m| leaf(m % 5, values[m as usize % 3]) + leaf(m % 4, values[0])).sum::<u64>()
    };
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        for worker in 0..4u64 {
            let (rt, inputs, stop, handle) = (&rt, &inputs, &stop, tokio.handle());
            s.spawn(move || {
                let mut round = worker;
                while !stop.load(SeqCst) {
                    round = round.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let n = 2 + (round >> 33) % 12;
                    let session = async {
                        let values: Vec<u64> = inputs.iter().map(Input::get).collect();
                        (layer(n, inputs.clone()).await, expected(n, &values))
                    };
                    match (round >> 40) % 4 {
                        0 => {
                            // Given up after a few polls.
                            let mut session = Box::pin(rt.run_async(session));
                            for _ in 0..(round >> 50) % 5 {
                                if poll_once(session.as_mut()).is_ready() {
                                    break;
                                }
                            }
                        }
                        1 => {
                            let (value, expected) = handle.block_on(rt.run_async(session));
                            assert_eq!(value, expected);
                        }
                        2 => {
                            let (value, expected) = rt.run(|| {
                                let values: Vec<u64> = inputs.iter().map(Input::get).collect();
                                (layer::task(n, inputs.clone()).get(), expected(n, &values))
                            });
                            assert_eq!(value, expected);
                        }
                        _ => {
                            let outcome = smol::block_on(rt.try_run_async(session));
                            match outcome {
                                Ok((value, expected)) => assert_eq!(value, expected),
                                Err(error) => assert!(matches!(error, TaskError::Cancelled), "{error:?}"),
                            }
                        }
                    }
                }
            });
        }
        for change in 0..300 {
            rt.update(|u| u.set(&inputs[change % 3], change as u64 / 2)).unwrap();
            thread::sleep(Duration::from_micros(500));
        }
        stop.store(true, SeqCst);
    });
}
