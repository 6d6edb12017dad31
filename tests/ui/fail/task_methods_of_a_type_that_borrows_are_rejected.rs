use larder::task_fn;

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Text<'a>(&'a str);

impl Text<'_> {
    #[task_fn]
    fn words(&self) -> usize {
        self.0.split(' ').count()
    }
}

impl<'a> Text<'a> {
    #[task_fn(transient)]
    fn lines(&self) -> usize {
        self.0.split('\n').count()
    }

    #[task_fn]
    fn times(&self, n: usize) -> usize {
        self.0.len() * n
    }
}

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Page(String);

trait Show<'a> {
    fn shown(&self, text: &'a str) -> usize;
}

/// This is fine: it is the trait that has a lifetime.
impl<'a> Show<'a> for Page {
    #[task_fn]
    fn shown(&self, text: &str) -> usize {
        self.0.len() + text.len()
    }
}

fn main() {
    let _ = (Text("a").words(), Text("a").lines(), Text("b").times(1), Page("c".into()).shown("d"));
}
