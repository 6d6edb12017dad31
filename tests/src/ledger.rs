//! The ledger: which bodies ran, what they read, and whether they had a reason to run.
//!
//! A body may run if it never did, if its last run failed, if its output was forgotten or invalidated, if it is volatile; or if
//! something that its last run read has changed since that run ended. Within a step (sessions with no update between
//! them) it runs once, unless it fails or is volatile.
//!
//! With a cap on memory, what has gone between sessions runs again without another reason; never twice in one session.

use std::collections::{BTreeMap, HashSet};

use crate::program::{Key, part_of};

/// Something that a body read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// An input.
    Input(usize),
    /// The value of a task.
    Value(Key),
    /// The values that these tasks emitted.
    Effects(Vec<Key>),
}

impl Read {
    /// The tasks that were read.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = Key> {
        let tasks = match self {
            Self::Input(_) => &[],
            Self::Value(key) => std::slice::from_ref(key),
            Self::Effects(keys) => &keys[..],
        };
        tasks.iter().copied()
    }
}

#[derive(Debug, Default)]
struct Record {
    step: u64,
    running: bool,
    forgotten: bool,
    invalidated: bool,
    reads: Vec<Read>,
    value: Option<i64>,
    emitted: Vec<i64>,
    ended_at: u64,
    changed_at: u64,
    /// When it came to another value than the one before, and neither was forgotten or missing.
    differed_at: u64,
    effects_at: u64,
}

/// The nodes that were read and can emit, in the order of the first reads.
fn emitters(reads: &[Read]) -> Vec<&Read> {
    let mut seen = HashSet::new();
    reads.iter().filter(|read| !matches!(read, Read::Input(_)) && seen.insert(*read)).collect()
}

/// Whether something has changed since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Changed {
    No,
    /// It was computed anew, and may be what it was.
    Perhaps,
    Yes,
}

/// The ledger of one program.
#[derive(Debug)]
pub struct Ledger {
    now: u64,
    step: u64,
    one_session: bool,
    /// Whether tasks and outputs go between sessions to save memory.
    evicts: bool,
    inputs: Vec<u64>,
    tasks: BTreeMap<Key, Record>,
    violations: Vec<(Key, Vec<Read>, String)>,
    /// Causes that the runtime has named wrongly.
    wrong_causes: Vec<(Key, Vec<Read>, String)>,
    /// The reads of the run before the last one of a task, each once, and whether that had changed when the last one began.
    begun: BTreeMap<Key, Vec<(Read, Changed)>>,
    /// The tasks that have run in this step.
    ran: HashSet<Key>,
    /// The tasks that lie on a cycle that was resolved, or once did: they have run in rounds, or with others.
    on_cycles: HashSet<Key>,
    /// Tasks of `on_cycles` that have other values than their bodies return.
    untold: HashSet<Key>,
}

impl Ledger {
    /// An empty ledger. If the runtime `evicts`, a body may run without another reason once in each session.
    #[must_use]
    pub fn new(inputs: usize, evicts: bool) -> Self {
        let tasks = BTreeMap::new();
        Self {
            now: 1,
            step: 1,
            one_session: true,
            evicts,
            inputs: vec![0; inputs],
            tasks,
            violations: Vec::new(),
            wrong_causes: Vec::new(),
            begun: BTreeMap::new(),
            ran: HashSet::new(),
            on_cycles: HashSet::new(),
            untold: HashSet::new(),
        }
    }

    /// A new step begins: bodies may run again. In a step of several sessions, volatile tasks may run several times, and
    /// so may what depends on them.
    pub fn step(&mut self, sessions: usize) {
        self.step += 1;
        self.one_session = sessions == 1;
    }

    /// The step is over. `outcome` says of a task that evaluation from scratch reaches whether it has a value.
    ///
    /// # Errors
    /// Returns what went wrong.
    pub fn settle(&mut self, outcome: impl Fn(Key) -> Option<bool>) -> Result<(), String> {
        let mut violations: Vec<String> = Vec::new();
        for key in self.ran.drain() {
            match outcome(key) {
                Some(true) => {}
                // The body of a task on a cycle may return, and fails all the same.
                Some(false) => {
                    let part = match key {
                        Key::Node(id) => Some(Key::Part(id)),
                        _ => None,
                    };
                    for key in [Some(key), part].into_iter().flatten() {
                        self.tasks.get_mut(&key).into_iter().for_each(|record| record.value = None);
                    }
                }
                None => violations.push(format!("{key:?} runs though nobody asks for it")),
            }
        }
        let failed = |key: &Key| outcome(*key) == Some(false);
        let read_failed = |read: &Read| matches!(read, Read::Value(key) if failed(key));
        // The part of a task on a cycle has values in rounds, as the task has; no body of it tells which. Nor does a body tell the value
        // that a step has made of what it returned, or a fallback.
        let read_untold_of_cycle = |read: &Read| match read {
            Read::Value(key @ Key::Part(id)) => {
                self.on_cycles.contains(key) || self.on_cycles.contains(&Key::Node(*id))
            }
            Read::Value(key) => self.untold.contains(key),
            Read::Input(_) | Read::Effects(_) => false,
        };
        for (key, reads, text) in self.violations.drain(..) {
            let is_by_cycle = self.on_cycles.contains(&key) || reads.iter().any(read_untold_of_cycle);
            if !failed(&key) && !reads.iter().any(read_failed) && !is_by_cycle {
                violations.push(text);
            }
        }
        // A task on a cycle may be what it was, though its bodies have come to other values in rounds.
        let read_cycle = |read: &Read| read.tasks().any(|key| self.on_cycles.contains(&key));
        let wrong_causes = self.wrong_causes.drain(..).filter(|(key, reads, _)| {
            let is_told = !failed(key) && !self.on_cycles.contains(key);
            is_told
                && !reads
                    .iter()
                    .any(|read| read_failed(read) || read_untold_of_cycle(read) || read_cycle(read))
        });
        violations.extend(wrong_causes.map(|(_, _, text)| text));
        if violations.is_empty() { Ok(()) } else { Err(violations.join("; ")) }
    }

    /// The tasks that have run in this step.
    #[must_use]
    pub fn ran(&self) -> HashSet<Key> {
        self.ran.clone()
    }

    /// These tasks lie on cycles that were resolved: from here on there is no telling how often they run.
    pub fn on_cycles(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.on_cycles.extend(keys);
    }

    /// These tasks lie on cycles, and have other values than their bodies return: no reader of theirs runs for a reason that a body tells.
    pub fn untold(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.untold.extend(keys);
    }

    pub(crate) fn input_changed(&mut self, number: usize) {
        self.now += 1;
        self.inputs[number] = self.now;
    }

    pub(crate) fn forgotten(&mut self, key: Key) {
        // With one task on a cycle, all of that cycle are forgotten.
        let others = if self.on_cycles.contains(&key) { self.on_cycles.iter() } else { Default::default() };
        for key in others.chain([&key]) {
            if let Some(record) = self.tasks.get_mut(key) {
                record.forgotten = true;
            }
        }
    }

    pub(crate) fn invalidated(&mut self, key: Key) {
        // A cycle is verified as one.
        let others = if self.on_cycles.contains(&key) { self.on_cycles.iter() } else { Default::default() };
        for key in others.chain([&key]) {
            if let Some(record) = self.tasks.get_mut(key) {
                record.invalidated = true;
            }
        }
    }

    pub(crate) fn begin(&mut self, key: Key, volatile: bool) {
        self.ran.insert(key);
        if let Some(record) = self.tasks.get(&key) {
            let excused = record.forgotten || record.invalidated || record.value.is_none() || volatile;
            let changed = record.reads.iter().any(|read| self.changed_at(read) > record.ended_at);
            if record.running {
                self.violations.push((key, Vec::new(), format!("{key:?} runs twice at once")));
            } else if record.step == self.step && !excused && (self.one_session || !changed && !self.evicts) {
                self.violations.push((key, record.reads.clone(), format!("{key:?} runs twice in one step")));
            } else if !excused && !changed && !self.evicts {
                let text =
                    format!("{key:?} runs though nothing that it read has changed: {:?}", record.reads);
                self.violations.push((key, record.reads.clone(), text));
            }
        }
        let step = self.step;
        let before = self.tasks.get(&key).filter(|record| !record.forgotten && record.value.is_some());
        let mut seen = HashSet::new();
        let reads =
            before.into_iter().flat_map(|record| record.reads.iter().map(|read| (record.ended_at, read)));
        let reads = reads.filter(|(_, read)| seen.insert(*read));
        let reads =
            reads.map(|(ended_at, read)| (read.clone(), self.changed_since(read, ended_at))).collect();
        self.begun.insert(key, reads);
        let record = self.tasks.entry(key).or_default();
        record.running = true;
        record.step = step;
    }

    /// The runtime says that the last run of a task was because of a read that had changed: it has, and none before it has, if reads are
    /// made `in_order`.
    pub(crate) fn check_cause(&mut self, key: Key, named: &Read, in_order: bool) {
        let Some(reads) = self.begun.get(&key).filter(|reads| !reads.is_empty() && !self.evicts) else {
            return;
        };
        // All that was reached is read then.
        if reads.iter().any(|(read, _)| matches!(read, Read::Effects(_))) {
            return;
        }
        let wrong = match reads.iter().position(|(read, _)| read == named) {
            None => "it had not read that",
            Some(at) if reads[at].1 == Changed::No => "that had not changed",
            Some(at) if in_order && reads[..at].iter().any(|(_, changed)| *changed == Changed::Yes) => {
                "a read before that had changed"
            }
            Some(_) => return,
        };
        let text = format!("{key:?} is said to run because of {named:?}, and {wrong}: {reads:?}");
        let reads = reads.iter().map(|(read, _)| read.clone()).collect();
        self.wrong_causes.push((key, reads, text));
    }

    fn changed_since(&self, read: &Read, then: u64) -> Changed {
        let differs = match read {
            Read::Input(number) => self.inputs[*number] > then,
            Read::Value(key) => self.tasks.get(key).is_some_and(|record| record.differed_at > then),
            Read::Effects(_) => false,
        };
        match (differs, self.changed_at(read) > then) {
            (true, _) => Changed::Yes,
            (false, true) => Changed::Perhaps,
            (false, false) => Changed::No,
        }
    }

    fn changed_at(&self, read: &Read) -> u64 {
        match read {
            Read::Input(number) => self.inputs[*number],
            Read::Value(key) => self.tasks.get(key).map_or(0, |record| record.changed_at),
            Read::Effects(keys) => keys
                .iter()
                .filter_map(|key| self.tasks.get(key))
                .map(|record| record.effects_at)
                .max()
                .unwrap_or(0),
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
        let had_both = !record.forgotten && record.value.is_some() && value.is_some();
        if had_both && (never_equal || record.value != value) {
            record.differed_at = self.now;
        }
        let in_order = emitters(&record.reads) == emitters(&reads);
        if value.is_none() || record.value.is_none() || record.emitted != emitted || !in_order {
            record.effects_at = self.now;
        }
        (record.forgotten, record.invalidated) = (false, false);
        record.reads = reads;
        record.value = value;
        record.emitted = emitted;
        if let Key::Node(id) = key {
            self.part_follows(id, value);
        }
    }

    /// A node has a value, and so has the part of it, which changes only if the part does.
    fn part_follows(&mut self, id: usize, value: Option<i64>) {
        let record = self.tasks.entry(Key::Part(id)).or_default();
        let part = value.map(part_of);
        if part.is_none() || record.value != part {
            record.changed_at = self.now;
        }
        if part.is_some() && record.value.is_some() && record.value != part {
            record.differed_at = self.now;
        }
        record.value = part;
        record.reads = vec![Read::Value(Key::Node(id))];
    }

    /// All tasks that a task's last run read, and theirs, and so on, itself included.
    pub(crate) fn reached_from(&self, root: Key) -> Vec<Key> {
        let mut seen = HashSet::from([root]);
        let mut reached = vec![root];
        let mut next = 0;
        while let Some(key) = reached.get(next).copied() {
            next += 1;
            let reads = self.tasks.get(&key).map_or(&[][..], |record| &record.reads);
            reached.extend(reads.iter().flat_map(Read::tasks).filter(|key| seen.insert(*key)));
        }
        reached
    }
}
