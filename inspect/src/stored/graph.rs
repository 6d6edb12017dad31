//! Parts of the graph of reads.

use std::collections::{BTreeMap, VecDeque};

use larder_storage::inspect::StoreReader;
use larder_storage::{Digest, TaskKey};
use serde_json::{Value, json};

use super::LookError;
use super::names::{Functions, leaf_json};

/// Which way edges are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a reader to what it has read.
    Reads,
    /// From what was read to its readers.
    Dependents,
}

/// A part of the graph of reads, in the order in which it was found.
#[derive(Default)]
pub struct Graph {
    pub nodes: Vec<Digest>,
    places: BTreeMap<Digest, usize>,
    /// Reader and what it has read, by place.
    pub edges: Vec<(usize, usize)>,
    /// Whether something was left out.
    pub is_cut: bool,
}

impl Graph {
    /// Returns the place of a node, and whether it is new; none if there are too many.
    pub fn place(&mut self, key: Digest, most: usize) -> Option<(usize, bool)> {
        if let Some(place) = self.places.get(&key) {
            return Some((*place, false));
        }
        if self.nodes.len() >= most {
            self.is_cut = true;
            return None;
        }
        self.places.insert(key, self.nodes.len());
        self.nodes.push(key);
        Some((self.nodes.len() - 1, true))
    }

    /// Follows edges from the roots on, for `depth` steps, until there are `most` nodes.
    ///
    /// # Errors
    /// If the store fails.
    pub fn walk(
        reader: &StoreReader,
        roots: Vec<Digest>,
        direction: Direction,
        (depth, most): (usize, usize),
    ) -> Result<Self, LookError> {
        let mut graph = Self::default();
        let mut queue = VecDeque::new();
        for root in roots {
            if let Some((place, true)) = graph.place(root, most) {
                queue.push_back((place, 0));
            }
        }
        while let Some((place, steps)) = queue.pop_front() {
            if steps == depth {
                continue;
            }
            for next in neighbours(reader, graph.nodes[place], direction)? {
                let Some((at, is_new)) = graph.place(next, most) else { continue };
                graph.edges.push(match direction {
                    Direction::Dependents => (at, place),
                    Direction::Reads => (place, at),
                });
                if is_new {
                    queue.push_back((at, steps + 1));
                }
            }
        }
        Ok(graph)
    }

    /// Returns the graph for JSON.
    ///
    /// # Errors
    /// If the store fails.
    pub fn json(&self, reader: &StoreReader, functions: &Functions) -> Result<Value, LookError> {
        let nodes: Result<Vec<Value>, LookError> =
            self.nodes.iter().map(|key| node_json(reader, functions, *key)).collect();
        let edges: Vec<Value> = self.edges.iter().map(|(reader, read)| json!([reader, read])).collect();
        Ok(json!({ "snapshot": reader.is_snapshot(), "nodes": nodes?, "edges": edges, "cut": self.is_cut }))
    }
}

/// Returns a node for JSON: a leaf or a task.
///
/// # Errors
/// If the store fails.
pub fn node_json(reader: &StoreReader, functions: &Functions, key: Digest) -> Result<Value, LookError> {
    Ok(match reader.leaf(key)? {
        Some(leaf) => json!({ "leaf": leaf_json(&leaf) }),
        None => json!({ "task": functions.json(reader, TaskKey(key))? }),
    })
}

/// Returns the nodes one step on. Memory: 16 bytes for each.
///
/// # Errors
/// If the store fails.
pub fn neighbours(reader: &StoreReader, key: Digest, direction: Direction) -> Result<Vec<Digest>, LookError> {
    if direction == Direction::Dependents {
        return Ok(reader.dependents(key)?.tasks.into_iter().map(|task| task.0).collect());
    }
    let mut reads = Vec::new();
    if let Some(task) = reader.task(TaskKey(key))? {
        reader.reads(task.key(), &task.record().current, |read| reads.push(read.key))?;
    }
    Ok(reads)
}
