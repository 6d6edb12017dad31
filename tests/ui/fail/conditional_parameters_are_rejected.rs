use larder::task_fn;

#[task_fn]
fn sum(x: u32, #[cfg(unix)] y: u32) -> u32 {
    x + y
}

fn main() {
    sum(1, 2);
}
