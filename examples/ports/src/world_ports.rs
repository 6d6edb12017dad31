//! Edits of a world with a document of 60 paragraphs.

use std::fmt::Write as _;

use larder::Runtime;
use larder::storage::MemoryStorage;
use world::{Font, World};

use crate::world_in_comemo::{self, TrackedWorld};
use crate::{Ran, Step};

/// An edit: its name, and what it does.
type Edit = (&'static str, fn(&mut World));

const EDITS: [Edit; 12] = [
    ("first run", |_| ()),
    ("a file that is not read", |world| write(world, "notes.txt", "nothing")),
    ("a file that two paragraphs include", |world| write(world, "a.txt", "another text than before")),
    ("the date, which one paragraph prints", |world| world.today = "2nd of May".into()),
    ("a font of a third of the paragraphs", |world| _ = world.fonts.insert("mono".into(), Font { width: 3 })),
    ("back to the font before", |world| _ = world.fonts.insert("mono".into(), Font { width: 2 })),
    ("a font that is not used", |world| _ = world.fonts.insert("wide".into(), Font { width: 9 })),
    ("a paragraph changes", |world| edit(world, "Paragraph 4 ", "The paragraph 4 ")),
    ("a paragraph is put in on top", |world| edit(world, "Paragraph 0 ", "A new one.\n\nParagraph 0 ")),
    ("and goes again", |world| edit(world, "A new one.\n\n", "")),
    ("a missing file appears", |world| write(world, "missing.txt", "here it is")),
    ("and is lost", |world| _ = world.files.remove("missing.txt")),
];

fn write(world: &mut World, path: &str, text: &str) {
    world.files.insert(path.to_owned(), text.into());
}

fn edit(world: &mut World, old: &str, new: &str) {
    let main = world.files["main.txt"].replacen(old, new, 1);
    world.files.insert("main.txt".to_owned(), main.into());
}

fn world() -> World {
    let mut main = String::new();
    for n in 0..60 {
        _ = writeln!(main, "Paragraph {n} has some words that fill more than a single line of the page.");
        _ = match n {
            10 | 11 => writeln!(main, "@include a.txt"),
            20 => writeln!(main, "@today"),
            30 => writeln!(main, "@include missing.txt"),
            _ if n % 3 == 0 => writeln!(main, "@font mono"),
            _ => Ok(()),
        };
        main.push('\n');
    }
    let mut world = World { today: "1st of May".into(), ..World::default() };
    write(&mut world, "main.txt", &main);
    write(&mut world, "a.txt", "a text");
    for (name, width) in [("text", 1), ("mono", 2), ("wide", 4)] {
        world.fonts.insert(name.to_owned(), Font { width });
    }
    world
}

pub(crate) fn steps() -> Vec<Step> {
    let mut world = world();
    let runtime = Runtime::builder().storage(MemoryStorage::new()).build();
    let input = runtime.input("world", world.clone());
    comemo::evict(0);
    _ = world_in_comemo::take_ran();
    let step = |(edit, apply): Edit| {
        apply(&mut world);
        let before = runtime.stats();
        runtime.update(|update| update.set(&input, world.clone())).expect("no session is open");
        let here = runtime.run(|| world::program::document(&input, "main.txt"));
        let there = world_in_comemo::set(&TrackedWorld(world.clone()), "main.txt");
        assert_eq!(here, there, "{edit}");
        let here = Ran::since(&before, &runtime);
        Step { program: "world", peer: "comemo", edit, here, there: world_in_comemo::take_ran() }
    };
    EDITS.into_iter().map(step).collect()
}
