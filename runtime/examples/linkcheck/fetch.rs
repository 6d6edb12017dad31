//! How a page is asked for: HTTP/1.1, one connection per page, redirections followed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, LOCATION};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::markdown::ids;

/// Asks for pages. An argument of task functions: what they know from one server is not taken for the word of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Who is asked in place of everybody.
    pub stand_in: Option<SocketAddr>,
    pub timeout: Duration,
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    /// Where in the page one can link to.
    pub ids: BTreeSet<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchError {
    TimedOut,
    NotAUrl,
    TooManyRedirections,
    Unreachable(String),
    NotHttp(String),
}

const REDIRECTIONS: usize = 5;
const LARGEST: usize = 4 << 20;

impl Client {
    /// Whether it can ask for a page: TLS is left out.
    pub fn reaches(&self, url: &str) -> bool {
        self.stand_in.is_some() || url.starts_with("http:")
    }

    /// Asks for a page.
    pub async fn get(&self, url: &str) -> Result<Page, FetchError> {
        tokio::time::timeout(self.timeout, self.follow(url)).await.unwrap_or(Err(FetchError::TimedOut))
    }

    async fn follow(&self, url: &str) -> Result<Page, FetchError> {
        let mut uri: Uri = url.parse().map_err(|_| FetchError::NotAUrl)?;
        for _ in 0..=REDIRECTIONS {
            let response = self.ask(&uri).await?;
            let Some(next) = redirection(&uri, &response) else { return page(response).await };
            uri = next;
        }
        Err(FetchError::TooManyRedirections)
    }

    async fn ask(&self, uri: &Uri) -> Result<Response<hyper::body::Incoming>, FetchError> {
        let host = uri.host().ok_or(FetchError::NotAUrl)?;
        let connected = match self.stand_in {
            Some(stand_in) => TcpStream::connect(stand_in).await,
            None => TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await,
        };
        let stream = connected.map_err(|error| FetchError::Unreachable(error.kind().to_string()))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(not_http)?;
        // It calls no task, so it needs not be carried; it ends with the sender.
        tokio::spawn(connection);
        // A stand-in is asked as a proxy is, by the whole URL.
        let asked = match (self.stand_in, uri.path_and_query()) {
            (None, Some(path)) => Uri::from(path.clone()),
            _ => uri.clone(),
        };
        let authority = uri.authority().map_or(host, |authority| authority.as_str());
        let request = Request::get(asked).header(HOST, authority).body(Empty::<Bytes>::new());
        let request = request.map_err(|_| FetchError::NotAUrl)?;
        sender.send_request(request).await.map_err(not_http)
    }
}

fn not_http(error: hyper::Error) -> FetchError {
    FetchError::NotHttp(error.to_string())
}

fn redirection<B>(from: &Uri, response: &Response<B>) -> Option<Uri> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    let to: Uri = location.to_str().ok()?.parse().ok()?;
    let mut parts = to.into_parts();
    parts.scheme = parts.scheme.or_else(|| from.scheme().cloned());
    parts.authority = parts.authority.or_else(|| from.authority().cloned());
    Uri::from_parts(parts).ok()
}

async fn page(response: Response<hyper::body::Incoming>) -> Result<Page, FetchError> {
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| FetchError::NotHttp(error.to_string()))?.to_bytes();
    Ok(Page { status, ids: ids(&String::from_utf8_lossy(&body)).collect() })
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::TimedOut => f.write_str("timed out"),
            FetchError::NotAUrl => f.write_str("not a URL"),
            FetchError::TooManyRedirections => f.write_str("redirected too often"),
            FetchError::Unreachable(reason) | FetchError::NotHttp(reason) => f.write_str(reason),
        }
    }
}
