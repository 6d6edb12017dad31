//! Bodies that keep a processor busy for a known time.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Spins until `time` has passed on the wall clock, as the field's overhead benches do.
#[inline]
pub fn busy(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// A fixed amount of arithmetic, about 60 ns: it costs the same CPU time on any thread, whatever else is running.
#[inline]
pub fn spin_60_ns(seed: u64) -> u64 {
    let mut value = seed | 1;
    for _ in 0..SPINS {
        value = black_box(value.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (value >> 29));
    }
    value
}

/// Rounds of [`spin_60_ns`].
const SPINS: u32 = 24;
