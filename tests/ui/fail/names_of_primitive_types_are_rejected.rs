use larder::task_fn;

#[task_fn]
fn bool(x: u32) -> u32 {
    x
}

fn main() {
    bool(1);
}
