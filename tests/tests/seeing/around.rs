//! The graph in memory around a task, looked at while the program runs.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use larder::around::{Direction, ReadsKnown};
use larder::events::TaskId;
use larder::explain::State;
use larder::storage::MemoryStorage;
use larder::{Input, Runtime, ask, task_fn};

#[task_fn]
fn part(input: &Input<u64>, number: u64) -> u64 {
    input.get() + number
}

#[task_fn]
fn whole(input: &Input<u64>, parts: u64) -> u64 {
    (0..parts).map(|number| part(input, number)).sum()
}

fn id_of_whole(runtime: &Runtime, input: &Input<u64>, parts: u64) -> TaskId {
    runtime.run(|| {
        whole(input, parts);
        ask(|| whole(input, parts)).id()
    })
}

/// All pages of a direction, and how many there were.
fn all(runtime: &Runtime, task: &TaskId, direction: Direction, limit: usize) -> (Vec<String>, usize) {
    let (mut names, mut from, mut pages) = (Vec::new(), Some(0), 0);
    while let Some(at) = from {
        let page = runtime.neighbours(task, direction, at, limit).expect("it is in memory");
        assert!(page.page.len() <= limit);
        names.extend(page.page.iter().map(|of| of.task.to_string()));
        from = page.next;
        pages += 1;
    }
    (names, pages)
}

#[test]
fn a_hub_is_told_page_by_page_without_readers_that_are_none_any_more() {
    let runtime = Runtime::new();
    let (input, switch) = (runtime.input("i", 1), runtime.input("switch", true));
    let _keeps = runtime.run(|| {
        (0..25_000).for_each(|number| _ = sometimes(&input, &switch, number));
        (0..25_000).map(|number| sometimes::task(&input, &switch, number)).collect::<Vec<_>>()
    });
    let hub = runtime.run(|| {
        half(&input);
        ask(|| half(&input)).id()
    });
    let (names, pages) = all(&runtime, &hub, Direction::Readers, 1000);
    assert_eq!((names.iter().collect::<BTreeSet<_>>().len(), pages), (25_000, 25));
    // Half of them read it no more.
    runtime.update(|update| update.set(&switch, false)).unwrap();
    runtime.run(|| (0..12_500).for_each(|number| _ = sometimes(&input, &switch, number)));
    let (names, _) = all(&runtime, &hub, Direction::Readers, 1000);
    assert_eq!(names.len(), 12_500);
    let around = runtime.around(&hub, 1, 50).unwrap();
    let told: usize = around.groups.iter().map(|group| group.count).sum();
    assert!(around.tasks.len() <= 50 && told > 5_000, "{} and {told}", around.tasks.len());
}

#[task_fn(transient)]
fn half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

#[task_fn(transient)]
fn sometimes(input: &Input<u64>, switch: &Input<bool>, number: u64) -> u64 {
    if switch.get() { half(input) + number } else { number }
}

#[test]
fn what_the_store_alone_knows_is_said_to_be_there() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("around").build();
    let runtime = open();
    let input = runtime.input("i", 1);
    let id = id_of_whole(&runtime, &input, 3);
    assert_eq!(runtime.around(&id, 2, 100).unwrap().tasks.len(), 5, "three parts and the input");
    runtime.flush().unwrap();
    drop(runtime);
    let runtime = open();
    let input = runtime.input("i", 1);
    assert!(runtime.around(&id, 1, 10).is_none(), "it is not in memory");
    let id = id_of_whole(&runtime, &input, 3);
    let around = runtime.around(&id, 2, 100).unwrap();
    assert_eq!((around.tasks[0].known, around.tasks[0].state), (ReadsKnown::Stored, State::Current));
}

#[task_fn(transient)]
fn picky(input: &Input<u64>) -> u64 {
    assert!(half(input) > 10, "too small");
    half(input)
}

#[test]
fn a_task_that_failed_is_shown_with_what_it_had_read() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 1);
    let id = runtime.run(|| ask(|| picky(&input)).id());
    assert!(runtime.try_run(|| picky(&input)).is_err());
    let page = runtime.neighbours(&id, Direction::Reads, 0, 10).unwrap();
    assert_eq!((page.task.state, page.task.known), (State::NoValue, ReadsKnown::Yes));
    assert_eq!(page.page[0].task.to_string(), r#"half(input("i"))"#);
}

static LOOKED_AT: OnceLock<Runtime> = OnceLock::new();

/// A name that opens a session itself.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Looks;

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runtime = LOOKED_AT.get().expect("it is made first");
        runtime.run(|| write!(f, "{} running", runtime.activity().running))
    }
}

#[task_fn(transient)]
fn looked_at(_looks: &Looks, input: &Input<u64>) -> u64 {
    half(input)
}

#[test]
fn names_are_printed_with_the_gate_open() {
    let runtime = LOOKED_AT.get_or_init(Runtime::new);
    let input = runtime.input("i", 4);
    let id = runtime.run(|| {
        looked_at(&Looks, &input);
        ask(|| half(&input)).id()
    });
    let around = runtime.around(&id, 1, 10).unwrap();
    let names: Vec<_> = around.tasks.iter().map(|of| of.task.to_string()).collect();
    assert!(names.contains(&r#"looked_at(0 running, input("i"))"#.to_owned()), "{names:?}");
}

#[test]
fn looks_go_on_beside_sessions_and_updates_and_keep_up_neither() {
    const ROUNDS: u64 = 300;
    let runtime = Runtime::new();
    let input = runtime.input("i", 0);
    let id = id_of_whole(&runtime, &input, 20);
    let over = AtomicBool::new(false);
    let looks = thread::scope(|s| {
        let looks = [(); 2].map(|()| {
            s.spawn(|| {
                let mut looks = 0;
                while !over.load(SeqCst) {
                    if let Some(around) = runtime.around(&id, 3, 100) {
                        assert_eq!(around.tasks[0].task, id);
                        let is_known = around.tasks[0].known == ReadsKnown::Yes;
                        assert!(!is_known || around.tasks[0].reads == 20, "{around:?}");
                        looks += 1;
                    }
                }
                looks
            })
        });
        let sessions = s.spawn(|| (0..ROUNDS).for_each(|_| _ = runtime.run(|| whole(&input, 20))));
        for round in 1..=ROUNDS {
            runtime.update(|update| update.set(&input, round)).unwrap();
            assert_eq!(runtime.run(|| whole(&input, 20)), round * 20 + 190);
        }
        sessions.join().unwrap();
        over.store(true, SeqCst);
        looks.map(|looks| looks.join().unwrap())
    });
    assert!(looks.iter().all(|looks| *looks > 0), "{looks:?}");
    assert!(runtime.activity().held_by.is_empty());
    runtime.update(|_| ()).unwrap();
}
