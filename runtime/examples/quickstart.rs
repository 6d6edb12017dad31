//! Two functions, and what runs when an input changes: `cargo run --example quickstart`.

#![expect(clippy::print_stdout, reason = "it is an example")]

use larder::{Input, Runtime, task_fn};

#[task_fn(transient)]
fn words(chapter: &Input<String>) -> usize {
    chapter.with(|text| text.split_whitespace().count())
}

#[task_fn(transient)]
fn book(chapters: &[Input<String>]) -> usize {
    chapters.iter().map(words).sum()
}

fn main() -> Result<(), larder::UpdateError> {
    let runtime = Runtime::new();
    let texts = [("one", "call me Ishmael"), ("two", "some years ago"), ("three", "never mind how long")];
    let chapters = texts.map(|(name, text)| runtime.input(name, text.to_owned()));

    let mut ran = 0;
    let mut ask = |what: &str| {
        let words = runtime.run(|| book(&chapters));
        let before = std::mem::replace(&mut ran, runtime.stats().runs());
        println!("{what}: {words} words, {} bodies run", ran - before);
    };
    ask("at first"); // three chapters and the book
    ask("again"); // nothing
    runtime.update(|update| update.set(&chapters[1], "some years before".to_owned()))?;
    ask("other words"); // one chapter, whose count stays the same, so not the book
    runtime.update(|update| update.set(&chapters[2], "never mind".to_owned()))?;
    ask("fewer words"); // one chapter and the book
    Ok(())
}
