//! Identity of the function beside its code: the package that is compiled, and a digest of the function's tokens.

use std::env;
use std::fmt::Write as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Names the package that is being compiled: its name, the part of its version that tells packages of one name apart in one
/// program, and the binary, which may have the crate name of the package's library.
///
/// Cargo compiles a package once for all versions that are compatible. A release with only fixes is thus the same package
/// here, and functions that declare a version stay warm.
pub(crate) fn name() -> String {
    let part = |name| env::var(name).unwrap_or_default();
    let version = part("CARGO_PKG_VERSION");
    format!("{} {} {}", part("CARGO_PKG_NAME"), compatible(&version), part("CARGO_BIN_NAME"))
}

/// Returns the leading numbers of a version, up to the first that is not zero.
fn compatible(version: &str) -> &str {
    let end = version.find(['-', '+']).unwrap_or(version.len());
    let mut at = 0;
    for number in version[..end].split('.') {
        at += number.len();
        if number != "0" {
            return &version[..at];
        }
        at += 1;
    }
    version
}

/// Returns a digest of tokens, which says nothing of where they stand or how they are laid out.
pub(crate) fn digest(streams: impl IntoIterator<Item = TokenStream>) -> u64 {
    let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
    for stream in streams {
        digest.stream(stream);
    }
    digest.0
}

/// FNV-1a.
struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn stream(&mut self, stream: TokenStream) {
        for tree in stream {
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    self.bytes(open.as_bytes());
                    self.stream(group.stream());
                    self.bytes(close.as_bytes());
                }
                token => {
                    let _ = write!(self, "{token} ");
                }
            }
        }
    }
}

impl std::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{compatible, digest};

    #[test]
    fn versions_that_cargo_would_merge_are_one() {
        let cases = [
            ("1.2.3", "1"),
            ("1.0.0-alpha.1", "1"),
            ("0.3.9", "0.3"),
            ("0.0.4", "0.0.4"),
            ("0.0.0", "0.0.0"),
            ("10.0.0+build", "10"),
            ("", ""),
        ];
        for (version, expected) in cases {
            assert_eq!(compatible(version), expected, "{version}");
        }
    }

    #[test]
    fn a_digest_is_of_the_tokens_and_not_of_their_layout() {
        let of = |text: &str| digest(text.parse::<proc_macro2::TokenStream>());
        assert_eq!(of("fn f ( ) { 1 + 2 }"), of("fn f() {\n    1 + 2 // three\n}"));
        assert_ne!(of("fn f() { 1 + 2 }"), of("fn f() { 1 + 3 }"));
        assert_ne!(of("(a) b"), of("(a b)"));
        assert_ne!(of("a b"), of("ab"));
    }
}
