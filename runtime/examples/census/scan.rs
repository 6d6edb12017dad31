//! One pass over the text of a file, before and apart from parsing.
//!
//! It tells code from comments, which the parser throws away, and it bounds how deep the parser would recurse, which
//! has to be known before it does. It works on text that does not parse, too.
//!
//! A line with any code on it is a code line; a line with only a comment (or a shebang) is a comment line; a line of
//! white space is blank, even inside a comment. Lines inside a string literal are code.

use crate::model::Lines;

/// The findings of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub lines: Lines,
    /// No parser that consumes a token per level recurses deeper than this.
    pub depth: usize,
}

pub fn scan(text: &str) -> Scan {
    let mut scanner = Scanner::new(text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes());
    scanner.run();
    Scan { lines: scanner.lines, depth: scanner.nesting.deepest }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    line: LineSoFar,
    lines: Lines,
    nesting: Nesting,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LineSoFar {
    Blank,
    Comment,
    Code,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a [u8]) -> Self {
        Scanner { text, at: 0, line: LineSoFar::Blank, lines: Lines::default(), nesting: Nesting::new() }
    }

    fn run(&mut self) {
        if self.text.starts_with(b"#!") && !self.opens_inner_attribute() {
            self.skip_line(LineSoFar::Comment);
        }
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'/' if self.looking_at(b"//") => self.skip_line(LineSoFar::Comment),
                b'/' if self.looking_at(b"/*") => self.skip_block_comment(),
                b'"' => self.skip_string(),
                b'\'' => self.skip_quote(),
                _ if is_word(byte) => self.word(),
                _ if byte.is_ascii_whitespace() => self.step(LineSoFar::Blank),
                _ => {
                    self.nesting.punctuation(byte);
                    self.step(LineSoFar::Code);
                }
            }
        }
        if self.text.last().is_some_and(|&last| last != b'\n') {
            self.end_line();
        }
    }

    /// `#![...]`, which a shebang is not.
    fn opens_inner_attribute(&self) -> bool {
        let rest = self.text[2..].iter().find(|byte| !byte.is_ascii_whitespace());
        rest == Some(&b'[')
    }

    fn looking_at(&self, what: &[u8]) -> bool {
        self.text[self.at..].starts_with(what)
    }

    /// Passes one byte, which makes its line at least `what`.
    fn step(&mut self, what: LineSoFar) {
        let byte = self.text[self.at];
        self.at += 1;
        if byte == b'\n' {
            self.end_line();
        } else if !byte.is_ascii_whitespace() {
            self.line = self.line.max(what);
        }
    }

    fn end_line(&mut self) {
        match self.line {
            LineSoFar::Blank => self.lines.blank += 1,
            LineSoFar::Comment => self.lines.comment += 1,
            LineSoFar::Code => self.lines.code += 1,
        }
        self.line = LineSoFar::Blank;
    }

    fn skip_line(&mut self, what: LineSoFar) {
        while self.text.get(self.at).is_some_and(|&byte| byte != b'\n') {
            self.step(what);
        }
    }

    fn skip_block_comment(&mut self) {
        let mut open = 0_usize;
        while self.at < self.text.len() {
            let (opens, closes) = (self.looking_at(b"/*"), self.looking_at(b"*/"));
            self.step(LineSoFar::Comment);
            if opens || closes {
                self.step(LineSoFar::Comment);
                open = if opens { open + 1 } else { open - 1 };
            }
            if open == 0 {
                return;
            }
        }
    }

    /// A literal keeps even its empty lines: they are part of its value.
    fn literal_byte(&mut self) {
        self.line = LineSoFar::Code;
        self.step(LineSoFar::Code);
    }

    fn skip_string(&mut self) {
        self.nesting.token();
        self.literal_byte();
        while let Some(&byte) = self.text.get(self.at) {
            self.literal_byte();
            match byte {
                b'\\' if self.at < self.text.len() => self.literal_byte(),
                b'"' => return,
                _ => {}
            }
        }
    }

    fn skip_raw_string(&mut self, hashes: usize) {
        for _ in 0..=hashes {
            self.literal_byte();
        }
        while let Some(&byte) = self.text.get(self.at) {
            self.literal_byte();
            let rest = &self.text[self.at..];
            if byte == b'"' && rest.len() >= hashes && rest[..hashes].iter().all(|&byte| byte == b'#') {
                (0..hashes).for_each(|_| self.literal_byte());
                return;
            }
        }
    }

    /// A character, or a lifetime, which has no closing quote.
    fn skip_quote(&mut self) {
        self.nesting.token();
        self.literal_byte();
        let rest = &self.text[self.at..];
        match rest.first() {
            Some(b'\\') => {
                self.literal_byte();
                while self.text.get(self.at).is_some_and(|&byte| byte != b'\n') {
                    // The byte after the backslash may itself be a quote, so it is passed unseen.
                    self.literal_byte();
                    if self.text.get(self.at) == Some(&b'\'') {
                        self.literal_byte();
                        return;
                    }
                }
            }
            Some(&first) => {
                let length = utf8_length(first);
                if rest.get(length) == Some(&b'\'') {
                    (0..=length).for_each(|_| self.literal_byte());
                }
            }
            None => {}
        }
    }

    /// An identifier, a number, or the prefix of a literal.
    fn word(&mut self) {
        let length = self.text[self.at..].iter().take_while(|&&byte| is_word(byte)).count();
        let word = &self.text[self.at..self.at + length];
        self.line = LineSoFar::Code;
        self.at += length;
        let rest = &self.text[self.at..];
        let hashes = rest.iter().take_while(|&&byte| byte == b'#').count();
        if matches!(word, b"r" | b"br" | b"cr") && rest.get(hashes) == Some(&b'"') {
            self.nesting.token();
            self.skip_raw_string(hashes);
        } else {
            self.nesting.word(word);
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn utf8_length(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// A bound on the depth of the syntax tree.
///
/// Every level of the tree takes a token of its own, so the tokens since the last point where siblings are told
/// apart bound the depth within one group, and the groups around it add theirs. Points that do: `;`, a `,` (though not
/// of the angle brackets and closure bars before it, which may hold it), and a `}` that the next token does not continue.
struct Nesting {
    groups: Vec<Group>,
    /// The sum over `groups`.
    depth: usize,
    deepest: usize,
    after_brace: bool,
}

#[derive(Clone, Copy, Default)]
struct Group {
    since_comma: usize,
    brackets: usize,
}

impl Nesting {
    fn new() -> Self {
        Nesting { groups: vec![Group::default()], depth: 0, deepest: 0, after_brace: false }
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().expect("the outermost group is never left")
    }

    fn token(&mut self) {
        if std::mem::take(&mut self.after_brace) {
            self.separate_statements();
        }
        self.deepen();
    }

    fn word(&mut self, word: &[u8]) {
        if std::mem::take(&mut self.after_brace) && !matches!(word, b"else" | b"as") {
            self.separate_statements();
        }
        self.deepen();
    }

    fn deepen(&mut self) {
        self.group().since_comma += 1;
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
    }

    fn separate_statements(&mut self) {
        let group = std::mem::take(self.group());
        self.depth -= group.since_comma + group.brackets;
    }

    fn separate_elements(&mut self) {
        let passed = std::mem::take(&mut self.group().since_comma);
        self.depth -= passed;
    }

    fn punctuation(&mut self, byte: u8) {
        if std::mem::take(&mut self.after_brace) && byte == b'#' {
            self.separate_statements();
        }
        match byte {
            b'(' | b'[' | b'{' => {
                self.deepen();
                self.groups.push(Group::default());
            }
            b')' | b']' | b'}' => {
                self.separate_statements();
                if self.groups.len() > 1 {
                    self.groups.pop();
                }
                self.after_brace = byte == b'}';
            }
            b';' => self.separate_statements(),
            b',' => self.separate_elements(),
            b'<' | b'|' => {
                self.group().brackets += 1;
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
            _ => self.deepen(),
        }
    }
}
