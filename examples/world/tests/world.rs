//! A document, and the parts of the world that it depends on.

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, Stats};
use world::program::document;
use world::{Font, World};

struct Desk {
    runtime: Runtime,
    input: Input<World>,
    world: World,
}

fn world() -> World {
    let mut world = World { today: "1st of May".into(), ..World::default() };
    world.files.insert("main.txt".into(), "One.\n\n@font mono\n@include a.txt\n\nIt is\n@today\n".into());
    world.files.insert("a.txt".into(), "some words of a file".into());
    world.fonts.insert("text".into(), Font { width: 1 });
    world.fonts.insert("mono".into(), Font { width: 6 });
    world
}

impl Desk {
    fn on(runtime: Runtime) -> Desk {
        let input = runtime.input("world", world());
        let mut desk = Desk { runtime, input, world: world() };
        desk.edit(|_| ());
        desk
    }

    fn lines(&self) -> Vec<String> {
        let frames = self.runtime.run(|| document(&self.input, "main.txt")).expect("the file is there");
        frames.iter().flat_map(|frame| frame.lines.clone()).collect()
    }

    /// Changes the world, and returns what ran to set the document again.
    fn edit(&mut self, edit: impl FnOnce(&mut World)) -> Stats {
        edit(&mut self.world);
        let before = self.runtime.stats();
        self.runtime
            .update(|update| update.set(&self.input, self.world.clone()))
            .expect("no session is open");
        self.lines();
        self.runtime.stats().since(&before)
    }
}

/// Runs of `document` and `paragraph`.
fn runs(stats: &Stats) -> [u64; 2] {
    ["document", "paragraph"].map(|name| stats.get(name).map_or(0, |function| function.runs))
}

#[test]
fn a_document_is_set_from_files_fonts_and_the_date() {
    let desk = Desk::on(Runtime::new());
    assert_eq!(desk.lines(), ["One.", "some words", "of a file", "It is 1st of May"]);
}

#[test]
fn what_no_paragraph_reads_runs_nothing() {
    let mut desk = Desk::on(Runtime::new());
    assert_eq!(runs(&desk.edit(|world| _ = world.files.insert("b.txt".into(), "b".into()))), [0, 0]);
    assert_eq!(runs(&desk.edit(|world| _ = world.fonts.insert("wide".into(), Font { width: 9 }))), [0, 0]);
}

#[test]
fn a_part_that_changes_runs_the_paragraphs_that_read_it() {
    let mut desk = Desk::on(Runtime::new());
    assert_eq!(runs(&desk.edit(|world| world.today = "2nd of May".into())), [1, 1]);
    assert_eq!(
        runs(&desk.edit(|world| _ = world.fonts.insert("mono".into(), Font { width: 5 }))),
        [0, 1],
        "it looks as before"
    );
    assert_eq!(runs(&desk.edit(|world| _ = world.files.insert("a.txt".into(), "other".into()))), [1, 1]);
    assert_eq!(desk.lines(), ["One.", "other", "It is 2nd of May"]);
}

#[test]
fn a_paragraph_that_moves_is_not_set_again() {
    let mut desk = Desk::on(Runtime::new());
    let ran = desk.edit(|world| {
        let main = format!("New.\n\n{}", world.files["main.txt"]);
        world.files.insert("main.txt".into(), main.into());
    });
    assert_eq!(runs(&ran), [1, 1]);
}

#[test]
fn with_a_store_the_way_back_runs_nothing() {
    let mut desk = Desk::on(Runtime::builder().storage(MemoryStorage::new()).build());
    assert_eq!(runs(&desk.edit(|world| _ = world.fonts.insert("mono".into(), Font { width: 20 }))), [1, 1]);
    assert_eq!(runs(&desk.edit(|world| _ = world.fonts.insert("mono".into(), Font { width: 6 }))), [0, 0]);
}

#[test]
fn what_is_missing_is_told_until_it_is_there() {
    let mut desk = Desk::on(Runtime::new());
    let missing = |desk: &Desk| {
        let frames = desk.runtime.run(|| document(&desk.input, "main.txt")).expect("the file is there");
        frames.iter().flat_map(|frame| frame.missing.clone()).collect::<Vec<_>>()
    };
    desk.edit(|world| _ = world.files.remove("a.txt"));
    assert_eq!(missing(&desk), ["a.txt"]);
    desk.edit(|world| _ = world.files.insert("a.txt".into(), "back".into()));
    assert!(missing(&desk).is_empty());
    assert!(desk.runtime.run(|| document(&desk.input, "other.txt")).is_none());
}
