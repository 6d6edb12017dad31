//! `larder graph`.

use larder_inspect::stored::{Direction, Graph};
use larder_storage::inspect::StoreReader;
use larder_storage::{Digest, TaskKey, Visit};

use crate::args::{GraphArgs, GraphFormat};
use crate::error::{CliError, Outcome};
use crate::names::{self, Functions, leaf_line};
use crate::out::Out;

pub(crate) fn run(reader: &StoreReader, args: &GraphArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let roots = roots(reader, &functions, args)?;
    let direction = if follows_dependents(args) { Direction::Dependents } else { Direction::Reads };
    let graph = Graph::walk(reader, roots, direction, (args.depth, args.most))?;
    if out.is_json() || args.format == GraphFormat::Json {
        out.json(&graph.json(reader, &functions)?)?;
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
