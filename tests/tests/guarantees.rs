//! docs/guarantees.md names tests and budgets that exist.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::path::{Path, PathBuf};

/// The text of a file, or of all files of a folder together.
fn text(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|entry| text(&entry)).collect()
}

/// Returns the texts between back quotes, in order.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A renamed test, or a file that was split, left a guarantee without what stands for it, and nothing told so.
#[test]
fn what_stands_for_a_guarantee_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = text(&root.join("docs/guarantees.md"));
    let budgets = text(&root.join("benches/src"));
    let rows = document.lines().filter(|line| line.starts_with('|') || line.contains("; budgets `"));
    let mut found = 0;
    for row in rows {
        let (threat, named) = row.rsplit_once(" | ").unwrap_or(("", row));
        let mut within: Option<PathBuf> = None;
        for name in quoted(named) {
            let is_path = name.ends_with(['/', 's', 'h']) && name.contains(['/', '.']);
            if is_path {
                let path = [root.join("tests/tests").join(name), root.join(name)]
                    .into_iter()
                    .find(|path| path.exists());
                within = Some(path.unwrap_or_else(|| panic!("`{name}` does not exist, for{threat}")));
            } else if name.contains('-') {
                let name = name.trim_end_matches('*');
                assert!(budgets.contains(&format!("\"{name}")), "there is no budget `{name}`, for{threat}");
            } else {
                let file = within.as_ref().unwrap_or_else(|| panic!("`{name}` is in no file, for{threat}"));
                assert!(text(file).contains(&format!("fn {name}")), "{} has no `{name}`", file.display());
            }
            found += 1;
        }
    }
    assert!(found > 40, "{found} names");
}
