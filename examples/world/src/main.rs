//! Sets a document, and sets it again when the world has changed: `cargo run -p world`.

use std::error::Error;

use larder::storage::MemoryStorage;
use larder::{Input, Runtime};
use world::program::document;
use world::{Font, World};

const MAIN: &str = "\
Larder sets a paragraph again when something that it has read is another one. @ signs begin what is asked for.

@font mono
@include code.txt

It is the
@today
";

/// An edit of the world: its name, and what it does.
type Edit = (&'static str, fn(&mut World));

const EDITS: [Edit; 4] = [
    ("A file that is not read", |world| _ = world.files.insert("notes.txt".into(), "later".into())),
    ("The date", |world| world.today = "2nd of May".into()),
    ("A wider font", |world| _ = world.fonts.insert("mono".into(), Font { width: 4 })),
    ("And back", |world| _ = world.fonts.insert("mono".into(), Font { width: 2 })),
];

#[allow(clippy::print_stdout, reason = "a program talks to its user")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World { today: "1st of May".into(), ..World::default() };
    world.files.insert("main.txt".into(), MAIN.into());
    world.files.insert(
        "code.txt".into(),
        "let frame = paragraph(world, text); assert!(frame.missing.is_empty());".into(),
    );
    world.fonts.insert("text".into(), Font { width: 1 });
    world.fonts.insert("mono".into(), Font { width: 2 });

    // The store remembers the last results of each call, so that the way back to an earlier world runs nothing.
    let runtime = Runtime::builder().storage(MemoryStorage::new()).build();
    let input = runtime.input("world", world.clone());
    print!("{}", told(&runtime, &input));
    for (name, edit) in EDITS {
        edit(&mut world);
        runtime.update(|update| update.set(&input, world.clone()))?;
        print!("\n== {name}\n{}", told(&runtime, &input));
    }
    Ok(())
}

/// Returns the document as text, and the bodies that ran for it.
fn told(runtime: &Runtime, world: &Input<World>) -> String {
    let before = runtime.stats();
    let frames = runtime.run(|| document(world, "main.txt")).unwrap_or_default();
    let mut told: String = frames.iter().map(|frame| frame.lines.join("\n") + "\n\n").collect();
    let ran = runtime.stats().since(&before);
    let runs = |name| ran.get(name).map_or(0, |function| function.runs);
    told += &format!(
        "ran: {} of {} paragraphs, {} documents\n",
        runs("paragraph"),
        frames.len(),
        runs("document")
    );
    told
}
