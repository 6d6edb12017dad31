//! Evaluation from scratch: plain recursion with a memo for one state of the inputs.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::kleene::Kleene;
use crate::ledger::Read;
use crate::program::{Failure, How, Key, Kind, Program, Reader, part_of};
use crate::traces::Evaluated;

/// The outcome of a task.
#[derive(Clone, Debug, Default)]
struct Outcome {
    value: Option<Result<i64, Failure>>,
    emitted: Vec<i64>,
    /// The task at which its cycle closes, and the depth of that.
    head: Option<(usize, Key)>,
    /// In order, each once.
    reads: Vec<Key>,
    /// Those from which it has taken what was emitted.
    taken: HashSet<Key>,
    /// All that it read, and what it came to.
    evaluated: Evaluated,
}

/// An evaluation of a program from scratch.
pub struct Naive<'a> {
    program: &'a Program,
    inputs: &'a [Option<i64>],
    outside: &'a [i64],
    files: &'a [i64],
    known: HashMap<Key, Outcome>,
    /// The tasks that are being evaluated, outermost first.
    stack: Vec<Frame>,
    /// Evaluates instead where cycles have initial values.
    kleene: Option<Kleene<'a>>,
}

/// A task that is being evaluated.
struct Frame {
    key: Key,
    outcome: Outcome,
    /// If it has turned out to lie on a cycle: the depth of the outermost task that it depends on.
    low: Option<usize>,
}

impl<'a> Naive<'a> {
    /// An evaluation of `program` at given values of inputs (`None`: removed), of what is outside, and of files.
    #[must_use]
    pub fn new(
        program: &'a Program,
        inputs: &'a [Option<i64>],
        outside: &'a [i64],
        files: &'a [i64],
    ) -> Self {
        let kleene = program.has_fixpoints().then(|| Kleene::new(program, inputs, outside, files));
        Self { program, inputs, outside, files, known: HashMap::new(), stack: Vec::new(), kleene }
    }

    /// The value of a node.
    ///
    /// # Errors
    /// Its failure.
    pub fn value(&mut self, id: usize) -> Result<i64, Failure> {
        if let Some(kleene) = &mut self.kleene {
            return kleene.value(Key::Node(id));
        }
        self.task(Key::Node(id))
    }

    /// All that a node and what it depends on emitted.
    ///
    /// # Errors
    /// Its failure.
    pub fn collected(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        self.value(id)?;
        let mut found = Vec::new();
        self.gather(Key::Node(id), &mut HashSet::new(), &mut found);
        Ok(found)
    }

    /// Whether a task has a value, if it was reached at all.
    #[must_use]
    pub fn outcome(&self, key: Key) -> Option<bool> {
        if let Some(kleene) = &self.kleene {
            return kleene.known(key).map(|known| known.is_ok());
        }
        Some(matches!(self.known.get(&key)?.value, Some(Ok(_))))
    }

    /// Whether all that was reached has a value, and is of a kind that is stored. For programs with initial values.
    #[must_use]
    pub fn is_all_stored(&self) -> bool {
        let is_stored = |key| {
            let kind = self.program.kind(key);
            !matches!(kind, Some(Kind::Transient | Kind::Volatile | Kind::NoEq))
        };
        self.kleene.iter().flat_map(Kleene::reached).all(|(key, has_value)| has_value && is_stored(key))
    }

    /// The tasks that lie on a cycle with an initial value.
    #[must_use]
    pub fn members(&self) -> Vec<Key> {
        self.kleene.iter().flat_map(|kleene| kleene.members().iter().copied()).collect()
    }

    fn gather(&self, key: Key, seen: &mut HashSet<Key>, found: &mut Vec<i64>) {
        let Some(outcome) = self.known.get(&key) else { return };
        if !seen.insert(key) || !matches!(outcome.value, Some(Ok(_))) {
            return;
        }
        let is_taken = |key: &Key| match *key {
            // A part comes from where the whole does.
            Key::Part(id) => outcome.taken.contains(&Key::Node(id)),
            key => outcome.taken.contains(&key),
        };
        for read in outcome.reads.iter().filter(|read| !is_taken(read)) {
            self.gather(*read, seen, found);
        }
        found.extend(&outcome.emitted);
    }

    /// All that was reached.
    #[must_use]
    pub fn evaluated(&self) -> BTreeMap<Key, Evaluated> {
        let known = self.known.iter().map(|(key, outcome)| {
            let value = outcome.value.and_then(Result::ok);
            (*key, Evaluated { value, ..outcome.evaluated.clone() })
        });
        known.collect()
    }

    fn task(&mut self, key: Key) -> Result<i64, Failure> {
        let outcome = self.evaluate(key);
        self.saw(Read::Value(key), outcome.ok());
        outcome
    }

    /// The task that is being evaluated has read something.
    fn saw(&mut self, read: Read, value: Option<i64>) {
        if let Some(reader) = self.stack.last_mut() {
            reader.outcome.evaluated.seen.push((read, value));
        }
    }

    fn evaluate(&mut self, key: Key) -> Result<i64, Failure> {
        if let Some(reader) = self.stack.last_mut()
            && !reader.outcome.reads.contains(&key)
        {
            reader.outcome.reads.push(key);
        }
        if let Some(known) = self.known.get(&key) {
            let (value, mut head) = (known.value.expect("what is known has a value"), known.head);
            // The task at which the cycle closes may itself lie on one that closes further out.
            while let Some((depth, at)) = head {
                if self.stack.get(depth).is_some_and(|frame| frame.key == at) {
                    self.poison(depth);
                    break;
                }
                head = self.known.get(&at).and_then(|known| known.head);
            }
            return value;
        }
        if let Some(depth) = self.stack.iter().position(|frame| frame.key == key) {
            self.poison(depth);
            return Err(Failure::Cycle);
        }
        self.stack.push(Frame { key, outcome: Outcome::default(), low: None });
        let program = self.program;
        let mut value = match key {
            Key::Node(id) => program.evaluate(id, self),
            Key::Through(id) => self.task(Key::Node(id)).map(|value| value + 1),
            Key::Part(id) => self.task(Key::Node(id)).map(part_of),
        };
        let Frame { mut outcome, low, .. } = self.stack.pop().expect("pushed above");
        if let Some(low) = low {
            value = value.and(Err(Failure::Cycle));
            outcome.head = self.stack.get(low).map(|frame| (low, frame.key));
        }
        outcome.value = Some(value);
        self.known.insert(key, outcome);
        value
    }
}

impl Naive<'_> {
    /// All tasks from a depth on lie on a cycle.
    fn poison(&mut self, depth: usize) {
        self.stack[depth..]
            .iter_mut()
            .for_each(|frame| frame.low = Some(frame.low.map_or(depth, |low| low.min(depth))));
    }
}

impl Reader for Naive<'_> {
    fn file(&mut self, number: usize) -> Result<i64, Failure> {
        self.saw(Read::Input(self.inputs.len() + number), Some(self.files[number]));
        Ok(self.files[number])
    }
    fn input(&mut self, number: usize) -> Result<i64, Failure> {
        self.saw(Read::Input(number), self.inputs[number]);
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
    fn attempt(&mut self, id: usize) -> Result<Option<i64>, Failure> {
        Ok(self.task(Key::Node(id)).ok())
    }
    fn emit(&mut self, value: i64) {
        if let Some(frame) = self.stack.last_mut() {
            frame.outcome.emitted.push(value);
        }
    }
    fn collect(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        if let Some(reader) = self.stack.last_mut() {
            reader.outcome.evaluated.collects = true;
        }
        self.task(Key::Node(id))?;
        let mut found = Vec::new();
        self.gather(Key::Node(id), &mut HashSet::new(), &mut found);
        Ok(found)
    }
    fn take(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        let found = self.collect(id)?;
        if let Some(reader) = self.stack.last_mut() {
            reader.outcome.taken.insert(Key::Node(id));
        }
        Ok(found)
    }
}
