//! An engine over HTTP: `GET` and `PUT` below a URL, as WebDAV servers take them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::answer::{Answer, SEARCHED};
use crate::url::{Url, is_safe};
use crate::{Limits, MOST_PACK_BYTES, Put, SharedEngine, SharedError, SharedKey};

/// Keeps bytes on an HTTP server that takes `PUT`: nginx with its DAV module, Apache, a cache of build tools that accepts any name.
///
/// `GET URL/NAME` has to answer 200 with the bytes or 404, and `PUT URL/NAME` any 2xx; folders between are the server's to make. Nothing is
/// retried, and redirections are not followed.
pub struct HttpEngine {
    agent: Agent,
    base: Box<str>,
    authorization: Option<Box<str>>,
}

/// The most requests of a call that are under way at once.
const IN_FLIGHT: usize = 8;

impl HttpEngine {
    /// Takes a URL: `https://[user:password@]host[:port]/folder`. Plain `http:` is taken to this machine only, or with `?insecure=1`, since what
    /// goes there can be read and changed on the way. Nothing is connected yet.
    ///
    /// # Errors
    /// The rule that the URL breaks. The text does not repeat the URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Self, &'static str> {
        let parsed = Url::parse(url, &["insecure"])?;
        let base = format!("{}://{}", parsed.scheme, parsed.place.trim_end_matches('/'));
        if !matches!(parsed.scheme, "http" | "https") || parsed.place.is_empty() || base.contains('#') {
            return Err("a URL of HTTP is `https://` with a host and a path");
        }
        if base.parse::<ureq::http::Uri>().is_err() {
            return Err("this is no URL of HTTP");
        }
        if !is_safe(&base) && !parsed.is_on("insecure")? {
            return Err("plain `http:` to another machine needs `?insecure=1`");
        }
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(IN_FLIGHT)
            .max_idle_connections_per_host(IN_FLIGHT)
            .tls_config(tls);
        let config = if is_safe(&base) && parsed.scheme == "http" { config.proxy(None) } else { config };
        Ok(Self { agent: config.build().into(), base: base.into(), authorization: None })
    }

    /// Sends this token with each request, as `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {}", token.trim()).into());
        self
    }

    fn get_one(&self, key: &SharedKey, until: Instant) -> Result<Option<Vec<u8>>, SharedError> {
        let mut request = self.agent.get(format!("{}/{key}", self.base));
        if let Some(value) = &self.authorization {
            request = request.header("Authorization", &**value);
        }
        let request = request.config().timeout_global(Some(left(until)?)).build();
        let mut response = request.call().map_err(shared_error)?;
        match response.status().as_u16() {
            200 => match response.body_mut().with_config().limit(MOST_PACK_BYTES as u64).read_to_vec() {
                Ok(bytes) => Ok(Some(bytes)),
                // An empty item is rejected by its size, as this one is to be.
                Err(ureq::Error::BodyExceedsLimit(_)) => Ok(Some(Vec::new())),
                Err(error) => Err(shared_error(error)),
            },
            404 | 410 => {
                drain(&mut response);
                Ok(None)
            }
            _ => Err(answer(&mut response).to_error()),
        }
    }

    fn put_one(
        &self,
        (key, bytes): &(SharedKey, &[u8]),
        how: Put,
        until: Instant,
    ) -> Result<(), SharedError> {
        let mut request = self.agent.put(format!("{}/{key}", self.base));
        if let Some(value) = &self.authorization {
            request = request.header("Authorization", &**value);
        }
        if how == Put::IfAbsent {
            request = request.header("If-None-Match", "*");
        }
        let request = request.config().timeout_global(Some(left(until)?)).build();
        let mut response = request.send(*bytes).map_err(shared_error)?;
        match response.status().as_u16() {
            200..300 => {
                drain(&mut response);
                Ok(())
            }
            412 if how == Put::IfAbsent => {
                drain(&mut response);
                Ok(())
            }
            _ => Err(answer(&mut response).to_error()),
        }
    }
}

fn left(until: Instant) -> Result<Duration, SharedError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(SharedError::Slow) } else { Ok(left) }
}

/// Reads a body that is of no interest, so that the connection can be used again.
fn drain(response: &mut ureq::http::Response<ureq::Body>) {
    _ = response.body_mut().with_config().limit(SEARCHED as u64).read_to_vec();
}

fn answer(response: &mut ureq::http::Response<ureq::Body>) -> Answer {
    let body = response.body_mut().with_config().limit(SEARCHED as u64).read_to_vec().unwrap_or_default();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    Answer::new(response.status().as_u16(), &body, retry_after)
}

fn shared_error(error: ureq::Error) -> SharedError {
    match error {
        ureq::Error::Timeout(_) => SharedError::Slow,
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => SharedError::Slow,
        // Its text would be the URL.
        ureq::Error::BadUri(_) => SharedError::broken("this is no URL of HTTP"),
        error => SharedError::broken(error),
    }
}

/// Calls `ask` with each number below `count`, on several threads if there are several numbers. Returns the answers in their order, or an
/// error of one of them; nothing new is begun after an error.
fn each<R: Send>(
    count: usize,
    ask: impl Fn(usize) -> Result<R, SharedError> + Sync,
) -> Result<Vec<R>, SharedError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = Vec::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= count {
                return Ok(answers);
            }
            match ask(number) {
                Ok(answer) => answers.push((number, answer)),
                Err(error) => {
                    next.store(count, Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut answers = if count <= 1 {
        work()?
    } else {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count.min(IN_FLIGHT)).map(|_| scope.spawn(work)).collect();
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(SharedError::broken("a request panicked")))
            });
            // All of them are waited for, and then the first error is taken.
            let ended: Vec<_> = ended.collect();
            ended.into_iter().try_fold(Vec::new(), |mut all, some| {
                all.extend(some?);
                Ok::<_, SharedError>(all)
            })
        })?
    };
    answers.sort_by_key(|(number, _)| *number);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

impl SharedEngine for HttpEngine {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        each(keys.len(), |number| self.get_one(&keys[number], until))
    }

    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        each(items.len(), |number| self.put_one(&items[number], how, until)).map(|_| ())
    }

    fn limits(&self) -> Limits {
        Limits::default().item_bytes(MOST_PACK_BYTES).keys(256).patience(Duration::from_millis(750))
    }
}

impl fmt::Debug for HttpEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host, and not the name and the password that may stand before it.
        let place = self.base.rsplit_once('@').map_or(&*self.base, |(_, place)| place);
        f.debug_struct("HttpEngine").field("at", &place).finish_non_exhaustive()
    }
}
