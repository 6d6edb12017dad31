//! Which requests are answered.
//!
//! - `GET` without a body, and nothing else.
//! - One `Host`, which names this server: a page of elsewhere whose name was made to lead here (DNS rebinding) has another one. Addresses are
//!   never such names, so on an address that other machines reach all addresses are taken.
//! - The token, for everything that tells something. The page itself has no secrets: its address carries the token behind a `#`, which browsers
//!   do not send.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use subtle::ConstantTimeEq;

/// The checks of one server.
#[derive(Debug)]
pub(crate) struct Guard {
    address: SocketAddr,
    hosts: Vec<String>,
    token: String,
}

impl Guard {
    pub(crate) fn new(address: SocketAddr, hosts: Vec<String>, token: String) -> Self {
        Self { address, hosts, token }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Checks method, body and host.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<(), StatusCode> {
        if request.method() != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let headers = request.headers();
        let has_body = headers.contains_key(header::TRANSFER_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        if has_body {
            return Err(StatusCode::BAD_REQUEST);
        }
        // A request that names its target in full must name this server there as well.
        let is_own = request.uri().authority().is_none_or(|authority| self.is_own(authority));
        if !is_own || !self.has_own_host(headers) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        Ok(())
    }

    /// Checks the token, in a time that does not depend on where it differs.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .unwrap_or_default();
        given.ct_eq(self.token.as_bytes()).into()
    }

    fn has_own_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        authority.is_some_and(|authority| self.is_own(&authority))
    }

    fn is_own(&self, authority: &Authority) -> bool {
        let host = authority.host();
        if authority.as_str().contains('@') || authority.port_u16().unwrap_or(80) != self.address.port() {
            return false;
        }
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match literal.parse::<IpAddr>() {
            Ok(address) => !self.address.ip().is_loopback() || address.is_loopback(),
            Err(_) => {
                host.eq_ignore_ascii_case("localhost")
                    || self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }
}
