//! Runs lanes in turn and keeps their samples.
//!
//! Samples are interleaved (A B C A B C ..), so that a busy spell of the machine falls on all of them. Ratios are
//! taken within a round and their median is judged: that is steadier than the ratio of two medians.

use crate::lane::{Contestant, Lane, Sample};
use crate::work::Work;
use std::time::{Duration, Instant};

/// How long a race goes on: at least `rounds` rounds after `warm_up`, fewer when `patience` runs out.
#[derive(Clone, Copy)]
pub struct Pace {
    warm_up: u32,
    rounds: usize,
    patience: Duration,
}

impl Pace {
    /// For samples well under a millisecond.
    pub const BRIEF: Pace = Pace { warm_up: 5, rounds: 101, patience: Duration::from_secs(4) };
    /// For samples of some milliseconds.
    pub const STEADY: Pace = Pace { warm_up: 2, rounds: 31, patience: Duration::from_secs(6) };
    /// For samples on several processors, of which one or the other is disturbed for a while.
    pub const PATIENT: Pace = Pace { warm_up: 5, rounds: 1001, patience: Duration::from_secs(10) };
    /// For what is shown beside it and not judged.
    pub const GLANCE: Pace = Pace { warm_up: 1, rounds: 15, patience: Duration::from_secs(1) };
    /// For what does not vary, or takes too long to repeat.
    pub const ONCE: Pace = Pace { warm_up: 0, rounds: 1, patience: Duration::from_secs(600) };
}

/// The fewest rounds that a median is taken over, however long they take.
const FEWEST: usize = 5;

/// A contestant at the start: the label in the results, the work, and the lane.
pub struct Entry {
    /// How the results are asked for.
    pub label: String,
    /// The work of this entry.
    pub work: Work,
    /// The contestant.
    pub contestant: Contestant,
}

/// The samples of all that took part.
pub struct Race {
    results: Vec<(String, Vec<Sample>)>,
}

impl Race {
    /// Lets every contestant that can do `work` do it, in turn; the labels are their names.
    pub fn over(work: Work, contestants: &[Contestant], pace: Pace) -> Race {
        let entries = contestants.iter().map(|contestant| Entry {
            label: contestant.name.to_owned(),
            work,
            contestant: *contestant,
        });
        Race::between(entries, pace)
    }

    /// Lets every entry that can do its work do it, in turn.
    pub fn between(entries: impl IntoIterator<Item = Entry>, pace: Pace) -> Race {
        let mut lanes: Vec<(String, Lane, Vec<Sample>)> = entries
            .into_iter()
            .filter_map(|entry| Some((entry.label, (entry.contestant.enter)(entry.work)?, Vec::new())))
            .collect();
        for _ in 0..pace.warm_up {
            for (_, lane, _) in &mut lanes {
                lane();
            }
        }
        let start = Instant::now();
        for round in 0..pace.rounds {
            if round >= FEWEST && start.elapsed() > pace.patience {
                break;
            }
            for (_, lane, samples) in &mut lanes {
                samples.push(lane());
            }
        }
        Race { results: lanes.into_iter().map(|(label, _, samples)| (label, samples)).collect() }
    }

    /// Returns the contestants, in the order of entering.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.results.iter().map(|(label, _)| label.as_str())
    }

    /// The median cost per unit; `None` for a contestant that did not take part.
    pub fn cost(&self, label: &str) -> Option<f64> {
        self.samples(label).map(|samples| median(samples.iter().map(|sample| sample.cost)))
    }

    /// The lowest cost per unit, which is what peers are compared by.
    pub fn lowest(&self, label: &str) -> Option<f64> {
        self.samples(label)
            .map(|samples| samples.iter().map(|sample| sample.cost).fold(f64::INFINITY, f64::min))
    }

    /// The median of what came before each sample, with cold caches; `None` where that is not measured.
    pub fn cold(&self, label: &str) -> Option<f64> {
        let cold: Option<Vec<f64>> = self.samples(label)?.iter().map(|sample| sample.cold).collect();
        Some(median(cold?.into_iter()))
    }

    /// The median number of allocations per unit.
    pub fn allocations(&self, label: &str) -> Option<f64> {
        self.samples(label).map(|samples| median(samples.iter().map(|sample| sample.allocations)))
    }

    /// The median, over the rounds, of the cost of `label` as a multiple of that of `peer`.
    pub fn ratio(&self, label: &str, peer: &str) -> Option<f64> {
        self.paired(label, peer, |ours, theirs| ours / theirs)
    }

    /// The median, over the rounds, of the gain of `ours` as a multiple of the gain of `theirs`. A gain is the cost of the first
    /// label as a multiple of the cost of the second one: of one thread and of two, say.
    pub fn relative_gain(&self, ours: [&str; 2], theirs: [&str; 2]) -> Option<f64> {
        let [ours, theirs] = [ours, theirs].map(|[one, two]| Some((self.samples(one)?, self.samples(two)?)));
        let gains = |(one, two): (&[Sample], &[Sample])| -> Vec<f64> {
            one.iter().zip(two).map(|(one, two)| one.cost / two.cost).collect()
        };
        let (ours, theirs) = (gains(ours?), gains(theirs?));
        Some(median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs)))
    }

    fn paired(&self, label: &str, peer: &str, compare: impl Fn(f64, f64) -> f64) -> Option<f64> {
        let (ours, theirs) = (self.samples(label)?, self.samples(peer)?);
        Some(median(ours.iter().zip(theirs).map(|(ours, theirs)| compare(ours.cost, theirs.cost))))
    }

    fn samples(&self, label: &str) -> Option<&[Sample]> {
        self.results.iter().find(|(candidate, _)| candidate == label).map(|(_, samples)| samples.as_slice())
    }
}

/// The middle of `values`, which are not empty.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
