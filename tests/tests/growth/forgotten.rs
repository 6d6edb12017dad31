//! Handles that are released and tasks that are forgotten, whatever became of them.

use super::*;

#[test]
fn handles_leave_nothing() {
    check_in("dropped before the task is forgotten", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).map(|n| text::task(round * MANY + n).get().len()).sum::<usize>());
        runtime.run(|| (0..MANY).for_each(|n| _ = text::forget(round * MANY + n)));
    });
    check_in("dropped after the task is forgotten", &Runtime::new(), |runtime, round| {
        let handles: Vec<_> = runtime.run(|| (0..MANY).map(|n| text::task(round * MANY + n)).collect());
        runtime.run(|| handles.iter().map(|handle| handle.get().len()).sum::<usize>());
        runtime.run(|| (0..MANY).for_each(|n| _ = text::forget(round * MANY + n)));
        runtime.run(|| ());
        drop(handles);
    });
    check_in("dropped on several threads at once", &Runtime::new(), |runtime, round| {
        let handles: Vec<_> = runtime.run(|| (0..MANY).map(|n| text::task(round * MANY + n)).collect());
        runtime.run(|| handles.iter().map(|handle| handle.get().len()).sum::<usize>());
        let clones = handles.clone();
        std::thread::scope(|scope| {
            let forgets = scope.spawn(|| {
                runtime.run(|| (0..MANY).for_each(|n| _ = text::forget(round * MANY + n)));
            });
            let drops = [scope.spawn(move || drop(clones)), scope.spawn(move || drop(handles))];
            drops.into_iter().chain([forgets]).for_each(|thread| thread.join().unwrap());
        });
    });
    check_in("never asked for their value", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| drop(text::task(round * MANY + n))));
    });
    check_in("in the outputs of tasks", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| _ = handles(round * MANY + n)));
        runtime.run(|| (0..MANY).for_each(|n| _ = handles::forget(round * MANY + n)));
    });
    #[task_fn(transient)]
    fn over(below: Option<Task<u64>>, n: u64) -> u64 {
        below.map_or(0, |task| task.get()) + n
    }
    check_in("in the arguments of tasks, in a chain", &Runtime::new(), |runtime, round| {
        runtime.run(|| {
            let mut chain: Vec<Task<u64>> = Vec::new();
            for n in 0..20 {
                chain.push(over::task(chain.last().cloned(), round * 1000 + n));
            }
            assert!(chain.last().unwrap().get() > 0);
            for n in (0..20).rev() {
                let below = (n > 0).then(|| chain[n as usize - 1].clone());
                over::forget(below, round * 1000 + n);
            }
        });
    });
}

#[test]
fn forgotten_tasks_leave_nothing_whatever_became_of_them() {
    check_in("failed", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| _ = fails::task(round * MANY + n).try_get().unwrap_err()));
        runtime.run(|| (0..MANY).for_each(|n| _ = fails::forget(round * MANY + n)));
    });
    check_in("on a cycle", &Runtime::new(), |runtime, round| {
        for n in 0..MANY / 20 {
            let n = round * MANY + n;
            runtime.try_run(|| in_a_ring(n, 3)).unwrap_err();
            runtime.run(|| (0..6).for_each(|left| _ = in_a_ring::forget(n, left)));
        }
    });
    check_in("on a cycle, forgotten one after the other", &Runtime::new(), |runtime, round| {
        runtime.try_run(|| in_a_ring(round, 3)).unwrap_err();
        (0..6).for_each(|left| _ = runtime.run(|| in_a_ring::forget(round, left)));
    });
    check_in("in a component", &Runtime::new(), |runtime, round| {
        for n in 0..MANY / 20 {
            let n = round * MANY + n;
            runtime.run(|| resolved(n, 3));
            runtime.run(|| resolved::forget(n, 2));
        }
    });
    check_in("cancelled", &Runtime::new(), |runtime, round| {
        #[task_fn(transient)]
        fn cancelled_in_time(n: u64) -> u64 {
            (0..MANY).map(|k| twice_small(n, k)).sum()
        }
        #[task_fn(transient)]
        fn twice_small(n: u64, k: u64) -> u64 {
            if k == MANY / 2 {
                TOKEN.lock().unwrap().iter().for_each(CancelToken::cancel);
            }
            small(n + k) * 2
        }
        static TOKEN: Mutex<Option<CancelToken>> = Mutex::new(None);
        let token = CancelToken::new();
        *TOKEN.lock().unwrap() = Some(token.clone());
        let n = round * 1_000_000;
        runtime.session().token(&token).try_run(|| cancelled_in_time(n)).unwrap_err();
        // Not those that were cancelled: they have never been there.
        let ended = 0..MANY / 2;
        runtime.run(|| ended.for_each(|k| _ = (twice_small::forget(n, k), small::forget(n + k))));
    });
    check_in("emitting", &Runtime::new(), |runtime, round| {
        runtime.run(|| (0..MANY).for_each(|n| _ = emits::collect::<String>(round * MANY + n)));
        runtime.run(|| (0..MANY).for_each(|n| _ = emits::forget(round * MANY + n)));
    });
    check_in("async", &Runtime::new(), |runtime, round| {
        smol::block_on(runtime.run_async(async {
            for n in 0..MANY {
                assert_eq!(later_twice(round * MANY + n).await, (round * MANY + n) * 2);
            }
        }));
        runtime.run(|| {
            (0..MANY)
                .for_each(|n| _ = (later::forget(round * MANY + n), later_twice::forget(round * MANY + n)))
        });
    });
    check_in("readers of one that stays", &Runtime::new(), |runtime, round| {
        #[task_fn(transient)]
        fn reader(n: u64) -> u64 {
            small(u64::MAX) - n
        }
        runtime.run(|| (0..MANY).for_each(|n| _ = reader(round * MANY + n)));
        runtime.run(|| (0..MANY).for_each(|n| _ = reader::forget(round * MANY + n)));
        runtime.run(|| small::forget(u64::MAX));
    });
}

#[test]
fn tasks_that_were_made_stale_leave_nothing() {
    let runtime = Runtime::new();
    let switch = runtime.transient_input("switch", "on".to_owned());
    check_in("waves", &runtime, |runtime, round| {
        // Marks name the tasks in which the staleness begins, and these are forgotten before the marks are looked at.
        #[task_fn(transient)]
        fn first(switch: &Input<String>, n: u64) -> u64 {
            length(switch) + n
        }
        #[task_fn(transient)]
        fn second(switch: &Input<String>, n: u64) -> u64 {
            first(switch, n) + 1
        }
        runtime.run(|| (0..MANY).for_each(|n| _ = second(&switch, round * MANY + n)));
        runtime.update(|update| update.set(&switch, format!("round {round}"))).unwrap();
        runtime.run(|| {
            (0..MANY).for_each(|n| {
                _ = (first::forget(&switch, round * MANY + n), second::forget(&switch, round * MANY + n));
            });
            length::forget(&switch);
        });
    });
}
