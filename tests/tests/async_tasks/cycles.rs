//! Cycles through futures.

use super::*;

#[task_fn(transient)]
async fn asks_itself(n: u64) -> u64 {
    give_way().await;
    asks_itself(n).await
}

#[task_fn(transient)]
async fn ping(n: u64) -> u64 {
    give_way().await;
    pong(n).await
}

#[task_fn(transient)]
async fn pong(n: u64) -> u64 {
    give_way().await;
    sync_between(n)
}

#[task_fn(transient)]
fn sync_between(n: u64) -> u64 {
    ping::task(n).get()
}

#[task_fn(transient)]
async fn left(n: u64) -> u64 {
    give_way().await;
    join(right(n), async { 1 }).await.0
}

#[task_fn(transient)]
async fn right(n: u64) -> u64 {
    give_way().await;
    join(async { 2 }, left(n)).await.1
}

#[test]
fn cycles_through_futures_are_errors_with_their_path() {
    let is_cycle = |error: Result<u64, TaskError>, expected: &[&str]| {
        let Err(TaskError::Cycle(cycle)) = error else { panic!("{error:?}") };
        let mut path = cycle.path.clone();
        path.sort();
        assert_eq!(path, expected);
    };
    let rt = Runtime::new();
    for _ in 0..3 {
        is_cycle(rt.try_run(|| block_on(asks_itself(1))), &["asks_itself(1)"]);
        is_cycle(rt.try_run(|| block_on(ping(1))), &["ping(1)", "pong(1)", "sync_between(1)"]);
        is_cycle(rt.try_run(|| block_on(pong(1))), &["ping(1)", "pong(1)", "sync_between(1)"]);
        is_cycle(rt.try_run(|| sync_between(1)), &["ping(1)", "pong(1)", "sync_between(1)"]);
        is_cycle(rt.try_run(|| block_on(left(1))), &["left(1)", "right(1)"]);
        // From both ends at once, in one task and on two threads.
        is_cycle(
            block_on(rt.try_run_async(async { join(left(2), right(2)).await.0 })),
            &["left(2)", "right(2)"],
        );
    }
    for n in 10..60 {
        thread::scope(|s| {
            let ends = [
                s.spawn(|| smol::block_on(rt.try_run_async(async { left(n).await }))),
                s.spawn(|| rt.try_run(|| right::task(n).get())),
            ];
            for end in ends {
                assert!(matches!(end.join().unwrap(), Err(TaskError::Cycle(_))));
            }
        });
    }
}
