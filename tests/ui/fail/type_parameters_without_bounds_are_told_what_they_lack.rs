use std::hash::Hash;

use larder::task_fn;

#[task_fn]
fn none<T>(value: T) -> T {
    value
}

#[task_fn]
fn some<T: ToString + Clone + Eq + Hash>(value: &T) -> String {
    value.to_string()
}

#[task_fn(transient)]
fn by_clause<T>(values: Vec<T>) -> usize
where
    T: Copy + Ord + Send + Sync + 'static,
{
    values.len()
}

fn main() {
    none(1);
    some(&1);
    by_clause(vec![1]);
}
