use std::time::Duration;

use larder::task_fn;

fn same(a: &u32, b: &u32) -> bool {
    a == b
}

#[task_fn(no_eq, eq = same)]
fn compared(x: u32) -> u32 {
    x
}

#[task_fn(transient, version = 2)]
fn stored(x: u32) -> u32 {
    x
}

#[task_fn(volatile, ttl = Duration::from_secs(1))]
fn timed(x: u32) -> u32 {
    x
}

#[task_fn(max_future = 64)]
fn without_future(x: u32) -> u32 {
    x
}

#[task_fn(last_good)]
fn kept(x: u32) -> Result<u32, String> {
    Ok(x)
}

#[task_fn(fleeting, lru = 3)]
fn tree(x: u32) -> u32 {
    x
}

#[task_fn(shared)]
fn of_no_version(x: u32) -> u32 {
    x
}

#[task_fn(version = 1, shared, local)]
fn both(x: u32) -> u32 {
    x
}

fn main() {
    let _ = (same(&1, &1), Duration::ZERO);
    compared(stored(timed(without_future(tree(kept(of_no_version(both(1))).unwrap_or(1))))));
}
