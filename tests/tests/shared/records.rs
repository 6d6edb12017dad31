//! Records that hold, and records that do not.

use std::sync::Barrier;
use std::thread;

use larder::{CancelToken, TaskError};

use super::*;

const FILES: usize = 100;

/// A machine that has run the program, and another one whose store is of before some edits that both have by now.
fn two_machines(edits: usize) -> (Machine, Machine) {
    let (writer, reader) = (Machine::with_files(FILES), Machine::with_files(FILES));
    assert_eq!(reader.run_alone(), (4950, FILES as u64 + 2));
    for file in 0..edits {
        writer.write(file, 1000);
        reader.write(file, 1000);
    }
    writer.run_alone();
    (writer, reader)
}

#[test]
fn all_that_is_stale_is_asked_for_in_one_batch_and_no_body_runs() {
    let (writer, reader) = two_machines(10);
    let remote = Arc::new(Fake::over(&writer.store));
    let (page, bodies, stats) = reader.run_with(&remote);
    assert_eq!((page, bodies), (4950 - 45 + 10_000, 0));
    // Ten files, their directory's total, and the page.
    assert_eq!((stats.asked, stats.batches, stats.came), (12, 1, 12));
    assert_eq!(stats.used, 12);
    // And the store has them from here on.
    assert_eq!(reader.run_alone(), (page, 0));
}

#[test]
fn what_the_other_machine_had_otherwise_is_not_used() {
    let (writer, reader) = two_machines(10);
    reader.write(3, 7);
    let (page, bodies, _) = reader.run_with(&Arc::new(Fake::over(&writer.store)));
    // The file, the total and the page.
    assert_eq!((page, bodies), (4950 - 45 + 9_000 + 7, 3));
    assert_eq!(reader.run_alone(), (page, 0));
}

#[test]
fn with_an_empty_store_single_tasks_are_asked_for_where_it_is_worthwhile() {
    let writer = Machine::with_files(FILES);
    writer.run_alone();
    for asks in [false, true] {
        let reader = Machine::with_files(FILES);
        let remote = Fake::over(&writer.store);
        let remote = Arc::new(if asks { remote.asking_singly() } else { remote });
        let (page, bodies, stats) = reader.run_with(&remote);
        assert_eq!(page, 4950);
        if asks {
            // The page, then its total, then all files at once.
            assert_eq!((bodies, stats.batches, stats.asked), (0, 3, FILES as u64 + 2));
        } else {
            assert_eq!((bodies, stats.batches), (FILES as u64 + 2, 0));
        }
        assert_eq!(reader.run_alone(), (page, 0));
    }
}

/// Nothing of the tasks is stored here, so that the store has no mark of its own to tell that what comes is to be verified.
#[test]
fn with_an_empty_store_what_the_other_machine_had_otherwise_is_not_used() {
    let (writer, reader) = (Machine::with_files(FILES), Machine::with_files(FILES));
    writer.write(3, 500);
    writer.run_alone();
    let remote = Arc::new(Fake::over(&writer.store).asking_singly());
    let (page, bodies, _) = reader.run_with(&remote);
    assert_eq!((page, bodies), (4950, 3));
    assert_eq!(reader.run_alone(), (page, 0));
}

#[test]
fn a_hit_asks_for_nothing() {
    let machine = Machine::with_files(3);
    let (page, _) = machine.run_alone();
    let remote = Arc::new(Fake::over(&MemoryStorage::new()).asking_singly());
    let (again, bodies, stats) = machine.run_with(&remote);
    assert_eq!((again, bodies, stats.asked), (page, 0, 0));
}

#[test]
fn a_change_of_what_came_is_noticed_by_later_processes() {
    let writer = Machine::with_files(3);
    writer.run_alone();
    let reader = Machine::with_files(3);
    let remote = Arc::new(Fake::over(&writer.store).asking_singly());
    assert_eq!(reader.run_with(&remote).0, 3);
    reader.write(1, 50);
    assert_eq!(reader.run_alone(), (52, 3));
    reader.write(1, 1);
    assert_eq!(reader.run_alone(), (3, 0));
}

#[test]
fn a_change_while_the_runtime_is_open_asks_again() {
    let (writer, reader) = two_machines(0);
    let remote = Arc::new(Fake::over(&writer.store));
    let runtime = reader.builder().remote(remote.clone()).build();
    assert_eq!(run(&runtime), (4950, 0));
    for round in 1..4 {
        writer.write(5, 100 * round);
        let expected = writer.run_alone().0;
        reader.write(5, 100 * round);
        runtime.refresh().unwrap();
        assert_eq!(run(&runtime), (expected, 0));
        assert_eq!(remote.batches(), round);
    }
}

#[test]
fn threads_that_come_to_stale_tasks_at_once_ask_once() {
    let (writer, reader) = two_machines(50);
    let remote = Arc::new(Fake::over(&writer.store));
    let runtime = reader.builder().remote(remote.clone()).build();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let runtime = &runtime;
            scope.spawn(move || {
                for file in 0..50 {
                    let path = format!("src/{:03}", (file + 13 * thread) % 50);
                    assert_eq!(runtime.run(|| words(&path)), 1000);
                }
            });
        }
    });
    assert_eq!((runtime.stats().runs(), remote.batches()), (0, 1));
}

#[test]
fn records_of_very_many_reads_come_whole() {
    const MANY: usize = 1500;
    let writer = Machine::with_files(MANY);
    let expected = writer.run_alone().0;
    let reader = Machine::with_files(MANY);
    let remote = Arc::new(Fake::over(&writer.store).asking_singly());
    let (page, bodies, _) = reader.run_with(&remote);
    assert_eq!((page, bodies), (expected, 0));
    reader.write(1, 2);
    assert_eq!(reader.run_alone(), (expected + 1, 3));
}

mod code {
    //! Functions of other code.
    use super::*;

    #[task_fn]
    fn of_the_build(path: &str) -> usize {
        words(path)
    }

    #[task_fn(version = 1)]
    fn versioned(path: &str) -> usize {
        of_the_build(path)
    }

    #[test]
    fn a_versioned_function_that_has_read_other_code_runs() {
        let (writer, reader) = (Machine::with_files(3), Machine::with_files(3));
        let other = writer.builder().code_identity("other").build();
        assert_eq!(other.run(|| versioned("src/002")), 2);
        drop(other);
        let remote = Arc::new(Fake::over(&writer.store).asking_singly());
        for _ in 0..2 {
            let runtime = reader.builder().remote(remote.clone()).build();
            assert_eq!(runtime.run(|| versioned("src/002")), 2);
            // `versioned`, `of_the_build` and `words`, and nothing the second time.
            let bodies = runtime.stats().runs();
            assert!(bodies == 3 || runtime.stats().storage.unwrap().restored > 0, "{bodies}");
        }
        assert_eq!(remote.batches.lock().unwrap()[0].len(), 1);
    }
}

/// A thread that waits for a batch which another thread asks for.
#[test]
fn a_session_that_is_cancelled_does_not_wait_for_the_batch_of_another() {
    let (ci, laptop) = (Machine::with_files(FILES), Machine::with_files(FILES));
    laptop.run_alone();
    [1, 2].iter().for_each(|file| laptop.write(*file, 70 + file));
    let (asked, answers) = (Barrier::new(2), Barrier::new(2));
    let barriers = Arc::new((asked, answers));
    let at = barriers.clone();
    let slow = Fake::over(&ci.store).tampering(move |_| {
        at.0.wait();
        at.1.wait();
    });
    let slow = Arc::new(slow);
    let runtime = laptop.builder().remote(slow.clone()).build();
    let token = CancelToken::new();
    thread::scope(|s| {
        let first = s.spawn(|| runtime.run(|| words("src/001")));
        barriers.0.wait();
        // The batch has both files.
        let second = s.spawn(|| runtime.session().token(&token).try_run(|| words("src/002")));
        while runtime.activity().running < 2 {
            thread::yield_now();
        }
        token.cancel();
        assert!(matches!(second.join().unwrap(), Err(TaskError::Cancelled)));
        barriers.1.wait();
        assert_eq!(first.join().unwrap(), 71);
    });
    assert_eq!(slow.batches(), 1);
    assert_eq!(runtime.run(|| words("src/002")), 72);
}
