use std::borrow::Cow;

use larder::task_fn;

#[task_fn]
fn taken(name: &'static str, more: Option<&'static str>, fine: Cow<'static, str>) -> usize {
    name.len() + more.map_or(0, str::len) + fine.len()
}

#[task_fn]
fn returned(x: u32) -> &'static str {
    if x == 0 { "no" } else { "yes" }
}

#[task_fn(transient)]
fn kept_in_memory(x: &'static str) -> &'static str {
    x
}

fn main() {
    taken("", None, "".into());
    returned(1);
    kept_in_memory("");
}
