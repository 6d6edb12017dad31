//! Equal is not the same: a change that `==` does not see reaches what depends on it.
//!
//! `0.0 == -0.0`, and yet `1.0 / 0.0` is not `1.0 / -0.0`: a task that read a zero was left with the result of the other one.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use larder::{Input, Runtime, emit, task_fn};

thread_local! {
    static RUNS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

fn ran() {
    RUNS.set(RUNS.get() + 1);
}

fn zero(negative: bool) -> f64 {
    if negative { -0.0 } else { 0.0 }
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Shape {
    Line { from: f64, to: Vec<(String, f64)> },
}

/// A task whose output of a type holds a zero, and another one that tells its sign.
macro_rules! tells_sign {
    ($name:ident, $type:ty, $make:expr, $get:expr $(, $option:ident)?) => {
        mod $name {
            use super::*;
            #[task_fn($($option)?)]
            fn holds(negative: Input<bool>) -> $type {
                let make: fn(f64) -> $type = $make;
                make(zero(negative.get()))
            }
            #[task_fn($($option)?)]
            fn sign(negative: Input<bool>) -> bool {
                ran();
                let get: fn(&$type) -> f64 = $get;
                holds::with(negative, |held| get(held).is_sign_negative())
            }
            pub(super) fn check() {
                let runtime = Runtime::new();
                let negative = runtime.input("negative", true);
                RUNS.set(0);
                for now in [true, false, true] {
                    runtime.update(|update| update.set(&negative, now)).unwrap();
                    assert_eq!(runtime.run(|| sign(negative.clone())), now, stringify!($name));
                }
                assert_eq!(RUNS.get(), 3, stringify!($name));
            }
        }
    };
}

#[derive(Clone, Debug, PartialEq)]
struct NotStored;

tells_sign!(plain, f64, |x| x, |x| *x);
tells_sign!(single, f32, |x| x as f32, |x| f64::from(*x));
tells_sign!(maybe, Option<f64>, Some, |x| x.unwrap());
tells_sign!(results, Result<f64, String>, Ok, |x| *x.as_ref().unwrap());
tells_sign!(lists, Vec<(u8, f64)>, |x| vec![(1, x)], |x| x[0].1);
tells_sign!(arrays, [[f64; 2]; 2], |x| [[1.0, 1.0], [1.0, x]], |x| x[1][1]);
tells_sign!(long_array, [f64; 40], |x| [x; 40], |x| x[39], transient);
tells_sign!(shared, Arc<[Box<f64>]>, |x| [Box::new(x)].into(), |x| *x[0]);
tells_sign!(sorted, BTreeMap<String, f64>, |x| BTreeMap::from([(String::new(), x)]), |x| x[""]);
tells_sign!(hashed, HashMap<u8, Option<f64>>, |x| (0..9).map(|at| (at, Some(x))).collect(), |x| x[&8].unwrap());
tells_sign!(own, Shape, |x| Shape::Line { from: 1.0, to: vec![(String::new(), x)] }, |x| {
    let Shape::Line { to, .. } = x;
    to[0].1
});
tells_sign!(
    own_in_tuple,
    (Shape, f64),
    |x| (Shape::Line { from: x, to: vec![] }, 1.0),
    |x| {
        let Shape::Line { from, .. } = &x.0;
        *from
    },
    transient
);
tells_sign!(beside_own, (NotStored, f64), |x| (NotStored, x), |x| x.1, transient);

#[test]
fn a_zero_of_another_sign_is_another_output() {
    for check in [
        plain::check,
        single::check,
        maybe::check,
        results::check,
        lists::check,
        arrays::check,
        long_array::check,
        shared::check,
        sorted::check,
        hashed::check,
        own::check,
        own_in_tuple::check,
    ] {
        check();
    }
}

/// Documented: where neither the type nor its encoding shows floats, the type's own `==` decides.
#[test]
#[should_panic(expected = "beside_own")]
fn a_type_that_shows_nothing_is_compared_by_its_own_equality() {
    beside_own::check();
}

#[task_fn(transient)]
fn sign_of(x: &Input<f64>) -> bool {
    ran();
    x.get().is_sign_negative()
}

#[task_fn]
fn sign_of_shape(x: Input<Shape>) -> bool {
    ran();
    let Shape::Line { from, .. } = x.get();
    from.is_sign_negative()
}

#[test]
fn a_zero_of_another_sign_is_another_input() {
    let runtime = Runtime::new();
    let plain = runtime.input("plain", 0.0);
    let transient = runtime.transient_input("transient", 0.0);
    let shape = |from| Shape::Line { from, to: Vec::new() };
    let own = runtime.input("own", shape(0.0));
    for now in [false, true, false] {
        let value = zero(now);
        runtime
            .update(|update| {
                update.set(&plain, value);
                update.set(&transient, value);
                update.set(&own, shape(value));
            })
            .unwrap();
        let all = runtime.run(|| (sign_of(&plain), sign_of(&transient), sign_of_shape(own.clone())));
        assert_eq!(all, (now, now, now));
    }
    // An equal NaN is no change.
    for _ in 0..3 {
        runtime.update(|update| update.set(&plain, f64::NAN)).unwrap();
        RUNS.set(0);
        runtime.run(|| sign_of(&plain));
    }
    assert_eq!(RUNS.get(), 0);
}

#[task_fn]
fn emits(negative: Input<bool>) -> u8 {
    emit(Shape::Line { from: zero(negative.get()), to: Vec::new() });
    1
}

#[task_fn(transient)]
fn collects(negative: Input<bool>) -> bool {
    ran();
    emits::collect::<Shape>(negative).iter().any(|shape| {
        let Shape::Line { from, .. } = shape;
        from.is_sign_negative()
    })
}

#[test]
fn a_zero_of_another_sign_is_another_emitted_value() {
    let runtime = Runtime::new();
    let negative = runtime.input("negative", false);
    for now in [false, true, false] {
        runtime.update(|update| update.set(&negative, now)).unwrap();
        assert_eq!(runtime.run(|| collects(negative.clone())), now);
    }
}

#[task_fn]
fn not_a_number(x: Input<u32>) -> (f64, Option<f32>) {
    (f64::NAN, if x.get() > 5 { Some(f32::NAN) } else { None })
}

#[task_fn]
fn reads_not_a_number(x: Input<u32>) -> bool {
    ran();
    not_a_number(x).1.is_some()
}

#[test]
fn the_same_nan_is_no_change() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 0);
    RUNS.set(0);
    for now in [0, 1, 2, 7, 8, 9] {
        runtime.update(|update| update.set(&x, now)).unwrap();
        assert_eq!(runtime.run(|| reads_not_a_number(x.clone())), now > 5);
    }
    assert_eq!(RUNS.get(), 2);
}

#[task_fn]
fn path_of(dotted: Input<bool>) -> Option<PathBuf> {
    Some(PathBuf::from(if dotted.get() { "a/./b/" } else { "a/b" }))
}

#[task_fn]
fn spelled(dotted: Input<bool>) -> String {
    format!("{}", path_of(dotted).unwrap().display())
}

/// `PathBuf`'s `==` goes by components.
#[test]
fn a_path_of_another_spelling_is_another_output() {
    let runtime = Runtime::new();
    let dotted = runtime.input("dotted", false);
    for (now, expected) in [(false, "a/b"), (true, "a/./b/"), (false, "a/b")] {
        runtime.update(|update| update.set(&dotted, now)).unwrap();
        assert_eq!(runtime.run(|| spelled(dotted.clone())), expected);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Rough(u32);

#[task_fn]
fn large_values(x: Input<u32>) -> Vec<Rough> {
    vec![Rough(x.get() / 10); 100]
}

#[task_fn]
fn reads_large_values(x: Input<u32>) -> usize {
    ran();
    large_values(x).len()
}

#[test]
fn equal_values_still_stop_a_change() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    RUNS.set(0);
    for now in 1..10 {
        runtime.update(|update| update.set(&x, now)).unwrap();
        assert_eq!(runtime.run(|| reads_large_values(x.clone())), 100);
    }
    assert_eq!(RUNS.get(), 1);
}
