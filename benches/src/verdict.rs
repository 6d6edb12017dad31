//! The verdict on a budget: its checks, its figures, one line of text and one line of JSON.

use crate::ours::LARDER;
use crate::race::Race;
use std::fmt::Write as _;

/// Which side of the limit is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The measured value may not exceed the limit.
    AtMost,
    /// The measured value may not fall below the limit.
    AtLeast,
}

/// One condition of a budget. A budget is kept if all of its checks are.
#[derive(Clone, Debug)]
pub struct Check {
    /// The comparison, for the reader: `1,000 keys against dashmap`.
    pub what: String,
    /// `None` if larder's side is not built.
    pub measured: Option<f64>,
    /// The limit, in the same unit.
    pub limit: f64,
    /// The unit of both; `x` for a ratio.
    pub unit: &'static str,
    /// Which side of it is good.
    pub bound: Bound,
}

impl Check {
    /// `measured` may be `limit` at most.
    pub fn at_most(what: impl Into<String>, measured: Option<f64>, limit: f64, unit: &'static str) -> Check {
        Check { what: what.into(), measured, limit, unit, bound: Bound::AtMost }
    }

    /// `measured` must be `limit` at least.
    pub fn at_least(what: impl Into<String>, measured: Option<f64>, limit: f64, unit: &'static str) -> Check {
        Check { what: what.into(), measured, limit, unit, bound: Bound::AtLeast }
    }

    /// Whether it is kept. A figure that is missing, or is not a number, is not kept.
    pub fn is_ok(&self) -> bool {
        match (self.measured, self.bound) {
            (None, _) => false,
            (Some(measured), Bound::AtMost) => measured <= self.limit,
            (Some(measured), Bound::AtLeast) => measured >= self.limit,
        }
    }

    /// How much of the limit is used up: above 1 is short. The check that uses most of it stands for the budget.
    fn strain(&self) -> f64 {
        let strain = match (self.measured, self.bound) {
            (None, _) => f64::INFINITY,
            (Some(measured), Bound::AtMost) if measured == self.limit => 1.0,
            (Some(measured), Bound::AtMost) => measured / self.limit,
            (Some(measured), Bound::AtLeast) => self.limit / measured,
        };
        if strain.is_nan() { f64::INFINITY } else { strain }
    }
}

/// A measured value beside the checks: larder's own absolute figures and those of the peers.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Whose it is.
    pub who: String,
    /// Under what circumstances: `1,000 keys`.
    pub when: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// A budget, measured.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The name in docs/budgets.md.
    pub name: &'static str,
    /// All conditions; never empty.
    pub checks: Vec<Check>,
    /// All figures.
    pub figures: Vec<Figure>,
}

impl Verdict {
    /// A verdict on nothing yet.
    pub fn on(name: &'static str) -> Verdict {
        Verdict { name, ..Verdict::default() }
    }

    /// Adds a condition.
    pub fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Adds a figure.
    pub fn figure(&mut self, who: &str, when: &str, value: f64, unit: &'static str) {
        self.figures.push(Figure { who: who.to_owned(), when: when.to_owned(), value, unit });
    }

    /// Adds the median and the lowest cost of all in `race`; `scale` turns its unit into `unit`.
    pub fn costs(&mut self, race: &Race, when: &str, scale: f64, unit: &'static str) {
        let join =
            |suffix: &str| if when.is_empty() { suffix.to_owned() } else { format!("{when}, {suffix}") };
        for label in race.labels() {
            let costs = [
                ("median", race.cost(label)),
                ("lowest", race.lowest(label)),
                ("median, caches cold", race.cold(label)),
            ];
            for (suffix, cost) in costs {
                if let Some(cost) = cost {
                    self.figure(label, &join(suffix), cost * scale, unit);
                }
            }
        }
    }

    /// Adds the allocations per unit of all in `race`.
    pub fn allocations(&mut self, race: &Race, when: &str) {
        for label in race.labels() {
            if let Some(allocations) = race.allocations(label) {
                self.figure(label, when, allocations, "allocations");
            }
        }
    }

    /// Whether every check is kept. A verdict without checks is not ok: nothing was shown.
    pub fn is_ok(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(Check::is_ok)
    }

    /// The check that stands for the budget: a missing one first, then the most strained.
    fn decisive(&self) -> Option<&Check> {
        self.checks
            .iter()
            .max_by(|a, b| (!a.is_ok()).cmp(&!b.is_ok()).then_with(|| a.strain().total_cmp(&b.strain())))
    }

    /// `name  measured  limit  ok|SHORT`, in columns.
    pub fn line(&self) -> String {
        let word = if self.is_ok() { "ok" } else { "SHORT" };
        match self.decisive() {
            None => format!("{:<18}{:>16}  {:>16}  {word}", self.name, "not built", "-"),
            Some(check) => format!("{:<18}{:>16}  {:>16}  {word}", self.name, measured(check), limit(check)),
        }
    }

    /// The checks and figures behind the line, indented.
    pub fn details(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let word = if check.is_ok() { "ok" } else { "SHORT" };
            let _ =
                writeln!(text, "    {word:<6}{:>14} of {:<14} {}", measured(check), limit(check), check.what);
        }
        for figure in &self.figures {
            let value = amount(figure.value, figure.unit);
            let _ = writeln!(text, "          {:<24}{value:>16}  {}", figure.who, figure.when);
        }
        text
    }

    /// One JSON object on one line. `measured`, `limit` and `unit` are those of the decisive check; all checks and
    /// larder's own figures follow behind the fields that are promised.
    pub fn json(&self) -> String {
        let decisive = self.decisive();
        let mut text = format!(
            "{{\"name\":{},\"measured\":{},\"limit\":{},\"unit\":{},\"ok\":{},\"peers\":{{{}}}",
            quoted(self.name),
            number(decisive.and_then(|check| check.measured)),
            number(decisive.map(|check| check.limit)),
            quoted(decisive.map_or("", |check| check.unit)),
            self.is_ok(),
            self.members(|figure| !figure.who.starts_with(LARDER.name)),
        );
        let _ =
            write!(text, ",\"larder\":{{{}}}", self.members(|figure| figure.who.starts_with(LARDER.name)));
        if self.checks.iter().any(|check| check.measured.is_none()) {
            text.push_str(",\"note\":\"not built\"");
        }
        let checks: Vec<String> = self.checks.iter().map(check_json).collect();
        let _ = write!(text, ",\"checks\":[{}]}}", checks.join(","));
        text
    }

    fn members(&self, of: impl Fn(&Figure) -> bool) -> String {
        let members = self.figures.iter().filter(|figure| of(figure)).map(|figure| {
            let key = if figure.when.is_empty() {
                format!("{} ({})", figure.who, figure.unit)
            } else {
                format!("{}, {} ({})", figure.who, figure.when, figure.unit)
            };
            format!("{}:{}", quoted(&key), number(Some(figure.value)))
        });
        members.collect::<Vec<_>>().join(",")
    }
}

fn check_json(check: &Check) -> String {
    let bound = match check.bound {
        Bound::AtMost => "at most",
        Bound::AtLeast => "at least",
    };
    format!(
        "{{\"what\":{},\"measured\":{},\"bound\":\"{bound}\",\"limit\":{},\"unit\":{},\"ok\":{}}}",
        quoted(&check.what),
        number(check.measured),
        number(Some(check.limit)),
        quoted(check.unit),
        check.is_ok()
    )
}

fn measured(check: &Check) -> String {
    check.measured.map_or_else(|| "not built".to_owned(), |value| amount(value, check.unit))
}

fn limit(check: &Check) -> String {
    let sign = match check.bound {
        Bound::AtMost => "<=",
        Bound::AtLeast => ">=",
    };
    format!("{sign} {}", amount(check.limit, check.unit))
}

/// Three significant digits, which is more than a noisy machine can tell.
fn amount(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

fn number(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() => format!("{value}"),
        _ => "null".to_owned(),
    }
}

/// A JSON string. Names, units and labels are ours: printable, but they may hold quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
