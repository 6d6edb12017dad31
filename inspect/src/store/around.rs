//! The graph around a task, small enough to be read: where a task has many neighbours, those of one function are one node.

use std::collections::{BTreeMap, HashMap, VecDeque};

use larder_storage::inspect::{StoreReader, preview};
use larder_storage::{Digest, TaskKey};
use serde_json::{Value, json};

use crate::stored::{Direction, Functions, LookError, arguments, escaped, kind, neighbours};

/// More neighbours than this, in one direction, are told by function.
const FAN: usize = 12;
/// Neighbours that are looked at to tell their functions; the others are counted.
const LOOKED_AT: usize = 1000;
/// Neighbours of each function that stand by themselves, before the rest of them is one node.
const BY_THEMSELVES: usize = 2;

struct Around<'a> {
    reader: &'a StoreReader,
    functions: &'a Functions,
    most: usize,
    nodes: Vec<Value>,
    places: HashMap<Digest, usize>,
    /// Reader and what it has read, by place.
    edges: Vec<(usize, usize)>,
    is_cut: bool,
}

/// Returns the nodes that are up to `depth` reads away from one, in both directions, `most` of them at most.
pub(super) fn graph(
    reader: &StoreReader,
    functions: &Functions,
    root: Digest,
    (depth, most): (usize, usize),
) -> Result<Value, LookError> {
    let (nodes, places, edges) = (Vec::new(), HashMap::new(), Vec::new());
    let mut around = Around { reader, functions, most, nodes, places, edges, is_cut: false };
    around.place(root)?;
    let directions = [Direction::Reads, Direction::Dependents];
    // One queue, so that what is near comes first when there is too much.
    let mut queue: VecDeque<_> = directions.map(|direction| (root, direction, 0)).into();
    while let Some((key, direction, steps)) = queue.pop_front() {
        if steps < depth {
            let next = around.step(key, direction)?;
            queue.extend(next.into_iter().map(|key| (key, direction, steps + 1)));
        }
    }
    let Around { nodes, mut edges, is_cut, .. } = around;
    edges.sort_unstable();
    edges.dedup();
    Ok(json!({ "root": root.to_string(), "nodes": nodes, "edges": edges, "cut": is_cut }))
}

impl Around<'_> {
    /// Adds the neighbours of a node, and returns those that are new and stand by themselves.
    fn step(&mut self, key: Digest, direction: Direction) -> Result<Vec<Digest>, LookError> {
        let from = self.places[&key];
        let mut found = neighbours(self.reader, key, direction)?;
        let all = found.len();
        let mut grouped: BTreeMap<String, usize> = BTreeMap::new();
        if all > FAN {
            let uncounted = all.saturating_sub(LOOKED_AT);
            found.truncate(LOOKED_AT);
            let (mut single, mut seen) = (Vec::new(), HashMap::<String, usize>::new());
            for next in found {
                let function = self.function(next)?;
                let number = seen.entry(function.clone()).or_default();
                *number += 1;
                if *number <= BY_THEMSELVES {
                    single.push(next);
                } else {
                    *grouped.entry(function).or_default() += 1;
                }
            }
            if uncounted > 0 {
                grouped.insert("others".to_owned(), uncounted);
            }
            found = single;
        }
        let mut new = Vec::new();
        for next in found {
            let is_new = !self.places.contains_key(&next);
            let Some(place) = self.place(next)? else { continue };
            self.connect(from, place, direction);
            if is_new {
                new.push(next);
            }
        }
        for (function, count) in grouped {
            if self.nodes.len() >= self.most {
                self.is_cut = true;
                break;
            }
            self.nodes.push(json!({
                "kind": "group", "function": function, "count": count, "of": key.to_string(),
                "reads": direction == Direction::Reads,
            }));
            self.connect(from, self.nodes.len() - 1, direction);
        }
        Ok(new)
    }

    fn connect(&mut self, from: usize, to: usize, direction: Direction) {
        self.edges.push(match direction {
            Direction::Reads => (from, to),
            Direction::Dependents => (to, from),
        });
    }

    fn place(&mut self, key: Digest) -> Result<Option<usize>, LookError> {
        if let Some(place) = self.places.get(&key) {
            return Ok(Some(*place));
        }
        if self.nodes.len() >= self.most {
            self.is_cut = true;
            return Ok(None);
        }
        let node = self.node(key)?;
        self.places.insert(key, self.nodes.len());
        self.nodes.push(node);
        Ok(Some(self.nodes.len() - 1))
    }

    fn function(&self, key: Digest) -> Result<String, LookError> {
        if let Some(task) = self.reader.task(TaskKey(key))? {
            return Ok(self.functions.path(&task.record()));
        }
        let leaf = self.reader.leaf(key)?;
        Ok(leaf.map_or("not stored", |leaf| kind(leaf.kind)).to_owned())
    }

    fn node(&self, key: Digest) -> Result<Value, LookError> {
        let id = key.to_string();
        if let Some(task) = self.reader.task(TaskKey(key))? {
            let record = task.record();
            return Ok(json!({
                "id": id, "kind": "task", "function": self.functions.path(&record),
                "arguments": preview(arguments(&record), 80),
                "state": if record.stale { "stale" } else { "valid" },
            }));
        }
        Ok(match self.reader.leaf(key)? {
            Some(leaf) => json!({
                "id": id, "kind": "leaf", "function": kind(leaf.kind), "arguments": escaped(&leaf.name), "state": "leaf",
            }),
            None => {
                json!({ "id": id, "kind": "task", "function": "not stored", "arguments": "", "state": "missing" })
            }
        })
    }
}
