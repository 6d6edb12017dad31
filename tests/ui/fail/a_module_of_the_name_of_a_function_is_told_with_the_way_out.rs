use larder::task_fn;

mod parse {
    pub fn is_comment(line: &str) -> bool {
        line.starts_with('#')
    }
}

#[task_fn(transient)]
fn parse(text: &str) -> usize {
    text.lines().filter(|line| !parse::is_comment(line)).count()
}

#[task_fn(transient, no_companion)]
fn fine(text: &str) -> usize {
    parse(text)
}

mod fine {}

#[cfg(any())]
mod absent {}

#[task_fn(transient)]
fn absent(text: &str) -> usize {
    fine(text)
}

mod inner {
    #[larder::task_fn]
    pub fn check(text: &str) -> usize {
        text.len()
    }

    #[allow(non_camel_case_types)]
    pub enum check {}
}

fn main() {
    parse("a");
    absent("a");
    inner::check("a");
}
