use larder::task_fn;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Doc;

impl Doc {
    #[task_fn(transient)]
    fn both<'a, 'b: 'a>(&self, x: &'a str, y: &'b str) -> usize {
        x.len() + y.len()
    }
}

fn main() {
    Doc.both("", "");
}
