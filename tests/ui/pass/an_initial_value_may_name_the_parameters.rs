#![deny(warnings)]
//! `cycle_initial`, `cycle_step` and `cycle_fallback` are expressions in the parameters, and draw no warnings whether they name them or not.

use std::collections::BTreeSet;

use larder::{Runtime, task_fn};

#[task_fn(transient, cycle_initial = 0)]
fn unnamed(mut x: u32, (_y, z): (u32, u32)) -> u32 {
    x += unnamed(x, (0, z));
    x.min(9)
}

#[task_fn(transient, cycle_initial = name.len() + at, cycle_rounds = 7)]
fn named(name: &str, at: usize, #[skip] label: &str) -> usize {
    named(name, at, label).max(3)
}

#[task_fn(transient, cycle_initial = BTreeSet::from([x.clone()]))]
fn generic<T: Ord + Clone + std::hash::Hash + Send + Sync + 'static>(x: T) -> BTreeSet<T> {
    generic(x)
}

#[derive(Clone)]
struct Float(f64);

fn nearly(a: &Float, b: &Float) -> bool {
    (a.0 - b.0).abs() < 0.01
}

#[task_fn(transient, eq = nearly, cycle_initial = Float(1.0))]
fn root(of: u32) -> Float {
    let Float(guess) = root(of);
    Float((guess + f64::from(of) / guess) / 2.0)
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Place(u32);

impl Place {
    #[task_fn(transient, cycle_initial = self.0 + more)]
    fn method(&self, more: u32) -> u32 {
        self.method(more).min(5)
    }
}

/// Parameters named as the step's are in what is generated.
#[task_fn(transient, cycle_initial = 0, cycle_step = |before, now: u32, at| (*before).max(now + at.min(1)).min(previous + new))]
fn stepped(previous: u32, new: u32, #[skip] round: &str) -> u32 {
    stepped(previous, new, round)
}

fn step_of<T: Ord>(_: &BTreeSet<T>, new: BTreeSet<T>, _: u32) -> BTreeSet<T> {
    new
}

#[task_fn(transient, cycle_initial = BTreeSet::from([x.clone()]), cycle_step = step_of)]
fn generic_step<T: Ord + Clone + std::hash::Hash + Send + Sync + 'static>(x: T) -> BTreeSet<T> {
    generic_step(x)
}

#[task_fn(transient, cycle_fallback = format!("{name} {at}"))]
fn falls_back(name: &str, (at, _): (u32, u32)) -> String {
    falls_back(name, (at, at))
}

#[task_fn(transient, cycle_fallback = Err(x))]
fn generic_fallback<T: Clone + PartialEq + std::hash::Hash + Eq + Send + Sync + 'static>(x: T) -> Result<u32, T> {
    generic_fallback(x)
}

impl Place {
    #[task_fn(transient, cycle_fallback = self.0)]
    fn fallback(&self) -> u32 {
        self.fallback() + 1
    }

    #[task_fn(transient, cycle_initial = 0, cycle_step = |previous, new, _| new.max(*previous).min(self.0))]
    fn step(&self) -> u32 {
        self.step() + 1
    }
}

fn main() {
    Runtime::new().run(|| {
        assert_eq!(stepped(2, 3, ""), 5);
        assert_eq!(generic_step("x"), BTreeSet::from(["x"]));
        assert_eq!(falls_back("a", (1, 1)), "a 1");
        assert_eq!(generic_fallback("x"), Err("x"));
        assert_eq!((Place(4).fallback(), Place(4).step()), (4, 4));
        assert_eq!(unnamed(1, (2, 3)), 9);
        assert_eq!(named("four", 0, ""), 4);
        assert_eq!(generic("x"), BTreeSet::from(["x"]));
        assert!((root(2).0 - 2.0_f64.sqrt()).abs() < 0.01);
        assert_eq!(Place(9).method(1), 5);
    });
}
