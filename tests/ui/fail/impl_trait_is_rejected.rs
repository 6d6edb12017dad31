use larder::task_fn;

#[task_fn]
fn taken(x: impl Into<u32>) -> u32 {
    x.into()
}

#[task_fn]
fn returned(x: u32) -> impl Iterator<Item = u32> {
    0..x
}

fn main() {
    taken(1u8);
    returned(1);
}
