//! The report as people and programs read it.

use std::cmp::Reverse;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::args::{Args, Format};
use crate::model::{CrateCensus, Diagnostic, FilePath, Report, Totals};
use crate::roots::{Roots, common_ancestor};
use crate::table::{Align, Table, clean, grouped, shortened, started};

/// Where reports go, and what was shown there before.
pub struct View {
    format: Format,
    top: usize,
    /// Paths are shown from here: where the crates part ways.
    base: PathBuf,
    title: String,
    previous: Option<(Arc<Report>, Vec<Diagnostic>)>,
}

#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    report: &'a Report,
    diagnostics: &'a [Diagnostic],
}

impl View {
    pub fn new(args: &Args, roots: &Roots) -> View {
        let base = roots.base();
        let title = match (roots.dirs.len(), roots.files.len()) {
            (1, 0) => clean(&base.to_string_lossy()),
            _ => format!(
                "{} paths in {}",
                roots.dirs.len() + roots.files.len(),
                clean(&base.to_string_lossy())
            ),
        };
        View { format: args.format, top: args.top, base, title, previous: None }
    }

    /// Whether this differs from what was shown last.
    pub fn is_news(&self, report: &Report, diagnostics: &[Diagnostic]) -> bool {
        self.previous.as_ref().is_none_or(|(shown, told)| **shown != *report || told != diagnostics)
    }

    /// Writes the changes, before the report of them.
    pub fn changed(&self, paths: &[PathBuf]) -> io::Result<()> {
        if self.format == Format::Json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            out.write_all(b"\x1b[2J\x1b[H")?;
        }
        let first = paths.first().map(|path| self.place(path, 72)).unwrap_or_default();
        match paths.len() {
            0 | 1 => writeln!(out, "\nchanged: {first}"),
            more => writeln!(out, "\nchanged: {first} and {} more", more - 1),
        }
    }

    /// Prints the report; where there was one before, with what is different.
    pub fn show(&mut self, report: &Arc<Report>, diagnostics: &[Diagnostic]) -> io::Result<()> {
        if !report.crates.is_empty() {
            self.base = common_ancestor(report.crates.iter().map(|one| &*one.dir));
        }
        let stdout = io::stdout().lock();
        let plain =
            !stdout.is_terminal() || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let mut out =
            Output { out: io::BufWriter::new(stdout), headings: if plain { ["", ""] } else { BOLD } };
        match self.format {
            Format::Json => {
                serde_json::to_writer(&mut out.out, &Json { report, diagnostics })?;
                writeln!(out.out)?;
            }
            Format::Text => {
                self.text(report, diagnostics, &mut out)?;
                if let Some((previous, _)) = &self.previous {
                    differences(&previous.totals, &report.totals, &mut out)?;
                }
            }
        }
        self.previous = Some((report.clone(), diagnostics.to_vec()));
        out.out.flush()
    }

    fn text(
        &self,
        report: &Report,
        diagnostics: &[Diagnostic],
        out: &mut Output<impl Write>,
    ) -> io::Result<()> {
        out.heading(&format!("Census of {}", self.title))?;
        summary(&report.totals, out)?;
        self.crates(report, out)?;
        self.largest(report, out)?;
        self.imported(report, out)?;
        self.undocumented(report, out)?;
        self.diagnostics(diagnostics, out)
    }

    fn place(&self, path: &Path, width: usize) -> String {
        shortened(&FilePath::from(path).below(&self.base), width)
    }

    fn crates(&self, report: &Report, out: &mut Output<impl Write>) -> io::Result<()> {
        use Align::{Left, Right};
        let mut largest: Vec<&CrateCensus> = report.crates.iter().map(|one| &**one).collect();
        largest.sort_by_key(|one| Reverse(one.totals.lines.code));
        let mut table = Table::new(&[Left, Right, Right, Right, Right, Right, Right, Left]);
        let headings = ["crate", "files", "code", "fns", "unsafe", "modules", "edges", "in"];
        table.row(headings.map(str::to_owned));
        for one in largest.iter().take(self.top) {
            let totals = &one.totals;
            table.row([
                shortened(&one.name, 28),
                grouped(totals.files),
                grouped(totals.lines.code),
                grouped(totals.functions),
                grouped(totals.unsafe_uses.total()),
                grouped(totals.modules),
                grouped(totals.module_edges),
                self.place(&one.dir, 32),
            ]);
        }
        out.section("Largest crates", largest.len(), self.top, &table)
    }

    fn largest(&self, report: &Report, out: &mut Output<impl Write>) -> io::Result<()> {
        let mut table = Table::new(&[Align::Right, Align::Left, Align::Left]);
        for located in report.largest.iter().take(self.top) {
            let function = &located.what;
            table.row([
                format!("{} lines", grouped(function.lines.into())),
                shortened(&function.name, 32),
                format!("{}:{}", self.place(&located.file, 44), function.line),
            ]);
        }
        let all = usize::try_from(report.totals.functions).unwrap_or(usize::MAX);
        out.section("Largest functions", all, self.top, &table)
    }

    fn imported(&self, report: &Report, out: &mut Output<impl Write>) -> io::Result<()> {
        let mut table = Table::new(&[Align::Right, Align::Left]);
        for (module, files) in report.imported.iter().take(self.top) {
            table.row([format!("{} {}", grouped(*files), plural(*files, "file")), shortened(module, 60)]);
        }
        out.section("Most imported modules", table_rows(report.imported.len(), self.top), self.top, &table)
    }

    /// By crate, each with the first of what it lacks.
    fn undocumented(&self, report: &Report, out: &mut Output<impl Write>) -> io::Result<()> {
        let mut lacking: Vec<&CrateCensus> = report.crates.iter().map(|one| &**one).collect();
        lacking.retain(|one| !one.undocumented.is_empty());
        lacking.sort_by_key(|one| Reverse(one.undocumented.len()));
        let mut table = Table::new(&[Align::Right, Align::Left, Align::Left, Align::Left]);
        for one in lacking.iter().take(self.top) {
            let first = &one.undocumented[0];
            table.row([
                grouped(one.undocumented.len() as u64),
                shortened(&one.name, 20),
                shortened(&format!("{} {}", first.what.kind.label(), first.what.name), 28),
                format!("{}:{}", self.place(&first.file, 34), first.what.line),
            ]);
        }
        out.section(
            "Undocumented public items, by crate, with the first of each",
            lacking.len(),
            self.top,
            &table,
        )
    }

    fn diagnostics(&self, diagnostics: &[Diagnostic], out: &mut Output<impl Write>) -> io::Result<()> {
        let mut table = Table::new(&[Align::Left]);
        for diagnostic in diagnostics.iter().take(self.top) {
            let line = diagnostic.line.map(|line| format!(":{line}")).unwrap_or_default();
            let (place, problem) = (self.place(&diagnostic.file, 44), diagnostic.problem.label());
            table.row([format!("{place}{line}: {problem}: {}", started(&diagnostic.message, 48))]);
        }
        out.section("Problems", diagnostics.len(), self.top, &table)
    }
}

/// A ranking is itself cut off, so its length does not tell how much there is.
fn table_rows(ranked: usize, top: usize) -> usize {
    if ranked >= crate::sums::RANKED { top } else { ranked }
}

const BOLD: [&str; 2] = ["\x1b[1m", "\x1b[0m"];

struct Output<W> {
    out: W,
    /// Before and after a heading.
    headings: [&'static str; 2],
}

impl<W: Write> Output<W> {
    fn heading(&mut self, text: &str) -> io::Result<()> {
        let [on, off] = self.headings;
        writeln!(self.out, "{on}{text}{off}")
    }

    /// A table below its heading; nothing where there is nothing to say.
    fn section(&mut self, title: &str, all: usize, shown: usize, table: &Table) -> io::Result<()> {
        if all == 0 || table.is_empty() {
            return Ok(());
        }
        writeln!(self.out)?;
        match all.saturating_sub(shown) {
            0 => self.heading(title)?,
            _ => self.heading(&format!("{title} ({shown} of {})", grouped(all as u64)))?,
        }
        table.write(&mut self.out)
    }
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", part as f64 * 100.0 / whole.max(1) as f64)
}

fn summary(totals: &Totals, out: &mut Output<impl Write>) -> io::Result<()> {
    let mut table = Table::new(&[Align::Left, Align::Right, Align::Left]);
    let mut line =
        |name: &str, count: u64, detail: String| table.row([name.to_owned(), grouped(count), detail]);
    let lines = totals.lines;
    let all = lines.total();
    line("crates", totals.crates, String::new());
    let broken = format!("{} not parsed", grouped(totals.broken_files));
    line("files", totals.files, if totals.broken_files == 0 { String::new() } else { broken });
    let parts = [("code", lines.code), ("comment", lines.comment), ("blank", lines.blank)];
    let parts = parts.map(|(name, count)| format!("{} {name} ({})", grouped(count), percent(count, all)));
    line("lines", all, parts.join(", "));
    let mut kinds: Vec<_> = totals.items.iter().map(|(kind, &count)| (kind.label(), count)).collect();
    kinds.sort_by_key(|&(_, count)| Reverse(count));
    let shown: Vec<_> =
        kinds.iter().take(5).map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
    line("items", kinds.iter().map(|(_, count)| count).sum(), shown.join(", "));
    let found = totals.unsafe_uses;
    let parts = [
        ("block", found.blocks),
        ("fn", found.functions),
        ("impl", found.impls),
        ("trait", found.traits),
        ("extern", found.externs),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|&&(_, count)| count > 0)
        .map(|&(name, count)| format!("{} {}", grouped(count), plural(count, name)))
        .collect();
    line("unsafe", found.total(), parts.join(", "));
    line("modules", totals.modules, format!("{} edges by `use`", grouped(totals.module_edges)));
    line("undocumented", totals.undocumented, "public items".to_owned());
    table.write(&mut out.out)
}

fn differences(before: &Totals, after: &Totals, out: &mut Output<impl Write>) -> io::Result<()> {
    let count = |totals: &Totals| {
        [
            ("crates", totals.crates),
            ("files", totals.files),
            ("lines of code", totals.lines.code),
            ("lines of comment", totals.lines.comment),
            ("functions", totals.functions),
            ("unsafe", totals.unsafe_uses.total()),
            ("undocumented", totals.undocumented),
            ("module edges", totals.module_edges),
        ]
    };
    let mut changes = Vec::new();
    for ((name, before), (_, after)) in count(before).into_iter().zip(count(after)) {
        if before != after {
            let sign = if after > before { '+' } else { '-' };
            changes.push(format!("{name} {sign}{}", grouped(after.abs_diff(before))));
        }
    }
    let changes = if changes.is_empty() { "nothing that is counted".to_owned() } else { changes.join(", ") };
    writeln!(out.out)?;
    out.heading(&format!("Since the last report: {changes}"))
}
