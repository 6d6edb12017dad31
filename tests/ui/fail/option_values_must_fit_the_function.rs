use larder::task_fn;

fn same(a: &u64, b: &u64) -> bool {
    a == b
}

#[task_fn(transient, eq = same)]
fn compared(x: u32) -> u32 {
    x
}

#[task_fn(transient, no_errors)]
fn infallible(x: u32) -> u32 {
    x
}

#[task_fn(transient, ttl = 60)]
fn timed(x: u32) -> u32 {
    x
}

#[task_fn(version = "two")]
fn versioned(x: u32) -> u32 {
    x
}

fn main() {
    compared(1);
    infallible(1);
    timed(1);
    versioned(1);
}
