//! A server on loopback that answers in place of the world, as a list says: for tests, and where there is no network.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::LOCATION;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is answered for a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    after: Duration,
    ids: Vec<String>,
    location: Option<String>,
}

/// What is answered, by URL; everything else is not found.
#[derive(Debug, Default)]
pub struct Answers(Mutex<HashMap<String, Answer>>);

impl Answers {
    /// Reads a list from a file; see `--help` for its form.
    pub fn read(list: &Path) -> io::Result<Answers> {
        let text = std::fs::read_to_string(list)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", list.display())))?;
        let answers = Answers::default();
        for (number, line) in text.lines().enumerate() {
            answers.add(line).map_err(|what| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{}:{}: {what}", list.display(), number + 1),
                )
            })?;
        }
        Ok(answers)
    }

    /// Takes in a line of a list.
    pub fn add(&self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let Some(url) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(()) };
        let mut answer =
            Answer { status: StatusCode::OK, after: Duration::ZERO, ids: Vec::new(), location: None };
        while let Some(word) = words.next() {
            let mut operand = || words.next().ok_or_else(|| format!("`{word}` needs more"));
            match word {
                "after" => {
                    let after = operand()?;
                    let millis = after.parse().map_err(|_| format!("`{after}` is no number"))?;
                    answer.after = Duration::from_millis(millis);
                }
                "->" => answer.location = Some(operand()?.to_owned()),
                _ => match word.strip_prefix('#') {
                    Some(id) => answer.ids.push(id.to_owned()),
                    None => answer.status = word.parse().map_err(|_| format!("`{word}` is no status"))?,
                },
            }
        }
        if answer.location.is_some() && answer.status == StatusCode::OK {
            answer.status = StatusCode::MOVED_PERMANENTLY;
        }
        self.lock().insert(url.to_owned(), answer);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, url: &str) -> Option<Answer> {
        self.lock().get(url).cloned()
    }
}

/// The server. It ends when this is dropped.
pub struct StandIn {
    address: SocketAddr,
    accepts: JoinHandle<()>,
}

impl StandIn {
    /// Starts it; what it answers may be changed while it runs.
    pub async fn start(answers: Arc<Answers>) -> io::Result<StandIn> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepts = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone()));
            }
        });
        Ok(StandIn { address, accepts })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn serve(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = answers.of(&request.uri().to_string());
        async move { Ok::<_, Infallible>(respond(answer).await) }
    });
    // A client that goes away has lost its patience, and is told nothing.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(answer: Option<Answer>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let Some(Answer { status, after, ids, location }) = answer else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    tokio::time::sleep(after).await;
    *response.status_mut() = status;
    if let Some(location) = location.and_then(|location| location.parse().ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    let page: String = ids.iter().map(|id| format!("<p id=\"{id}\">\n")).collect();
    *response.body_mut() = Full::from(page);
    response
}
