//! Arguments as text for people.

use std::fmt::Write;

/// Returns the encoded arguments of a task as text: strings quoted, all other bytes in hexadecimal. A store does not know the types, so this
/// is a guess: a length followed by as many bytes of printable text is taken for a string.
///
/// For example, the arguments `("src/lib.rs", 7_u8)` are `"src/lib.rs" 07`. Control characters, and those that change the direction of
/// text, never appear. At most about `most` characters are written; `…` stands for the rest.
pub fn preview(arguments: &[u8], most: usize) -> String {
    let mut text = String::new();
    let mut rest = arguments;
    let mut in_bytes = false;
    while let Some((&byte, behind)) = rest.split_first() {
        if text.chars().count() >= most {
            text.push('…');
            break;
        }
        if let Some((string, behind)) = string(rest) {
            separate(&mut text);
            let shown: String = string.chars().take(most).collect();
            let cut = if shown.len() < string.len() { "…" } else { "" };
            // Writing to a string never fails.
            let _ = write!(text, "\"{shown}{cut}\"");
            in_bytes = false;
            rest = behind;
        } else {
            if !in_bytes {
                separate(&mut text);
            }
            let _ = write!(text, "{byte:02x}");
            in_bytes = true;
            rest = behind;
        }
    }
    text
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push(' ');
    }
}

/// Returns the string that `bytes` begin with, and those behind it, if it looks like one.
fn string(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    // The variable-length integers of codec 1: up to 250 in one byte, then a mark and a number of two or four bytes.
    let (len, rest) = match first {
        0..=250 => (usize::from(first), rest),
        251 => {
            rest.split_first_chunk::<2>().map(|(len, rest)| (usize::from(u16::from_le_bytes(*len)), rest))?
        }
        252 => rest.split_first_chunk::<4>().map(|(len, rest)| (u32::from_le_bytes(*len) as usize, rest))?,
        _ => return None,
    };
    let (text, behind) = rest.split_at_checked(len)?;
    let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    text.chars().all(is_printable).then_some((text, behind))
}

/// Returns whether a character can be shown as it is: no control character, no mark that changes the direction of text or is invisible.
pub fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
