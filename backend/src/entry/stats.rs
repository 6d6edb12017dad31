//! Statistics: what happened per task function, as data and as a table.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::base::counters::Sums;
use crate::context::engine::Engine;
use crate::context::watch::GateStats;
use crate::entry::store::StorageStats;
use crate::graph::task_fn::RawTaskFn;

/// The counts of the calls of one task function.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FunctionStats {
    /// The function's name.
    pub name: &'static str,
    /// The module path and name.
    pub path: &'static str,
    /// Whether it is no task function but a kind of source (files, directories): its runs are first observations.
    pub is_source: bool,
    /// Calls, however they were answered.
    pub calls: u64,
    /// Hits answered without a lock: by the thread's cache or by a predicted read.
    pub thread_hits: u64,
    /// Calls whose task was in memory and found through the table.
    pub memory_hits: u64,
    /// Calls answered by the backing storage.
    pub storage_hits: u64,
    /// Calls whose task was not known.
    pub misses: u64,
    /// Bodies run.
    pub runs: u64,
    /// Stale tasks found current without running their body. Those that are skipped on the way to where the change began are not
    /// visited, and not counted.
    pub verified: u64,
    /// Runs that returned an equal value, so that their dependents stayed current.
    pub cut_off: u64,
    /// Parts (`f::part`) that were brought up to date when their source had changed, by a selection from it. Not counted among `runs`.
    pub settled: u64,
    /// Runs that panicked, met a cycle or were cancelled.
    pub failed: u64,
    /// Bodies run a second time, at the same time as a first one: on a thread pool, where waiting for the first might never have
    /// ended. Not counted among `runs`.
    pub apart: u64,
    /// Time spent in bodies, callees included, in all rounds of a cycle and in second runs of a body; of async bodies from their beginning to their end, with what they wait for. Fast bodies are
    /// timed once in 16 runs, so this is an estimate.
    pub time: Duration,
}

impl FunctionStats {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            name: self.name,
            path: self.path,
            is_source: self.is_source,
            calls: self.calls.saturating_sub(earlier.calls),
            thread_hits: self.thread_hits.saturating_sub(earlier.thread_hits),
            memory_hits: self.memory_hits.saturating_sub(earlier.memory_hits),
            storage_hits: self.storage_hits.saturating_sub(earlier.storage_hits),
            misses: self.misses.saturating_sub(earlier.misses),
            runs: self.runs.saturating_sub(earlier.runs),
            verified: self.verified.saturating_sub(earlier.verified),
            cut_off: self.cut_off.saturating_sub(earlier.cut_off),
            settled: self.settled.saturating_sub(earlier.settled),
            failed: self.failed.saturating_sub(earlier.failed),
            apart: self.apart.saturating_sub(earlier.apart),
            time: self.time.saturating_sub(earlier.time),
        }
    }
}

/// Statistics of a runtime since it was made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// One entry per task function and kind of source that has been called, ordered by path.
    pub functions: Vec<FunctionStats>,
    /// Tasks in memory.
    pub tasks: usize,
    /// The traffic between the runtime and its store, if it has one.
    pub storage: Option<StorageStats>,
    /// Sessions that waited long for an update, and updates for sessions.
    pub gate: GateStats,
}

impl Stats {
    /// Returns the entry of a function, by its name or its path.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FunctionStats> {
        self.functions.iter().find(|function| function.name == name || function.path == name)
    }

    /// Subtracts `earlier`, an older answer of the same runtime. [`Stats::tasks`], [`Stats::storage`] and [`Stats::gate`] stay as
    /// they are.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        // The instances of a generic function have one path, and stand in the order of their first calls.
        let mut before: HashMap<_, VecDeque<_>> = HashMap::new();
        for function in &earlier.functions {
            before.entry(function.path).or_default().push_back(function);
        }
        let functions = self.functions.iter().map(|function| {
            match before.get_mut(function.path).and_then(VecDeque::pop_front) {
                Some(before) => function.since(before),
                None => function.clone(),
            }
        });
        Self { functions: functions.collect(), ..self.clone() }
    }

    /// Bodies run, of all task functions.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.task_functions().map(|function| function.runs).sum()
    }

    /// Calls answered without running a body, of all task functions.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.task_functions().map(|function| function.calls.saturating_sub(function.runs)).sum()
    }

    fn task_functions(&self) -> impl Iterator<Item = &FunctionStats> {
        self.functions.iter().filter(|function| !function.is_source)
    }
}

impl Engine {
    /// The mean time of a run of a function, by its index; `None` if none has ended yet.
    pub(crate) fn usual_time(&self, function: u32) -> Option<Duration> {
        let mut sums = Sums::default();
        let locals = self.threads.counted();
        self.threads.totals.add_to(function, &mut sums);
        locals.iter().for_each(|local| local.counters.add_to(function, &mut sums));
        let nanos = sums.first_nanos.saturating_add(sums.timed_nanos);
        Some(Duration::from_nanos(nanos.checked_div(sums.first_runs + sums.timed_runs)?))
    }

    /// Statistics of all task functions. Costs a look at every thread's counters; nothing is stopped for it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let locals = self.threads.counted();
        let mut functions = Vec::new();
        for (index, task_fn) in self.functions.all().into_iter().enumerate() {
            if task_fn.is_leaf() {
                continue;
            }
            let mut sums = Sums::default();
            let index = u32::try_from(index).expect("indices are given out as `u32`");
            self.threads.totals.add_to(index, &mut sums);
            for local in &locals {
                local.counters.add_to(index, &mut sums);
            }
            functions.push(function_stats(task_fn, &sums));
        }
        functions.sort_by_key(|function| (function.path, function.name));
        Stats { functions, tasks: self.len(), storage: self.storage_stats(), gate: self.gate_stats() }
    }
}

impl Engine {
    /// Returns how many tasks of these functions, or of all if there is none, were computed, verified or restored so far, and how many
    /// bodies have begun and not ended. Async bodies are not among these.
    pub fn progress(&self, functions: &[String]) -> (u64, u64) {
        let locals = self.threads.counted();
        let (mut done, mut running) = (0, 0);
        for (index, task_fn) in self.functions.all().into_iter().enumerate() {
            let is_wanted = functions.is_empty() || functions.iter().any(|name| name == task_fn.site.name);
            if task_fn.is_leaf() || !is_wanted {
                continue;
            }
            let mut sums = Sums::default();
            let index = u32::try_from(index).expect("indices are given out as `u32`");
            self.threads.totals.add_to(index, &mut sums);
            locals.iter().for_each(|local| local.counters.add_to(index, &mut sums));
            done += sums.runs + sums.verified + sums.storage_hits + sums.settled;
            if !task_fn.is_async() {
                running += sums.begun.saturating_sub(sums.runs + sums.beside);
            }
        }
        (done, running)
    }
}

fn function_stats(task_fn: &RawTaskFn, sums: &Sums) -> FunctionStats {
    let site = task_fn.site();
    FunctionStats {
        name: site.name,
        path: site.path,
        is_source: task_fn.observe.is_some(),
        calls: sums.thread_hits + sums.memory_hits + sums.storage_hits + sums.misses,
        thread_hits: sums.thread_hits,
        memory_hits: sums.memory_hits,
        storage_hits: sums.storage_hits,
        misses: sums.misses,
        runs: sums.runs,
        verified: sums.verified,
        cut_off: sums.cut_off,
        settled: sums.settled,
        failed: sums.failed,
        apart: sums.apart,
        time: time_of(sums),
    }
}

/// The time of all runs, also beside tasks: the first as they were timed, the others by those of them that were.
fn time_of(sums: &Sums) -> Duration {
    let others = u128::from((sums.runs + sums.beside).saturating_sub(sums.first_runs));
    let others = u128::from(sums.timed_nanos) * others / u128::from(sums.timed_runs.max(1));
    let nanos = u128::from(sums.first_nanos) + others;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.functions.iter().map(|function| function.name.len()).max().unwrap_or(0).max(8);
        writeln!(
            f,
            "{:width$} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>10}",
            "function",
            "calls",
            "thread",
            "memory",
            "storage",
            "misses",
            "runs",
            "verified",
            "cut off",
            "failed",
            "time"
        )?;
        for function in &self.functions {
            writeln!(
                f,
                "{:width$} {:>10} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>10.1?}",
                function.name,
                function.calls,
                function.thread_hits,
                function.memory_hits,
                function.storage_hits,
                function.misses,
                function.runs,
                function.verified,
                function.cut_off,
                function.failed,
                function.time,
            )?;
        }
        write!(f, "{} tasks in memory", self.tasks)?;
        if let Some(storage) = &self.storage {
            write!(f, "\n{storage}")?;
        }
        match self.gate.last.last() {
            Some(last) => {
                write!(f, "\n{} waits of more than a second, the last: {last}", self.gate.long_waits)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_runs_of_a_recursive_function_stand_for_themselves_alone() {
        let first = Sums { first_runs: 16, first_nanos: 16_000, runs: 16, ..Sums::default() };
        assert_eq!(time_of(&first), Duration::from_nanos(16_000));
        let all = Sums { runs: 96, timed_runs: 5, timed_nanos: 50, ..first };
        assert_eq!(time_of(&all), Duration::from_nanos(16_000 + 80 * 10));
        let beside = Sums { beside: 80, ..all };
        assert_eq!(time_of(&beside), Duration::from_nanos(16_000 + 160 * 10), "second runs take time, too");
        assert_eq!(time_of(&Sums { runs: 9, ..Sums::default() }), Duration::ZERO, "nothing was timed");
    }
}
