//! The times of calls of an engine, as a histogram.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder_shared::{Holder, Lease, Limits, Put, SharedEngine, SharedError, SharedKey};

/// An engine whose calls are timed, those that fail as well.
pub(super) struct Timed {
    engine: Arc<dyn SharedEngine>,
    times: Histogram,
}

impl Timed {
    pub(super) fn new(engine: Arc<dyn SharedEngine>) -> Self {
        Self { engine, times: Histogram::default() }
    }

    /// Returns a time that so many of a thousand calls have not exceeded; `None` without calls.
    pub(super) fn quantile(&self, of_thousand: u64) -> Option<Duration> {
        self.times.quantile(of_thousand)
    }

    fn time<R>(&self, call: impl FnOnce(&dyn SharedEngine) -> R) -> R {
        let begun = Instant::now();
        let returned = call(&*self.engine);
        self.times.add(begun.elapsed());
        returned
    }
}

impl SharedEngine for Timed {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        self.time(|engine| engine.get(keys, until))
    }

    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        self.time(|engine| engine.put(items, how, until))
    }

    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        self.time(|engine| engine.lease(key, holder, lasts, until))
    }

    fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
        self.time(|engine| engine.end_lease(key, holder, until))
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }
}

/// Buckets for each doubling of a time.
const STEPS: u32 = 4;
/// From a microsecond to an hour.
const BUCKETS: usize = 32 * STEPS as usize;

/// Counts of times: four buckets for each doubling.
struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Histogram {
    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let doublings = micros.ilog2();
        // The two bits behind the first one.
        let step = ((u128::from(micros) << 2 >> doublings) as u32) % STEPS;
        let bucket = (doublings * STEPS + step) as usize;
        self.0[bucket.min(BUCKETS - 1)].fetch_add(1, Relaxed);
    }

    fn quantile(&self, of_thousand: u64) -> Option<Duration> {
        let counts: Vec<u64> = self.0.iter().map(|count| count.load(Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let rank = (all * of_thousand).div_ceil(1000).max(1);
        let mut below = 0;
        let bucket = counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        // The end of the bucket: no time in it is longer.
        let (doublings, step) = (bucket as u32 / STEPS, bucket as u64 % u64::from(STEPS));
        let end = u128::from(u64::from(STEPS) + step + 1) << doublings;
        Some(Duration::from_micros(u64::try_from(end.div_ceil(u128::from(STEPS))).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_times_by_a_fourth_exactly() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), None);
        let micros: Vec<u64> = (1..=10_000).map(|number| number * 7).collect();
        micros.iter().for_each(|micros| histogram.add(Duration::from_micros(*micros)));
        for of_thousand in [1, 10, 500, 990, 1000] {
            let exact = micros[(micros.len() as u64 * of_thousand).div_ceil(1000) as usize - 1] as f64;
            let told = histogram.quantile(of_thousand).expect("there are times").as_micros() as f64;
            assert!(told >= exact && told <= exact * 1.25 + 1.0, "{of_thousand}: {told}, and it is {exact}");
        }
    }

    #[test]
    fn times_that_are_very_short_or_long_are_counted() {
        let histogram = Histogram::default();
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            histogram.add(time);
        }
        assert!(histogram.quantile(500).is_some_and(|time| time <= Duration::from_micros(2)));
        assert!(histogram.quantile(1000).is_some_and(|time| time > Duration::from_secs(3600)));
    }
}
