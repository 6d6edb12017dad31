use larder::task_fn;

#[task_fn]
unsafe fn risky(x: u32) -> u32 {
    x
}

#[task_fn]
extern "C" fn foreign(x: u32) -> u32 {
    x
}

#[task_fn]
const fn constant(x: u32) -> u32 {
    x
}

fn main() {
    unsafe { risky(1) };
    foreign(1);
    const { constant(1) };
}
