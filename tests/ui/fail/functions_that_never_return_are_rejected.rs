use larder::task_fn;

#[task_fn]
fn never(x: u32) -> ! {
    panic!("{x}")
}

fn main() {
    never(1)
}
