use std::fmt::Debug;

use larder::task_fn;

#[task_fn(transient)]
fn text(text: str) -> usize {
    text.len()
}

#[task_fn]
fn list(numbers: [u32], path: std::path::Path) -> usize {
    numbers.len() + path.as_os_str().len()
}

#[task_fn]
fn output(x: u32) -> str {
    *x.to_string()
}

#[task_fn(transient)]
async fn object(x: u32) -> dyn Debug {
    std::future::ready(()).await;
    *Box::new(x)
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Page(String);

impl Page {
    #[task_fn(transient)]
    fn lines(&self, from: [usize]) -> [String] {
        self.0.lines().skip(from[0]).map(str::to_owned).collect::<Vec<String>>()[..]
    }
}

fn main() {
    text("a");
    list(&[1], "a".as_ref());
    output(1).to_string();
    drop(object(1));
    Page("a".into()).lines(&[1]);
}
