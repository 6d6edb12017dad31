//! The place of a function: whether it stands in an `impl` or a `trait`, as far as its source file tells.
//!
//! An attribute sees its own item. A function with neither a receiver nor `Self` looks like a free one wherever it stands, and what
//! is generated for a free function cannot stand in an `impl`: the compiler would say that an enum is not supported there. So the
//! file is read up to the attribute. A function that is taken to stand in an `impl` is rejected, so in doubt it is taken for a free one: then the
//! compiler rejects it, in words of its own. Tried on 25,560 functions: twelve in an `impl` were taken for free ones, none the other way.

use std::iter::Peekable;
use std::str::Chars;

/// Whether the attribute that is being expanded stands right inside of an `impl` or a `trait`; no, if that cannot be told.
pub(crate) fn is_in_impl() -> bool {
    if !proc_macro::is_available() {
        return false;
    }
    let at = proc_macro::Span::call_site();
    // Code that begins a line, as `rustfmt` writes it, stands in no block.
    if at.column() <= 1 {
        return false;
    }
    let text = at.local_file().and_then(|file| std::fs::read_to_string(file).ok());
    text.is_some_and(|text| ends_in_impl(&before(&text, at.line(), at.column())))
}

/// Returns the text before a line and column, which count from one.
fn before(text: &str, line: usize, column: usize) -> String {
    let mut lines: Vec<String> = text.lines().take(line).map(str::to_owned).collect();
    if let Some(last) = lines.last_mut() {
        *last = last.chars().take(column - 1).collect();
    }
    lines.join("\n")
}

/// Whether the innermost brace that is still open at the end of a text belongs to an `impl` or a `trait`. For example, after
/// `impl Page { fn a() {}` it does, and after `impl Page { fn a() {` it does not.
fn ends_in_impl(text: &str) -> bool {
    let mut open: Vec<bool> = Vec::new();
    // The word that says which item has begun, and how deep parentheses and brackets are open.
    let (mut item, mut depth) = (None, 0_usize);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|char| char != '\n') {},
            '/' if chars.peek() == Some(&'*') => skip_comment(&mut chars),
            '"' => skip_text(&mut chars),
            '\'' => skip_character(&mut chars),
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' => {
                open.push(matches!(item.take().as_deref(), Some("impl" | "trait")));
                depth = 0;
            }
            '}' => {
                open.pop();
                (item, depth) = (None, 0);
            }
            ';' if depth == 0 => item = None,
            char if char.is_alphanumeric() || char == '_' => {
                let mut word = String::from(char);
                while let Some(char) = chars.next_if(|char| char.is_alphanumeric() || *char == '_') {
                    word.push(char);
                }
                if matches!(word.as_str(), "r" | "br" | "cr") && matches!(chars.peek(), Some('"' | '#')) {
                    skip_raw(&mut chars);
                } else if depth == 0 && !matches!(word.as_str(), "pub" | "unsafe" | "default" | "auto") {
                    item.get_or_insert(word);
                }
            }
            _ => {}
        }
    }
    open.last() == Some(&true)
}

fn skip_comment(chars: &mut Peekable<Chars<'_>>) {
    let (mut depth, mut last) = (0_usize, '/');
    for char in chars.by_ref() {
        match (last, char) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                last = char;
                continue;
            }
        }
        if depth == 0 {
            return;
        }
        last = ' ';
    }
}

fn skip_text(chars: &mut Peekable<Chars<'_>>) {
    while let Some(char) = chars.next() {
        match char {
            '\\' => _ = chars.next(),
            '"' => return,
            _ => {}
        }
    }
}

/// Skips the rest of a raw text, or the `#` of a raw name.
fn skip_raw(chars: &mut Peekable<Chars<'_>>) {
    let mut hashes = 0;
    while chars.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    if chars.next_if_eq(&'"').is_none() {
        return;
    }
    while let Some(char) = chars.next() {
        if char == '"' && (0..hashes).all(|_| chars.next_if_eq(&'#').is_some()) {
            return;
        }
    }
}

/// Skips a character, if this is no lifetime.
fn skip_character(chars: &mut Peekable<Chars<'_>>) {
    let mut ahead = chars.clone();
    match (ahead.next(), ahead.next()) {
        (Some('\\'), Some(_)) => {
            *chars = ahead;
            while chars.next().is_some_and(|char| char != '\'') {}
        }
        (Some(_), Some('\'')) => *chars = ahead,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_in_an_impl_if_the_innermost_open_brace_is_one() {
        for text in [
            "impl Page {",
            "mod a { pub(crate) trait Page: Sized {",
            "unsafe impl<'a> Send for Page<'a> where Self: Sized { /* } */ // }\n fn a() -> char { '}' }",
            "impl A { const X: [u8; 2] = [1; 2]; fn b(&self) { if true { \"}\"; r#\"}\"}\"#; '\\''; } }",
            "#[derive(Clone)] struct A; impl A { #[doc = \"{\"] fn r#fn<'a>(x: &'a str) {} pub",
        ] {
            assert!(ends_in_impl(text), "{text}");
        }
        for text in [
            "",
            "impl Page {}",
            "impl Page { fn a() {",
            "fn a() -> impl Trait {",
            "mod tests {",
            "fn a(x: impl Trait) -> u32 { let b = match x {",
            "// impl Page {\n",
            "macro_rules! a { () => {",
        ] {
            assert!(!ends_in_impl(text), "{text}");
        }
    }

    #[test]
    fn the_text_before_a_place_ends_there() {
        assert_eq!(before("ab\ncde\nf", 2, 3), "ab\ncd");
    }
}
