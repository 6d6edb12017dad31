#![deny(warnings)]
//! `cycle_initial` is an expression in the parameters, and draws no warnings whether it names them or not.

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

fn main() {
    Runtime::new().run(|| {
        assert_eq!(unnamed(1, (2, 3)), 9);
        assert_eq!(named("four", 0, ""), 4);
        assert_eq!(generic("x"), BTreeSet::from(["x"]));
        assert!((root(2).0 - 2.0_f64.sqrt()).abs() < 0.01);
        assert_eq!(Place(9).method(1), 5);
    });
}
