//! The fuzz targets without a fuzzer: so many seeded mutations of their seeds, however long they take.
//!
//! `LARDER_FUZZ_TRIES=n` is how many, in thousandths of what each target tries by default (1000), `LARDER_SEED=n` where the mutations begin; a failure prints its
//! own. `LARDER_FUZZ_CORPUS=dir` writes the seeds there, by target, for cargo-fuzz to start from.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails here says where, and how far it came"
)]
#![allow(unreachable_pub, reason = "the targets are modules of a library elsewhere")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[path = "../../fuzz/src/codec.rs"]
mod codec;
#[path = "../../fuzz/src/program.rs"]
mod program;
#[path = "../../fuzz/src/records.rs"]
mod records;
#[path = "../../fuzz/src/sealed_store.rs"]
mod sealed_store;
#[path = "../../fuzz/src/store_file.rs"]
mod store_file;

/// A small deterministic generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// One to four changes, of the kinds that fuzzers make.
fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(8) {
            0 => data.truncate(at),
            1 => data.insert(at, random.below(256) as u8),
            2 => data.extend_from_slice(&seeds[random.below(seeds.len())][..]),
            3 => drop(data.splice(at.., seeds[random.below(seeds.len())].iter().copied().skip(at))),
            4 => {
                // A length, where there may be one.
                let length = [u32::MAX, 1 << 31, 1 << 16, random.below(300) as u32][random.below(4)];
                data.iter_mut().skip(at).zip(length.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            5 => {
                // A varint of bincode's, of something huge.
                let huge = [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, random.below(256) as u8];
                data.splice(at..at, huge).for_each(drop);
            }
            _ => data.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    data
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn fuzz(target: &str, tries: u64, run: fn(&[u8]), seeds: &[Vec<u8>]) {
    if let Some(corpus) = std::env::var_os("LARDER_FUZZ_CORPUS") {
        let folder = std::path::Path::new(&corpus).join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
    seeds.iter().for_each(|seed| run(seed));
    let first = number("LARDER_SEED").unwrap_or(0x1a4d_e400);
    let tries = tries * number("LARDER_FUZZ_TRIES").unwrap_or(1000) / 1000;
    for seed in first..first + tries {
        // Each try by a seed of its own: a failure is repeated by that alone.
        let data = mutate(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), seeds);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&data))) {
            println!("{target}: LARDER_SEED={seed}, {} bytes: {data:02x?}", data.len());
            resume_unwind(panic);
        }
    }
    println!("{target}: {tries} mutations of {} seeds", seeds.len());
}

#[test]
fn any_bytes_are_a_value_or_none() {
    fuzz("codec", 4000, codec::run, &codec::seeds());
}

#[test]
fn any_payload_is_a_record_or_none() {
    fuzz("records", 4000, records::run, &records::seeds());
}

#[test]
fn a_hostile_store_may_lie_and_nothing_more() {
    fuzz("sealed_store", 150, sealed_store::run, &sealed_store::seeds());
}

#[test]
fn a_damaged_file_gives_no_wrong_value() {
    fuzz("store_file", 60, store_file::run, &store_file::seeds());
}
