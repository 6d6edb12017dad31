//! Answers of HTTP servers that are not the answer to the question.

use std::fmt;
use std::time::Duration;

use crate::SharedError;

/// A status that is no success, and the code that stands in the body of it. Of the body no more is kept: servers repeat there what they were sent,
/// session tokens included.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    code: Box<str>,
    retry_after: Option<Duration>,
}

/// The most bytes of a body that are searched for a code.
pub(crate) const SEARCHED: usize = 4096;

impl Answer {
    /// Takes what the server says. `retry_after` is the header of that name.
    pub(crate) fn new(status: u16, body: &[u8], retry_after: Option<&str>) -> Self {
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        Self { status, code: code(body).into(), retry_after: seconds.map(Duration::from_secs) }
    }

    /// Takes what the metadata service of a cloud says of a machine that has no role.
    #[cfg(feature = "s3")]
    pub(crate) fn no_role(status: u16) -> Self {
        Self {
            status,
            code: "no credentials in the environment, and this machine has no role".into(),
            retry_after: None,
        }
    }

    /// Tells whether the server speaks of a bucket that is not there, rather than of an item.
    #[cfg(feature = "s3")]
    pub(crate) fn is_about_the_bucket(&self) -> bool {
        &*self.code == "NoSuchBucket"
    }

    /// Tells whether the server does not know what it was asked to do.
    #[cfg(feature = "s3")]
    pub(crate) fn is_not_implemented(&self) -> bool {
        self.status == 501
    }

    pub(crate) fn to_error(&self) -> SharedError {
        match self.status {
            // To write is not allowed at all (405, 501) or not so much (413, 507), or the place is none (404).
            401 | 403 | 404 | 405 | 407 | 413 | 501 | 507 => {
                SharedError::Refused { reason: self.to_string().into() }
            }
            429 | 503 => SharedError::Busy { retry_after: self.retry_after },
            408 | 504 => SharedError::Slow,
            _ => SharedError::broken(self.to_string()),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answers with status {}", self.status)?;
        if self.code.is_empty() { Ok(()) } else { write!(f, " ({})", self.code) }
    }
}

impl std::error::Error for Answer {}

/// Returns what stands in `<Code>`, where S3 says in one word what is wrong; empty if it is not a word.
fn code(body: &[u8]) -> &str {
    let text = body.get(..SEARCHED).unwrap_or(body);
    let Some(start) = find(text, b"<Code>") else { return "" };
    let Some(end) = find(&text[start..], b"</Code>") else { return "" };
    let word = &text[start + 6..start + end];
    let is_word = word.len() <= 60 && word.iter().all(u8::is_ascii_alphanumeric);
    std::str::from_utf8(word).ok().filter(|_| is_word).unwrap_or_default()
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}
