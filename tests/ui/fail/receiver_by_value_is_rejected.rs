use larder::task_fn;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Doc(String);

impl Doc {
    #[task_fn(transient)]
    fn consumed(self) -> usize {
        self.0.len()
    }

    #[task_fn(transient)]
    fn changed(&mut self) -> usize {
        self.0.len()
    }

    #[task_fn(transient)]
    fn shared(self: std::sync::Arc<Self>) -> usize {
        self.0.len()
    }
}

fn main() {
    Doc(String::new()).consumed();
}
