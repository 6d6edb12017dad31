use larder::task_fn;

#[task_fn]
struct Doc;

#[task_fn]
impl Doc {
    fn len(&self) -> usize {
        0
    }
}

#[task_fn]
trait Measure {}

#[task_fn]
const ONE: u32 = 1;

fn main() {
    Doc.len();
}
