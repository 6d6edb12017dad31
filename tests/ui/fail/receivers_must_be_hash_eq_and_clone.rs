use larder::task_fn;

struct Doc(String);

impl Doc {
    #[task_fn(transient)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

fn main() {
    Doc(String::new()).len();
}
