//! The measured work: each variant is one kind, spelled once, that every contestant performs alike.
//!
//! Keys are `u32`, outputs `u64`, bodies trivial ([`body`]) unless a variant says otherwise. "In turn" means
//! `0, 1, .., keys - 1, 0, ..`. A write always stores a value that no one has stored there before, unless equal
//! is the point.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One kind of work. The doc of each variant states its unit: a sample is nanoseconds per that unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Repeated hits over `keys` keys in turn, everything already computed. Unit: one hit.
    Hit {
        /// How many distinct keys are hit.
        keys: u32,
    },
    /// These hits with a borrowed 40-byte `&str` as the key. Unit: one hit.
    HitStr {
        /// How many distinct strings are hit.
        keys: u32,
    },
    /// Repeated hits of one task whose argument is a list of `inputs` inputs. Unit: one hit.
    HitList {
        /// How many inputs the list has.
        inputs: u32,
        /// How the list is passed.
        how: List,
    },
    /// The hits of [`Work::Hit`] from `threads` threads at once. Unit: one hit of the whole crowd (wall time / all hits).
    HitThreads {
        /// How many distinct keys are hit.
        keys: u32,
        /// How many threads hit them.
        threads: u32,
    },
    /// One hit in the given shape, over 100 keys in turn. Unit: one hit.
    HitShape(Shape),
    /// `keys` first calls with a fresh store, whose creation and drop are not timed. Unit: one call.
    Miss {
        /// How many keys are missed.
        keys: u32,
    },
    /// Live bytes after `keys` first calls, the map included. Unit: one entry; the sample is bytes.
    Footprint {
        /// How many entries are made.
        keys: u32,
    },
    /// Live bytes of recorded reads: 1,000 readers of `reads` entries each, less what the same readers and entries
    /// cost without reading. Unit: one edge; the sample is bytes.
    EdgeFootprint {
        /// How many entries each reader reads.
        reads: u32,
    },
    /// Live bytes after a first build of a grid of `side` times `side` tasks, each of which reads two others. Unit: one
    /// task with its two edges; the sample is bytes.
    GridFootprint {
        /// How long a side is.
        side: u32,
    },
    /// After an unrelated write over a fresh graph (a root over groups of 1,000 leaves, which all read one input that
    /// stays as it is), a hit of the root. Unit: the write and the hit.
    UnrelatedWrite {
        /// How many leaves the graph has.
        leaves: u32,
    },
    /// A root over `leaves` leaves, each reading its own input and returning it without its low [`COARSE`] bits; one
    /// input changes in those bits only, so its leaf runs and stays equal. Unit: the write and the root.
    EditEqual {
        /// How many leaves, and inputs, there are.
        leaves: u32,
    },
    /// This graph; one input changes above those bits, so that its leaf and the root run. Unit: the write and the root.
    EditLeaf {
        /// How many leaves, and inputs, there are.
        leaves: u32,
    },
    /// A file of `functions` functions, a check for each, and their sum; one edit. Unit: the write and the root. The value that is
    /// written is made untimed.
    Identity {
        /// How many functions the file has.
        functions: u32,
        /// The edit.
        edit: FileEdit,
    },
    /// An input that is a map of `keys` entries, a reader for each, and their sum; the value of one entry changes. Unit: the write and
    /// the root. The value that is written is made untimed.
    Keyed {
        /// How many entries the map has.
        keys: u32,
    },
    /// A root that reads `inputs` inputs itself; one changes. Unit: the write and the root.
    EditWide {
        /// How many inputs the root reads.
        inputs: u32,
    },
    /// A chain of `links` tasks over one input; the input changes, every link runs. Unit: the write and the top.
    Chain {
        /// How many tasks the chain has.
        links: u32,
    },
    /// This chain behind a task whose value stays equal when the input changes. Unit: the write and the top.
    ChainCutoff {
        /// How many tasks the chain has, without the one in front.
        links: u32,
    },
    /// A fold over `leaves` leaves, each of which reads its own input; one input changes. Unit: the write and the fold.
    FoldEdit {
        /// How many leaves, and inputs, there are.
        leaves: u32,
        /// How they are folded.
        how: Fold,
    },
    /// Live bytes after a first build of that fold, less inputs and keys. Unit: one leaf; the sample is bytes.
    FoldFootprint {
        /// How many leaves there are.
        leaves: u32,
        /// How they are folded.
        how: Fold,
    },
    /// A count of `rows` rows by group, each group of about [`GROUP`]; one row goes to another group. Unit: the write, and the counts of both groups.
    GroupBy {
        /// How many rows there are.
        rows: u32,
    },
    /// First build, asked from the top, of nested tasks with a fresh store. Unit: one task.
    Build(Nest),
    /// 10,000 items of about 60 ns fanned out on two threads. Unit: one item; the sample is process CPU time less
    /// the CPU time of the same items in a plain loop.
    Scope,
    /// A scope with no items. Unit: one scope.
    ScopeEmpty,
    /// 64 bodies of 1 ms on the given number of threads. Unit: one body (wall time / bodies).
    ScopeMillis {
        /// How many threads run them.
        threads: u32,
    },
    /// A warm hit in a store of 100k records of about 150 bytes, in a scattered order, decoded. Unit: one hit.
    Probe,
}

/// The rows of a group, at first.
pub const GROUP: u32 = 100;

/// The shapes that a hit comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A sync function with arguments by value.
    Sync,
    /// An `async fn`, awaited inside an async task.
    Async,
    /// A borrowed `&str` argument.
    Borrowed,
    /// A repeated read of a handle.
    Handle,
    /// A method called through `dyn Trait`.
    DynTrait,
}

/// The ways to pass a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// A borrowed slice.
    Slice,
    /// An input that holds the list.
    Held,
}

/// The ways to fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// One body that reads all leaves.
    Flat,
    /// The collection's own fold.
    Tree,
}

/// The nests of a first build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nest {
    /// Task `n` calls task `n - 1`.
    Chain(u32),
    /// Task `(x, y)` calls `(x - 1, y)` and `(x, y - 1)`; a square of this side.
    Grid(u32),
    /// A binary tree of this many tasks: task `n` calls `2n + 1` and `2n + 2`.
    Tree(u32),
}

impl Nest {
    /// The number of tasks in it.
    pub fn tasks(self) -> u32 {
        match self {
            Nest::Chain(links) => links,
            Nest::Grid(side) => side * side,
            Nest::Tree(tasks) => tasks,
        }
    }
}

/// How many low bits of an input a coarse leaf ignores. Enough that no race of equal edits ever carries over.
pub const COARSE: u32 = 20;

/// The trivial body: not free for the optimizer, and about a nanosecond.
#[inline]
pub fn body(key: u32) -> u64 {
    u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The trivial body for a string.
#[inline]
pub fn body_str(key: &str) -> u64 {
    key.len() as u64
}

/// The records where a store is measured: about 150 bytes encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    name: String,
    counts: Vec<u32>,
    parent: Option<String>,
}

/// The record of a number.
pub fn record(number: u32) -> Record {
    Record {
        name: format!("crates/larder/src/engine/module_{number:05}.rs"),
        counts: (0..20).map(|count| number.wrapping_mul(2_654_435_761).rotate_left(count)).collect(),
        parent: Some(format!("parent {}", number / 10)),
    }
}

/// How many hits in a store one sample takes.
pub const STORED_HITS: u32 = 10_000;

/// How many records a store is probed among.
pub const STORED: u32 = 100_000;

/// The numbers of a sample of hits in a store, scattered over all; another part of them each time.
pub fn scattered(sample: u32) -> impl Iterator<Item = u32> {
    let start = u64::from(sample) * u64::from(STORED_HITS);
    (start..start + u64::from(STORED_HITS)).map(|place| (place * 61_637 % u64::from(STORED)) as u32)
}

/// The 40-byte strings that `HitStr` hits: paths that share a long prefix, as real ones do.
pub fn strings(keys: u32) -> Vec<String> {
    (0..keys).map(|key| format!("crates/larder/src/engine/module_{key:05}.rs")).collect()
}

/// How many hits one sample takes: a few hundred microseconds, so that most samples are not descheduled.
pub const HITS: u32 = 20_000;

/// How many hits each thread of a crowd takes in one sample: about a millisecond of the fastest, so that what a thread's
/// first hits cost (its caches are cold) is not taken for what threads cost each other.
pub const CROWD_HITS: u32 = 300_000;

/// The key after `key`, in turn.
#[inline(always)]
pub fn next(key: u32, keys: u32) -> u32 {
    let next = key + 1;
    if next == keys { 0 } else { next }
}

/// A text of two hundred bytes.
#[must_use]
pub fn text_of(key: u64) -> String {
    format!("{key:0>200}")
}

/// Nanoseconds of CPU that the whole process has used.
#[must_use]
pub fn cpu_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// A million questions for 100,000 keys, by Zipf's law with exponent 0.9, and after each 50,000 a scan of 10,000 keys that are asked for once.
#[must_use]
pub fn trace() -> Vec<u64> {
    const KEYS: u64 = 100_000;
    let mut sum = 0.0;
    let reach: Vec<f64> = (1..=KEYS)
        .map(|rank| {
            sum += (rank as f64).powf(-0.9);
            sum
        })
        .collect();
    let mut random = 88_172_645_463_325_252_u64;
    let mut trace = Vec::new();
    let mut scanned = KEYS;
    for question in 0..1_000_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let at = (random >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        let rank = reach.partition_point(|reach| *reach < at) as u64;
        // Neighbours in rank are no neighbours by key.
        trace.push(rank * 7919 % KEYS);
        if question % 50_000 == 49_999 {
            trace.extend(scanned..scanned + 10_000);
            scanned += 10_000;
        }
    }
    trace
}

/// An edit of the file of [`Work::Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileEdit {
    /// All functions move.
    Shift,
    /// The body of one changes.
    Body,
    /// One is put in above the others.
    Insert,
}

/// A function in the file of [`Work::Identity`].
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands.
    pub span: (u32, u32),
    /// Its text.
    pub body: Arc<str>,
}

impl Item {
    /// The functions of a new file.
    pub fn file(functions: u32) -> Vec<Item> {
        let item = |i: u32| Item {
            name: format!("function_{i}").into(),
            span: (i * 100, i * 100 + 80),
            body: format!("{{ let x = {i}; call(x, {}) }}", i * 7).into(),
        };
        (0..functions).map(item).collect()
    }

    /// Checks a text.
    pub fn check(body: &str) -> u64 {
        body.bytes().fold(7, |hash: u64, byte| hash.rotate_left(5) ^ u64::from(byte))
    }
}

impl FileEdit {
    /// Makes edit number `round`. Those with even numbers count.
    pub fn apply(self, file: &mut Vec<Item>, round: u32) {
        match self {
            FileEdit::Shift => file.iter_mut().for_each(|item| item.span.0 += 1),
            FileEdit::Body => {
                let middle = file.len() / 2;
                file[middle].body = format!("changed {round}").into();
            }
            FileEdit::Insert => {
                // Every second edit takes it out again, so that the file stays as long as it is.
                if round.is_multiple_of(2) {
                    let body = format!("new {round}").into();
                    file.insert(0, Item { name: "new".into(), span: (0, 1), body });
                } else if &*file[0].name == "new" {
                    file.remove(0);
                }
            }
        }
    }
}
