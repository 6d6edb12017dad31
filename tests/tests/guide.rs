//! The guide and what it quotes: `runtime/src/guide`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The spans of code in a line of Markdown, without backticks inside.
fn spans(line: &str) -> Vec<String> {
    let mut spans = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let fence: String = rest[start..].chars().take_while(|next| *next == '`').collect();
        let inside = &rest[start + fence.len()..];
        let end = inside.find(&fence).unwrap_or_else(|| panic!("a span does not end in: {line}"));
        spans.push(inside[..end].replace('`', "").trim().to_owned());
        rest = &inside[end + fence.len()..];
    }
    spans
}

#[test]
fn each_message_that_the_guide_quotes_is_one() {
    let mut sources = files(&root().join("tests/ui"), ".stderr");
    for folder in ["backend/src", "runtime/src", "macros/src"] {
        sources.extend(files(&root().join(folder), ".rs"));
    }
    let texts: String = sources.iter().map(|path| read_to_string(path).unwrap()).collect();
    let texts = texts.replace('`', "");
    let page = read_to_string(root().join("runtime/src/guide/messages.md")).unwrap();
    let mut quotes = 0;
    let mut missing = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cell = line.split(" | ").next().unwrap();
        for span in spans(cell) {
            for part in span.split("..").map(|part| part.trim_matches([' ', '.', ',', '?'])) {
                quotes += 1;
                if !texts.contains(part) {
                    missing.push(part.to_owned());
                }
            }
        }
    }
    assert!(quotes > 50, "{quotes}");
    assert!(missing.is_empty(), "no message has these texts: {missing:#?}");
}

#[test]
fn each_page_is_in_the_module_and_in_the_index() {
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let pages: BTreeSet<String> = files(&root().join("runtime/src/guide"), ".md").iter().map(name).collect();
    let module = read_to_string(root().join("runtime/src/guide.rs")).unwrap();
    let index = read_to_string(root().join("docs/guide.md")).unwrap();
    for page in &pages {
        assert!(module.contains(&format!("pub mod {page} {{}}")), "{page} is no module");
        // The page of a feature is no link where the feature is off.
        let is_listed = |row: &str| module.contains(row);
        assert!(
            is_listed(&format!("//! | [`{page}`] |")) || is_listed(&format!("//! | `{page}` |")),
            "{page} is not in the module's list"
        );
        assert!(
            index.contains(&format!("| [{page}](../runtime/src/guide/{page}.md) |")),
            "{page} is not in docs/guide.md"
        );
    }
    assert!(pages.len() >= 17, "{pages:?}");
}
