//! Options about how long results stay.
use larder::task_fn;

#[task_fn(transient, weight = 5)]
fn weight(x: u32) -> u32 {
    x
}

#[task_fn(transient, lru = "many")]
fn lru(x: u32) -> u32 {
    x
}

#[task_fn(transient, keep_if = |x| x + 1)]
fn keep_if(x: u32) -> u32 {
    x
}

#[task_fn(transient, expires = |x| *x)]
fn expires(x: u32) -> u32 {
    x
}

#[task_fn(transient, keep, lru = 3)]
fn both(x: u32) -> u32 {
    x
}

#[task_fn(transient, no_errors, keep_if = |x| x.is_ok())]
fn twice(x: u32) -> Result<u32, String> {
    Ok(x)
}

fn main() {}
