use larder::task_fn;

trait Measure {
    #[task_fn]
    fn measure(&self) -> usize;
}

fn main() {}
