use larder::task_fn;

#[task_fn]
#[task_fn(transient)]
fn twice(n: u32) -> u32 {
    n
}

#[task_fn]
#[test]
fn tested() {}

#[task_fn]
fn main() {
    twice(1);
}
