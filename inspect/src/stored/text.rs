//! Names and counts as text.

use std::fmt::Write as _;

use larder_storage::inspect::is_printable;

/// Returns a name as text: bytes that are no UTF-8 as `\xNN`, control characters and invisible ones as `\u{N}`.
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_printable(character) {
                text.push(character);
            } else {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Returns a count with its noun: `1 task`, `2 tasks`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
