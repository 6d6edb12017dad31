use larder::task_fn;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Doc;

impl Doc {
    #[task_fn(transient)]
    fn len(#[skip] &self, #[skip(always)] x: usize) -> usize {
        x
    }
}

fn main() {
    Doc.len(1);
}
