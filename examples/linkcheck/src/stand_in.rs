//! A server on loopback that answers in place of the world, as a list says: for tests, and where there is no network.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, LOCATION};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::url::base64;

/// The answer for a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    after: Duration,
    /// How many such answers have to be asked for before any is given.
    together: usize,
    ids: Vec<String>,
    /// The headers before them.
    filled: usize,
    /// A name and a password, to be told.
    user: Option<String>,
    location: Option<String>,
}

/// The answers, by URL; everything else is not found.
#[derive(Debug, Default)]
pub struct Answers {
    by_url: Mutex<HashMap<String, Answer>>,
    /// Answers that were asked for and are given together with others.
    asked_together: AtomicUsize,
}

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
        let mut answer = Answer {
            status: StatusCode::OK,
            after: Duration::ZERO,
            together: 0,
            ids: Vec::new(),
            filled: 0,
            user: None,
            location: None,
        };
        while let Some(word) = words.next() {
            let mut operand = || words.next().ok_or_else(|| format!("`{word}` needs more"));
            match word {
                "after" => {
                    let after = operand()?;
                    let millis = after.parse().map_err(|_| format!("`{after}` is no number"))?;
                    answer.after = Duration::from_millis(millis);
                }
                "together" => {
                    let number = operand()?;
                    answer.together = number.parse().map_err(|_| format!("`{number}` is no number"))?;
                }
                "of" => {
                    let bytes = operand()?;
                    answer.filled = bytes.parse().map_err(|_| format!("`{bytes}` is no number"))?;
                }
                "for" => answer.user = Some(operand()?.to_owned()),
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
        self.by_url.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_for_others(&self, answer: &Answer) {
        if answer.together > 0 {
            self.asked_together.fetch_add(1, SeqCst);
            while self.asked_together.load(SeqCst) < answer.together {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
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
        let told = request.headers().get(AUTHORIZATION).map(|told| told.as_bytes().to_owned());
        let answers = answers.clone();
        async move {
            if let Some(answer) = &answer {
                answers.wait_for_others(answer).await;
            }
            Ok::<_, Infallible>(respond(answer, told.as_deref()).await)
        }
    });
    // A client that goes away has lost its patience, and is told nothing.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// `told` is what the client said of itself.
async fn respond(answer: Option<Answer>, told: Option<&[u8]>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let Some(Answer { status, after, ids, filled, user, location, .. }) = answer else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    if user
        .as_ref()
        .map(|user| format!("Basic {}", base64(user.as_bytes())))
        .is_some_and(|wanted| told != Some(wanted.as_bytes()))
    {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return response;
    }
    tokio::time::sleep(after).await;
    *response.status_mut() = status;
    if let Some(location) = location.and_then(|location| location.parse().ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    let page: String =
        "x".repeat(filled) + &ids.iter().map(|id| format!("<p id=\"{id}\">\n")).collect::<String>();
    *response.body_mut() = Full::from(page);
    response
}
