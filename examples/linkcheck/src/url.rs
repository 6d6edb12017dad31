//! URLs of pages: what is asked for, of whom, and where a redirection leads.

use hyper::Uri;
use hyper::header::HeaderValue;

use crate::target::{decoded, scheme};

/// A URL by its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// In lower case.
    scheme: String,
    /// A name and a password, if they are given.
    user: Option<String>,
    /// With its port, if that is given.
    host: String,
    /// Path and query; begins with a slash.
    path: String,
}

impl Url {
    /// Parses a URL with a scheme and a host. Text behind `#` is left out.
    pub fn parse(url: &str) -> Option<Url> {
        let scheme = scheme(url)?;
        let rest = url[scheme.len() + 1..].strip_prefix("//")?;
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = encoded(&format!("{slash}{path}"));
        (!host.is_empty()).then(|| Url {
            scheme: scheme.to_ascii_lowercase(),
            user,
            host: host.to_owned(),
            path,
        })
    }

    /// Where a redirection from here leads: to a URL, or to a place relative to this one.
    pub fn join(&self, location: &str) -> Option<Url> {
        if scheme(location).is_some() {
            return Url::parse(location);
        }
        if location.starts_with("//") {
            return Url::parse(&format!("{}:{location}", self.scheme));
        }
        let location = location.split('#').next()?;
        let (own, _) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let path = match location.chars().next() {
            None => self.path.clone(),
            Some('/') => without_dots(location),
            Some('?') => format!("{own}{location}"),
            Some(_) => {
                let (dir, _) = own.rsplit_once('/').unwrap_or_default();
                without_dots(&format!("{dir}/{location}"))
            }
        };
        Some(Url { path: encoded(&path), ..self.clone() })
    }

    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// The host and the port to connect to.
    pub fn address(&self) -> Option<(String, u16)> {
        let uri = self.whole()?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((host, uri.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 })))
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the path that the host is asked for.
    pub fn path(&self) -> Option<Uri> {
        self.path.parse().ok()
    }

    /// Returns the URL that a proxy is asked for. A name and a password are no part of it.
    pub fn whole(&self) -> Option<Uri> {
        format!("{}://{}{}", self.scheme, self.host, self.path).parse().ok()
    }

    /// Returns the header that tells the host the name and the password.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let user = decoded(self.user.as_ref()?);
        let mut value = HeaderValue::from_str(&format!("Basic {}", base64(&user))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The path without `.` and `..`, as RFC 3986 removes them. The query is left alone.
fn without_dots(path_and_query: &str) -> String {
    let (path, query) = match path_and_query.find('?') {
        Some(at) => path_and_query.split_at(at),
        None => (path_and_query, ""),
    };
    let mut kept = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." => kept.extend(is_last.then_some("")),
            ".." => {
                kept.pop();
                kept.extend(is_last.then_some(""));
            }
            part => kept.push(part),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// Characters that may not be in a request as they are: all but ASCII, spaces, and control characters.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                encoded += &format!("%{byte:02X}")
            }
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, at| group << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let is_filled = digit <= three.len();
            text.push(if is_filled { char::from(DIGITS[group >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text
}
