//! A program: inputs, and numbered nodes, each an expression over inputs and other nodes.

use std::fmt;

/// A node named by an expression: a number that [`Program::resolve`] turns into the id of a node.
#[derive(Clone, Copy, Debug)]
pub struct Ref(pub u16);

/// By which kind of task function a node is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A free function of two plain arguments.
    Plain,
    /// A free function with a borrowed `&str`.
    Named,
    /// A method.
    Method,
    /// A function that is not stored.
    Transient,
    /// A function whose results are never equal.
    NoEq,
    /// A function that runs once per session, and may read what is outside of the runtime.
    Volatile,
    /// An async function.
    Async,
    /// A function with an initial value, from which cycles are resolved.
    Fixpoint,
    /// A function with an initial value that reads an input, and a step from one round to the next.
    Stepped,
    /// A function with a fallback, which tasks on a cycle have.
    Fallback,
}

/// One way to read a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By a plain call.
    Call,
    /// By a handle.
    Handle,
    /// Through a task function that takes a handle to the node.
    Through,
    /// As a part of the value: see [`part_of`].
    Part,
}

/// The part of a value that is read by [`How::Part`]. It keeps the order of values, so that cycles through it converge.
#[must_use]
pub fn part_of(value: i64) -> i64 {
    value.div_euclid(4)
}

/// The computation of a node.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A number.
    Const(i64),
    /// The value of an input (its number is taken modulo the number of inputs).
    Input(u16),
    /// The number that a file holds.
    File(u16),
    /// Something outside of the runtime; 0 unless the node is volatile.
    Outside(u16),
    /// The value of a node.
    Read(How, Ref),
    /// The value of a node, or -7 if it failed.
    Attempt(Ref),
    /// The sum of several nodes.
    Sum(Vec<Ref>),
    /// The sum of several nodes, read at once on several threads.
    Scope(Vec<Ref>),
    /// The sum of the first so many of several nodes, again and again.
    Loop(Box<Expr>, Vec<Ref>),
    /// One of several nodes.
    Pick(Box<Expr>, Vec<Ref>),
    /// A sum.
    Add(Box<Expr>, Box<Expr>),
    /// A remainder: different values become equal.
    Modulo(Box<Expr>, i64),
    /// The larger one, or a bound if that is less: what cycles converge by.
    Max(Box<Expr>, Box<Expr>, i64),
    /// The second unless the first is even, then the third.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Panics if the expression is the number modulo 4.
    FailIf(Box<Expr>, i64),
    /// Emits the value, too.
    Emit(Box<Expr>),
    /// A number made of all that a node and what it depends on emitted.
    Collect(Ref),
    /// The same, which the node does not pass on.
    Take(Ref),
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// By which kind of task function it is computed.
    pub kind: Kind,
    /// The expression that it computes.
    pub expr: Expr,
}

/// A program.
#[derive(Clone)]
pub struct Program {
    /// The first values of the inputs.
    pub inputs: Vec<i64>,
    /// The nodes, by id.
    pub nodes: Vec<Node>,
    /// Whether a node may name nodes of higher ids, and itself.
    pub cyclic: bool,
    /// Whether nodes catch failures. Which tasks on a cycle others saw fail is a matter of timing between threads, so
    /// that programs with cycles on several threads do not.
    pub catching: bool,
    /// The cap on the runtime's memory, in bytes. Whatever it is, no value changes.
    pub cap: Option<usize>,
}

/// A task: a node, or the task that reads it by a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The node of an id.
    Node(usize),
    /// The task that reads the node through a handle that it takes.
    Through(usize),
    /// The part of the node's value.
    Part(usize),
}

/// Why a node has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The node of this id panicked.
    Boom(usize),
    /// The input has been removed.
    Removed,
    /// The node depends on itself.
    Cycle,
    /// The node lies on a cycle that comes to no fixpoint.
    NoFixpoint,
    /// No failure, but that something was found out on the way: for evaluation from scratch.
    Found,
}

/// The operands that an expression reads from.
pub trait Reader {
    /// The number that a file holds.
    ///
    /// # Errors
    /// Never: for the sake of the reader.
    fn file(&mut self, number: usize) -> Result<i64, Failure>;
    /// The value of an input.
    fn input(&mut self, number: usize) -> Result<i64, Failure>;
    /// The value outside.
    fn outside(&mut self, number: u16) -> i64;
    /// The value of a node, read in some way.
    fn read(&mut self, how: How, id: usize) -> Result<i64, Failure>;
    /// The sum of nodes that are all read, even if one fails.
    ///
    /// # Errors
    /// The failure of the first one that failed.
    fn read_all(&mut self, ids: &[usize]) -> Result<i64, Failure> {
        let values: Vec<_> = ids.iter().map(|id| self.read(How::Call, *id)).collect();
        values.into_iter().try_fold(0, |sum, value| Ok((sum + value?) % MODULUS))
    }
    /// The value of a node, or its failure, caught.
    ///
    /// # Errors
    /// [`Failure::Found`] alone.
    fn attempt(&mut self, id: usize) -> Result<Option<i64>, Failure>;
    /// Emits a value.
    fn emit(&mut self, value: i64);
    /// All that a node and what it depends on emitted.
    fn collect(&mut self, id: usize) -> Result<Vec<i64>, Failure>;
    /// Collects as [`Reader::collect`] does, and lets the node that reads not pass it on.
    ///
    /// # Errors
    /// Fails as [`Reader::collect`] does.
    fn take(&mut self, id: usize) -> Result<Vec<i64>, Failure>;
}

/// So many files are outside of a program.
pub const FILES: usize = 3;

/// In so many rounds the value of a fixpoint task may change.
pub const ROUNDS: u32 = 12;

/// Values stay below this.
pub const MODULUS: i64 = 10_007;

impl Program {
    /// The id that a reference in node `from` stands for: a near one or a far one, lower than `from` unless the program
    /// is cyclic.
    #[must_use]
    pub fn resolve(&self, from: usize, Ref(raw): Ref) -> Option<usize> {
        let (far, raw) = (raw % 2 == 1, usize::from(raw / 2));
        if self.cyclic && far {
            return Some(raw % self.nodes.len());
        }
        match from {
            0 => None,
            _ if far => Some(raw % from),
            _ => Some(from - 1 - raw % from.min(8)),
        }
    }

    /// Whether cycles may have initial values. Then nothing is collected, and nothing caught.
    #[must_use]
    pub fn has_fixpoints(&self) -> bool {
        self.nodes.iter().any(|node| is_fixpoint(node.kind))
    }

    /// The kind of the node that a task is, if it is one.
    #[must_use]
    pub fn kind(&self, key: Key) -> Option<Kind> {
        match key {
            Key::Node(id) => Some(self.nodes[id].kind),
            Key::Through(_) | Key::Part(_) => None,
        }
    }

    /// Whether a cycle through a task is resolved.
    #[must_use]
    pub fn has_initial(&self, key: Key) -> bool {
        self.kind(key).is_some_and(is_fixpoint)
    }

    /// The value of round 0 of a task for which there is one, given what reads inputs.
    ///
    /// # Errors
    /// The failure of the input.
    pub fn initial<E>(&self, id: usize, input: impl FnOnce(usize) -> Result<i64, E>) -> Result<i64, E> {
        Ok(match self.nodes[id].kind {
            Kind::Stepped => input(id % self.inputs.len())?.rem_euclid(3),
            Kind::Fallback => fallback(id),
            _ => initial(id),
        })
    }

    /// Whether there are handles to a node: methods have no companion that would make them.
    #[must_use]
    pub fn has_handles(&self, id: usize) -> bool {
        self.nodes[id].kind != Kind::Method
    }

    /// Evaluates node `id`.
    ///
    /// # Errors
    /// The failure of the node, or of what it reads.
    pub fn evaluate(&self, id: usize, reader: &mut impl Reader) -> Result<i64, Failure> {
        self.expression(id, &self.nodes[id].expr, reader)
    }

    fn expression(&self, id: usize, expr: &Expr, reader: &mut impl Reader) -> Result<i64, Failure> {
        Ok(match expr {
            Expr::Const(value) => *value,
            Expr::Input(number) => reader.input(usize::from(*number) % self.inputs.len())?,
            Expr::File(number) => reader.file(usize::from(*number) % FILES)?,
            Expr::Outside(number) if self.nodes[id].kind == Kind::Volatile => reader.outside(*number),
            Expr::Outside(_) => 0,
            Expr::Read(how, of) => match self.resolve(id, *of) {
                Some(of) => reader.read(if self.has_handles(of) { *how } else { How::Call }, of)?,
                None => 0,
            },
            Expr::Attempt(of) => match self.resolve(id, *of) {
                Some(of) if self.catching && !self.has_fixpoints() => reader.attempt(of)?.unwrap_or(-7),
                Some(of) => reader.read(How::Call, of)?,
                None => 0,
            },
            Expr::Sum(of) => self.sum(id, of, reader)?,
            Expr::Scope(of) => {
                let of: Vec<_> = of.iter().filter_map(|of| self.resolve(id, *of)).collect();
                reader.read_all(&of)?
            }
            Expr::Loop(count, of) => {
                let count = self.expression(id, count, reader)?.rem_euclid(6) as usize;
                let twice: Vec<Ref> =
                    of.iter().cycle().take(if of.is_empty() { 0 } else { count }).copied().collect();
                self.sum(id, &twice, reader)?
            }
            Expr::Pick(which, of) => {
                let which = self.expression(id, which, reader)?;
                match of.get(which.rem_euclid(of.len().max(1) as i64) as usize) {
                    Some(of) => self.sum(id, &[*of], reader)?,
                    None => 0,
                }
            }
            Expr::Add(left, right) => {
                (self.expression(id, left, reader)? + self.expression(id, right, reader)?) % MODULUS
            }
            Expr::Modulo(of, by) => self.expression(id, of, reader)?.rem_euclid(*by),
            Expr::Max(left, right, most) => {
                let left = self.expression(id, left, reader)?;
                left.max(self.expression(id, right, reader)?).min(*most)
            }
            Expr::If(condition, yes, no) => {
                let condition = self.expression(id, condition, reader)?;
                self.expression(id, if condition % 2 == 0 { no } else { yes }, reader)?
            }
            Expr::FailIf(of, number) => {
                let value = self.expression(id, of, reader)?;
                if value.rem_euclid(4) == *number {
                    return Err(Failure::Boom(id));
                }
                value
            }
            Expr::Emit(of) => {
                let value = self.expression(id, of, reader)?;
                reader.emit(value);
                value
            }
            Expr::Collect(of) | Expr::Take(of) => match self.resolve(id, *of) {
                Some(of) if !self.has_handles(of) || self.has_fixpoints() => reader.read(How::Call, of)?,
                Some(of) => {
                    let takes = matches!(expr, Expr::Take(_));
                    let collected = if takes { reader.take(of)? } else { reader.collect(of)? };
                    collected.into_iter().fold(1, |sum, value| (sum * 31 + value) % MODULUS)
                }
                None => 0,
            },
        })
    }

    fn sum(&self, id: usize, of: &[Ref], reader: &mut impl Reader) -> Result<i64, Failure> {
        let mut sum = 0;
        for of in of.iter().filter_map(|of| self.resolve(id, *of)) {
            sum = (sum + reader.read(How::Call, of)?) % MODULUS;
        }
        Ok(sum)
    }
}

fn is_fixpoint(kind: Kind) -> bool {
    matches!(kind, Kind::Fixpoint | Kind::Stepped | Kind::Fallback)
}

/// The fallback of the task of an id.
#[must_use]
pub fn fallback(id: usize) -> i64 {
    i64::try_from(id % 4).expect("less than four") + 1
}

/// The value of a round of a task with a step: not monotone in the first rounds, and then never less.
#[must_use]
pub fn step(previous: i64, new: i64, round: u32) -> i64 {
    match round {
        0..4 => (new + i64::from(round)) % MODULUS,
        4..8 => previous.max(new),
        _ => previous.max(new.min(20)),
    }
}

/// The initial value of the fixpoint task of an id.
#[must_use]
pub fn initial(id: usize) -> i64 {
    i64::try_from(id % 3).expect("less than three")
}

/// Writes an expression with its references resolved, as it stands in node `from` of a program.
struct Shown<'a>(&'a Program, usize, &'a Expr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(program, from, expr) = *self;
        let sub = |expr| Shown(program, from, expr);
        let name = |of: &Ref| program.resolve(from, *of).map_or("nothing".to_owned(), |id| format!("n{id}"));
        let names = |of: &[Ref]| of.iter().map(name).collect::<Vec<_>>().join(", ");
        match expr {
            Expr::Const(value) => write!(f, "{value}"),
            Expr::Input(number) => write!(f, "x{}", usize::from(*number) % program.inputs.len()),
            Expr::File(number) => write!(f, "file{}", usize::from(*number) % FILES),
            Expr::Outside(number) => write!(f, "outside({number})"),
            Expr::Read(How::Call, of) => write!(f, "{}", name(of)),
            Expr::Read(how, of) => write!(f, "{how:?}({})", name(of)),
            Expr::Attempt(of) if program.catching => write!(f, "attempt({})", name(of)),
            Expr::Attempt(of) => write!(f, "{}", name(of)),
            Expr::Sum(of) => write!(f, "sum[{}]", names(of)),
            Expr::Scope(of) => write!(f, "scope[{}]", names(of)),
            Expr::Loop(count, of) => write!(f, "first({} of [{}]...)", sub(count), names(of)),
            Expr::Pick(which, of) => write!(f, "[{}][{}]", names(of), sub(which)),
            Expr::Add(left, right) => write!(f, "({} + {})", sub(left), sub(right)),
            Expr::Modulo(of, by) => write!(f, "({} % {by})", sub(of)),
            Expr::Max(left, right, most) => write!(f, "max({}, {}, at most {most})", sub(left), sub(right)),
            Expr::If(condition, yes, no) => {
                write!(f, "(if {} {{{}}} else {{{}}})", sub(condition), sub(yes), sub(no))
            }
            Expr::FailIf(of, number) => write!(f, "fail_if({} % 4 == {number})", sub(of)),
            Expr::Emit(of) => write!(f, "emit({})", sub(of)),
            Expr::Collect(of) => write!(f, "collect({})", name(of)),
            Expr::Take(of) => write!(f, "take({})", name(of)),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "program {{ x = {:?}", self.inputs)?;
        for (id, node) in self.nodes.iter().enumerate() {
            if matches!((node.kind, &node.expr), (Kind::Plain, Expr::Const(0))) {
                // Shrinking has made this of a node that does not matter.
                continue;
            }
            writeln!(f, "    {:?} n{id} = {}", node.kind, Shown(self, id, &node.expr))?;
        }
        if let Some(cap) = self.cap {
            writeln!(f, "    cap on memory: {cap}")?;
        }
        write!(f, "}} of {} nodes; those not shown are 0", self.nodes.len())
    }
}
