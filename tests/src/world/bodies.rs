//! Bodies: the task functions that the nodes of a program are, and what the ledger is told of their runs.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use larder::{Task, TaskError, emit, par_map, task_fn};

use super::{WEIGHT, World, world};
use crate::ledger::Read;
use crate::program::{
    Failure, How, Key, Kind, MODULUS, Program, ROUNDS, Reader, fallback, initial, part_of, step,
};
use crate::suspended;

thread_local! {
    /// The reads of the bodies that run on this thread, outermost first.
    static READS: RefCell<Vec<Vec<Read>>> = const { RefCell::new(Vec::new()) };
    /// So many of them, counted from the outermost, have seen that their session is cancelled: nothing of theirs counts.
    static CANCELLED: Cell<usize> = const { Cell::new(0) };
}

fn note(read: Read) {
    READS.with_borrow_mut(|frames| {
        if let Some(reads) = frames.last_mut() {
            reads.push(read);
        }
    });
}

/// A body that runs: ends in the ledger as failed unless it is told otherwise.
struct Running<'a> {
    world: &'a World,
    key: Key,
    emitted: Vec<i64>,
    value: Option<i64>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let (depth, reads) = READS.with_borrow_mut(|frames| (frames.len(), frames.pop().unwrap_or_default()));
        if depth <= CANCELLED.get() {
            CANCELLED.set(depth - 1);
            self.value = None;
        }
        let never_equal =
            matches!(self.key, Key::Node(id) if self.world.program.nodes[id].kind == Kind::NoEq);
        let emitted = std::mem::take(&mut self.emitted);
        self.world.ledger().end(self.key, reads, self.value, emitted, never_equal);
    }
}

fn body(program: u32, key: Key, run: impl FnOnce(&mut Running<'_>) -> Result<i64, Failure>) -> i64 {
    let world = world(program);
    let volatile = matches!(key, Key::Node(id) if world.program.nodes[id].kind == Kind::Volatile);
    world.ledger().begin(key, volatile);
    READS.with_borrow_mut(|frames| frames.push(Vec::new()));
    let mut running = Running { world: &world, key, emitted: Vec::new(), value: None };
    world.burn();
    match run(&mut running) {
        Ok(value) => {
            running.value = Some(value);
            value
        }
        // Unwinds without the panic hook, which would print.
        Err(failure) => std::panic::resume_unwind(Box::new(format!("{failure:?}"))),
    }
}

fn node(program: u32, id: usize) -> i64 {
    body(program, Key::Node(id), |running| running.world.program.evaluate(id, running))
}

/// The nodes of kind [`Kind::Plain`].
#[task_fn(weight = |_| WEIGHT)]
pub fn plain(program: u32, id: usize) -> i64 {
    node(program, id)
}

/// The nodes of kind [`Kind::Named`].
#[task_fn(weight = |_| WEIGHT)]
pub fn named(program: u32, id: &str) -> i64 {
    node(program, id.parse().expect("nodes are named by numbers"))
}

/// The nodes of kind [`Kind::Transient`].
#[task_fn(transient, weight = |_| WEIGHT)]
pub fn transient(program: u32, id: usize) -> i64 {
    node(program, id)
}

/// The nodes of kind [`Kind::NoEq`].
#[task_fn(no_eq, weight = |_| WEIGHT)]
pub fn unequal(program: u32, id: usize) -> i64 {
    node(program, id)
}

/// The nodes of kind [`Kind::Volatile`].
#[task_fn(volatile, weight = |_| WEIGHT)]
pub fn volatile(program: u32, id: usize) -> i64 {
    node(program, id)
}

/// The nodes of kind [`Kind::Async`].
#[task_fn(weight = |_| WEIGHT)]
pub async fn asynchronous(program: u32, id: usize) -> i64 {
    suspended::node(program, id).await
}

/// The nodes of kind [`Kind::Fixpoint`].
#[task_fn(cycle_initial = initial(id), cycle_rounds = ROUNDS, weight = |_| WEIGHT)]
pub fn fixpoint(program: u32, id: usize) -> i64 {
    node(program, id)
}

/// The nodes of kind [`Kind::Stepped`].
#[task_fn(
    cycle_initial = read_initial(program, id),
    cycle_step = |previous, new, round| step(*previous, new, round),
    cycle_rounds = ROUNDS,
    weight = |_| WEIGHT
)]
pub fn stepped(program: u32, id: usize) -> i64 {
    node(program, id)
}

fn read_initial(program: u32, id: usize) -> i64 {
    let world = world(program);
    let Ok(value) =
        world.program.initial(id, |number| Ok::<_, std::convert::Infallible>(world.input(number)));
    value
}

/// The nodes of kind [`Kind::Fallback`].
#[task_fn(cycle_fallback = fallback(id), weight = |_| WEIGHT)]
pub fn falling_back(program: u32, id: usize) -> i64 {
    node(program, id)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Receiver(pub(super) u32);

impl Receiver {
    /// A call that no program makes: from then on the process knows the method, and can run tasks of it before their readers.
    pub(super) const MET: usize = usize::MAX;

    #[task_fn(weight = |_| WEIGHT)]
    pub(super) fn method(&self, id: usize) -> i64 {
        if id == Self::MET { 0 } else { node(self.0, id) }
    }
}

/// Reads the node `id` through a handle.
#[task_fn(weight = |_| WEIGHT)]
pub fn through(program: u32, id: usize, of: &Task<i64>) -> i64 {
    body(program, Key::Through(id), |_| {
        note(Read::Value(Key::Node(id)));
        Ok(of.get() + 1)
    })
}

pub(crate) fn call(world: u32, program: &Program, id: usize) -> i64 {
    match program.nodes[id].kind {
        Kind::Plain => plain(world, id),
        Kind::Named => named(world, &id.to_string()),
        Kind::Method => Receiver(world).method(id),
        Kind::Transient => transient(world, id),
        Kind::NoEq => unequal(world, id),
        Kind::Volatile => volatile(world, id),
        Kind::Fixpoint => fixpoint(world, id),
        Kind::Stepped => stepped(world, id),
        Kind::Fallback => falling_back(world, id),
        Kind::Async => asynchronous::task(world, id).get(),
    }
}

/// The sum of nodes that are asked for on several threads.
pub(crate) fn sum_at_once(world: &World, ids: &[usize]) -> i64 {
    let values = par_map(ids.iter().copied(), |id| call(world.id, &world.program, id));
    values.into_iter().fold(0, |sum, value| (sum + value) % MODULUS)
}

/// A handle to a node that has handles.
pub(crate) fn task(world: u32, program: &Program, id: usize) -> Task<i64> {
    match program.nodes[id].kind {
        Kind::Plain => plain::task(world, id),
        Kind::Named => named::task(world, &id.to_string()),
        Kind::Method => unreachable!("methods have no companion"),
        Kind::Transient => transient::task(world, id),
        Kind::NoEq => unequal::task(world, id),
        Kind::Volatile => volatile::task(world, id),
        Kind::Fixpoint => fixpoint::task(world, id),
        Kind::Stepped => stepped::task(world, id),
        Kind::Fallback => falling_back::task(world, id),
        Kind::Async => asynchronous::task(world, id),
    }
}

/// The part of the value of a node that has handles.
pub(crate) fn part(world: u32, program: &Program, id: usize) -> i64 {
    let select = |value: &i64, (): &()| part_of(*value);
    match program.nodes[id].kind {
        Kind::Plain => plain::part(world, id, &(), select),
        Kind::Named => named::part(world, &id.to_string(), &(), select),
        Kind::Method => unreachable!("methods have no companion"),
        Kind::Transient => transient::part(world, id, &(), select),
        Kind::NoEq => unequal::part(world, id, &(), select),
        Kind::Volatile => volatile::part(world, id, &(), select),
        Kind::Fixpoint => fixpoint::part(world, id, &(), select),
        Kind::Stepped => stepped::part(world, id, &(), select),
        Kind::Fallback => falling_back::part(world, id, &(), select),
        Kind::Async => asynchronous::task(world, id).part(&(), select),
    }
}

/// Makes a node run again.
pub(crate) fn invalidate(world: u32, program: &Program, id: usize) {
    match program.nodes[id].kind {
        Kind::Plain => plain::invalidate(world, id),
        Kind::Named => named::invalidate(world, &id.to_string()),
        Kind::Method => larder::ask(|| Receiver(world).method(id)).invalidate(),
        Kind::Transient => transient::invalidate(world, id),
        Kind::NoEq => unequal::invalidate(world, id),
        Kind::Volatile => volatile::invalidate(world, id),
        Kind::Fixpoint => fixpoint::invalidate(world, id),
        Kind::Stepped => stepped::invalidate(world, id),
        Kind::Fallback => falling_back::invalidate(world, id),
        Kind::Async => asynchronous::invalidate(world, id),
    }
}

/// Whether a node passes on what it collects.
#[derive(Clone, Copy)]
pub(crate) enum Collect {
    PassesOn,
    Takes,
}

impl Collect {
    /// A number that no node emits.
    pub(crate) fn note(self, id: usize) -> i64 {
        let id = i64::try_from(id).expect("programs are small");
        match self {
            Self::PassesOn => i64::MIN + 2 * id,
            Self::Takes => i64::MIN + 2 * id + 1,
        }
    }
}

pub(crate) fn collect(world: u32, program: &Program, id: usize, how: Collect) -> Vec<i64> {
    match (program.nodes[id].kind, how) {
        (Kind::Plain, Collect::PassesOn) => plain::collect(world, id),
        (Kind::Named, Collect::PassesOn) => named::collect(world, &id.to_string()),
        (Kind::Method, _) => unreachable!("methods have no companion"),
        (Kind::Transient, Collect::PassesOn) => transient::collect(world, id),
        (Kind::NoEq, Collect::PassesOn) => unequal::collect(world, id),
        (Kind::Volatile, Collect::PassesOn) => volatile::collect(world, id),
        (Kind::Fixpoint, Collect::PassesOn) => fixpoint::collect(world, id),
        (Kind::Stepped, Collect::PassesOn) => stepped::collect(world, id),
        (Kind::Fallback, Collect::PassesOn) => falling_back::collect(world, id),
        (Kind::Async, Collect::PassesOn) => asynchronous::collect(world, id),
        (Kind::Plain, Collect::Takes) => plain::take(world, id),
        (_, Collect::Takes) => task(world, program, id).take(),
    }
}

impl Reader for Running<'_> {
    fn file(&mut self, number: usize) -> Result<i64, Failure> {
        note(self.world.file_read(number));
        Ok(self.world.read_file(number))
    }
    fn input(&mut self, number: usize) -> Result<i64, Failure> {
        note(Read::Input(number));
        Ok(self.world.input(number))
    }
    fn outside(&mut self, number: u16) -> i64 {
        self.world.outside[usize::from(number) % 2].load(Ordering::Relaxed)
    }
    fn read(&mut self, how: How, id: usize) -> Result<i64, Failure> {
        let (world, program) = (self.world.id, &self.world.program);
        Ok(match how {
            How::Call => {
                note(Read::Value(Key::Node(id)));
                call(world, program, id)
            }
            How::Handle => {
                note(Read::Value(Key::Node(id)));
                task(world, program, id).get()
            }
            How::Through => {
                note(Read::Value(Key::Through(id)));
                through(world, id, &task(world, program, id))
            }
            How::Part => {
                note(Read::Value(Key::Part(id)));
                part(world, program, id)
            }
        })
    }
    fn attempt(&mut self, id: usize) -> Result<Option<i64>, Failure> {
        note(Read::Value(Key::Node(id)));
        Ok(match self.world.attempt(id) {
            Ok(value) => Some(value),
            Err(TaskError::Cancelled) => {
                CANCELLED.set(READS.with_borrow(Vec::len));
                None
            }
            Err(_) => None,
        })
    }
    fn read_all(&mut self, ids: &[usize]) -> Result<i64, Failure> {
        ids.iter().for_each(|id| note(Read::Value(Key::Node(*id))));
        Ok(sum_at_once(self.world, ids))
    }
    fn emit(&mut self, value: i64) {
        self.emitted.push(value);
        emit(value);
    }
    fn collect(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        Ok(self.collected(id, Collect::PassesOn))
    }
    fn take(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        Ok(self.collected(id, Collect::Takes))
    }
}

impl Running<'_> {
    fn collected(&mut self, id: usize, how: Collect) -> Vec<i64> {
        let collected = collect(self.world.id, &self.world.program, id, how);
        let reached = self.world.ledger().reached_from(Key::Node(id));
        note(Read::Effects(reached));
        // Values that are passed on are a part of what it emits.
        self.emitted.push(how.note(id));
        collected
    }
}
