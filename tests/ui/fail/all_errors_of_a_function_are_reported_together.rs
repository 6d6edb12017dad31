use larder::task_fn;

#[task_fn(hevy, version = 1, transient)]
unsafe fn all(x: &mut u32, y: Option<&str>) -> &'static mut u32 {
    todo!("{x}{y:?}")
}

fn main() {
    unsafe { all(&mut 1, None) };
}
