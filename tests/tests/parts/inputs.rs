//! Parts of inputs are brought up to date by the update.

use larder::testing::{ran, watch};
use larder::{Input, Runtime, task_fn};

use super::{of, runs};

#[derive(Clone, PartialEq, Debug, serde::Serialize)]
struct World {
    title: String,
    pages: Vec<String>,
}

fn world() -> World {
    World { title: "t".to_owned(), pages: (0..50).map(|i| format!("page {i}")).collect() }
}

#[task_fn]
fn render(world: &Input<World>, page: usize) -> String {
    let title = world.part(&(), |world, ()| world.title.clone());
    let text = world.part(&page, |world, page| world.pages.get(*page).cloned());
    format!("{title}: {}", text.unwrap_or_default())
}

#[task_fn]
fn site(world: &Input<World>) -> usize {
    let pages = world.part(&(), |world, ()| world.pages.len());
    (0..pages).map(|page| render(world, page).len()).sum()
}

#[test]
fn a_part_that_stays_equal_is_not_even_marked() {
    let runtime = Runtime::new();
    let input = runtime.transient_input("world", world());
    let first = runtime.run(|| site(&input));
    let verified = |name: &str| runtime.stats().get(name).unwrap().verified;

    let mut next = world();
    next.pages[7] = "another".to_owned();
    runtime.update(|update| update.set(&input, next.clone())).unwrap();
    let length = next.pages[7].len() + first - "page 7".len();
    let ran = watch(&runtime, || assert_eq!(runtime.run(|| site(&input)), length));
    ran.assert_exactly(ran![render(&input, 7), site(&input)]);
    ran.assert_hit(ran![render(&input, 6), render(&input, 8)]);
    assert_eq!(runs(&runtime, "part"), 52);
    // No reader of an equal part had to be looked at.
    assert_eq!(verified("render"), 0);

    next.title = "u".to_owned();
    runtime.update(|update| update.set(&input, next.clone())).unwrap();
    assert_eq!(runtime.run(|| site(&input)), length);
    assert_eq!((runs(&runtime, "render"), runs(&runtime, "site")), (101, 3));

    next.pages.push("more".to_owned());
    runtime.update(|update| update.set(&input, next.clone())).unwrap();
    let ran = watch(&runtime, || assert_eq!(runtime.run(|| site(&input)), length + "u: more".len()));
    ran.assert_exactly(ran![render(&input, 50), site(&input)]);
}

#[test]
fn a_removed_input_has_no_parts() {
    #[task_fn(transient)]
    fn title(world: &Input<World>) -> Result<String, String> {
        let read = || world.transient_part(&(), |world, ()| world.title.clone());
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).map_err(|_| "gone".to_owned())
    }
    let runtime = Runtime::new();
    let input = runtime.transient_input("world", world());
    assert_eq!(runtime.run(|| title(&input)).unwrap(), "t");
    runtime.update(|update| update.remove(&input)).unwrap();
    assert!(runtime.run(|| title(&input)).is_err());
    runtime.update(|update| update.set(&input, world())).unwrap();
    assert_eq!(runtime.run(|| title(&input)).unwrap(), "t");
}

#[test]
fn a_selection_that_panics_in_an_update_panics_at_its_reader() {
    #[task_fn]
    fn third(world: &Input<World>) -> String {
        world.part(&2_usize, |world, at| world.pages[*at].clone())
    }
    let runtime = Runtime::new();
    let input = runtime.transient_input("world", world());
    assert_eq!(runtime.run(|| third(&input)), "page 2");
    let short = World { title: "t".to_owned(), pages: Vec::new() };
    runtime.update(|update| update.set(&input, short)).unwrap();
    let task = runtime.run(|| third::task(&input));
    let text = runtime.run(|| task.try_get()).unwrap_err().to_string();
    assert!(text.contains("index out of bounds"), "{text}");
    runtime.update(|update| update.set(&input, world())).unwrap();
    assert_eq!(runtime.run(|| third(&input)), "page 2");
    assert_eq!(of(&runtime, "part").settled, 0);
}

#[test]
fn a_selection_that_calls_tasks_is_a_panic() {
    #[task_fn]
    fn answer() -> u32 {
        42
    }
    let runtime = Runtime::new();
    let input = runtime.input("n", 1_u32);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.run(|| input.part(&(), |n, ()| n + answer()))
    }));
    let text = outcome.unwrap_err().downcast_ref::<String>().cloned().unwrap();
    assert!(text.contains("::answer` was called"), "{text}");
    assert!(text.contains("selects a part"), "{text}");
}
