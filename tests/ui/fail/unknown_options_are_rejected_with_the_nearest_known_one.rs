use larder::task_fn;

#[task_fn(transiet)]
fn nearly(x: u32) -> u32 {
    x
}

#[task_fn(serialization = "none")]
fn far_off(x: u32) -> u32 {
    x
}

fn main() {
    nearly(1);
    far_off(1);
}
