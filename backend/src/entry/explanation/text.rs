//! Explanations for a terminal.

use std::fmt;
use std::time::SystemTime;

use super::{EarlierRun, Explanation, Happening, State, Step, Storing};
use crate::graph::cause::{Cause, Outcome};
use crate::graph::task_name::{Fingerprint, TaskId};

/// For people: a line for the task, and one for each step, indented.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.steps.first() {
            None if !self.records_causes => {
                write!(f, "`{}`: this runtime does not record causes (`Builder::record_causes`)", self.task)?;
            }
            None if self.earlier.is_some() => write!(f, "`{}` has not run in this process", self.task)?,
            None => write!(f, "`{}` has not run", self.task)?,
            Some(_) => self.chain(f)?,
        }
        if let Some(verified) = &self.verified {
            write!(f, "\nit turned out to be current after update {}", verified.update)?;
            list(f, &verified.cut_off, ": equal came out of ")?;
        }
        match self.state {
            State::Stale => write!(f, "\nit is stale: when it is asked for, it is verified first")?,
            State::Running => write!(f, "\nit is being computed")?,
            State::NoValue if !self.steps.is_empty() => write!(f, "\nit has no value now")?,
            State::NoValue | State::Current => {}
        }
        if let Some(earlier) = &self.earlier {
            earlier.lines(f)?;
        }
        self.storing(f)?;
        if let Some(shared) = &self.shared {
            write!(
                f,
                "\nits value came from the shared cache, written by {} at {}",
                shared.by,
                Utc(shared.at)
            )?;
        }
        for code in &self.other_code {
            write!(f, "\nthe store has a result of this call by other code of the function ({code:.8})")?;
        }
        Ok(())
    }
}

/// A moment as `2026-11-27 18:30:00 UTC`.
pub struct Utc(pub SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        // Years begin with March, so that a leap day is the last one; 400 of them have 146,097 days, and 0000-03-01 is 719,468 before 1970.
        let (era, of_era) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let (day, month) =
            (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        let year = era * 400 + year + u64::from(month <= 2);
        let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02} UTC")
    }
}

impl Explanation {
    fn chain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many steps are printed from each end of a long chain.
        const SHOWN: usize = 20;
        let hidden = self.steps.len().saturating_sub(2 * SHOWN);
        for (depth, step) in self.steps.iter().enumerate() {
            if hidden > 0 && (SHOWN..SHOWN + hidden).contains(&depth) {
                if depth == SHOWN {
                    write!(f, "\n{:1$}.. {2} more ..", "", 2 * depth, hidden + self.omitted)?;
                }
                continue;
            }
            let shown = if depth < SHOWN { depth } else { depth - hidden };
            if depth > 0 {
                write!(f, "\n{:1$}", "", 2 * shown)?;
            }
            step.line(f, self.steps.len() > depth + 1)?;
        }
        Ok(())
    }

    fn storing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Storing::NotStored { reason, through } = &self.stored else { return Ok(()) };
        write!(f, "\nit is not stored")?;
        let mut subject = "it";
        for read in through {
            write!(f, "{} it reads `{read}`, which is not stored", if subject == "it" { ":" } else { ";" })?;
            subject = "that";
        }
        match reason {
            Some(reason) => write!(f, ": {}", reason.describe()),
            None => write!(f, ": {subject} is transient"),
        }
    }
}

impl EarlierRun {
    fn lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many steps are printed.
        const SHOWN: usize = 20;
        write!(f, "\nwhy it ran last, as the store tells:")?;
        for (depth, (step, name)) in self.run.steps.iter().zip(&self.names).take(SHOWN).enumerate() {
            write!(f, "\n{:1$}`{name}`", "", 2 * (depth + 1))?;
            if let Some(at) = step.cause.and_then(|cause| cause.time()) {
                write!(f, " ran at {}", Utc(at))?;
            }
            f.write_str(&step.describe())?;
        }
        match self.run.steps.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  .. {more} more .."),
        }
    }
}

impl Step {
    fn line(&self, f: &mut fmt::Formatter<'_>, is_followed: bool) -> fmt::Result {
        write!(f, "`{}` ", self.task)?;
        match &self.happened {
            Happening::Ran(cause) => {
                f.write_str("ran")?;
                self.update_number(f, " after")?;
                if matches!(self.outcome, Outcome::Failed | Outcome::Cancelled) {
                    write!(
                        f,
                        " and {}",
                        if self.outcome == Outcome::Failed { "failed" } else { "was cancelled" }
                    )?;
                }
                if !(*cause == Cause::First && self.outcome == Outcome::New) {
                    self.change(f)?;
                }
                because(f, cause, is_followed)?;
            }
            Happening::Settled => {
                f.write_str("was selected anew")?;
                self.update_number(f, " after")?;
                self.change(f)?;
                f.write_str(", because its source had changed")?;
            }
            Happening::Set => {
                f.write_str("was set")?;
                self.update_number(f, " by")?;
                self.change(f)?;
            }
            Happening::Removed => {
                f.write_str("was removed")?;
                self.update_number(f, " by")?;
            }
            Happening::Restored => {
                f.write_str("was restored from the store")?;
                if let Some(after) = self.after {
                    write!(f, " ({after:.8})")?;
                }
            }
            Happening::Differs => f.write_str("is not what an earlier process has read")?,
        }
        list(f, &self.cut_off, "; before that, equal came out of ")?;
        if is_followed {
            f.write_str(":")?;
        }
        Ok(())
    }

    fn update_number(&self, f: &mut fmt::Formatter<'_>, preposition: &str) -> fmt::Result {
        match self.update {
            Some(update) if update > 0 => write!(f, "{preposition} update {update}"),
            _ => Ok(()),
        }
    }

    fn change(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::CutOff => f.write_str(", to an equal value")?,
            Outcome::Held => {
                f.write_str(", to a value that is not kept: the last good one stands in its place")?
            }
            Outcome::Failed | Outcome::Cancelled | Outcome::Provisional => return Ok(()),
            Outcome::New | Outcome::Changed => {}
        }
        match (self.before, self.after) {
            (Some(before), Some(after)) if before != after => write!(f, " ({before:.8} to {after:.8})"),
            (_, Some(after)) if self.outcome == Outcome::New => write!(f, " ({after:.8})"),
            _ => Ok(()),
        }
    }
}

fn because(f: &mut fmt::Formatter<'_>, cause: &Cause<()>, is_followed: bool) -> fmt::Result {
    let anyway = |f: &mut fmt::Formatter<'_>, why| {
        let also = if is_followed { ", and one of its reads had changed as well" } else { "" };
        write!(f, ", because {why}{also}")
    };
    f.write_str(match cause {
        Cause::First => ", for the first time",
        Cause::Read { position, .. } => return write!(f, ", because its read {position} had changed"),
        Cause::StoredRead { before, after, .. } => return differs(f, *before, *after, is_followed),
        Cause::Volatile => return anyway(f, "its function is volatile"),
        Cause::Expired => return anyway(f, "its value had expired"),
        Cause::NotKept => return anyway(f, "its value was kept for its session alone (`keep_if`)"),
        Cause::Forgotten => return anyway(f, "its value was forgotten"),
        Cause::Invalidated => return anyway(f, "it was invalidated"),
        Cause::Evicted => return anyway(f, "its value was dropped to save memory"),
        Cause::Failed => return anyway(f, "the run before had failed"),
        Cause::Unfinished if is_followed => ", because a read of it or of its cycle had changed",
        Cause::Cycle if is_followed => ", on a cycle, as a read of that had changed",
        Cause::Unfinished => ", because the run before was cancelled, or its cycle has changed",
        Cause::Cycle => ", on a cycle",
        Cause::Apart => ", because waiting for another thread would not end",
        Cause::Check => ", to see whether it comes to the same",
        Cause::Lost => ", because the store has lost what it had read",
    })
}

fn differs(
    f: &mut fmt::Formatter<'_>,
    before: Fingerprint,
    after: Option<Fingerprint>,
    is_followed: bool,
) -> fmt::Result {
    f.write_str(", because something differs that an earlier process has read")?;
    if !is_followed {
        f.write_str(" and this one has not")?;
    }
    match after {
        Some(after) => write!(f, " ({before:.8} to {after:.8})"),
        None => write!(f, " ({before:.8}, and now there is none)"),
    }
}

fn list(f: &mut fmt::Formatter<'_>, tasks: &[TaskId], before: &str) -> fmt::Result {
    for (number, task) in tasks.iter().enumerate() {
        write!(f, "{}`{task}`", if number == 0 { before } else { ", " })?;
    }
    Ok(())
}
