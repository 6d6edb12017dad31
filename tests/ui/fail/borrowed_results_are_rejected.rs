use std::borrow::Cow;

use larder::task_fn;

#[task_fn]
fn first(text: &str) -> &str {
    text
}

#[task_fn]
fn trimmed(text: &str) -> Cow<'_, str> {
    text.trim().into()
}

#[task_fn]
fn parts<'a>(text: &'a str) -> Vec<&'a str> {
    text.split(' ').collect()
}

fn main() {
    first("");
    trimmed("");
    parts("");
}
