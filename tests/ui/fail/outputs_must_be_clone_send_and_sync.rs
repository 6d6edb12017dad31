use std::cell::Cell;

use larder::task_fn;

struct NotClone;

#[task_fn(transient)]
fn not_clone(x: u32) -> NotClone {
    let _ = x;
    NotClone
}

#[task_fn(transient)]
fn not_sync(x: u32) -> Option<Cell<u32>> {
    Some(Cell::new(x))
}

fn main() {
    not_clone(1);
    not_sync(1);
}
