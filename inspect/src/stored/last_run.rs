//! Why a stored task has run last, for JSON.

use larder_storage::inspect::{LastRun, RanBecause, RunStep, StoreReader};
use larder_storage::{Digest, TaskKey};
use serde_json::{Value, json};

use super::LookError;
use super::names::{Functions, leaf_json};

pub(super) struct Past<'a> {
    pub(super) reader: &'a StoreReader,
    pub(super) functions: &'a Functions,
    pub(super) run: &'a LastRun,
}

impl Past<'_> {
    pub(super) fn json(&self) -> Result<Value, LookError> {
        let steps: Result<Vec<_>, _> = self.run.steps.iter().map(|step| self.step_json(step)).collect();
        let leaf = self.run.leaf.as_ref().map(leaf_json);
        Ok(json!({ "steps": steps?, "leaf": leaf, "complete": self.run.is_complete }))
    }

    fn step_json(&self, step: &RunStep) -> Result<Value, LookError> {
        let is_task = self.reader.task(TaskKey(step.key))?.is_some();
        let task = if is_task { self.functions.json(self.reader, TaskKey(step.key))? } else { Value::Null };
        let mut value = json!({ "key": step.key.to_string(), "task": task, "why": step.why.name() });
        if let Some(cause) = &step.cause {
            value["run"] = cause.generation.0.into();
            value["at"] = cause.at.into();
            value["cause"] = cause.because.name().into();
        }
        match &step.why {
            RanBecause::First { other_code } => {
                value["other_code"] = other_code.iter().map(Digest::to_string).collect();
            }
            RanBecause::Read { position, key, before, after, cut_off } => {
                value["position"] = (*position).into();
                value["read"] = key.to_string().into();
                value["before"] = before.to_string().into();
                value["after"] = after.to_string().into();
                value["cut_off"] = cut_off.iter().map(|task| task.0.to_string()).collect();
            }
            _ => {}
        }
        Ok(value)
    }
}
