use larder::task_fn;

#[task_fn(volatile = true, version)]
fn valued(x: u32) -> u32 {
    x
}

fn main() {
    valued(1);
}
