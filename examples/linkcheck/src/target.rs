//! Where a link leads, as browsers and GitHub take it.
//!
//! ```text
//! scheme: //user:secret@host /path ?query #anchor
//! ```
//!
//! A link with a scheme, or one that begins with `//`, is a page; everything else is a file. Its path is relative to the file that the link is
//! in, or to the top of the repository if it begins with `/`; its query is for a server. Paths and anchors are percent-encoded.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    File(Place, Option<String>),
    Page(String, Option<String>),
    Other,
}

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub kind: PlaceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    Any,
    /// It is written with a slash at its end.
    Directory,
}

impl Target {
    /// The target of a link in `file`; `top` is where paths from the root begin.
    pub fn of(file: &Path, top: &Path, target: &str) -> Target {
        let (place, fragment) = target.split_once('#').unwrap_or((target, ""));
        let anchor = anchor(fragment);
        match scheme(place) {
            Some(scheme) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
                return Target::Page(place.to_owned(), anchor);
            }
            Some(_) => return Target::Other,
            None => {}
        }
        if place.starts_with("//") {
            return Target::Page(format!("https:{place}"), anchor);
        }
        let (path, query) = place.split_once('?').unwrap_or((place, ""));
        // Lines are anchors of a file that is shown as it is written.
        let anchor = anchor.filter(|anchor| query != "plain=1" || !is_lines(anchor));
        if path.is_empty() {
            return Target::File(Place { path: file.to_owned(), kind: PlaceKind::Any }, anchor);
        }
        let base = if path.starts_with('/') { top } else { file.parent().unwrap_or(file) };
        Target::File(Place::below(base, path), anchor)
    }
}

impl Place {
    /// A path without `.` and `..`: those that are written in a URL go by names.
    fn below(base: &Path, relative: &str) -> Place {
        let mut place = Place { path: base.to_owned(), kind: PlaceKind::Any };
        for part in relative.split('/') {
            let name = decoded(part);
            place.kind = PlaceKind::Directory;
            match &*name {
                b"" | b"." => {}
                b".." => drop(place.path.pop()),
                name => {
                    place.path.push(name_of(name));
                    place.kind = PlaceKind::Any;
                }
            }
        }
        place
    }
}

/// The anchor that a link leads to; none if it leads to the whole. Text behind `:~:` is for the browser.
fn anchor(fragment: &str) -> Option<String> {
    let (anchor, _) = fragment.split_once(":~:").unwrap_or((fragment, ""));
    let anchor = String::from_utf8_lossy(&decoded(anchor)).into_owned();
    (!anchor.is_empty() && !anchor.eq_ignore_ascii_case("top")).then_some(anchor)
}

/// `L3` or `L3-L5`.
fn is_lines(anchor: &str) -> bool {
    let is_line = |part: &str| part.strip_prefix('L').is_some_and(|digits| digits.parse::<usize>().is_ok());
    anchor.split('-').all(is_line)
}

/// The scheme of a URL, if it has one: a colon in a name makes none unless all before it may be in a scheme.
pub fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once(':')?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_part)).then_some(scheme)
}

/// A link as it may be printed: without a name and a password.
pub fn shown(target: &str) -> Cow<'_, str> {
    let Some(start) = target.find("//").map(|at| at + 2) else { return target.into() };
    let authority = target[start..].split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rfind('@') {
        Some(end) => format!("{}***{}", &target[..start], &target[start + end..]).into(),
        None => target.into(),
    }
}

/// Text without its percent signs. One that encodes nothing stays.
pub fn decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return text.as_bytes().into();
    }
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let digit = |place: usize| bytes.get(place).and_then(|&digit| char::from(digit).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(u8::try_from(high << 4 | low));
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded.into()
}

#[cfg(unix)]
fn name_of(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    // A name has no slash: an encoded one leads nowhere, and not to the root.
    OsString::from_vec(bytes.iter().map(|&byte| if byte == b'/' { 0 } else { byte }).collect())
}

#[cfg(not(unix))]
fn name_of(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).replace(['/', '\\'], "\0").into()
}
