//! Why a stored task would run now: which leaves below it differ from what it has recorded, and through which chain.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use super::{InspectError, StoreReader, StoredLeaf};
use crate::{Digest, TaskKey};

/// The tasks from the explained one down to the reader of something.
pub type Chain = Vec<TaskKey>;

/// Something that a task has read and that is not any more as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A source or input has another content.
    Leaf {
        /// The leaf, as it was last seen.
        leaf: StoredLeaf,
        /// The fingerprint that the last task of the chain has recorded.
        recorded: Digest,
        /// Its fingerprint now.
        now: Digest,
        /// From the explained task to the reader.
        chain: Chain,
    },
    /// A task that was read has returned another value since.
    Output {
        /// The task.
        task: TaskKey,
        /// The fingerprint that the last task of the chain has recorded.
        recorded: Digest,
        /// The fingerprint of its stored output.
        now: Digest,
        /// From the explained task to the reader.
        chain: Chain,
    },
    /// The store holds no record of what was read: it was evicted, forgotten or removed.
    Missing {
        /// Its key.
        key: Digest,
        /// From the explained task to the reader.
        chain: Chain,
    },
}

impl Difference {
    /// Returns the tasks from the explained one down to the reader.
    pub fn chain(&self) -> &Chain {
        let (Self::Leaf { chain, .. } | Self::Output { chain, .. } | Self::Missing { chain, .. }) = self;
        chain
    }
}

/// The explanation of a stored task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Everything that differs, nearest first.
    pub differences: Vec<Difference>,
    /// Tasks whose bodies run for certain if they are reached and no older trace of theirs is current again: they have read what differs.
    pub would_run: Vec<TaskKey>,
    /// Tasks that read these, directly or not: their bodies run if what they read returns another value.
    pub may_run: Vec<TaskKey>,
    /// Leaves below the task that were looked at.
    pub leaves: u64,
    /// Leaves among them that this program cannot look at: inputs, and sources of kinds that it does not know.
    pub unseen: u64,
    /// Tasks below it, itself included, that were visited.
    pub visited: u64,
    /// Whether all below it was visited.
    pub is_complete: bool,
}

/// A breadth-first walk over reads: chains are as short as they can be.
struct Walk {
    /// Each visited task, with the place of the one that led to it.
    tasks: Vec<(TaskKey, usize)>,
    places: FxHashMap<TaskKey, usize>,
    /// Reader and task that was read, by place.
    edges: Vec<(u32, u32)>,
    /// Leaves that were looked at: none if it is no leaf or cannot be.
    leaves: FxHashMap<Digest, Option<(StoredLeaf, Option<Digest>)>>,
    queue: VecDeque<usize>,
}

impl Walk {
    fn chain(&self, mut at: usize) -> Chain {
        let mut chain = vec![self.tasks[at].0];
        while at != 0 {
            at = self.tasks[at].1;
            chain.push(self.tasks[at].0);
        }
        chain.reverse();
        chain
    }
}

impl StoreReader {
    /// Explains a stored task from what the store knows and from how leaves are now, by `look`: it returns the fingerprint that a leaf has
    /// now, or none if that cannot be told. At most `most` tasks below it are visited. None if the task is not stored.
    ///
    /// Memory: about 200 bytes for each task and leaf that is visited.
    ///
    /// # Errors
    /// If the store fails.
    pub fn explain(
        &self,
        task: TaskKey,
        most: usize,
        mut look: impl FnMut(&StoredLeaf) -> Option<Digest>,
    ) -> Result<Option<Explanation>, InspectError> {
        if self.task(task)?.is_none() {
            return Ok(None);
        }
        let mut found = Explanation { is_complete: true, ..Explanation::default() };
        let mut walk = Walk {
            tasks: vec![(task, 0)],
            places: FxHashMap::from_iter([(task, 0)]),
            edges: Vec::new(),
            leaves: FxHashMap::default(),
            queue: VecDeque::from([0]),
        };
        let mut origins = Vec::new();
        while let Some(at) = walk.queue.pop_front() {
            let before = found.differences.len();
            self.visit_reads(at, most, &mut walk, &mut found, &mut look)?;
            if found.differences.len() > before {
                origins.push(at);
            }
        }
        found.visited = walk.tasks.len() as u64;
        for (_, now) in walk.leaves.values().flatten() {
            found.leaves += 1;
            found.unseen += u64::from(now.is_none());
        }
        let above = readers_of(&origins, &walk);
        found.would_run = origins.iter().map(|at| walk.tasks[*at].0).collect();
        found.may_run = above.into_iter().map(|at| walk.tasks[at].0).collect();
        Ok(Some(found))
    }

    fn visit_reads(
        &self,
        at: usize,
        most: usize,
        walk: &mut Walk,
        found: &mut Explanation,
        look: &mut impl FnMut(&StoredLeaf) -> Option<Digest>,
    ) -> Result<(), InspectError> {
        let Some(task) = self.task(walk.tasks[at].0)? else { return Ok(()) };
        let mut reads = Vec::new();
        found.is_complete &= self.reads(task.key(), &task.record().current, |read| reads.push(read))?;
        for read in reads {
            let (key, recorded) = (read.key, read.fingerprint);
            if let Some(child) = self.task(TaskKey(key))? {
                let now = child.record().current.output.fingerprint;
                if now != recorded {
                    let chain = walk.chain(at);
                    found.differences.push(Difference::Output { task: TaskKey(key), recorded, now, chain });
                }
                let place = match walk.places.get(&TaskKey(key)) {
                    Some(place) => *place,
                    None if walk.tasks.len() >= most => {
                        found.is_complete = false;
                        continue;
                    }
                    None => {
                        let place = walk.tasks.len();
                        walk.tasks.push((TaskKey(key), at));
                        walk.places.insert(TaskKey(key), place);
                        walk.queue.push_back(place);
                        place
                    }
                };
                walk.edges.push((at as u32, place as u32));
                continue;
            }
            if let Entry::Vacant(entry) = walk.leaves.entry(key) {
                entry.insert(self.leaf(key)?.map(|leaf| {
                    let now = look(&leaf);
                    (leaf, now)
                }));
            }
            match &walk.leaves[&key] {
                None => {
                    let chain = walk.chain(at);
                    found.differences.push(Difference::Missing { key, chain });
                }
                Some((leaf, now)) => {
                    // A leaf that cannot be looked at is as the store has it.
                    let now = now.unwrap_or(leaf.fingerprint);
                    if now != recorded {
                        let (leaf, chain) = (leaf.clone(), walk.chain(at));
                        found.differences.push(Difference::Leaf { leaf, recorded, now, chain });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the visited tasks that have read `origins`, directly or not, without these.
fn readers_of(origins: &[usize], walk: &Walk) -> Vec<usize> {
    let mut readers: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (reader, read) in &walk.edges {
        readers.entry(*read).or_default().push(*reader);
    }
    let mut reached = vec![false; walk.tasks.len()];
    origins.iter().for_each(|at| reached[*at] = true);
    let (mut above, mut stack) = (Vec::new(), origins.to_vec());
    while let Some(at) = stack.pop() {
        for reader in readers.get(&(at as u32)).into_iter().flatten().map(|at| *at as usize) {
            if !std::mem::replace(&mut reached[reader], true) {
                above.push(reader);
                stack.push(reader);
            }
        }
    }
    above.sort_unstable();
    above
}
