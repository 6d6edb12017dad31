//! `larder explain`.

use larder_inspect::stored::Explained;
use larder_storage::Digest;
use larder_storage::inspect::{Difference, StoreReader};

use crate::args::ExplainArgs;
use crate::error::{CliError, Outcome};
use crate::last_run::Past;
use crate::names::{self, Functions, leaf_line};
use crate::out::{Out, count};

pub(crate) fn run(reader: &StoreReader, args: &ExplainArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let key = names::task(reader, &functions, &args.task.task, args.task.text.as_deref())?;
    let most = if args.limit == 0 { usize::MAX } else { args.limit };
    let base = args.base.as_deref();
    let Some(explained) = Explained::of(reader, &functions, key, (base, args.most.max(1), most))? else {
        return Err(CliError::Name(format!("task `{}` is damaged", key.0)));
    };
    if out.is_json() {
        out.json(&explained.json()?)?;
    } else {
        Text(explained).print(out)?;
    }
    Ok(Outcome::Fine)
}

struct Text<'a>(Explained<'a>);

impl Text<'_> {
    fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let found = &self.0.found;
        out.heading(&self.0.functions.line(self.0.reader, self.0.key)?)?;
        if let Some(task) = self.0.reader.task(self.0.key)?
            && let Some(function) = task.record().function().and_then(|id| self.0.functions.get(id))
        {
            out.line(&format!(
                "  code {}: a program with other code does not use this result",
                function.code
            ))?;
        }
        out.line(match (self.0.verdict(), self.0.is_stale()?) {
            ("valid", false) => "  Nothing below it differs: it is used as it is stored.",
            ("valid", true) => {
                "  It is marked stale, and nothing below it differs: it is verified, and no body runs."
            }
            ("runs", _) => "  Its body runs: it has read what differs now.",
            _ => "  Its body runs if a task that it has read runs and returns another value.",
        })?;
        let unseen = if found.unseen > 0 {
            format!(", {} of them taken as stored", found.unseen)
        } else {
            String::new()
        };
        let cut = if found.is_complete { "" } else { "; not all was visited (--most)" };
        let (tasks, leaves) =
            (count(found.visited, "task"), count(found.leaves, "leaf").replace("leafs", "leaves"));
        out.line(&format!("  {tasks} and {leaves} looked at{unseen}{cut}"))?;
        for difference in found.differences.iter().take(self.0.most) {
            self.print_difference(difference, out)?;
        }
        if found.differences.len() > self.0.most {
            out.line(&format!("and {} more (--limit)", found.differences.len() - self.0.most))?;
        }
        if !found.differences.is_empty() {
            let (run, may) = (found.would_run.len() as u64, found.may_run.len() as u64);
            out.line(&format!("{} would run; {} above may run", count(run, "task"), count(may, "task")))?;
        }
        let (reader, functions) = (self.0.reader, self.0.functions);
        self.0.last.as_ref().map_or(Ok(()), |run| Past { reader, functions, run }.print(out))
    }

    fn print_difference(&self, difference: &Difference, out: &mut Out) -> Result<(), CliError> {
        let short = |digest: Digest| digest.to_string()[..12].to_owned();
        match difference {
            Difference::Leaf { leaf, recorded, now, .. } => {
                out.heading(&format!(
                    "{} differs: {} was read, it is {}",
                    leaf_line(leaf),
                    short(*recorded),
                    short(*now)
                ))?;
            }
            Difference::Output { task, recorded, now, .. } => {
                let line = self.0.functions.line(self.0.reader, *task)?;
                out.heading(&format!(
                    "{line} returned another value: {} was read, it is {}",
                    short(*recorded),
                    short(*now)
                ))?;
            }
            Difference::Missing { key, .. } => {
                out.heading(&format!("{key} was read and is not stored any more"))?;
            }
            _ => {}
        }
        for (task, by) in
            difference.chain().iter().rev().zip(["read by"].into_iter().chain(std::iter::repeat("    for")))
        {
            out.line(&format!("  {by} {}", self.0.functions.line(self.0.reader, *task)?))?;
        }
        Ok(())
    }
}
