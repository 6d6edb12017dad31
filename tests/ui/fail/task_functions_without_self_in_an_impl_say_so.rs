use larder::task_fn;

struct Doc;

impl Doc {
    #[task_fn(transient)]
    fn triple(n: u32) -> u32 {
        n * 3
    }
}

fn main() {
    let _ = Doc;
}
