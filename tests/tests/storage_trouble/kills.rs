//! Programs that are killed while they compute and store.

use super::*;

#[task_fn]
fn step(input: &Input<u32>, number: u32) -> u64 {
    RUNS.set(RUNS.get() + 1);
    let before = if number == 0 { 0 } else { step(input, number - 1) };
    // Half of the steps change with the input.
    before + if number % 2 == 0 { u64::from(input.get()) } else { u64::from(number) }
}

fn expected(state: u32, number: u32) -> u64 {
    (0..=number).map(|number| u64::from(if number % 2 == 0 { state } else { number })).sum()
}

#[test]
fn child_that_computes_until_it_is_killed() {
    let Some(path) = store_of_child() else { return };
    let storage = RedbStorage::open(path).unwrap();
    let delay = Duration::from_millis(3);
    let runtime = Runtime::builder()
        .storage(storage)
        .code_identity("test")
        .max_commit_delay(delay)
        .try_build()
        .unwrap();
    let first = std::env::var(ROUND).unwrap().parse().unwrap();
    for round in first.. {
        let input = runtime.input("round", round);
        runtime.update(|update| update.set(&input, round % 7)).unwrap();
        for number in (0..60).step_by(3) {
            assert_eq!(runtime.run(|| step(&input, number)), expected(round % 7, number));
        }
        // Some of them may have been stored before the kill.
        pages(&runtime, round * 10..round * 10 + 10);
        runtime.flush().unwrap();
        println!("\nflushed {round}");
    }
}

/// Longer by `LARDER_KILLS`.
#[test]
fn a_killed_program_goes_on_where_it_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let kills = std::env::var("LARDER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(15);
    let mut random = 0x2545_f491_u64;
    let mut next = 0;
    for _ in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = child("kills::child_that_computes_until_it_is_killed", &path, next);
        let mut flushed = numbers(&mut child, "flushed");
        let waited = flushed.by_ref().take(1 + (random >> 33) as usize % 20).last();
        std::thread::sleep(Duration::from_micros((random >> 40) % 10_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = flushed.last().or(waited).unwrap();
        next = last + 1;

        let storage = RedbStorage::open(&path).unwrap();
        assert_eq!(storage.set_aside(), None);
        let runtime = over(storage);
        assert!(runtime.storage_report().unwrap().unwrap().is_sound());
        let flushed = (last * 10 + 10).saturating_sub(500)..last * 10 + 10;
        assert_eq!(pages(&runtime, flushed), 0, "something that was flushed is lost");
        for state in [last % 7, 3, 20] {
            let input = runtime.input("round", state);
            runtime.update(|update| update.set(&input, state)).unwrap();
            assert_eq!(runtime.run(|| step(&input, 57)), expected(state, 57));
        }
    }
    assert!(next > 0);
}
