//! `larder graph`.

use std::collections::{BTreeMap, VecDeque};

use larder_storage::inspect::StoreReader;
use larder_storage::{Digest, TaskKey, Visit};
use serde_json::{Value, json};

use crate::args::{GraphArgs, GraphFormat};
use crate::error::{CliError, Outcome};
use crate::names::{self, Functions, leaf_json, leaf_line};
use crate::out::Out;

/// A part of the graph of reads, in the order in which it was found.
#[derive(Default)]
struct Graph {
    nodes: Vec<Digest>,
    places: BTreeMap<Digest, usize>,
    /// Reader and what it has read, by place.
    edges: Vec<(usize, usize)>,
    is_cut: bool,
}

impl Graph {
    /// Returns the place of a node, and whether it is new; none if there are too many.
    fn place(&mut self, key: Digest, most: usize) -> Option<(usize, bool)> {
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
}

pub(crate) fn run(reader: &StoreReader, args: &GraphArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let mut graph = Graph::default();
    let roots = roots(reader, &functions, args)?;
    let mut queue = VecDeque::new();
    for root in roots {
        if let Some((place, true)) = graph.place(root, args.most) {
            queue.push_back((place, 0));
        }
    }
    while let Some((place, depth)) = queue.pop_front() {
        if depth == args.depth {
            continue;
        }
        for next in neighbours(reader, graph.nodes[place], args)? {
            let Some((at, is_new)) = graph.place(next, args.most) else { continue };
            graph.edges.push(if follows_dependents(args) { (at, place) } else { (place, at) });
            if is_new {
                queue.push_back((at, depth + 1));
            }
        }
    }
    if out.is_json() || args.format == GraphFormat::Json {
        print_json(reader, &functions, &graph, out)?;
    } else {
        print_dot(reader, &functions, &graph, out)?;
    }
    Ok(Outcome::Fine)
}

/// Returns the nodes to begin with.
fn roots(reader: &StoreReader, functions: &Functions, args: &GraphArgs) -> Result<Vec<Digest>, CliError> {
    if let Some(name) = &args.task {
        return Ok(vec![names::task(reader, functions, name, args.text.as_deref())?.0]);
    }
    if let Some(name) = &args.path {
        return Ok(names::leaves(reader, name)?.into_iter().map(|leaf| leaf.key).collect());
    }
    let wanted = args.function.as_deref().map(|name| functions.find(name)).transpose()?;
    let mut roots = Vec::new();
    reader.tasks(None, |key, record| {
        if wanted.as_ref().is_none_or(|wanted| record.function().is_some_and(|id| wanted.contains(&id))) {
            roots.push(key.0);
        }
        // One more than is printed, so that it is known that some were left out.
        if roots.len() > args.most { Visit::Stop } else { Visit::Continue }
    })?;
    Ok(roots)
}

/// Whether the walk goes from what was read to readers. A leaf has read nothing.
fn follows_dependents(args: &GraphArgs) -> bool {
    args.dependents || args.path.is_some() && args.task.is_none()
}

/// Returns the nodes one step on.
fn neighbours(reader: &StoreReader, key: Digest, args: &GraphArgs) -> Result<Vec<Digest>, CliError> {
    if follows_dependents(args) {
        return Ok(reader.dependents(key)?.tasks.into_iter().map(|task| task.0).collect());
    }
    let mut reads = Vec::new();
    if let Some(task) = reader.task(TaskKey(key))? {
        reader.reads(task.key(), &task.record().current, |read| reads.push(read.key))?;
    }
    Ok(reads)
}

fn print_dot(
    reader: &StoreReader,
    functions: &Functions,
    graph: &Graph,
    out: &mut Out,
) -> Result<(), CliError> {
    out.raw("digraph larder {")?;
    out.raw("  rankdir=LR; node [shape=box, fontname=\"monospace\"];")?;
    for (place, key) in graph.nodes.iter().enumerate() {
        let (label, style) = match (reader.task(TaskKey(*key))?, reader.leaf(*key)?) {
            (Some(task), _) => {
                let record = task.record();
                (functions.call(&record), if record.stale { ", style=dashed" } else { "" })
            }
            (None, Some(leaf)) => (leaf_line(&leaf), ", shape=ellipse"),
            (None, None) => (format!("{key} (not stored)"), ", style=dotted"),
        };
        let label = label.replace('\\', "\\\\").replace('"', "\\\"");
        out.raw(&format!("  n{place} [label=\"{label}\"{style}];"))?;
    }
    for (reader, read) in &graph.edges {
        out.raw(&format!("  n{reader} -> n{read};"))?;
    }
    if graph.is_cut {
        out.raw("  // There is more: --most, --depth.")?;
    }
    out.raw("}")?;
    Ok(())
}

fn print_json(
    reader: &StoreReader,
    functions: &Functions,
    graph: &Graph,
    out: &mut Out,
) -> Result<(), CliError> {
    let mut nodes = Vec::new();
    for key in &graph.nodes {
        nodes.push(match reader.leaf(*key)? {
            Some(leaf) => json!({ "leaf": leaf_json(&leaf) }),
            None => json!({ "task": functions.json(reader, TaskKey(*key))? }),
        });
    }
    let edges: Vec<Value> = graph.edges.iter().map(|(reader, read)| json!([reader, read])).collect();
    let snapshot = reader.is_snapshot();
    out.json(&json!({ "snapshot": snapshot, "nodes": nodes, "edges": edges, "cut": graph.is_cut }))?;
    Ok(())
}
