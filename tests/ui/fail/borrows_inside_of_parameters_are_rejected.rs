use std::borrow::Cow;

use larder::task_fn;

#[task_fn]
fn optional(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

#[task_fn]
fn several(texts: &[&str]) -> usize {
    texts.len()
}

#[task_fn]
fn named<'a>(texts: Vec<Cow<'a, str>>) -> usize {
    texts.len()
}

fn main() {
    optional(None);
    several(&[]);
    named(Vec::new());
}
