//! The graph in memory around a task: all that it has read and that has read it, with what was told of each.

use larder::Runtime;
use larder::around::{Around, AroundTask, Direction, Neighbours, ReadsKnown};
use larder::events::TaskId;
use larder::explain::State;
use serde_json::{Value, json};

use super::recorder::Recorder;
use crate::stored::LookError;

/// Returns what was told of a task, with a page of its reads and one of its readers.
pub(super) fn task(
    (runtime, recorder): (&Runtime, &Recorder),
    id: &str,
    from: usize,
    limit: usize,
) -> Result<Value, LookError> {
    let name = recorder.name(id)?;
    let mut answer = recorder.row(&name);
    let pages = [Direction::Reads, Direction::Readers]
        .map(|direction| runtime.neighbours(&name, direction, from, limit));
    answer["in_memory"] = pages[0].is_some().into();
    for (page, field) in pages.into_iter().zip(["reads", "dependents"]) {
        let Some(Neighbours { task, page, next, .. }) = page else { continue };
        let all = if field == "reads" { task.reads } else { task.readers };
        answer[field] = page.iter().map(|of| row(recorder, of)).collect();
        answer[format!("{field}_in_all")] = all.into();
        answer[format!("{field}_next")] = json!(next);
        answer["reads_known"] = known(task.known).into();
        answer["value"] = value(task.state).into();
    }
    Ok(answer)
}

/// Returns the graph around a task: in memory, or else along the reasons that were told.
pub(super) fn graph(
    (runtime, recorder): (&Runtime, &Recorder),
    id: &str,
    depth: usize,
    most: usize,
) -> Result<Value, LookError> {
    let name = recorder.name(id)?;
    match runtime.around(&name, depth, most) {
        Some(around) => Ok(in_memory(recorder, id, &around)),
        None => recorder.graph(id, depth, most),
    }
}

fn in_memory(recorder: &Recorder, root: &str, around: &Around) -> Value {
    let mut nodes: Vec<Value> = around.tasks.iter().map(|of| row(recorder, of)).collect();
    let mut edges = around.edges.clone();
    let names: Vec<&TaskId> = around.tasks.iter().map(|of| &of.task).collect();
    // Which of the edges have made their reader run.
    let reasons: Vec<usize> =
        (0..edges.len()).filter(|at| recorder.is_reason(names[edges[*at].0], names[edges[*at].1])).collect();
    for group in &around.groups {
        let is_reads = group.direction == Direction::Reads;
        let function = if group.function.is_empty() { "others" } else { group.function };
        edges.push(if is_reads { (group.of, nodes.len()) } else { (nodes.len(), group.of) });
        nodes.push(json!({
            "kind": "group", "function": function, "count": group.count, "of": nodes[group.of]["id"], "reads": is_reads,
        }));
    }
    let is_partial = around.tasks.iter().any(|of| of.known == ReadsKnown::NotNow);
    json!({
        "root": root, "nodes": nodes, "edges": edges, "reasons": reasons, "cut": around.is_cut, "partial": is_partial,
        "in_memory": true,
    })
}

fn row(recorder: &Recorder, of: &AroundTask) -> Value {
    let mut row = recorder.row(&of.task);
    row["value"] = value(of.state).into();
    row["reads_known"] = known(of.known).into();
    row["reads_in_all"] = of.reads.into();
    row["dependents_in_all"] = of.readers.into();
    row
}

fn value(state: State) -> &'static str {
    match state {
        State::Current => "current",
        State::Stale => "stale",
        State::Running => "running",
        _ => "no value",
    }
}

fn known(known: ReadsKnown) -> &'static str {
    match known {
        ReadsKnown::Yes => "yes",
        ReadsKnown::Stored => "stored",
        _ => "not now",
    }
}
