//! The first things that must work.
use larder::{Runtime, task_fn};
use std::time::Instant;

#[task_fn]
fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[task_fn]
fn len(text: &str) -> usize {
    text.len()
}

#[task_fn]
fn chain(n: u64) -> u64 {
    if n == 0 { 0 } else { chain(n - 1) + 1 }
}

#[test]
fn a_deep_chain() {
    let rt = Runtime::new();
    assert_eq!(rt.run(|| chain(100_000)), 100_000);
}

#[test]
fn speed() {
    let rt = Runtime::new();
    for n in [1u64, 100, 1000, 100_000] {
        rt.run(|| {
            let start = Instant::now();
            for i in 0..n {
                std::hint::black_box(add(i, 77 + n));
            }
            let miss = start.elapsed().as_nanos() as f64 / n as f64;
            let mut all = vec![];
            for _ in 0..15 {
                let rounds = 2_000_000 / n;
                let start = Instant::now();
                for _ in 0..rounds {
                    for i in 0..n {
                        std::hint::black_box(add(std::hint::black_box(i), 77 + n));
                    }
                }
                all.push(start.elapsed().as_nanos() as f64 / (rounds * n) as f64);
            }
            all.sort_by(f64::total_cmp);
            eprintln!("n={n} miss {miss:.1} hit {:.2}", all[7]);
        });
    }
    eprintln!("{}", rt.stats());
    assert_eq!(rt.run(|| len("abc")), 3);
}
