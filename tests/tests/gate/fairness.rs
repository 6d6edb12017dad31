//! Sessions and updates take turns.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use larder::{GateWaiter, Runtime};
use larder_tests::deadline::in_time;
use larder_tests::executor;

use super::{Flag, until_waiting};

/// A session waited for 1.08 s among eight updaters: each time that one ended, the next one was faster.
#[test]
fn a_session_that_waits_goes_before_the_second_update() {
    in_time(|| {
        for by_future in [false, true] {
            let rt = Runtime::new();
            let updates = AtomicU64::new(0);
            let (go_on, open, over) = (Flag::default(), Flag::default(), Flag::default());
            thread::scope(|s| {
                s.spawn(|| {
                    rt.run(|| {
                        open.set();
                        go_on.wait();
                    });
                });
                open.wait();
                for _ in 0..8 {
                    s.spawn(|| {
                        while !over.is_set() {
                            rt.update(|_| updates.fetch_add(1, SeqCst)).unwrap();
                        }
                    });
                }
                until_waiting(&rt, 0, 8);
                let session = s.spawn(|| {
                    let seen = || updates.load(SeqCst);
                    if by_future { executor::block_on(rt.run_async(async { seen() })) } else { rt.run(seen) }
                });
                until_waiting(&rt, 1, 8);
                go_on.set();
                let before = session.join().unwrap();
                over.set();
                // A future that the machine does not let come in time waits for another turn.
                assert!(before == 1 || by_future, "{before} updates went first");
            });
        }
    });
}

/// The reverse: an update among sessions without end waits for those that are open, and updates keep their order.
#[test]
fn an_update_that_waits_goes_before_sessions_that_come_later() {
    in_time(|| {
        let rt = Runtime::new();
        let order = AtomicU64::new(0);
        let (open, go_on) = (Flag::default(), Flag::default());
        thread::scope(|s| {
            s.spawn(|| {
                rt.run(|| {
                    open.set();
                    go_on.wait();
                });
            });
            open.wait();
            let mut waiting = Vec::new();
            for number in 0..4 {
                let (rt, order) = (&rt, &order);
                waiting.push(s.spawn(move || {
                    rt.update(|_| assert_eq!(order.fetch_add(1, SeqCst), number)).unwrap();
                }));
                until_waiting(rt, 0, number as usize + 1);
            }
            let session = s.spawn(|| rt.run(|| order.load(SeqCst)));
            until_waiting(&rt, 1, 4);
            let at_gate = rt.activity().at_gate;
            assert_eq!(at_gate.iter().filter(|wait| wait.waiter == GateWaiter::Update).count(), 4);
            go_on.set();
            waiting.into_iter().for_each(|update| update.join().unwrap());
            assert_eq!(session.join().unwrap(), 1, "after the first update, before the second");
        });
    });
}
