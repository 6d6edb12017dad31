//! Larder over a file of functions and over a map: by parts, and by keys that are the content.

use crate::lane::{Contestant, Lane, Sample, timed};
use crate::work::{FileEdit, Item, Work};
use larder::{Input, Runtime, task_fn};
use rustc_hash::FxHashMap;
use std::hint::black_box;
use std::sync::Arc;

/// A check depends on what it is given.
pub const BY_CONTENT: Contestant =
    Contestant { name: "larder, content keys", enter: |work| enter(work, Form::Content) };
/// A check reads a part of the index.
pub const BY_PARTS: Contestant = Contestant { name: "larder, parts", enter: |work| enter(work, Form::Parts) };
/// A reader reads its entry by a task of its own, which reads the map.
pub const BY_SELECTORS: Contestant =
    Contestant { name: "larder, selectors", enter: |work| enter(work, Form::Selectors) };

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Content,
    Parts,
    Selectors,
}

type File = Arc<Vec<Item>>;

#[task_fn(transient)]
fn check_content(name: &Arc<str>, body: &Arc<str>) -> u64 {
    let _ = name;
    Item::check(body)
}

#[task_fn(transient)]
fn sum_of_content(file: &Input<File>) -> u64 {
    file.with(|file| file.iter().map(|item| check_content(&item.name, &item.body)).fold(0, u64::wrapping_add))
}

/// The functions of a file by name.
#[derive(Clone)]
struct Index {
    file: File,
    positions: FxHashMap<Arc<str>, u32>,
}

impl Index {
    fn body(&self, name: &Arc<str>) -> Option<Arc<str>> {
        self.positions.get(name).map(|position| self.file[*position as usize].body.clone())
    }

    fn names(&self) -> Arc<[Arc<str>]> {
        self.file.iter().map(|item| item.name.clone()).collect()
    }
}

// Only parts of it are read, and these are compared.
#[task_fn(transient, no_eq)]
fn index(file: &Input<File>) -> Arc<Index> {
    let file = file.get();
    let positions = file.iter().map(|item| item.name.clone()).zip(0..).collect();
    Arc::new(Index { file, positions })
}

#[task_fn(transient)]
fn check(file: &Input<File>, name: &Arc<str>) -> u64 {
    index::part(file, name, |index, name| index.body(name)).map_or(0, |body| Item::check(&body))
}

#[task_fn(transient)]
fn sum_of_parts(file: &Input<File>) -> u64 {
    let names = index::part(file, &(), |index, ()| index.names());
    names.iter().map(|name| check(file, name)).fold(0, u64::wrapping_add)
}

type Entries = Arc<FxHashMap<Arc<str>, Arc<str>>>;

#[task_fn(transient)]
fn by_entry(entries: &Input<Entries>, key: &Arc<str>) -> u64 {
    entries.transient_part(key, larder::select::entry).map_or(0, |body| Item::check(&body))
}

#[task_fn(transient)]
fn selector(entries: &Input<Entries>, key: &Arc<str>) -> Option<Arc<str>> {
    entries.with(|entries| entries.get(key).cloned())
}

#[task_fn(transient)]
fn by_selector(entries: &Input<Entries>, key: &Arc<str>) -> u64 {
    selector(entries, key).map_or(0, |body| Item::check(&body))
}

#[task_fn(transient)]
fn sum_of_entries(entries: &Input<Entries>, keys: &Input<Arc<Vec<Arc<str>>>>, parts: bool) -> u64 {
    let read = if parts { by_entry } else { by_selector };
    keys.with(|keys| keys.iter().map(|key| read(entries, key)).fold(0, u64::wrapping_add))
}

fn enter(work: Work, form: Form) -> Option<Lane> {
    match (work, form) {
        (Work::Identity { functions, edit }, Form::Content | Form::Parts) => {
            let mut file = Edited::new(functions, form);
            Some(Box::new(move || file.sample(edit)))
        }
        (Work::Keyed { keys }, Form::Parts | Form::Selectors) => {
            let mut map = Map::new(keys, form == Form::Parts);
            Some(Box::new(move || map.sample()))
        }
        _ => None,
    }
}

/// A file in a runtime, edit by edit.
struct Edited {
    runtime: Runtime,
    input: Input<File>,
    items: Vec<Item>,
    rounds: u32,
    ask: fn(&Input<File>) -> u64,
}

impl Edited {
    fn new(functions: u32, form: Form) -> Self {
        let runtime = Runtime::new();
        let items = Item::file(functions);
        let input = runtime.transient_input("file", Arc::new(items.clone()));
        let ask: fn(&Input<File>) -> u64 = if form == Form::Content { sum_of_content } else { sum_of_parts };
        Self { runtime, input, items, rounds: 0, ask }
    }

    fn write(&mut self, edit: FileEdit) -> File {
        self.rounds += 1;
        edit.apply(&mut self.items, self.rounds);
        Arc::new(self.items.clone())
    }

    fn sample(&mut self, edit: FileEdit) -> Sample {
        // One edit goes before, untimed: the others in the race have filled the processor's caches.
        for is_last in [false, true] {
            let value = self.write(edit);
            let mut sum = 0;
            let sample = timed(1, || {
                self.runtime.update(|update| update.set(&self.input, value)).expect("no session is open");
                sum = self.runtime.run(|| (self.ask)(&self.input));
            });
            black_box(sum);
            if is_last {
                return sample;
            }
        }
        unreachable!("the loop ends with the last sample")
    }
}

/// The bodies that an edit runs, beside the root and what makes the index; selections of parts that run as bodies included.
pub fn bodies(by_parts: bool, functions: u32, edit: FileEdit) -> u64 {
    let mut file = Edited::new(functions, if by_parts { Form::Parts } else { Form::Content });
    let mut most = 0;
    for _ in 0..4 {
        let value = file.write(edit);
        let before = file.runtime.stats();
        file.runtime.update(|update| update.set(&file.input, value)).expect("no session is open");
        let sum = file.runtime.run(|| (file.ask)(&file.input));
        assert_eq!(
            sum,
            file.items.iter().map(|item| Item::check(&item.body)).fold(0, u64::wrapping_add),
            "a wrong value"
        );
        if before.runs() > 0 {
            let stats = file.runtime.stats().since(&before);
            let runs = |name: &str| -> u64 {
                stats
                    .functions
                    .iter()
                    .filter(|function| function.name == name)
                    .map(|function| function.runs)
                    .sum()
            };
            most = most.max(runs("check") + runs("check_content") + runs("part"));
        }
    }
    most
}

/// A map in a runtime, edit by edit.
struct Map {
    runtime: Runtime,
    input: Input<Entries>,
    keys: Input<Arc<Vec<Arc<str>>>>,
    items: Vec<Item>,
    by_parts: bool,
    rounds: u32,
}

impl Map {
    fn new(keys: u32, by_parts: bool) -> Self {
        let runtime = Runtime::new();
        let items = Item::file(keys);
        let names = items.iter().map(|item| item.name.clone()).collect();
        let keys = runtime.transient_input("keys", Arc::new(names));
        let input = runtime.transient_input("entries", Arc::default());
        let mut map = Self { runtime, input, keys, items, by_parts, rounds: 0 };
        map.edit();
        map
    }

    fn write(&mut self) -> Entries {
        self.rounds += 1;
        FileEdit::Body.apply(&mut self.items, self.rounds);
        Arc::new(self.items.iter().map(|item| (item.name.clone(), item.body.clone())).collect())
    }

    fn edit(&mut self) -> Sample {
        let value = self.write();
        timed(1, || {
            self.runtime.update(|update| update.set(&self.input, value)).expect("no session is open");
            black_box(self.runtime.run(|| sum_of_entries(&self.input, &self.keys, self.by_parts)));
        })
    }

    fn sample(&mut self) -> Sample {
        self.edit();
        self.edit()
    }
}

/// The bodies that one changed entry of a map runs, all of them.
pub fn bodies_by_entry(keys: u32) -> u64 {
    let mut map = Map::new(keys, true);
    let before = map.runtime.stats();
    map.edit();
    map.runtime.stats().since(&before).runs()
}
