//! Why a stored task has run last, as text.

use larder_storage::inspect::{LastRun, RanBecause, RunStep, StoreReader};
use larder_storage::{Digest, TaskKey};

use crate::error::CliError;
use crate::names::{Functions, leaf_line};
use crate::out::Out;

/// Steps that are printed of a longer chain.
const SHOWN: usize = 40;

pub(crate) struct Past<'a> {
    pub(crate) reader: &'a StoreReader,
    pub(crate) functions: &'a Functions,
    pub(crate) run: &'a LastRun,
}

fn short(digest: Digest) -> String {
    digest.to_string()[..12].to_owned()
}

impl Past<'_> {
    pub(crate) fn print(&self, out: &mut Out) -> Result<(), CliError> {
        out.heading("why it ran last")?;
        let steps = &self.run.steps;
        for (depth, step) in steps.iter().take(SHOWN).enumerate() {
            out.line(&format!("{:1$}{2}", "", 2 * (depth + 1), self.step(step)?))?;
        }
        if steps.len() > SHOWN {
            out.line(&format!("  .. {} more ..", steps.len() - SHOWN))?;
        }
        if !self.run.is_complete {
            out.line("  .. and more (--most)")?;
        }
        Ok(())
    }

    fn name(&self, key: Digest) -> Result<String, CliError> {
        if self.reader.task(TaskKey(key))?.is_some() {
            return Ok(self.functions.line(self.reader, TaskKey(key))?);
        }
        Ok(match self.reader.leaf(key)? {
            Some(leaf) => leaf_line(&leaf),
            None => format!("{}  (not stored)", short(key)),
        })
    }

    fn step(&self, step: &RunStep) -> Result<String, CliError> {
        let mut line = self.name(step.key)?;
        if let Some(cause) = &step.cause {
            line += &format!(" ran in run {}", cause.generation.0);
            if let Some(at) = cause.time() {
                line += &format!(" at {}", larder::__tools::utc(at));
            }
        }
        line += &step.describe();
        if let RanBecause::Read { cut_off, .. } = &step.why {
            line += &self.cut_off(cut_off)?;
            line.push(':');
        }
        Ok(line)
    }

    fn cut_off(&self, tasks: &[TaskKey]) -> Result<String, CliError> {
        let names: Result<Vec<_>, _> = tasks.iter().map(|task| self.name(task.0)).collect();
        let names = names?;
        Ok(if names.is_empty() { String::new() } else { format!("; equal came out of {}", names.join(", ")) })
    }
}
