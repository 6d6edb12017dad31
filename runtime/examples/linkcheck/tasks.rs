//! The task functions: what is checked, by one memoized call per directory, file, link and page.
//!
//! ```text
//! report(dir) ─┬─ files(dir) ── files(subdirectory) ── listing
//!              ├─ document(file) ── file
//!              └─ verdict(file, target) ─┬─ exists(path) ── listing of its directory
//!                                        ├─ document(other file)
//!                                        └─ page(url)             asked by HTTP, and expires
//! ```
//!
//! A link is judged by itself, so that after an edit the links of one file are judged again, and those that lead to a
//! heading of it. Pages are asked for once for all links to them, so many at once as the stream lets run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::fs::{Entry, EntryKind};
use larder::{SourceError, stream, task_fn};

use crate::fetch::{Client, FetchError, Page};
use crate::markdown::{Document, Link};
use crate::progress::Bar;

/// How links are checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    pub client: Client,
    /// How many at once.
    pub at_once: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub files: usize,
    pub links: usize,
    pub unchecked: usize,
    /// In the order of files and lines.
    pub broken: Vec<Broken>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    pub file: PathBuf,
    pub line: usize,
    pub target: String,
    pub problem: Problem,
}

/// What is wrong with a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    NoSuchFile,
    NoSuchAnchor,
    Unreadable,
    Status(u16),
    Fetch(FetchError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Well,
    Unchecked,
    Broken(Problem),
}

/// How long what a server said is believed. Short in tests, which wait for it.
const BELIEVED: Duration = if cfg!(test) { Duration::from_secs(2) } else { Duration::from_secs(600) };

/// The report, with a bar that learns how much there is to do.
pub async fn report_with_progress(settings: &Settings, root: &Path, bar: &Bar) -> Arc<Report> {
    bar.expect(|| links(root).len());
    report(settings, root).await
}

/// All links below a directory, judged.
#[task_fn(transient)]
pub async fn report(settings: &Settings, root: &Path) -> Arc<Report> {
    let files = files(root);
    let mut report = Report { files: files.len(), ..Report::default() };
    for file in files.iter().filter(|file| document(file).is_err()) {
        let (file, target) = (file.clone(), String::new());
        report.broken.push(Broken { file, line: 0, target, problem: Problem::Unreadable });
    }
    let all = links(root);
    report.links = all.len();
    let mut verdicts = stream(all.iter().cloned(), settings.at_once, async |(file, link)| {
        let verdict = verdict(&settings.client, &file, &link.target).await;
        (file, link, verdict)
    });
    while let Some((_, (file, Link { line, target }, verdict))) = verdicts.next().await {
        match verdict {
            Verdict::Well => {}
            Verdict::Unchecked => report.unchecked += 1,
            Verdict::Broken(problem) => report.broken.push(Broken { file, line, target, problem }),
        }
    }
    // They came in the order in which servers answered.
    report.broken.sort();
    Arc::new(report)
}

/// All links below a directory.
#[task_fn(transient)]
pub fn links(root: &Path) -> Arc<[(PathBuf, Link)]> {
    let of_file = |file: &PathBuf| match document(file) {
        Ok(document) => document.links.iter().map(|link| (file.clone(), link.clone())).collect(),
        Err(_) => Vec::new(),
    };
    files(root).iter().flat_map(of_file).collect()
}

/// The Markdown files at and below a directory, without hidden directories and those tagged as caches.
#[task_fn(transient)]
fn files(dir: &Path) -> Arc<[PathBuf]> {
    let entries = entries(dir);
    if entries.iter().any(|entry| entry.file_name() == "CACHEDIR.TAG") {
        return Arc::default();
    }
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
        match entry.kind {
            EntryKind::Dir => found.extend_from_slice(&files(&entry.path)),
            EntryKind::File if is_markdown(&entry.path) => found.push(entry.path.clone()),
            _ => {}
        }
    }
    found.into()
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

fn entries(dir: &Path) -> Arc<[Entry]> {
    larder::fs::read_dir(dir).unwrap_or_default()
}

/// A file, parsed.
#[task_fn(transient)]
fn document(path: &Path) -> Result<Arc<Document>, SourceError> {
    Ok(Arc::new(Document::parse(&larder::fs::read_to_string(path)?)))
}

/// Whether a path leads to a file or a directory.
#[task_fn(transient)]
fn exists(path: &Path) -> bool {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return true };
    entries(dir).iter().any(|entry| entry.file_name() == name)
}

/// Where a link leads.
enum Target {
    File(PathBuf, Option<String>),
    Page(String, Option<String>),
    Other,
}

impl Target {
    fn of(file: &Path, target: &str) -> Target {
        let (place, anchor) = match target.split_once('#') {
            Some((place, anchor)) => (place, Some(anchor.to_owned())),
            None => (target, None),
        };
        match place.split_once(':') {
            Some(("http" | "https", _)) => Target::Page(place.to_owned(), anchor),
            Some(_) => Target::Other,
            None if place.is_empty() => Target::File(file.to_owned(), anchor),
            None => Target::File(normal(file.parent().unwrap_or(file), place), anchor),
        }
    }
}

/// A path without `.` and `..`: those that are written in Markdown go by names.
fn normal(base: &Path, relative: &str) -> PathBuf {
    let mut path = base.to_owned();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(path.pop()),
            name => path.push(name.replace("%20", " ")),
        }
    }
    path
}

/// Judges the link of a file.
#[task_fn(transient)]
async fn verdict(client: &Client, file: &Path, target: &str) -> Verdict {
    let problem = match Target::of(file, target) {
        Target::File(path, anchor) => problem_of_file(&path, anchor.as_deref()),
        Target::Page(url, _) if !client.reaches(&url) => return Verdict::Unchecked,
        Target::Page(url, anchor) => match page(client, &url).await {
            Err(error) => Some(Problem::Fetch(error)),
            Ok(page) if !(200..300).contains(&page.status) => Some(Problem::Status(page.status)),
            Ok(page) => anchor.filter(|anchor| !page.ids.contains(anchor)).map(|_| Problem::NoSuchAnchor),
        },
        Target::Other => return Verdict::Unchecked,
    };
    problem.map_or(Verdict::Well, Verdict::Broken)
}

fn problem_of_file(path: &Path, anchor: Option<&str>) -> Option<Problem> {
    if !exists(path) {
        return Some(Problem::NoSuchFile);
    }
    let anchor = anchor.filter(|_| is_markdown(path))?;
    match document(path) {
        Err(_) => Some(Problem::Unreadable),
        Ok(document) => (!document.anchors.contains(anchor)).then_some(Problem::NoSuchAnchor),
    }
}

/// What a server says. A status is an answer and is believed for a while; that there was none is not kept.
#[task_fn(transient, ttl = BELIEVED, no_errors)]
async fn page(client: &Client, url: &str) -> Result<Arc<Page>, FetchError> {
    client.get(url).await.map(Arc::new)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoSuchFile => f.write_str("no such file"),
            Problem::NoSuchAnchor => f.write_str("no such heading or anchor"),
            Problem::Unreadable => f.write_str("cannot be read"),
            Problem::Status(status) => write!(f, "status {status}"),
            Problem::Fetch(error) => error.fmt(f),
        }
    }
}
