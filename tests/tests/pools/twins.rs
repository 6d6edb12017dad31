//! Work that asks for a task that another thread computes: where it cannot wait, a twin holds the value of its own run.

use super::*;

/// Computes its value when the test lets it; a run apart does at once.
struct Held {
    runs: AtomicUsize,
    meet: Barrier,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self { runs: AtomicUsize::new(0), meet: Barrier::new(2) })
    }
}

#[task_fn(transient)]
fn held(#[skip] held: Arc<Held>, input: Input<u64>) -> u64 {
    if held.runs.fetch_add(1, SeqCst) == 0 {
        held.meet.wait();
        held.meet.wait();
        // Where it sees whether its session was cancelled.
        part(input.clone(), 99);
    }
    emit(format!("held {}", input.get()));
    input.get() + 1
}

#[task_fn(transient)]
fn above_held(#[skip] given: Arc<Held>, input: Input<u64>) -> u64 {
    held(given, input) * 2
}

#[task_fn(transient)]
fn far_above_held(#[skip] given: Arc<Held>, input: Input<u64>) -> u64 {
    above_held(given, input) + 1
}

/// Runs `work` as carried work while another thread computes `held`, in a session that `token` may cancel. The other one goes on
/// when `work` has ended.
fn while_held<R: Send>(
    rt: &Runtime,
    given: &Arc<Held>,
    input: &Input<u64>,
    token: &larder::CancelToken,
    work: impl Fn() -> R + Sync,
) -> (R, Result<u64, TaskError>) {
    thread::scope(|s| {
        let owner = s.spawn(|| rt.session().token(token).try_run(|| held(given.clone(), input.clone())));
        given.meet.wait();
        let result = rt.run(|| {
            let carried = current();
            thread::scope(|s| s.spawn(|| carried.run(&work)).join().unwrap())
        });
        given.meet.wait();
        (result, owner.join().unwrap())
    })
}

/// A task that was run apart for a reader had no reads of its own when its owner was cancelled, and the reader depended on it alone:
/// it was taken for current after any change of the input.
#[test]
fn a_reader_of_a_twin_sees_changes_though_the_owner_was_cancelled() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        let token = larder::CancelToken::new();
        let ask = || {
            let value = far_above_held(given.clone(), input.clone());
            token.cancel();
            value
        };
        let (value, owner) = while_held(&rt, &given, &input, &token, ask);
        assert_eq!(value, 23);
        assert!(matches!(owner, Err(TaskError::Cancelled)), "{owner:?}");
        for (set, expected) in [(20, 43), (30, 63)] {
            rt.update(|u| u.set(&input, set)).unwrap();
            assert_eq!(rt.run(|| far_above_held(given.clone(), input.clone())), expected);
        }
    });
}

#[test]
fn a_twin_serves_all_that_cannot_wait() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        let token = larder::CancelToken::new();
        let ask = || (0..5).map(|_| held(given.clone(), input.clone())).sum::<u64>();
        let (sum, owner) = while_held(&rt, &given, &input, &token, ask);
        assert_eq!((sum, owner.unwrap()), (55, 11));
        let stats = rt.stats();
        let held = stats.get("held").unwrap();
        assert_eq!((held.runs, held.apart), (1, 1));
        assert_eq!(given.runs.load(SeqCst), 2);
    });
}

/// A task's readers that are run apart have its edges once it is there: nothing runs again without need.
#[test]
fn readers_of_twins_are_cut_off_like_others_once_they_have_run_again() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        let other = rt.input("other", 1);
        let token = larder::CancelToken::new();
        let _ = while_held(&rt, &given, &input, &token, || above_held(given.clone(), input.clone()));
        let before = rt.stats();
        rt.update(|u| u.set(&other, 2)).unwrap();
        assert_eq!(rt.run(|| above_held(given.clone(), input.clone())), 22);
        assert_eq!(rt.stats().since(&before).runs(), 0);
    });
}

/// Emitted values are known when the owner has finished. Work that collects them waits for that, however impatient it is.
#[test]
fn work_that_collects_waits_for_the_owner() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        thread::scope(|s| {
            let owner = s.spawn(|| rt.run(|| held(given.clone(), input.clone())));
            given.meet.wait();
            let collects = s.spawn(|| {
                rt.run(|| {
                    let carried = current();
                    let collect = || held::collect::<String>(given.clone(), input.clone());
                    thread::scope(|s| s.spawn(|| carried.run(collect)).join().unwrap())
                })
            });
            // Without the twin of another thread, and with it.
            spin_until(|| rt.activity().waiting > 0 || collects.is_finished());
            given.meet.wait();
            assert_eq!(owner.join().unwrap(), 11);
            assert_eq!(collects.join().unwrap(), ["held 10"]);
        });
    });
}

#[test]
fn threads_that_open_their_sessions_themselves_wait_however_long_it_takes() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        thread::scope(|s| {
            let owner = s.spawn(|| rt.run(|| held(given.clone(), input.clone())));
            given.meet.wait();
            let asks = s.spawn(|| rt.run(|| par_map(0..4, |_| held(given.clone(), input.clone()))));
            spin_until(|| rt.activity().waiting > 0);
            given.meet.wait();
            assert_eq!((owner.join().unwrap(), asks.join().unwrap()), (11, vec![11; 4]));
        });
        assert_eq!(given.runs.load(SeqCst), 1);
    });
}
