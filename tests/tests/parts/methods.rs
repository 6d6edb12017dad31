//! The methods of an `impl` block as parts: `#[parts]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, Task, parts, task_fn};
use serde::{Deserialize, Serialize};

/// A value of which each task reads little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct World {
    files: BTreeMap<PathBuf, String>,
    fonts: BTreeMap<(String, u32), u32>,
    date: String,
}

#[parts]
impl World {
    /// Returns the text of a file.
    fn file(&self, path: &Path) -> Option<String> {
        self.files.get(path).cloned()
    }

    fn width(&self, font: &str, size: u32) -> u32 {
        self.fonts.get(&(font.to_owned(), size)).copied().unwrap_or(1)
    }

    fn files_of(&self, least: usize) -> usize {
        self.files.values().filter(|text| text.len() >= least).count()
    }

    #[must_use]
    pub(crate) fn date(&self) -> String {
        self.date.clone()
    }
}

/// Plain code, for a world and for one that is read by parts.
fn line(world: &impl WorldParts, path: &Path) -> String {
    let text = world.file(path).unwrap_or_default();
    let width = world.width("mono", 12) as usize;
    if text.is_empty() { world.date() } else { text.chars().take(width).collect() }
}

#[task_fn]
fn set(world: &Input<World>, path: &Path) -> String {
    line(world, path)
}

#[task_fn]
fn counted(world: &Input<World>) -> usize {
    world.files_of(4)
}

#[task_fn]
fn merged(world: &Input<World>) -> World {
    World { date: String::new(), ..world.get() }
}

#[task_fn]
fn over_output(world: &Task<World>, path: &Path) -> String {
    line(world, path)
}

fn world() -> World {
    World {
        files: [("a", "alpha"), ("b", "")].map(|(path, text)| (path.into(), text.into())).into(),
        fonts: [(("mono".into(), 12), 3), (("text".into(), 12), 9)].into(),
        date: "today".into(),
    }
}

type Edit = fn(&mut World);

/// Edits, each with how many bodies of `set` over `a` and `b`, and of `counted`, it runs.
const EDITS: [(Edit, u64, u64); 6] = [
    (|world| _ = world.files.insert("c".into(), "c".into()), 0, 0),
    (|world| _ = world.fonts.insert(("text".into(), 12), 1), 0, 0),
    (|world| _ = world.files.insert("a".into(), "beta".into()), 1, 0),
    (|world| _ = world.files.insert("c".into(), "gamma".into()), 0, 1),
    (|world| world.date = "tomorrow".into(), 1, 0),
    (|world| _ = world.fonts.insert(("mono".into(), 12), 2), 2, 0),
];

fn runs(runtime: &Runtime, name: &str) -> u64 {
    runtime.stats().get(name).map_or(0, |function| function.runs)
}

#[test]
fn a_task_depends_on_what_the_methods_have_returned_also_over_restarts() {
    let store = Arc::new(MemoryStorage::new());
    let mut now = world();
    let mut runtime = Runtime::builder().storage(store.clone()).build();
    let mut input = runtime.input("world", now.clone());
    let ask = |runtime: &Runtime, input: &Input<World>, now: &World| {
        for path in ["a", "b"].map(Path::new) {
            assert_eq!(runtime.run(|| set(input, path)), line(now, path));
        }
        assert_eq!(runtime.run(|| counted(input)), now.files_of(4));
    };
    ask(&runtime, &input, &now);
    for (number, (edit, sets, counts)) in EDITS.into_iter().enumerate() {
        if number % 2 == 1 {
            drop(runtime);
            runtime = Runtime::builder().storage(store.clone()).build();
            input = runtime.input("world", now.clone());
            ask(&runtime, &input, &now);
            assert_eq!((runs(&runtime, "set"), runs(&runtime, "counted")), (0, 0), "{number}");
        }
        let before = (runs(&runtime, "set"), runs(&runtime, "counted"));
        edit(&mut now);
        runtime.update(|update| update.set(&input, now.clone())).unwrap();
        ask(&runtime, &input, &now);
        let after = (runs(&runtime, "set"), runs(&runtime, "counted"));
        assert_eq!((after.0 - before.0, after.1 - before.1), (sets, counts), "{number}");
    }
}

#[test]
fn parts_of_an_output_cut_off_what_has_read_the_rest() {
    let runtime = Runtime::new();
    let mut now = world();
    let input = runtime.input("world", now.clone());
    let task = runtime.run(|| merged::task(&input));
    let path = Path::new("a");
    assert_eq!(runtime.run(|| over_output(&task, path)), "alp");
    now.date = "tomorrow".into();
    now.files.insert("z".into(), "zeta".into());
    runtime.update(|update| update.set(&input, now)).unwrap();
    assert_eq!(runtime.run(|| over_output(&task, path)), "alp");
    assert_eq!((runs(&runtime, "merged"), runs(&runtime, "over_output")), (2, 1));
}

/// A name that generated code might take for one of its own.
mod p {
    pub(super) type Number = u32;
}

/// Neither stored nor serializable.
#[derive(Clone, PartialEq)]
struct Tables {
    numbers: Vec<u32>,
}

#[parts(transient, name = ReadsTables)]
impl Tables {
    fn at(&self, place: usize) -> Option<p::Number> {
        self.numbers.get(place).copied()
    }
}

#[task_fn(transient)]
fn doubled(tables: &Input<Tables>, place: usize) -> Option<u32> {
    tables.at(place).map(|number| number * 2)
}

#[test]
fn a_type_without_serde_has_transient_parts() {
    let runtime = Runtime::new();
    let input = runtime.transient_input("tables", Tables { numbers: vec![1, 2, 3] });
    assert_eq!(runtime.run(|| (doubled(&input, 0), doubled(&input, 1))), (Some(2), Some(4)));
    runtime.update(|update| update.modify(&input, |tables| tables.numbers[1] = 7)).unwrap();
    assert_eq!(runtime.run(|| (doubled(&input, 0), doubled(&input, 1))), (Some(2), Some(14)));
    assert_eq!(runs(&runtime, "doubled"), 3);
}
