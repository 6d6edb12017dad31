//! How a page is asked for: HTTP/1.1, one connection per page, redirections followed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, LOCATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::markdown::ids;
use crate::url::Url;

/// Asks for pages. An argument of task functions: what they know from one server is not taken for the word of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The server that is asked in place of all others.
    pub stand_in: Option<SocketAddr>,
    pub timeout: Duration,
}

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    /// Where in the page one can link to.
    pub ids: BTreeSet<String>,
    /// How much of the page was read.
    pub read: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// There is more, in which there may be more `ids`.
    Beginning,
}

impl Page {
    /// Whether a link can lead to an anchor of this page. GitHub's have a prefix.
    pub fn has_anchor(&self, anchor: &str) -> bool {
        self.ids.contains(anchor) || self.ids.contains(&format!("user-content-{anchor}"))
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchError {
    TimedOut,
    NotAUrl,
    /// It led to where only TLS is spoken.
    NoTls,
    TooManyRedirections,
    Unreachable(String),
    NotHttp(String),
}

const REDIRECTIONS: usize = 5;
const LARGEST: usize = 4 << 20;

impl Client {
    /// Whether it can ask for a page: TLS is left out.
    pub fn reaches(&self, url: &str) -> bool {
        self.stand_in.is_some() || !Url::parse(url).is_some_and(|url| url.is_secure())
    }

    /// Asks for a page.
    pub async fn get(&self, url: &str) -> Result<Page, FetchError> {
        tokio::time::timeout(self.timeout, self.follow(url)).await.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn follow(&self, url: &str) -> Result<Page, FetchError> {
        let mut url = Url::parse(url).ok_or(FetchError::NotAUrl)?;
        for _ in 0..=REDIRECTIONS {
            let response = self.ask(&url).await?;
            let Some(next) = redirection(&url, &response) else { return page(response).await };
            url = next?;
        }
        Err(FetchError::TooManyRedirections)
    }

    async fn ask(&self, url: &Url) -> Result<Response<hyper::body::Incoming>, FetchError> {
        // A stand-in is asked as a proxy is, by the whole URL.
        let (connected, asked) = match self.stand_in {
            Some(stand_in) => (TcpStream::connect(stand_in).await, url.whole()),
            None if url.is_secure() => return Err(FetchError::NoTls),
            None => (TcpStream::connect(url.address().ok_or(FetchError::NotAUrl)?).await, url.path()),
        };
        let asked = asked.ok_or(FetchError::NotAUrl)?;
        let stream = connected.map_err(|error| FetchError::Unreachable(error.kind().to_string()))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        // It calls no task, so it needs not be carried; it ends with the sender.
        tokio::spawn(connection);
        let mut request = Request::get(asked).header(HOST, url.host());
        if let Some(authorization) = url.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| FetchError::NotAUrl)?;
        sender.send_request(request).await.map_err(not_http)
    }
}

fn not_http(error: hyper::Error) -> FetchError {
    FetchError::NotHttp(error.to_string())
}

/// Where a response sends the client, if it does: headers are bytes, and servers write UTF-8 into this one.
fn redirection<B>(from: &Url, response: &Response<B>) -> Option<Result<Url, FetchError>> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    let location = String::from_utf8_lossy(location.as_bytes());
    Some(from.join(location.trim()).ok_or(FetchError::NotAUrl))
}

/// The page is well, however long it is; only so much of it is read.
async fn page(response: Response<hyper::body::Incoming>) -> Result<Page, FetchError> {
    let status = response.status().as_u16();
    let (mut body, mut bytes, mut read) = (response.into_body(), Vec::new(), Extent::All);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(not_http)?.into_data();
        bytes.extend_from_slice(&data.unwrap_or_default());
        if bytes.len() > LARGEST {
            read = Extent::Beginning;
            break;
        }
    }
    Ok(Page { status, ids: ids(&String::from_utf8_lossy(&bytes)).collect(), read })
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::TimedOut => f.write_str("timed out"),
            FetchError::NotAUrl => f.write_str("not a URL"),
            FetchError::NoTls => f.write_str("redirected to https"),
            FetchError::TooManyRedirections => f.write_str("redirected too often"),
            FetchError::Unreachable(reason) | FetchError::NotHttp(reason) => f.write_str(reason),
        }
    }
}
