//! Cycles that are resolved: by iteration (`#[task_fn(cycle_initial = ..)]`), or by fallbacks (`cycle_fallback = ..`).

mod caught;
mod closing_later;
mod collecting;
mod comes_and_goes;
mod failing_reads;
mod fallback;
mod initial;
mod leaving;
mod rounds;
mod step;
mod stored;
mod stored_parts;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

use larder::storage::MemoryStorage;
use larder::{CancelToken, Input, Reason, Runtime, TaskError, emit, par_map, task_fn};
use larder_tests::deadline::in_time;

/// Where one can go from a place, and what is found there.
type Place = Input<(Vec<usize>, u64)>;

/// A graph of numbered places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Map(Arc<Vec<Place>>);

impl Map {
    fn new(runtime: &Runtime, places: &[(&[usize], u64)]) -> Self {
        let places = places.iter().enumerate();
        let place = |(number, (to, found)): (usize, &(&[usize], u64))| {
            runtime.input(&format!("place{number}"), (to.to_vec(), *found))
        };
        Self(Arc::new(places.map(place).collect()))
    }

    fn set(&self, runtime: &Runtime, place: usize, to: &[usize], found: u64) {
        runtime
            .update(|update| update.set(&self.0[place], (to.to_vec(), found)))
            .expect("no session is open");
    }

    /// All that is found on ways from a place: the union over a graph with cycles.
    #[task_fn(transient, cycle_initial = BTreeSet::new(), cycle_rounds = 100)]
    fn finds(&self, place: usize) -> BTreeSet<u64> {
        let (to, found) = self.0[place].get();
        let mut all: BTreeSet<u64> = to.into_iter().flat_map(|place| self.finds(place)).collect();
        all.insert(found);
        all
    }

    /// The same, with every second place as a part of the bodies of the others.
    #[task_fn(transient, cycle_initial = BTreeSet::new())]
    fn even(&self, place: usize) -> BTreeSet<u64> {
        let (to, found) = self.0[place].get();
        to.into_iter().flat_map(|place| self.either(place)).chain([found]).collect()
    }

    #[task_fn(transient)]
    fn odd(&self, place: usize) -> BTreeSet<u64> {
        let (to, found) = self.0[place].get();
        to.into_iter().flat_map(|place| self.either(place)).chain([found]).collect()
    }

    fn either(&self, place: usize) -> BTreeSet<u64> {
        if place.is_multiple_of(2) { self.even(place) } else { self.odd(place) }
    }
}

fn set(all: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    all.into_iter().collect()
}

/// How often the bodies of a function have run.
fn runs_of(runtime: &Runtime, name: &str) -> u64 {
    runtime
        .stats()
        .functions
        .iter()
        .filter(|function| function.name == name)
        .map(|function| function.runs)
        .sum()
}

const TWO_LOOPS: [(&[usize], u64); 6] =
    [(&[1], 10), (&[2, 3], 11), (&[0], 12), (&[4], 13), (&[3], 14), (&[0, 3], 15)];

fn check_two_loops(ask: impl Fn(&Map, usize) -> BTreeSet<u64>) {
    let all = [set(10..15), set(10..15), set(10..15), set(13..15), set(13..15), set(10..16)];
    for first in 0..6 {
        let runtime = Runtime::new();
        let map = Map::new(&runtime, &TWO_LOOPS);
        runtime.run(|| {
            for offset in 0..6 {
                let place = (first + offset) % 6;
                assert_eq!(ask(&map, place), all[place], "place {place}, asked after {first}");
            }
        });
    }
}

#[test]
fn a_cycle_is_resolved_whichever_of_its_tasks_is_asked_first() {
    in_time(|| check_two_loops(|map, place| map.finds(place)));
}

#[test]
fn tasks_without_an_initial_value_may_lie_on_a_cycle_that_has_one() {
    in_time(|| check_two_loops(Map::either));
}

#[test]
fn a_task_may_depend_on_itself() {
    let runtime = Runtime::new();
    let map = Map::new(&runtime, &[(&[0], 7)]);
    assert_eq!(runtime.run(|| map.finds(0)), set([7]));
}

#[test]
fn a_cycle_without_an_initial_value_stays_an_error_that_names_the_path() {
    let runtime = Runtime::new();
    let map = Map::new(&runtime, &[(&[3], 0), (&[3], 1), (&[], 2), (&[1], 3)]);
    for place in [1, 3, 0] {
        let Err(TaskError::Cycle(cycle)) = runtime.try_run(|| map.either(place)) else {
            panic!("no cycle from {place}")
        };
        assert_eq!(cycle.path.len(), 2, "{cycle}");
    }
    map.set(&runtime, 3, &[1, 0], 3);
    for place in [1, 3, 0] {
        assert!(matches!(runtime.try_run(|| map.either(place)), Err(TaskError::Cycle(_))), "{place}");
    }
    map.set(&runtime, 3, &[0], 3);
    assert_eq!(runtime.run(|| map.either(1)), set([0, 1, 3]));
}

#[test]
fn a_change_in_what_a_cycle_reads_is_followed_and_anything_else_is_not() {
    in_time(|| {
        let runtime = Runtime::new();
        let map = Map::new(&runtime, &TWO_LOOPS);
        let runs = |map: &Map, places: &[usize]| {
            let before = runs_of(&runtime, "finds");
            let found: Vec<_> = runtime.run(|| places.iter().map(|place| map.finds(*place)).collect());
            (found, runs_of(&runtime, "finds") - before)
        };
        runs(&map, &[5]);
        assert_eq!(runs(&map, &[0, 3, 5]).1, 0);
        // The inner loop alone, and place 5 reads it; the outer loop does, too.
        map.set(&runtime, 4, &[3], 24);
        assert_eq!(runs(&map, &[5]).0, [set([10, 11, 12, 13, 15, 24])]);
        // Nothing leads from the inner loop to the outer one: it is not touched.
        map.set(&runtime, 2, &[0], 22);
        let (found, _) = runs(&map, &[3, 4]);
        assert_eq!(found, [set([13, 24]), set([13, 24])]);
        assert_eq!(runs(&map, &[3, 4]).1, 0);
        assert_eq!(runs(&map, &[5]).0, [set([10, 11, 13, 15, 22, 24])]);
        // The outer loop opens.
        map.set(&runtime, 2, &[], 22);
        assert_eq!(
            runs(&map, &[2, 0, 5]).0,
            [set([22]), set([10, 11, 13, 22, 24]), set([10, 11, 13, 15, 22, 24])]
        );
        // And both become one.
        map.set(&runtime, 2, &[0], 22);
        map.set(&runtime, 4, &[3, 1], 24);
        assert_eq!(runs(&map, &[3, 2]).0, [set([10, 11, 13, 22, 24]), set([10, 11, 13, 22, 24])]);
        // And fall apart.
        map.set(&runtime, 4, &[3], 24);
        assert_eq!(runs(&map, &[3, 2]).0, [set([13, 24]), set([10, 11, 13, 22, 24])]);
    });
}

#[task_fn(transient)]
fn size(map: &Map, place: usize) -> usize {
    map.finds(place).len()
}

#[task_fn(transient)]
fn is_large(map: &Map, place: usize) -> bool {
    size(map, place) > 3
}

#[test]
fn an_equal_value_of_a_cycle_leaves_its_readers_current() {
    let runtime = Runtime::new();
    let map = Map::new(&runtime, &TWO_LOOPS);
    assert!(runtime.run(|| is_large(&map, 0)));
    map.set(&runtime, 2, &[0], 42);
    assert!(runtime.run(|| is_large(&map, 0)));
    assert_eq!((runs_of(&runtime, "size"), runs_of(&runtime, "is_large")), (2, 1));
    // An input changes, what is found does not: the cycle runs again, and nothing behind it.
    map.set(&runtime, 2, &[0, 1], 42);
    assert!(runtime.run(|| is_large(&map, 0)));
    assert_eq!(runs_of(&runtime, "size"), 2);
}

#[test]
fn a_long_ring_is_resolved_by_work_in_proportion_to_its_length() {
    in_time(|| {
        let runtime = Runtime::new();
        let length = 2000;
        let places: Vec<([usize; 1], u64)> =
            (0..length).map(|at| ([(at + 1) % length], u64::from(at == 700))).collect();
        let places: Vec<(&[usize], u64)> = places.iter().map(|(to, found)| (&to[..], *found)).collect();
        let map = Map::new(&runtime, &places);
        assert_eq!(runtime.run(|| map.finds(0)), set([0, 1]));
        let runs = runs_of(&runtime, "finds");
        assert!(runs <= 4 * length as u64, "{runs} runs");
        map.set(&runtime, 1999, &[], 5);
        assert_eq!(
            runtime.run(|| (map.finds(0).len(), map.finds(1999).len(), map.finds(701).len())),
            (3, 1, 2)
        );
    });
}

#[task_fn(transient, cycle_initial = 0)]
fn fails_in_a_round(x: &Input<u32>) -> u32 {
    let before = other_half(x);
    assert!(before != 2 || x.get() != 1, "on purpose");
    (before + 1).min(4)
}

#[task_fn(transient, cycle_initial = 0)]
fn other_half(x: &Input<u32>) -> u32 {
    catch_unwind(AssertUnwindSafe(|| fails_in_a_round(x))).unwrap_or(9)
}

#[test]
fn if_one_body_fails_in_any_round_all_of_its_cycle_fail() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        let ask = |which| if which == 0 { fails_in_a_round(&x) } else { other_half(&x) };
        for which in [first, 1 - first, first] {
            let Err(TaskError::Panicked { message, .. }) = runtime.try_run(|| ask(which)) else {
                panic!("it has a value")
            };
            assert_eq!(message, "on purpose");
        }
        runtime.update(|update| update.set(&x, 2)).unwrap();
        assert_eq!(runtime.run(|| (ask(first), ask(1 - first))), (4, 4));
    }
}

#[test]
fn threads_that_enter_by_different_tasks_agree() {
    in_time(|| {
        for round in 0..200 {
            let runtime = Runtime::new();
            let map = Map::new(&runtime, &TWO_LOOPS);
            let barrier = Barrier::new(3);
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (runtime, map, barrier) = (&runtime, &map, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        let found = runtime
                            .run(|| if round % 2 == 0 { map.finds(thread) } else { map.either(2 - thread) });
                        assert_eq!(found, set(10..15));
                    });
                }
            });
            map.set(&runtime, 4, &[3], 7);
            assert_eq!(runtime.run(|| map.finds(1)), set([7, 10, 11, 12, 13]));
        }
    });
}

static BODIES: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient, cycle_initial = 0)]
fn cancels(token: u32, at: u32) -> u32 {
    if BODIES.fetch_add(1, Relaxed) == at {
        TOKEN.with_borrow(|token| token.as_ref().expect("set by the test").cancel());
    }
    cancelled_by(token, at).clamp(1, 7)
}

#[task_fn(transient)]
fn cancelled_by(token: u32, at: u32) -> u32 {
    cancels(token, at) + 1
}

thread_local! {
    static TOKEN: std::cell::RefCell<Option<CancelToken>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn a_cancelled_session_leaves_nothing_of_a_cycle_behind() {
    let runtime = Runtime::new();
    for at in 0..12 {
        BODIES.store(0, Relaxed);
        let token = CancelToken::new();
        TOKEN.set(Some(token.clone()));
        let ended = runtime.session().token(&token).try_run(|| cancels(0, at));
        assert!(matches!(ended, Err(TaskError::Cancelled) | Ok(7)), "{ended:?}");
        BODIES.store(100, Relaxed);
        assert_eq!(runtime.run(|| (cancels(0, at), cancelled_by(0, at))), (7, 8));
    }
}

#[task_fn(transient, cycle_initial = 0)]
fn emits(n: u32) -> u32 {
    let value = (emits((n + 1) % 3) + 1).min(5);
    emit(value * 10 + n);
    value
}

#[test]
fn what_the_last_run_of_each_task_emits_is_collected() {
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| emits::collect::<u32>(0)), [52, 51, 50]);
    assert_eq!(runtime.run(|| emits::collect::<u32>(1)), [50, 52, 51]);
}

#[task_fn(transient, cycle_initial = 0)]
fn scoped(n: u32) -> u32 {
    par_map([1, 2], |_| scoped(n)).into_iter().sum()
}

#[test]
fn a_cycle_through_a_scope_stays_an_error() {
    in_time(|| {
        let runtime = Runtime::new();
        let error = runtime.try_run(|| scoped(1));
        assert!(matches!(error, Err(TaskError::Cycle(_))), "{error:?}");
    });
}
