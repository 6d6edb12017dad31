//! Tokens of one item.

use super::Span;

/// A token, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
}

/// Cuts a text into words, numbers and single characters. Space and comments separate them.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.starts_with('#') {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        let Some(first) = rest.chars().next() else { return tokens };
        let is_part = |next: char| next.is_alphanumeric() || next == '_';
        let length = match is_part(first) {
            true => rest.find(|next| !is_part(next)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let start = text.len() - rest.len();
        tokens.push(Token { text: &rest[..length], span: Span { start, end: start + length } });
        rest = &rest[length..];
    }
}
