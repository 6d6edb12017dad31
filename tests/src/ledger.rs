//! The ledger: which bodies ran, what they read, and whether they had a reason to run.
//!
//! A body may run if it never did, if its last run failed, if its output was forgotten, if it is volatile; or if
//! something that its last run read has changed since that run ended. Within a step (sessions with no update between
//! them) it runs once, unless it fails or is volatile.

use std::collections::{BTreeMap, HashSet};

use crate::program::Key;

/// Something that a body read.
#[derive(Clone, Debug)]
pub enum Read {
    /// An input.
    Input(usize),
    /// The value of a task.
    Value(Key),
    /// What these tasks emitted.
    Effects(Vec<Key>),
}

#[derive(Debug, Default)]
struct Record {
    step: u64,
    running: bool,
    forgotten: bool,
    reads: Vec<Read>,
    value: Option<i64>,
    emitted: Vec<i64>,
    ended_at: u64,
    changed_at: u64,
    effects_at: u64,
}

/// The ledger of one program.
#[derive(Debug)]
pub struct Ledger {
    now: u64,
    step: u64,
    inputs: Vec<u64>,
    tasks: BTreeMap<Key, Record>,
    violations: Vec<String>,
    runs: u64,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(inputs: usize) -> Self {
        let tasks = BTreeMap::new();
        Self { now: 1, step: 1, inputs: vec![0; inputs], tasks, violations: Vec::new(), runs: 0 }
    }

    /// A new step begins: bodies may run again.
    pub fn step(&mut self) {
        self.step += 1;
    }

    /// How many bodies have run.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// What went wrong so far.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    pub(crate) fn input_changed(&mut self, number: usize) {
        self.now += 1;
        self.inputs[number] = self.now;
    }

    pub(crate) fn forgotten(&mut self, key: Key) {
        if let Some(record) = self.tasks.get_mut(&key) {
            record.forgotten = true;
        }
    }

    pub(crate) fn begin(&mut self, key: Key, volatile: bool) {
        self.runs += 1;
        if let Some(record) = self.tasks.get(&key) {
            let excused = record.forgotten || record.value.is_none() || volatile;
            if record.running {
                self.violations.push(format!("{key:?} runs twice at once"));
            } else if record.step == self.step && !excused {
                self.violations.push(format!("{key:?} runs twice in one step"));
            } else if !excused && !record.reads.iter().any(|read| self.changed_at(read) > record.ended_at) {
                self.violations.push(format!("{key:?} runs though nothing that it read has changed: {:?}", record.reads));
            }
        }
        let step = self.step;
        let record = self.tasks.entry(key).or_default();
        record.running = true;
        record.step = step;
    }

    fn changed_at(&self, read: &Read) -> u64 {
        match read {
            Read::Input(number) => self.inputs[*number],
            Read::Value(key) => self.tasks.get(key).map_or(0, |record| record.changed_at),
            Read::Effects(keys) => {
                keys.iter().filter_map(|key| self.tasks.get(key)).map(|record| record.effects_at).max().unwrap_or(0)
            }
        }
    }

    pub(crate) fn end(
        &mut self,
        key: Key,
        reads: Vec<Read>,
        value: Option<i64>,
        emitted: Vec<i64>,
        never_equal: bool,
    ) {
        self.now += 1;
        let record = self.tasks.entry(key).or_default();
        let changed = never_equal || record.forgotten || value.is_none() || record.value != value;
        record.running = false;
        record.ended_at = self.now;
        if changed {
            record.changed_at = self.now;
        }
        let names = |reads: &[Read]| reads.iter().map(|read| format!("{read:?}")).collect::<HashSet<_>>();
        if changed || record.emitted != emitted || names(&record.reads) != names(&reads) {
            record.effects_at = self.now;
        }
        record.forgotten = false;
        record.reads = reads;
        record.value = value;
        record.emitted = emitted;
    }

    /// All tasks that a task's last run read, and theirs, and so on, itself included.
    pub(crate) fn reached_from(&self, root: Key) -> Vec<Key> {
        let mut seen = HashSet::from([root]);
        let mut reached = vec![root];
        let mut next = 0;
        while let Some(key) = reached.get(next).copied() {
            next += 1;
            for read in self.tasks.get(&key).map_or(&[][..], |record| &record.reads) {
                if let Read::Value(key) = read
                    && seen.insert(*key)
                {
                    reached.push(*key);
                }
            }
        }
        reached
    }
}
