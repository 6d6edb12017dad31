//! The place of a function: whether it stands in an `impl` or a `trait`, or beside a type or module of its name, as far as its source file
//! tells.
//!
//! An attribute sees its own item. A function with neither a receiver nor `Self` looks like a free one wherever it stands, and what
//! is generated for a free function cannot stand in an `impl`: the compiler would say that an enum is not supported there. So the
//! file is read up to the attribute. A function that is taken to stand in an `impl` is rejected, so in doubt it is taken for a free one: then the
//! compiler rejects it, in words of its own. Tried on 25,560 functions: twelve in an `impl` were taken for free ones, none the other way.
//! For the same reason an item under `cfg` counts for nothing: it may not be there.

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
    source(at).is_some_and(|text| ends_in_impl(&before(&text, at.line(), at.column())))
}

/// Returns the keyword of a module or type called `name` in the block in which the attribute that is being expanded stands.
pub(crate) fn namesake(name: &str) -> Option<String> {
    if !proc_macro::is_available() {
        return None;
    }
    let at = proc_macro::Span::call_site();
    let text = source(at)?;
    namesake_in(&text, &before(&text, at.line(), at.column()), name)
}

/// Returns the header of the `impl` in which the attribute that is being expanded stands, if that is of a type that borrows: `impl Text<'_>`.
pub(crate) fn borrowing_impl() -> Option<String> {
    if !proc_macro::is_available() {
        return None;
    }
    let at = proc_macro::Span::call_site();
    let text = source(at)?;
    borrowing_impl_of(&text, &before(&text, at.line(), at.column()))
}

/// Returns the header of the innermost `impl` that is open where `before`, the beginning of `text`, ends, if its type borrows.
fn borrowing_impl_of(text: &str, before: &str) -> Option<String> {
    // The usual case: there is none in the whole file.
    if !text.lines().any(|line| line.contains("impl") && line.contains('\'')) {
        return None;
    }
    let mut blocks = Blocks::default();
    blocks.read(before, |_, _| ());
    let header = &blocks.open.last().filter(|block| block.is_impl)?.header;
    let header = format!("impl{header}").split_whitespace().collect::<Vec<_>>().join(" ");
    is_of_borrowing_type(&header).then_some(header)
}

/// Whether the type of an `impl` with this header names a lifetime. Not if `'static` is spoken of: then the
/// type may well do.
fn is_of_borrowing_type(header: &str) -> bool {
    let own = header.split(" where ").next().unwrap_or(header);
    let own = own.trim_start_matches("impl").trim_start();
    let ty = own.rsplit(" for ").next().unwrap_or(own);
    // The parameters of the `impl` itself.
    let mut depth = 0_usize;
    let declared = |char: char| {
        depth = if char == '<' { depth + 1 } else { depth - usize::from(char == '>') };
        depth == 0
    };
    let ty = if ty.starts_with('<') { ty.split_once(declared).map_or("", |(_, ty)| ty) } else { ty };
    ty.contains('\'') && !header.contains("'static")
}

fn source(at: proc_macro::Span) -> Option<String> {
    at.local_file().and_then(|file| std::fs::read_to_string(file).ok())
}

/// Returns the keyword of a namesake in the block that is innermost where `before`, the beginning of `text`, ends.
fn namesake_in(text: &str, before: &str, name: &str) -> Option<String> {
    // The usual case: there is none in the whole file.
    const KEYWORDS: [&str; 5] = ["mod", "enum", "trait", "type", "union"];
    if !KEYWORDS.iter().any(|keyword| text.contains(&format!("{keyword} {name}"))) {
        return None;
    }
    let mut own = Blocks::default();
    own.read(before, |_, _| ());
    let block = own.innermost();
    let (mut last, mut found) = (String::new(), None);
    Blocks::default().read(text, |word, blocks| {
        if word == name
            && blocks.innermost() == block
            && blocks.depth == 0
            && !blocks.is_conditional
            && blocks.item.as_deref() == Some(&*last)
            && KEYWORDS.contains(&&*last)
        {
            found.get_or_insert_with(|| last.clone());
        }
        word.clone_into(&mut last);
    });
    found
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
    let mut blocks = Blocks::default();
    blocks.read(text, |_, _| ());
    blocks.open.last().is_some_and(|block| block.is_impl)
}

/// The braces that are open at a place of a text.
#[derive(Default)]
struct Blocks {
    open: Vec<Block>,
    /// How many have been opened so far.
    opened: usize,
    /// The word that says which item has begun.
    item: Option<String>,
    /// The text of the item since that word.
    header: String,
    /// Whether a `cfg` stands before the item.
    is_conditional: bool,
    /// How deep parentheses and brackets are open.
    depth: usize,
}

struct Block {
    number: usize,
    is_impl: bool,
    /// The text of its item between `impl`, or the like, and the brace.
    header: String,
}

impl Blocks {
    /// Returns the number of the innermost block; 0 outside of all.
    fn innermost(&self) -> usize {
        self.open.last().map_or(0, |block| block.number)
    }

    /// Reads a text from its beginning. `see` is given each word, before it is taken into account.
    fn read(&mut self, text: &str, mut see: impl FnMut(&str, &Self)) {
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            if self.item.is_some() && !char.is_alphanumeric() && !matches!(char, '_' | '{') {
                self.header.push(char);
            }
            match char {
                '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|char| char != '\n') {},
                '/' if chars.peek() == Some(&'*') => skip_comment(&mut chars),
                '"' => skip_text(&mut chars),
                '\'' => skip_character(&mut chars),
                '(' | '[' => self.depth += 1,
                ')' | ']' => self.depth = self.depth.saturating_sub(1),
                '{' => {
                    self.opened += 1;
                    let is_impl = matches!(self.item.as_deref(), Some("impl" | "trait"));
                    self.open.push(Block { number: self.opened, is_impl, header: self.header.clone() });
                    self.end_item();
                }
                '}' => {
                    self.open.pop();
                    self.end_item();
                }
                ';' if self.depth == 0 => self.end_item(),
                char if char.is_alphanumeric() || char == '_' => {
                    let mut word = String::from(char);
                    while let Some(char) = chars.next_if(|char| char.is_alphanumeric() || *char == '_') {
                        word.push(char);
                    }
                    if matches!(word.as_str(), "r" | "br" | "cr") && matches!(chars.peek(), Some('"' | '#')) {
                        skip_raw(&mut chars);
                    } else {
                        see(&word, self);
                        self.word(word);
                    }
                }
                _ => {}
            }
        }
    }

    fn word(&mut self, word: String) {
        if self.item.is_some() {
            self.header.push_str(&word);
        }
        match word.as_str() {
            "cfg" | "cfg_attr" if self.item.is_none() => self.is_conditional = true,
            "pub" | "unsafe" | "default" | "auto" => {}
            _ if self.depth == 0 => _ = self.item.get_or_insert(word),
            _ => {}
        }
    }

    fn end_item(&mut self) {
        (self.item, self.is_conditional, self.depth) = (None, false, 0);
        self.header.clear();
    }
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
    fn an_impl_borrows_if_its_type_names_a_lifetime() {
        let header = |text: &str| borrowing_impl_of(text, text);
        for (text, expected) in [
            ("impl Text<'_> { ", "impl Text<'_>"),
            ("mod a { struct Text<'a>(&'a str);\nimpl<'a> Text<'a> {", "impl<'a> Text<'a>"),
            (
                "impl<'a, T: Into<Vec<T>>> Show for Text<'a, T>\nwhere T: Copy {",
                "impl<'a, T: Into<Vec<T>>> Show for Text<'a, T> where T: Copy",
            ),
            ("unsafe impl<'a> Show<'a> for &'a str { fn a() {} ", "impl<'a> Show<'a> for &'a str"),
        ] {
            assert_eq!(header(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "impl<'a> Show<'a> for Page {",
            "impl<'a, T: Show<'a>> Page<T> {",
            "impl Text<'static> {",
            "impl<'a> Text<'a> where 'a: 'static {",
            "impl<T> Page<T> where T: for<'a> Show<'a> {",
            "impl Text<'_> {} impl Page {",
            "impl Text<'_> { fn a() {",
            "trait Text<'a> {",
        ] {
            assert_eq!(header(text), None, "{text}");
        }
    }

    #[test]
    fn a_namesake_stands_in_the_block_of_the_function() {
        let keyword = |before: &str, after: &str| {
            namesake_in(&format!("{before}#[task_fn] fn parse() {{}}{after}"), before, "parse")
        };
        assert_eq!(keyword("mod parse { mod lines; }\n", "").as_deref(), Some("mod"));
        assert_eq!(keyword("", "\npub(crate) mod parse;").as_deref(), Some("mod"));
        assert_eq!(keyword("mod a { ", "enum parse {} }").as_deref(), Some("enum"));
        assert_eq!(keyword("fn a() { type parse = u8;", "}").as_deref(), Some("type"));
        for (before, after) in [
            ("mod a { mod parse; }", ""),
            ("mod parser;", "mod parse_lines;"),
            ("// mod parse;\n", "const A: &str = \"mod parse;\";"),
            ("#[cfg(test)] mod parse { }", ""),
            ("#[cfg_attr(a, path = \"b.rs\")] pub mod parse;", ""),
            ("a! { mod parse; }", "macro_rules! b { () => { mod parse; } }"),
            ("fn mod_parse() {} fn a() { mod parse {} }", "use a::parse;"),
        ] {
            assert_eq!(keyword(before, after), None, "{before} .. {after}");
        }
        // An attribute of an item before it says nothing of this one.
        assert_eq!(keyword("#[cfg(test)] mod a; mod parse;", "").as_deref(), Some("mod"));
    }

    #[test]
    fn the_text_before_a_place_ends_there() {
        assert_eq!(before("ab\ncde\nf", 2, 3), "ab\ncd");
    }
}
