//! A runtime in a process that was forked off the one that made it: its threads are missing there, and nothing may wait for them.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use larder::storage::RedbStorage;
use larder::{CancelToken, Runtime, TaskError, UpdateError, par_map, scope, task_fn};

#[task_fn(transient)]
fn leaf(n: u64) -> u64 {
    n
}

#[task_fn(version = 1)]
fn stored(n: u64) -> u64 {
    n * 2
}

#[task_fn(transient, heavy)]
async fn moved(n: u64) -> u64 {
    std::future::ready(n).await
}

#[task_fn(transient)]
fn held(#[skip] at: &'static (Barrier, Barrier)) -> u64 {
    at.0.wait();
    at.1.wait();
    7
}

/// Runs `child` in a forked process, which has a minute for it. Returns its exit status; `None` if it hangs.
fn forked(child: impl FnOnce() -> bool) -> Option<i32> {
    // SAFETY: the child goes on with this thread alone. It takes no lock of the test harness's, and ends without running what other
    // threads or `atexit` left behind.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let is_right = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(false);
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(!is_right)) };
    }
    assert!(pid > 0, "a process can be forked");
    for _ in 0..6000 {
        let mut status = 0;
        // SAFETY: `status` outlives the call, and `pid` is a child of this process that has not been waited for.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: as above: the child is still there.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    None
}

/// `par_map` and `flush` waited for threads that the child does not have, and so did dropping the runtime: it would also have closed the
/// parent's store.
#[test]
fn a_forked_process_gets_errors_where_the_runtimes_threads_are_missing() {
    std::panic::set_hook(Box::new(|_| {}));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.redb");
    let rt = Runtime::builder().threads(3).storage(RedbStorage::open(&file).unwrap()).build();
    let input = rt.input("input", 1u64);
    assert_eq!(rt.run(|| par_map(0..100, leaf).len()), 100);
    assert_eq!(rt.run(|| stored(1)), 2);
    assert_eq!(smol::block_on(rt.run_async(async { moved(1).await })), 1);
    rt.flush().unwrap();
    static AT: (Barrier, Barrier) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|s| {
        let holder = s.spawn(|| rt.run(|| held(&AT)));
        AT.0.wait();
        let status = forked(|| {
            let is_forked = |error: Option<TaskError>| matches!(error, Some(TaskError::Forked));
            let waits = rt.try_run(|| held(&AT)).err();
            let maps = rt.try_run(|| par_map(0..100, leaf)).err();
            let scopes = rt.try_run(|| scope(|scope| scope.spawn(|| ()))).err();
            let hits = rt.run(|| leaf(5)) == 5 && rt.run(|| stored(2)) == 4 && rt.run(|| stored(3)) == 6;
            let moves = smol::block_on(rt.run_async(async { moved(2).await })) == 2;
            let update = rt.update(|update| update.set(&input, 2)) == Err(UpdateError::Forked);
            let token = CancelToken::with_timeout(Duration::from_secs(1000));
            let session = rt.session().token(&token).try_run(|| 1).ok() == Some(1);
            let flushes = rt.flush().is_err();
            drop(rt.clone());
            let own = Runtime::builder().threads(3).build();
            let own = own.run(|| par_map(0..100, leaf).len()) == 100;
            let dropped = Runtime::builder().threads(2).build();
            dropped.run(|| par_map(0..10, leaf));
            drop(dropped);
            [waits, maps, scopes].into_iter().all(is_forked)
                && hits
                && moves
                && update
                && session
                && flushes
                && own
        });
        AT.1.wait();
        assert_eq!(holder.join().unwrap(), 7);
        assert_eq!(
            status,
            Some(0),
            "a status of 256 says that something came out wrong; none, that it hangs"
        );
    });
    // The child drops its copy of the runtime; the store is the parent's, which goes on with it.
    let mut slot = Some(rt);
    let status = forked(|| {
        drop(slot.take());
        true
    });
    assert_eq!(status, Some(0));
    let rt = slot.unwrap();
    assert!(RedbStorage::open(&file).is_err(), "the child has not given up the lock");
    assert_eq!(rt.run(|| stored(10)), 20);
    rt.flush().unwrap();
    drop(rt);
    let rt = Runtime::builder().storage(RedbStorage::open(&file).unwrap()).build();
    assert_eq!(rt.run(|| (stored(1), stored(10))), (2, 20));
    assert_eq!(rt.stats().runs(), 0);
}
