//! The task functions: what is checked, by one memoized call per directory, file, link and page.
//!
//! ```text
//! report(dir) ─┬─ unreadable(dir), links(dir) ─┬─ keys(dir) ── files(dir) ── files(subdirectory) ── listing
//!              │                               └─ folds over document(file) ── file
//!              └─ verdict(file, target) ─┬─ kind_of(path) ── listing of its directory
//!                                        ├─ document(other file)
//!                                        └─ page(url)             asked by HTTP, and expires
//! ```
//!
//! A link is judged by itself, so that after an edit the links of one file are judged again, and those that lead to a heading of
//! it. Folds gather from all files: an edit that leaves the links of a file as they are asks for no
//! other file. Pages are asked for once for all links to them, so many at once as the stream lets run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use larder::fs::{Entry, EntryKind};
use larder::{Keys, SourceError, stream, task_fn};

use crate::fetch::{Client, Extent, FetchError, Page};
use crate::markdown::{Document, Link};
use crate::progress::Bar;
use crate::target::{Place, PlaceKind, Target};

/// How links are checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    pub client: Client,
    /// How many at once.
    pub at_once: usize,
    /// Where paths from the root begin: the top of the repository.
    pub top: PathBuf,
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

/// The fault of a link.
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

/// How long what a server said is believed. Shorter in tests, one of which waits for it.
const BELIEVED: Duration = if cfg!(test) { Duration::from_secs(20) } else { Duration::from_secs(600) };

/// The report, with a bar that learns how much there is to do.
pub async fn report_with_progress(settings: &Settings, root: &Path, bar: &Bar) -> Arc<Report> {
    bar.expect(|| links(root).len());
    report(settings, root).await
}

/// All links of a file, or below a directory, judged.
#[task_fn(transient)]
pub async fn report(settings: &Settings, root: &Path) -> Arc<Report> {
    let mut report = Report { files: keys(root).len(), ..Report::default() };
    for file in unreadable(root) {
        let target = String::new();
        report.broken.push(Broken { file, line: 0, target, problem: Problem::Unreadable });
    }
    let all = links(root);
    report.links = all.len();
    let mut verdicts = stream(all.iter().cloned(), settings.at_once, async |(file, link)| {
        let verdict = verdict(&settings.client, &settings.top, &file, &link.target).await;
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

/// All links of a file, or below a directory.
#[task_fn(transient)]
pub fn links(root: &Path) -> Arc<[(PathBuf, Link)]> {
    let of_file = |file: &PathBuf| match document(file) {
        Ok(document) => document.links.iter().map(|link| (file.clone(), link.clone())).collect(),
        Err(_) => Vec::new(),
    };
    larder::transient_fold(keys(root), Vec::new(), of_file, joined).into()
}

/// The files that cannot be read.
#[task_fn(transient)]
fn unreadable(root: &Path) -> Vec<PathBuf> {
    let of_file = |file: &PathBuf| if document(file).is_err() { vec![file.clone()] } else { Vec::new() };
    larder::transient_fold(keys(root), Vec::new(), of_file, joined)
}

fn joined<T>(mut one: Vec<T>, other: Vec<T>) -> Vec<T> {
    one.extend(other);
    one
}

/// The Markdown files of a root, to fold over.
#[task_fn(transient)]
fn keys(root: &Path) -> Keys<PathBuf> {
    Keys::transient(files_of(root).iter().cloned())
}

/// The Markdown files that a root stands for: those below a directory, or the file itself, whatever it is called.
fn files_of(root: &Path) -> Arc<[PathBuf]> {
    match larder::fs::read_dir(root) {
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotADirectory) => [root.to_owned()].into(),
        _ => files(root),
    }
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
    let extensions = ["md", "markdown"];
    path.extension().is_some_and(|extension| extensions.iter().any(|one| extension.eq_ignore_ascii_case(one)))
}

fn entries(dir: &Path) -> Arc<[Entry]> {
    larder::fs::read_dir(dir).unwrap_or_default()
}

/// A file, parsed.
#[task_fn(transient)]
fn document(path: &Path) -> Result<Arc<Document>, SourceError> {
    Ok(Arc::new(Document::parse(&larder::fs::read_to_string(path)?)))
}

/// Returns the kind of entry that a path leads to, by the listing of its directory; none if nothing is there.
#[task_fn(transient)]
fn kind_of(path: &Path) -> Option<EntryKind> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Some(EntryKind::Dir) };
    let entries = entries(dir);
    let at = entries.binary_search_by(|entry| entry.file_name().cmp(name)).ok()?;
    let kind = entries[at].kind;
    if kind != EntryKind::Symlink {
        return Some(kind);
    }
    // Links are followed, and may lead nowhere.
    match larder::fs::read_dir(path) {
        Ok(_) => Some(EntryKind::Dir),
        Err(error) if error.io_kind() == Some(io::ErrorKind::NotADirectory) => Some(EntryKind::File),
        Err(_) => None,
    }
}

/// Judges the link of a file.
#[task_fn(transient)]
async fn verdict(client: &Client, top: &Path, file: &Path, target: &str) -> Verdict {
    let (url, anchor) = match Target::of(file, top, target) {
        Target::File(place, anchor) => {
            return problem_of_file(&place, anchor.as_deref()).map_or(Verdict::Well, Verdict::Broken);
        }
        Target::Page(url, _) if !client.reaches(&url) => return Verdict::Unchecked,
        Target::Page(url, anchor) => (url, anchor),
        Target::Other => return Verdict::Unchecked,
    };
    match page(client, &url).await {
        Err(FetchError::NoTls) => Verdict::Unchecked,
        Err(error) => Verdict::Broken(Problem::Fetch(error)),
        Ok(page) if !(200..300).contains(&page.status) => Verdict::Broken(Problem::Status(page.status)),
        Ok(page) => match anchor.filter(|anchor| !page.has_anchor(anchor)) {
            None => Verdict::Well,
            Some(_) if page.read == Extent::Beginning => Verdict::Unchecked,
            Some(_) => Verdict::Broken(Problem::NoSuchAnchor),
        },
    }
}

fn problem_of_file(place: &Place, anchor: Option<&str>) -> Option<Problem> {
    let kind = kind_of(&place.path);
    if kind.is_none() || (place.kind == PlaceKind::Directory && kind != Some(EntryKind::Dir)) {
        return Some(Problem::NoSuchFile);
    }
    let anchor = anchor.filter(|_| is_markdown(&place.path) && kind != Some(EntryKind::Dir))?;
    match document(&place.path) {
        Err(_) => Some(Problem::Unreadable),
        Ok(document) => (!document.has_anchor(anchor)).then_some(Problem::NoSuchAnchor),
    }
}

/// Asks a server. A status is an answer and is believed for a while; that there was none is not kept.
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
