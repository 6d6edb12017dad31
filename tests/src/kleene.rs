//! Evaluation from scratch of programs with cycles that have initial values: by the definition, round by round, each body in
//! each round.
//!
//! For programs that catch no failures: a reader of a task without a value has none.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::program::{Failure, How, Key, Kind, Program, ROUNDS, Reader, part_of, step};

/// An evaluation of a program from scratch.
pub struct Kleene<'a> {
    program: &'a Program,
    inputs: &'a [Option<i64>],
    outside: &'a [i64],
    files: &'a [i64],
    known: HashMap<Key, Result<i64, Failure>>,
    /// The tasks that are being evaluated, outermost first.
    contexts: Vec<Context>,
    found: Option<Found>,
    members: HashSet<Key>,
}

enum Context {
    /// Tasks that are not known to lie on a cycle, each called by the one before.
    Plain(Vec<Key>),
    /// A round of a component.
    Round(Round),
}

#[derive(Default)]
struct Round {
    members: BTreeSet<Key>,
    /// The values of fixpoint tasks in the round before.
    before: BTreeMap<Key, i64>,
    /// The values of other members in this round; none while they are being evaluated.
    others: BTreeMap<Key, Option<Result<i64, Failure>>>,
    /// The members whose bodies run, outermost first.
    running: Vec<Key>,
    /// Which members the bodies of this round have read, as pairs of reader and read.
    reads: Vec<(Key, Key)>,
}

/// The round before, as far as the next one depends on it.
#[derive(Default)]
struct Last {
    /// The values of fixpoint tasks before it.
    before: BTreeMap<Key, i64>,
    others: BTreeMap<Key, i64>,
    reads: Vec<(Key, Key)>,
    /// The reads that tasks with a fallback have made in the first round.
    of_fallbacks: Vec<(Key, Key)>,
}

impl Last {
    /// Whether a task with a step runs in a round, which finds these values of fixpoint tasks and other members: something that it has read
    /// has changed, or its own value has.
    fn is_due(
        &self,
        program: &Program,
        key: Key,
        now: &BTreeMap<Key, i64>,
        others: &BTreeMap<Key, i64>,
    ) -> bool {
        now[&key] != self.before[&key] || self.has_changed_reads(program, key, now, others)
    }

    fn has_changed_reads(
        &self,
        program: &Program,
        key: Key,
        now: &BTreeMap<Key, i64>,
        others: &BTreeMap<Key, i64>,
    ) -> bool {
        let mut reads = self.reads.iter().filter(|(reader, _)| *reader == key);
        reads.any(|(_, read)| match now.get(read) {
            Some(value) => self.before[read] != *value,
            None if program.kind(*read) == Some(Kind::NoEq) => {
                self.has_changed_reads(program, *read, now, others)
            }
            None => self.others[read] != others[read],
        })
    }
}

impl Round {
    /// The members that do not settle: those whose values change, and those that read these, and so on.
    fn unsettled(&self, next: &BTreeMap<Key, i64>) -> BTreeSet<Key> {
        let changed = next.iter().filter(|(key, value)| self.before[key] != **value);
        let mut unsettled: BTreeSet<Key> = changed.map(|(key, _)| *key).collect();
        loop {
            let count = unsettled.len();
            let readers = self.reads.iter().filter(|(_, read)| unsettled.contains(read));
            let readers: Vec<Key> = readers.map(|(reader, _)| *reader).collect();
            unsettled.extend(readers);
            if unsettled.len() == count {
                return unsettled;
            }
        }
    }
}

/// A cycle that was found: an evaluation ends with [`Failure::Found`] to say so.
enum Found {
    /// One of these.
    New(BTreeSet<Key>),
    /// These belong to the round that is this context.
    Joins(usize, BTreeSet<Key>),
}

impl<'a> Kleene<'a> {
    /// Makes an evaluation as `Naive::new` does.
    #[must_use]
    pub fn new(
        program: &'a Program,
        inputs: &'a [Option<i64>],
        outside: &'a [i64],
        files: &'a [i64],
    ) -> Self {
        let (known, contexts, members) = (HashMap::new(), Vec::new(), HashSet::new());
        Self { program, inputs, outside, files, known, contexts, found: None, members }
    }

    /// The value of a task.
    ///
    /// # Errors
    /// Its failure.
    pub fn value(&mut self, key: Key) -> Result<i64, Failure> {
        self.outside_of_rounds(key)
    }

    /// Returns the value of a task, if it was reached.
    #[must_use]
    pub fn known(&self, key: Key) -> Option<Result<i64, Failure>> {
        self.known.get(&key).copied()
    }

    /// All tasks that were reached, each with whether it has a value.
    pub fn reached(&self) -> impl Iterator<Item = (Key, bool)> {
        self.known.iter().map(|(key, outcome)| (*key, outcome.is_ok()))
    }

    /// All tasks that lie on a cycle.
    #[must_use]
    pub fn members(&self) -> &HashSet<Key> {
        &self.members
    }

    fn task(&mut self, key: Key) -> Result<i64, Failure> {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        match self.contexts.last() {
            Some(Context::Plain(_)) => self.plain(key),
            Some(Context::Round(round)) if round.members.contains(&key) => self.member(key),
            Some(Context::Round(_)) | None => self.outside_of_rounds(key),
        }
    }

    fn outside_of_rounds(&mut self, key: Key) -> Result<i64, Failure> {
        loop {
            if let Some(known) = self.known.get(&key) {
                return *known;
            }
            self.contexts.push(Context::Plain(Vec::new()));
            let outcome = self.plain(key);
            self.contexts.pop();
            match (outcome, self.found.take()) {
                (Err(Failure::Found), Some(Found::New(members))) => self.solve(members)?,
                (outcome, found) => {
                    self.found = found;
                    return outcome;
                }
            }
        }
    }

    fn plain(&mut self, key: Key) -> Result<i64, Failure> {
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let belongs_to = self
            .contexts
            .iter()
            .position(|context| matches!(context, Context::Round(round) if round.members.contains(&key)));
        if let Some(at) = belongs_to {
            let mut joins = BTreeSet::new();
            for context in &self.contexts[at + 1..] {
                match context {
                    Context::Plain(stack) => joins.extend(stack),
                    Context::Round(round) => joins.extend(&round.members),
                }
            }
            self.found = Some(Found::Joins(at, joins));
            return Err(Failure::Found);
        }
        let program = self.program;
        let Some(Context::Plain(stack)) = self.contexts.last_mut() else {
            unreachable!("the caller sees to it")
        };
        if let Some(start) = stack.iter().position(|other| *other == key) {
            if !stack[start..].iter().any(|key| program.has_initial(*key)) {
                return Err(Failure::Cycle);
            }
            self.found = Some(Found::New(stack[start..].iter().copied().collect()));
            return Err(Failure::Found);
        }
        stack.push(key);
        let outcome = self.body(key);
        let Some(Context::Plain(stack)) = self.contexts.last_mut() else { unreachable!("as above") };
        stack.pop();
        if outcome != Err(Failure::Found) {
            self.known.insert(key, outcome);
        }
        outcome
    }

    fn body(&mut self, key: Key) -> Result<i64, Failure> {
        let program = self.program;
        match key {
            Key::Node(id) => program.evaluate(id, self),
            Key::Through(id) => self.task(Key::Node(id)).map(|value| value + 1),
            Key::Part(id) => self.task(Key::Node(id)).map(part_of),
        }
    }

    fn round(&mut self) -> &mut Round {
        match self.contexts.last_mut() {
            Some(Context::Round(round)) => round,
            _ => unreachable!("a round is being evaluated"),
        }
    }

    fn member(&mut self, key: Key) -> Result<i64, Failure> {
        let round = self.round();
        if let Some(reader) = round.running.last() {
            round.reads.push((*reader, key));
        }
        if let Some(value) = round.before.get(&key) {
            return Ok(*value);
        }
        match round.others.get(&key) {
            Some(Some(outcome)) => *outcome,
            Some(None) => Err(Failure::Cycle),
            None => {
                round.others.insert(key, None);
                let outcome = self.body_in_round(key);
                self.round().others.insert(key, Some(outcome));
                outcome
            }
        }
    }

    /// Goes through the rounds of a component, and of those that it turns out to be a part of.
    fn solve(&mut self, mut members: BTreeSet<Key>) -> Result<(), Failure> {
        let at = self.contexts.len();
        loop {
            self.contexts.push(Context::Round(Round { members: members.clone(), ..Round::default() }));
            let outcome = self.rounds();
            self.contexts.pop();
            match (outcome, self.found.take()) {
                (Err(Failure::Found), Some(Found::Joins(joins, more))) if joins == at => members.extend(more),
                (Err(Failure::Found), found) => {
                    self.found = found;
                    return Err(Failure::Found);
                }
                (Ok(values), _) => {
                    self.members.extend(&members);
                    self.known.extend(values.into_iter().map(|(key, value)| (key, Ok(value))));
                    return Ok(());
                }
                (Err(failure), _) => {
                    self.members.extend(&members);
                    self.known.extend(members.into_iter().map(|key| (key, Err(failure))));
                    return Ok(());
                }
            }
        }
    }

    fn rounds(&mut self) -> Result<BTreeMap<Key, i64>, Failure> {
        let program = self.program;
        let members = self.round().members.clone();
        let inputs = self.inputs;
        let input = |number: usize| inputs[number].ok_or(Failure::Removed);
        let initial = members.iter().filter_map(|key| match *key {
            Key::Node(id) if program.has_initial(*key) => {
                Some(program.initial(id, input).map(|value| (*key, value)))
            }
            _ => None,
        });
        self.round().before = initial.collect::<Result<_, _>>()?;
        let mut changes: HashMap<Key, u32> = HashMap::new();
        let mut last = Last::default();
        for round in 1.. {
            let fixpoints: Vec<Key> = self.round().before.keys().copied().collect();
            // Those with a fallback run in the first round alone, to find out what they depend on.
            let falls_back = |key: &Key| program.kind(*key) == Some(Kind::Fallback);
            let run = fixpoints.iter().filter(|key| round == 1 || !falls_back(key));
            let outcomes: Vec<_> = run.map(|key| (*key, self.body_unless_found(*key))).collect();
            let plain = members.iter().filter(|key| !program.has_initial(**key));
            let others: Vec<_> = plain.map(|key| (*key, self.member_unless_found(*key))).collect();
            self.stop_if_found()?;
            let values = |outcomes: Vec<(Key, Result<i64, Failure>)>| {
                outcomes
                    .into_iter()
                    .map(|(key, outcome)| Ok((key, outcome?)))
                    .collect::<Result<BTreeMap<_, _>, Failure>>()
            };
            let others = values(others)?;
            let mut next = values(outcomes)?;
            let before = self.round().before.clone();
            next.extend(before.iter().filter(|(key, _)| falls_back(key)));
            let reads = self.round().reads.clone();
            if round == 1 {
                last.of_fallbacks = reads.iter().filter(|(reader, _)| falls_back(reader)).copied().collect();
            } else {
                self.round().reads.extend(&last.of_fallbacks);
            }
            for (key, value) in &mut next {
                if program.kind(*key) == Some(Kind::Stepped) {
                    let runs = round == 1 || last.is_due(program, *key, &before, &others);
                    *value = if runs { step(before[key], *value, round) } else { before[key] };
                }
            }
            last = Last { before, others: others.clone(), reads, ..last };
            if next == self.round().before {
                break;
            }
            for (key, value) in &next {
                if self.round().before[key] != *value {
                    *changes.entry(*key).or_default() += 1;
                }
            }
            if changes.values().any(|changes| *changes > ROUNDS) {
                // Those that have settled have their values; the others are evaluated again, each by itself, over these.
                let unsettled = self.round().unsettled(&next);
                let mut values: BTreeMap<Key, i64> = next.into_iter().chain(others).collect();
                values.retain(|key, _| !unsettled.contains(key));
                return if values.is_empty() { Err(Failure::NoFixpoint) } else { Ok(values) };
            }
            *self.round() = Round { members: members.clone(), before: next, ..Round::default() };
        }
        let outcomes: Vec<_> = members.iter().map(|key| (*key, self.member_unless_found(*key))).collect();
        self.stop_if_found()?;
        outcomes.into_iter().map(|(key, outcome)| Ok((key, outcome?))).collect()
    }

    fn body_unless_found(&mut self, key: Key) -> Result<i64, Failure> {
        self.stop_if_found()?;
        self.body_in_round(key)
    }

    fn body_in_round(&mut self, key: Key) -> Result<i64, Failure> {
        self.round().running.push(key);
        let outcome = self.body(key);
        self.round().running.pop();
        outcome
    }

    fn member_unless_found(&mut self, key: Key) -> Result<i64, Failure> {
        self.stop_if_found()?;
        self.member(key)
    }

    fn stop_if_found(&self) -> Result<(), Failure> {
        if self.found.is_some() { Err(Failure::Found) } else { Ok(()) }
    }
}

impl Reader for Kleene<'_> {
    fn file(&mut self, number: usize) -> Result<i64, Failure> {
        Ok(self.files[number])
    }
    fn input(&mut self, number: usize) -> Result<i64, Failure> {
        self.inputs[number].ok_or(Failure::Removed)
    }
    fn outside(&mut self, number: u16) -> i64 {
        self.outside[usize::from(number) % self.outside.len()]
    }
    fn read(&mut self, how: How, id: usize) -> Result<i64, Failure> {
        match how {
            How::Call | How::Handle => self.task(Key::Node(id)),
            How::Through => self.task(Key::Through(id)),
            How::Part => self.task(Key::Part(id)),
        }
    }
    fn attempt(&mut self, _: usize) -> Result<Option<i64>, Failure> {
        unreachable!("programs with fixpoints catch nothing")
    }
    fn emit(&mut self, _: i64) {}
    fn collect(&mut self, _: usize) -> Result<Vec<i64>, Failure> {
        unreachable!("programs with fixpoints collect nothing")
    }
    fn take(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        self.collect(id)
    }
}
