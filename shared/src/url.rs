//! URLs of engines: `KIND://PLACE?PARAMETERS`, and the rule that what travels in the clear stays on this machine.

/// A URL in its parts. Nothing of it is ever repeated in an error, since it may hold a password.
pub(crate) struct Url<'a> {
    /// The text before `://`.
    pub(crate) scheme: &'a str,
    /// The text between `://` and `?`.
    pub(crate) place: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Url<'a> {
    /// Takes a URL apart whose parameters are among `known`.
    pub(crate) fn parse(url: &'a str, known: &[&str]) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").ok_or("a URL has `://` in it")?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or("a parameter of the URL has no `=`")?;
            if !known.contains(&name) || parameters.iter().any(|(other, _)| *other == name) {
                return Err("the URL has a parameter that is not known for its kind, or has one twice");
            }
            parameters.push((name, value));
        }
        Ok(Self { scheme, place, parameters })
    }

    /// Returns the value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// Tells whether a switch is on: `NAME=1`.
    pub(crate) fn is_on(&self, name: &str) -> Result<bool, &'static str> {
        match self.parameter(name) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err("a switch of the URL is `1` or `0`"),
        }
    }
}

/// Tells whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Tells whether an `http:` or `https:` URL may be used: in the clear only to this machine.
#[cfg(any(feature = "s3", feature = "http"))]
pub(crate) fn is_safe(url: &str) -> bool {
    let Some(("http", rest)) = url.split_once("://") else { return url.starts_with("https://") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        // The colons of an address of version 6 stand between brackets.
        Some((before, port)) if !port.ends_with(']') => before,
        _ => host,
    };
    is_loopback(host)
}
