//! The inspector: settings, the thread that serves, connections and their limits.
//!
//! A server has one thread of its own, and up to four that look things up. It takes no part in the program's async runtime, if there is one.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};
use tokio_io_timeout::TimeoutStream;

use crate::guard::Guard;
use crate::routes::router;
use crate::source::Source;
use crate::store::StoreSource;
use crate::stored::LookError;

/// Connections at once; further ones are closed.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take to come, and a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may not take what is sent to it.
const STALL: Duration = Duration::from_secs(20);
/// The bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;
/// The headers of a request.
const HEADERS: usize = 64;

/// Settings of an inspector: a page about a store, or about a running program.
#[derive(Debug, Default)]
#[must_use = "nothing is served before `store` or `runtime` is called"]
pub struct Inspector {
    remote: bool,
    hosts: Vec<String>,
    token: Option<String>,
    base: Option<PathBuf>,
}

/// A page cannot be served.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is none, or other machines reach it, and [`Inspector::allow_remote`] was not called.
    Address(Box<str>),
    /// The token is shorter than 16 characters, or has others than letters and digits.
    Token,
    /// The store cannot be read.
    Store(Box<dyn std::error::Error + Send + Sync>),
    /// The address cannot be listened at, or no thread can be started.
    Listen(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(reason) => f.write_str(reason),
            Self::Token => f.write_str("a token has 16 characters or more, letters and digits"),
            Self::Store(source) => source.fmt(f),
            Self::Listen(source) => write!(f, "the page cannot be served: {source}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(source) => Some(&**source),
            Self::Listen(source) => Some(source),
            Self::Address(_) | Self::Token => None,
        }
    }
}

impl From<LookError> for ServeError {
    fn from(error: LookError) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Inspector {
    /// Makes settings: loopback addresses only, a new token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows addresses that other machines reach. The page is not encrypted: the token can be read from the traffic.
    pub fn allow_remote(mut self) -> Self {
        self.remote = true;
        self
    }

    /// Answers requests that name this host, beside `localhost` and addresses.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Sets the token. Default: 128 random bits of the system.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets where relative paths of a store's sources start, for explanations: the program's base directory.
    pub fn base(mut self, base: impl AsRef<Path>) -> Self {
        self.base = Some(base.as_ref().to_owned());
        self
    }

    /// Serves the page about the store file at `path`, as it is now: from a copy of it, so that the program that owns it is not disturbed.
    ///
    /// Cost: the copy, in the folder for temporary files, and a thread.
    ///
    /// # Errors
    /// If the store cannot be read, or the address not be served.
    pub fn store(self, path: impl AsRef<Path>, address: impl ToSocketAddrs) -> Result<Serving, ServeError> {
        // The address first: a copy of a large store is not made for nothing.
        let listener = self.listen(address)?;
        let source = StoreSource::open(path.as_ref(), self.base.clone())?;
        self.serve(listener, source)
    }

    /// Returns the socket, if the address is one that may be served.
    pub(crate) fn listen(&self, address: impl ToSocketAddrs) -> Result<TcpListener, ServeError> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(ServeError::Listen)?.collect();
        if addresses.is_empty() {
            return Err(ServeError::Address("the address is none".into()));
        }
        if let Some(address) = addresses.iter().find(|address| !self.remote && !address.ip().is_loopback()) {
            let reason = format!(
                "other machines reach {address}; only addresses of this machine, as 127.0.0.1, are served"
            );
            return Err(ServeError::Address(reason.into()));
        }
        TcpListener::bind(&addresses[..]).map_err(ServeError::Listen)
    }

    pub(crate) fn serve(self, listener: TcpListener, source: Arc<dyn Source>) -> Result<Serving, ServeError> {
        let token = match self.token {
            Some(token) if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                return Err(ServeError::Token);
            }
            Some(token) => token,
            None => random_token()?,
        };
        let address = listener.local_addr().map_err(ServeError::Listen)?;
        listener.set_nonblocking(true).map_err(ServeError::Listen)?;
        let guard = Arc::new(Guard::new(address, self.hosts, token));
        let url = format!("http://{address}/#token={}", guard.token()).into();
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(5)
            .build()
            .map_err(ServeError::Listen)?;
        let thread = std::thread::Builder::new()
            .name("larder-inspect".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let accepting = pin!(accept(listener, guard, source));
                    futures_util::future::select(accepting, ended).await;
                });
                // A question that is worked on is not waited for.
                runtime.shutdown_background();
            })
            .map_err(ServeError::Listen)?;
        Ok(Serving { address, url, end: Some(end), thread: Some(thread) })
    }
}

fn random_token() -> Result<String, ServeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ServeError::Listen(io::Error::other(error)))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A page that is served as long as this lives.
#[must_use = "the page is served until this is dropped"]
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    url: Box<str>,
    /// Its drop ends the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Returns the address, with the port that was chosen if it was given as 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what to open in a browser. It has the token: to be shown to the user of this machine and nowhere else.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits for ever, or until the server's thread has failed.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of it was printed by the thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it was printed by the thread.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, guard: Arc<Guard>, source: Arc<dyn Source>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let router = router(guard, source);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, perhaps: they are closed in time.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(STALL));
            let mut server = http1::Builder::new();
            server
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_BYTES)
                .max_headers(HEADERS);
            // A connection that breaks, or a request that is none, concerns its client alone.
            let _ = server.serve_connection(TokioIo::new(Box::pin(stream)), service).await;
            drop(permit);
        });
    }
}
