use std::collections::{HashMap, HashSet};
use std::io;

use larder::task_fn;

#[task_fn]
fn total(of: &HashMap<String, u32>) -> u32 {
    of.values().sum()
}

#[task_fn(transient)]
fn count(names: HashSet<String>) -> usize {
    names.len()
}

#[task_fn]
fn area(radius: f64) -> f64 {
    radius * radius
}

#[task_fn(transient)]
fn sum(of: &[f32]) -> u64 {
    of.iter().map(|x| *x as u64).sum()
}

#[task_fn]
fn load(name: String) -> Result<String, io::Error> {
    std::fs::read_to_string(name)
}

#[task_fn(transient)]
fn read(name: String) -> io::Result<String> {
    std::fs::read_to_string(name)
}

fn main() {
    total(&HashMap::new());
    count(HashSet::new());
    area(1.0);
    sum(&[1.0]);
    let _ = load(String::new());
    let _ = read(String::new());
}
