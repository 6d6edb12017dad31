//! Output: text in columns, or JSON; nothing of a store reaches a terminal as a control character.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

pub(crate) use larder_inspect::stored::{count, escaped};
use larder_storage::inspect::is_printable;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Standard output.
pub(crate) struct Out {
    to: BufWriter<Stdout>,
    /// Columns of the terminal, if it is one.
    width: Option<usize>,
    colour: bool,
    json: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let width = is_terminal.then(|| terminal_size::terminal_size_of(&stdout)).flatten();
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            to: BufWriter::new(stdout),
            width: width.map(|(width, _)| usize::from(width.0)),
            colour: is_terminal && !set("NO_COLOR") && !is_dumb,
            json,
        }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes a line, in which nothing may be unescaped, cut to the terminal's width.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{}", self.cut(text))
    }

    /// Writes a line that is never cut, as of a graph.
    pub(crate) fn raw(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// Writes a heading.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.cut(text);
        if self.colour { writeln!(self.to, "\x1b[1m{text}\x1b[0m") } else { writeln!(self.to, "{text}") }
    }

    /// Writes rows in aligned columns, below a heading.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        let mut widths: Vec<usize> = table.columns.iter().map(|(name, _)| width(name)).collect();
        for row in &table.rows {
            for (most, cell) in widths.iter_mut().zip(row) {
                *most = (*most).max(width(cell));
            }
        }
        let heads: Vec<String> = table.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let line = aligned(&table.columns, &widths, &heads);
        self.heading(&line)?;
        for row in &table.rows {
            self.line(&aligned(&table.columns, &widths, row))?;
        }
        Ok(())
    }

    /// Writes a JSON document and a newline.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        write_json(&mut self.to, value)?;
        writeln!(self.to)
    }

    /// Writes a part of a JSON document that is written piece by piece.
    pub(crate) fn json_piece(&mut self, before: &str, value: &Value) -> io::Result<()> {
        self.to.write_all(before.as_bytes())?;
        write_json(&mut self.to, value)
    }

    /// Writes bytes as they are: pages and scripts of our own.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn cut(&self, text: &str) -> String {
        match self.width {
            Some(most) if most > 1 && width(text) > most => {
                text.chars().take(most - 1).chain(['…']).collect()
            }
            _ => text.to_owned(),
        }
    }
}

/// On which side cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Rows to be aligned. The last column should be the one that may be long.
pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn aligned(columns: &[(&'static str, Side)], widths: &[usize], cells: &[String]) -> String {
    let mut line = String::new();
    for (((_, side), most), cell) in columns.iter().zip(widths).zip(cells) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        let _ = match side {
            Side::Left => write!(line, "{cell:<most$}"),
            Side::Right => write!(line, "{cell:>most$}"),
        };
    }
    line.truncate(line.trim_end().len());
    line
}

/// Returns bytes for people: `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to three digits")]
pub(crate) fn size(bytes: u64) -> String {
    let mut scaled = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if scaled < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{scaled:.1} {unit}") };
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} TiB")
}

fn write_json(to: &mut impl Write, value: &Value) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(to, Escaping(CompactFormatter));
    serde::Serialize::serialize(value, &mut serializer).map_err(io::Error::from)
}

/// JSON in which everything that is not printable is escaped, so that it may go to a terminal.
struct Escaping(CompactFormatter);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, character)| !is_printable(*character))
        {
            let (before, behind) = rest.split_at(at);
            self.0.write_string_fragment(writer, before)?;
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &behind[character.len_utf8()..];
        }
        self.0.write_string_fragment(writer, rest)
    }
}
