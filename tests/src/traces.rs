//! Traces: which bodies may run over a store, by values. The ledger goes by events, of which a store makes some undone: a task that
//! is back in an earlier state is restored, and so is one in another process.
//!
//! After each step every task that evaluation from scratch reaches is known to hold on what it read there, whether its body has run
//! or not. So the next time, in whichever process, its body may run only if it would read something else; or if the store does
//! not have it, or not what is below it: see [`Traces::settle`].

use std::collections::{BTreeMap, HashSet};

use crate::generate::End;
use crate::ledger::Read;
use crate::program::{Key, Kind, Program, part_of};

/// The reads and the outcome of a task, evaluated from scratch.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// The reads, in order, with the values of those that have one.
    pub seen: Vec<(Read, Option<i64>)>,
    /// Its value, if it has one.
    pub value: Option<i64>,
    /// Whether it collects what others emit: such tasks are not stored.
    pub collects: bool,
}

/// Reads of a run, each once.
type Trace = Vec<(Read, Option<i64>)>;

/// So many traces of a task are looked for in the store, which keeps more.
const KEPT: usize = 4;

#[derive(Debug, Default)]
struct Known {
    /// The most recent one first.
    traces: Vec<Trace>,
    /// The store has it, and all that it read.
    stored: bool,
    /// All of its runs have been stored.
    ever_stored: bool,
    /// It may run whatever it reads, until it has: it failed, was forgotten, or the store does not have it.
    excused: bool,
    /// It has run since the store was last flushed, or was forgotten since.
    unflushed: bool,
    value: Option<i64>,
    changed_in: u64,
    made_anew_in: u64,
    /// When it last read something else than before: its body has run, or it was restored.
    moved_in: u64,
    ran_in: u64,
    ran_before: u64,
    reached_in: u64,
}

/// Why a task may have run in a step.
struct Reason {
    may_run: bool,
    /// How many traces ago it has read the same.
    known_at: Option<usize>,
    /// Something that it reads has changed since, and may be back.
    has_changed: bool,
    /// It had run in this process.
    is_here: bool,
    ever_stored: bool,
    trace: Trace,
}

/// The traces of one program's tasks.
#[derive(Debug, Default)]
pub struct Traces {
    step: u64,
    tasks: BTreeMap<Key, Known>,
    /// When an input or a file last changed.
    leaves: BTreeMap<usize, u64>,
    restarted_in: u64,
}

impl Traces {
    /// A step is over, in which bodies have `run`. `evaluated` holds all that evaluation from scratch reaches.
    ///
    /// # Errors
    /// The tasks that have run without a reason.
    pub fn settle(
        &mut self,
        program: &Program,
        evaluated: &BTreeMap<Key, Evaluated>,
        run: &HashSet<Key>,
    ) -> Result<(), String> {
        self.step += 1;
        for key in run {
            if !evaluated.contains_key(key) {
                return Err(format!("{key:?} runs though nobody asks for it"));
            }
            let known = self.tasks.entry(*key).or_default();
            known.ran_before = std::mem::replace(&mut known.ran_in, self.step);
            if known.excused {
                // There was no value to compare with: that may be found out later, by a reader that was skipped in this step.
                known.made_anew_in = self.step;
            }
        }
        for (key, now) in evaluated {
            let known = self.tasks.entry(*key).or_default();
            if known.traces.first().is_none_or(|last| *last != each_once(&now.seen)) {
                known.moved_in = self.step;
            }
            if known.value != now.value {
                (known.value, known.changed_in) = (now.value, self.step);
            }
        }
        self.parts_follow(evaluated);
        let reasons: Vec<_> = run.iter().map(|key| (*key, self.reason(program, *key, evaluated))).collect();
        for (key, now) in evaluated {
            let has_run = run.contains(key);
            let known = self.tasks.entry(*key).or_default();
            if has_run && known.excused {
                known.traces.clear();
            }
            known.excused = now.value.is_none() || (known.excused && !has_run);
            known.unflushed |= has_run;
            known.reached_in = self.step;
            let trace = each_once(&now.seen);
            known.traces.retain(|other| *other != trace);
            known.traces.insert(0, trace);
            known.traces.truncate(KEPT);
        }
        self.note_stored(program, evaluated, run);
        for (key, reason) in reasons {
            self.check(key, &reason)?;
        }
        Ok(())
    }

    /// The part of a node is brought up to date with the node, whether it is asked for or not.
    fn parts_follow(&mut self, evaluated: &BTreeMap<Key, Evaluated>) {
        for (key, now) in evaluated {
            let (Key::Node(id), Some(value)) = (*key, now.value) else { continue };
            if let Some(known) = self.tasks.get_mut(&Key::Part(id)) {
                let part = Some(part_of(value));
                if known.value != part {
                    (known.value, known.changed_in) = (part, self.step);
                }
            }
        }
    }

    fn reason(&self, program: &Program, key: Key, evaluated: &BTreeMap<Key, Evaluated>) -> Reason {
        let (known, now) = (&self.tasks[&key], &evaluated[&key]);
        let trace = each_once(&now.seen);
        let read_failed = |trace: &Trace| trace.iter().any(|(_, value)| value.is_none());
        let read_anew = |(read, _): &(Read, Option<i64>)| {
            read.tasks().any(|read| {
                kind(program, read) == Some(Kind::NoEq)
                    && self
                        .tasks
                        .get(&read)
                        .is_some_and(|read| read.ran_in.max(read.moved_in) > known.reached_in)
            })
        };
        let read_transient = |(read, _): &(Read, Option<i64>)| {
            read.tasks().any(|read| kind(program, read) == Some(Kind::Transient))
        };
        let may_run = known.excused
            || now.value.is_none()
            || now.collects
            || kind(program, key) == Some(Kind::Volatile)
            // Restored, it has read what the transient one had read.
            || trace.iter().any(read_transient)
            || read_failed(&trace)
            || known.traces.first().is_some_and(read_failed)
            || trace.iter().any(read_anew)
            || self.is_missing_below(key);
        // Readers of a transient task are restored by what it had read: it is reached, and does not run.
        let is_transient = kind(program, key) == Some(Kind::Transient);
        let up_to_date_in = if is_transient { known.ran_before } else { known.reached_in };
        Reason {
            may_run,
            known_at: known.traces.iter().position(|other| *other == trace),
            has_changed: trace.iter().any(|(read, _)| {
                self.changed_in(read) > up_to_date_in || self.made_anew_in(read) > known.ran_before
            }),
            is_here: known.ran_before > self.restarted_in,
            ever_stored: known.ever_stored,
            trace,
        }
    }

    /// Looks at what the step has left in the store: a task is not restored if one of its reads is not stored any more.
    fn check(&self, key: Key, reason: &Reason) -> Result<(), String> {
        let known = &self.tasks[&key];
        let Reason { may_run, known_at, has_changed, is_here, ever_stored, trace } = reason;
        let is_reason = match known_at {
            None => true,
            Some(_) if *ever_stored && known.ever_stored => false,
            Some(0) if *is_here => *has_changed,
            Some(_) => true,
        };
        if *may_run || is_reason {
            return Ok(());
        }
        let reads = trace.iter().flat_map(|(read, _)| read.tasks());
        let reads: Vec<_> = reads.map(|read| (read, self.tasks.get(&read))).collect();
        Err(format!(
            "{key:?} runs though it has run, or holds, on what it reads: {trace:?}. In step {} it is {known:?}, and its reads {reads:?}",
            self.step
        ))
    }

    /// When something that is read last changed: what has changed and is back again is a reason for a task that is not stored.
    fn changed_in(&self, read: &Read) -> u64 {
        match read {
            Read::Input(number) => self.leaves.get(number).copied().unwrap_or(0),
            Read::Value(key) => self.tasks.get(key).map_or(0, |known| known.changed_in),
            Read::Effects(_) => self.step,
        }
    }

    fn made_anew_in(&self, read: &Read) -> u64 {
        let reads = read.tasks().filter_map(|key| self.tasks.get(&key));
        reads.map(|known| known.made_anew_in).max().unwrap_or(0)
    }

    /// An input or a file changes.
    pub fn leaf_changed(&mut self, number: usize) {
        self.step += 1;
        self.leaves.insert(number, self.step);
    }

    /// Whether the store lacks something that a task has read, directly or not.
    fn is_missing_below(&self, key: Key) -> bool {
        let mut seen = HashSet::from([key]);
        let mut next = vec![key];
        while let Some(key) = next.pop() {
            let traces = self.tasks.get(&key).map_or(&[][..], |known| &known.traces);
            for read in traces.iter().flatten().flat_map(|(read, _)| read.tasks()) {
                if seen.insert(read) {
                    if self.tasks.get(&read).is_none_or(|known| known.excused) {
                        return true;
                    }
                    next.push(read);
                }
            }
        }
        false
    }

    fn note_stored(&mut self, program: &Program, evaluated: &BTreeMap<Key, Evaluated>, run: &HashSet<Key>) {
        for (key, now) in evaluated {
            let known = self.tasks.entry(*key).or_default();
            let lasts = !matches!(kind(program, *key), Some(Kind::Volatile | Kind::Transient));
            let is_first = known.traces.len() == 1;
            known.stored =
                lasts && now.value.is_some() && !now.collects && (known.stored || run.contains(key));
            known.ever_stored = known.stored && (known.ever_stored || is_first);
        }
        // Until nothing more is found: what reads something that is not stored is not.
        loop {
            let unstored = evaluated.iter().filter(|(key, now)| {
                let is_stored = |key: Key| self.tasks.get(&key).is_some_and(|known| known.stored);
                is_stored(**key) && !now.seen.iter().flat_map(|(read, _)| read.tasks()).all(is_stored)
            });
            let unstored: Vec<Key> = unstored.map(|(key, _)| *key).collect();
            if unstored.is_empty() {
                return;
            }
            for key in unstored {
                if let Some(known) = self.tasks.get_mut(&key) {
                    (known.stored, known.ever_stored) = (false, false);
                }
            }
        }
    }

    /// A task's output is dropped, in memory and in the store.
    pub fn forgotten(&mut self, key: Key) {
        let known = self.tasks.entry(key).or_default();
        (known.excused, known.unflushed) = (true, true);
    }

    /// An input is removed: what is stored of tasks that have read it goes with them.
    pub fn input_removed(&mut self, number: usize) {
        let has_read = |trace: &Trace| trace.iter().any(|(read, _)| *read == Read::Input(number));
        for known in self.tasks.values_mut().filter(|known| known.traces.iter().any(has_read)) {
            (known.excused, known.unflushed) = (true, true);
        }
    }

    /// All that has been handed to the store is durable.
    pub fn flushed(&mut self) {
        self.tasks.values_mut().for_each(|known| known.unflushed = false);
    }

    /// Another process goes on with the store.
    pub fn restarted(&mut self, end: End) {
        for known in self.tasks.values_mut() {
            known.excused |= !known.stored || end == End::Crashed && known.unflushed;
        }
        self.flushed();
        self.step += 1;
        self.restarted_in = self.step;
    }
}

fn kind(program: &Program, key: Key) -> Option<Kind> {
    match key {
        Key::Node(id) => program.nodes.get(id).map(|node| node.kind),
        Key::Through(_) | Key::Part(_) => None,
    }
}

fn each_once(seen: &[(Read, Option<i64>)]) -> Trace {
    let mut met = HashSet::new();
    seen.iter().filter(|(read, _)| met.insert(read.clone())).cloned().collect()
}
