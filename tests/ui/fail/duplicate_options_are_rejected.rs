use larder::task_fn;

#[task_fn(transient, volatile, transient)]
fn twice(x: u32) -> u32 {
    x
}

fn main() {
    twice(1);
}
