//! The texts of failed assertions.

use std::fmt::Write as _;

use super::Ran;
use crate::events::{Cause, Event, Fingerprint, Impure, Outcome, Ran as Run, TaskId};

/// How many steps of a chain of causes are printed.
const STEPS: usize = 12;

impl Ran {
    /// Runs that were not expected, with their causes, and those that were, with what happened instead.
    pub(super) fn difference(&self, unexpected: &[&TaskId], missing: &[&TaskId]) -> String {
        let mut text = String::new();
        if !unexpected.is_empty() {
            text += "these ran, and were not expected to:";
            unexpected.iter().for_each(|task| self.chain(&mut text, task));
        }
        if !missing.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text += "these did not run, and were expected to:";
            missing.iter().for_each(|task| self.instead(&mut text, task));
        }
        text
    }

    /// Tasks to which something else has happened than was expected.
    pub(super) fn expected(&self, what: &str, wrong: &[TaskId]) -> String {
        let mut text = format!("these were expected to be {what}:");
        wrong.iter().for_each(|task| self.instead(&mut text, task));
        text
    }

    fn instead(&self, text: &mut String, task: &TaskId) {
        match self.what_happened(task) {
            Some(Event::Ran(_)) => self.chain(text, task),
            Some(Event::Verified(_)) => {
                add(text, 1, &format!("`{task}` was verified: nothing that it reads had changed"))
            }
            Some(Event::Restored(_)) => add(text, 1, &format!("`{task}` was restored from the store")),
            Some(Event::Settled(_) | Event::Resolved(_)) => {
                add(text, 1, &format!("`{task}` got its value from another run"))
            }
            _ => add(text, 1, &format!("`{task}` was answered from memory, or not asked for")),
        }
    }

    /// The event that says most about a task: its last run, or else the last one of all.
    pub(super) fn what_happened(&self, task: &TaskId) -> Option<&Event<TaskId>> {
        let is_of = |event: &&Event<TaskId>| match event {
            Event::Ran(ran) => ran.task == *task,
            Event::Verified(verified) => verified.task == *task,
            Event::Restored(restored) => restored.task == *task,
            Event::Settled(settled) | Event::Resolved(settled) => settled.task == *task,
            _ => false,
        };
        let is_run = |event: &&Event<TaskId>| matches!(event, Event::Ran(_));
        self.events.iter().rev().filter(is_of).find(is_run).or_else(|| self.events.iter().rev().find(is_of))
    }

    /// Why a task has run, down to what had changed, as far as that was seen.
    fn chain(&self, text: &mut String, task: &TaskId) {
        let mut next = Some(task);
        for depth in 1..=STEPS {
            let Some(task) = next else { return };
            let Some(Event::Ran(ran)) = self.what_happened(task) else {
                return self.end_of_chain(text, depth, task);
            };
            let (line, read) = cause(ran);
            add(text, depth, &line);
            next = read;
        }
        add(text, STEPS + 1, "..");
    }

    fn end_of_chain(&self, text: &mut String, depth: usize, task: &TaskId) {
        let update = self.events.iter().rev().find_map(|event| match event {
            Event::Updated(updated) => {
                updated.changed.iter().any(|changed| changed.leaf == *task).then_some(updated.number)
            }
            _ => None,
        });
        match (update, task.is_leaf()) {
            (Some(update), _) => add(text, depth, &format!("`{task}` was changed by update {update}")),
            (None, true) => add(text, depth, &format!("`{task}` had changed before")),
            (None, false) => add(text, depth, &format!("`{task}` had come to another value before")),
        }
    }
}

/// Bodies that have come to something else when they were run once more.
pub(super) fn impure(impure: &[Impure<TaskId>]) -> String {
    let mut text = "these came to something else when they were run once more:".to_owned();
    for Impure { task, first, second, reads, reads_differ, .. } in impure {
        let shown = |fingerprint: &Option<Fingerprint>| {
            fingerprint.map_or_else(|| "?".to_owned(), |fingerprint| format!("{fingerprint:.8}"))
        };
        add(&mut text, 1, &format!("`{task}`: {} and {}", shown(first), shown(second)));
        reads.iter().for_each(|read| add(&mut text, 2, &format!("it had read `{read}`")));
        if *reads_differ {
            add(&mut text, 2, "and it read something else the second time");
        }
    }
    text
}

fn cause(ran: &Run<TaskId>) -> (String, Option<&TaskId>) {
    let task = &ran.task;
    let came_to = match ran.outcome {
        Outcome::CutOff => " and came to an equal value",
        Outcome::Held => " and came to a value that is not kept",
        Outcome::Failed => " and failed",
        Outcome::Cancelled => " and was cancelled",
        _ => "",
    };
    let (because, read) = match &ran.cause {
        Cause::First => ("for the first time".to_owned(), None),
        Cause::Read { position, read } => (format!("because its read {position} had changed:"), Some(read)),
        Cause::StoredRead { read, .. } => {
            ("because something differs that an earlier process has read:".to_owned(), read.as_ref())
        }
        Cause::Volatile => ("because its function is volatile".to_owned(), None),
        Cause::Expired => ("because its value had expired".to_owned(), None),
        Cause::NotKept => ("because its value was kept for its session alone".to_owned(), None),
        Cause::Forgotten => ("because its value was forgotten".to_owned(), None),
        Cause::Invalidated => ("because it was invalidated".to_owned(), None),
        Cause::Evicted => ("because its value was dropped to save memory".to_owned(), None),
        Cause::Failed => ("because the run before had failed".to_owned(), None),
        other => (format!("({other:?})"), None),
    };
    match (read, &ran.changed) {
        (None, Some(changed)) => {
            (format!("`{task}` ran{came_to}, {because}, and a read had changed as well:"), Some(changed))
        }
        _ => (format!("`{task}` ran{came_to}, {because}"), read),
    }
}

fn add(text: &mut String, depth: usize, line: &str) {
    // Writing to a string does not fail.
    let _ = write!(text, "\n{:1$}{line}", "", 2 * depth);
}
