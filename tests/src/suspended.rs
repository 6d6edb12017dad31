//! Bodies of async nodes. An expression is evaluated as far as what it reads is known; what is missing is awaited, and the expression
//! evaluated again from its beginning.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use larder::{TaskError, TaskExt, emit};

use crate::executor::give_way;
use crate::ledger::Read;
use crate::program::{Failure, How, Key, Kind, Reader, part_of};
use crate::world::{Collect, World, asynchronous, call, collect, part, sum_at_once, task, through, world};

/// Runs the body of an async node.
pub(crate) async fn node(program: u32, id: usize) -> i64 {
    let mut body = Body::begin(program, id);
    loop {
        let mut replay = Replay { body: &mut body, wanted: None, emitted: Vec::new() };
        let outcome = replay.body.world.clone().program.evaluate(id, &mut replay);
        let Replay { wanted, emitted, .. } = replay;
        match (outcome, wanted) {
            (Err(Failure::Found), Some(wanted)) => {
                give_way().await;
                body.fetch(wanted).await;
            }
            (Ok(value), _) => {
                emitted.iter().for_each(|value| emit(*value));
                body.emitted = emitted;
                body.value = Some(value).filter(|_| !body.cancelled);
                return value;
            }
            // Unwinds without the panic hook, which would print.
            (Err(failure), _) => resume_unwind(Box::new(format!("{failure:?}"))),
        }
    }
}

/// A body that runs: ends in the ledger as failed unless it is told otherwise.
struct Body {
    world: Arc<World>,
    id: usize,
    reads: Vec<Read>,
    known: HashMap<Wanted, Option<i64>>,
    emitted: Vec<i64>,
    /// Notes of what it has collected, in all evaluations.
    collected: Vec<i64>,
    value: Option<i64>,
    cancelled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Wanted {
    Value(usize),
    Attempt(usize),
    /// The part of an async node.
    Part(usize),
}

impl Body {
    fn begin(program: u32, id: usize) -> Self {
        let world = world(program);
        world.ledger().begin(Key::Node(id), false);
        world.burn();
        Self {
            world,
            id,
            reads: Vec::new(),
            known: HashMap::new(),
            emitted: Vec::new(),
            collected: Vec::new(),
            value: None,
            cancelled: false,
        }
    }

    async fn fetch(&mut self, wanted: Wanted) {
        let (world, program) = (self.world.id, &self.world.program);
        let read = async |id: usize| match program.nodes[id].kind {
            Kind::Async => asynchronous(world, id).await,
            _ => task(world, program, id).get_async().await,
        };
        let value = match wanted {
            Wanted::Value(id) => Some(read(id).await),
            Wanted::Part(id) => Some(asynchronous::part(world, id, &(), |value, ()| part_of(*value)).await),
            Wanted::Attempt(id) => match self.world.runtime.try_run_async(read(id)).await {
                Ok(value) => Some(value),
                Err(error) => {
                    self.cancelled |= matches!(error, TaskError::Cancelled);
                    None
                }
            },
        };
        self.known.insert(wanted, value);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let (reads, mut emitted) = (std::mem::take(&mut self.reads), std::mem::take(&mut self.emitted));
        emitted.append(&mut self.collected);
        self.world.ledger().end(Key::Node(self.id), reads, self.value, emitted, false);
    }
}

/// One evaluation of a body's expression.
struct Replay<'a> {
    body: &'a mut Body,
    wanted: Option<Wanted>,
    emitted: Vec<i64>,
}

impl Replay<'_> {
    fn known(&mut self, wanted: Wanted) -> Option<Option<i64>> {
        let known = self.body.known.get(&wanted).copied();
        if known.is_none() {
            self.wanted.get_or_insert(wanted);
        }
        known
    }

    fn awaited(&mut self, wanted: Wanted) -> Result<i64, Failure> {
        match self.known(wanted) {
            Some(value) => Ok(value.expect("a failure unwinds")),
            None => Err(Failure::Found),
        }
    }
}

impl Reader for Replay<'_> {
    fn file(&mut self, number: usize) -> Result<i64, Failure> {
        self.body.reads.push(self.body.world.file_read(number));
        Ok(self.body.world.read_file(number))
    }
    fn input(&mut self, number: usize) -> Result<i64, Failure> {
        self.body.reads.push(Read::Input(number));
        Ok(self.body.world.input(number))
    }
    fn outside(&mut self, _: u16) -> i64 {
        unreachable!("async nodes are not volatile")
    }
    fn read(&mut self, how: How, id: usize) -> Result<i64, Failure> {
        let (world, world_id) = (self.body.world.clone(), self.body.world.id);
        if how == How::Through {
            self.body.reads.push(Read::Value(Key::Through(id)));
            return Ok(through(world_id, id, &task(world_id, &world.program, id)));
        }
        if how == How::Part {
            self.body.reads.push(Read::Value(Key::Part(id)));
            return match world.program.nodes[id].kind {
                Kind::Async => self.awaited(Wanted::Part(id)),
                _ => Ok(part(world_id, &world.program, id)),
            };
        }
        self.body.reads.push(Read::Value(Key::Node(id)));
        if how == How::Call && world.program.nodes[id].kind != Kind::Async {
            return Ok(call(world_id, &world.program, id));
        }
        self.awaited(Wanted::Value(id))
    }
    fn read_all(&mut self, ids: &[usize]) -> Result<i64, Failure> {
        self.body.reads.extend(ids.iter().map(|id| Read::Value(Key::Node(*id))));
        Ok(sum_at_once(&self.body.world, ids))
    }
    fn attempt(&mut self, id: usize) -> Result<Option<i64>, Failure> {
        self.body.reads.push(Read::Value(Key::Node(id)));
        if !self.body.world.program.has_handles(id) {
            let value = self.body.world.attempt(id);
            self.body.cancelled |= matches!(value, Err(TaskError::Cancelled));
            return Ok(value.ok());
        }
        self.known(Wanted::Attempt(id)).ok_or(Failure::Found)
    }
    fn emit(&mut self, value: i64) {
        self.emitted.push(value);
    }
    fn collect(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        self.collected(id, Collect::PassesOn)
    }
    fn take(&mut self, id: usize) -> Result<Vec<i64>, Failure> {
        self.collected(id, Collect::Takes)
    }
}

impl Replay<'_> {
    fn collected(&mut self, id: usize, how: Collect) -> Result<Vec<i64>, Failure> {
        let key = Key::Node(id);
        self.body.reads.push(Read::Value(key));
        let collected = collect(self.body.world.id, &self.body.world.program, id, how);
        let reached = self.body.world.ledger().reached_from(key);
        self.body.reads.push(Read::Effects(reached));
        self.body.collected.push(how.note(id));
        Ok(collected)
    }
}
