//! A word on the machine, for the head of a report: ratios depend on what its locks and caches cost.

use parking_lot::Mutex;
use std::hint::black_box;
use std::time::Instant;

/// Returns one line: processor, clock, caches, and what an uncontended lock costs.
#[must_use]
pub fn describe() -> String {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    format!(
        "{processors} processors, {}; a dependent multiplication {:.2} ns, an uncontended lock {:.1} ns; caches {}",
        model(),
        nanoseconds(multiplications),
        nanoseconds(locks),
        caches()
    )
}

const TIMES: u32 = 100_000;

/// The lowest of several samples: what the machine can do when nothing is in the way.
fn nanoseconds(work: fn()) -> f64 {
    let sample = || {
        let start = Instant::now();
        work();
        start.elapsed().as_nanos() as f64 / f64::from(TIMES)
    };
    (0..20).map(|_| sample()).fold(f64::INFINITY, f64::min)
}

/// Each takes three cycles on most processors, so that this tells the clock.
fn multiplications() {
    let odd = black_box(0x9E37_79B9_7F4A_7C15_u64);
    black_box((0..TIMES).fold(1, |product: u64, _| black_box(product).wrapping_mul(odd)));
}

fn locks() {
    let lock = black_box(Mutex::new(0_u64));
    (0..TIMES).for_each(|_| *black_box(&lock).lock() += 1);
}

fn model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let of = |name: &str| field(name).unwrap_or_else(|| "unknown".to_owned());
    format!("{} (family {}, model {})", of("model name"), of("cpu family"), of("model\t"))
}

fn caches() -> String {
    let sizes = (0..5).filter_map(|index| {
        let of = |name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
            Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
        };
        let (level, kind, size) = (of("level")?, of("type")?, of("size")?);
        (kind != "Instruction").then(|| format!("L{level} {size}"))
    });
    let sizes: Vec<String> = sizes.collect();
    if sizes.is_empty() { "unknown".to_owned() } else { sizes.join(", ") }
}
