//! The few lines of a `Cargo.toml` that say which files are its targets.
//!
//! A census has no need of a whole TOML parser: it looks for `[package]` and for `path` in the target tables, which
//! Cargo itself writes in one form.

use crate::model::Package;

/// The package that `manifest` describes; nothing for the manifest of a virtual workspace.
pub fn package(manifest: &str) -> Option<Package> {
    let mut package = Package::default();
    let mut is_package = false;
    let mut table = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table =
                header.trim_matches(|c| c == '[' || c == ']').split(']').next().unwrap_or_default().trim();
            is_package |= table == "package";
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        match (table, key.trim()) {
            ("package", "name") => package.name = string(value).unwrap_or_default(),
            ("package", "build") => package.targets.extend(string(value)),
            ("lib", "path") => package.library = string(value),
            ("bin" | "example" | "test" | "bench", "path") => package.targets.extend(string(value)),
            _ => {}
        }
    }
    package.targets.sort();
    package.targets.dedup();
    is_package.then_some(package)
}

/// A basic or literal string, without escapes: paths and names need none.
fn string(value: &str) -> Option<String> {
    let value = value.trim();
    let quote = value.chars().next().filter(|&c| c == '"' || c == '\'')?;
    let (text, _) = value[1..].split_once(quote)?;
    Some(text.to_owned())
}
