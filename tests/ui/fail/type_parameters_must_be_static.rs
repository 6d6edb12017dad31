use std::hash::Hash;

use larder::task_fn;

#[task_fn(transient)]
fn count<T: Clone + Eq + Hash + Send + Sync>(items: &[T]) -> usize {
    items.len()
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Text<'a>(&'a str);

impl Text<'_> {
    #[task_fn(transient)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

fn main() {
    count(&[1]);
    Text("").len();
}
