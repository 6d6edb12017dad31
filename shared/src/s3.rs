//! An engine over S3, and over the many servers that speak as it does.

mod driver;
mod lease;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig};
use tokio::task::JoinSet;

use self::driver::Driver;
use self::transport::{Transport, shared_error};
use crate::url::{Url, is_safe};
use crate::{Holder, Lease, Limits, MOST_PACK_BYTES, Put, SharedEngine, SharedError, SharedKey};

/// Keeps bytes in a bucket of S3, or of a server that speaks as S3 does.
///
/// Credentials come from where programs of AWS look for them in CI and in the cloud: the variables `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; a token of OpenID Connect (`AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`); a container's role; the
/// machine's role. Files of profiles are not read. Nothing is retried.
///
/// Requests run on a thread of the engine's own, which begins with the first of them; so an engine can be called from any thread, one of an async
/// runtime included.
pub struct S3Engine {
    bucket: Box<str>,
    prefix: Option<Path>,
    store: Arc<AmazonS3>,
    /// The server does not know conditions (501): items are written without.
    without_conditions: Arc<AtomicBool>,
    driver: Driver,
}

/// The most requests of a call that are under way at once.
const IN_FLIGHT: usize = 32;

impl S3Engine {
    /// Takes a URL: `s3://bucket[/prefix][?PARAMETERS]`. Nothing is connected yet.
    ///
    /// | parameter | |
    /// |---|---|
    /// | `region=` | the region; else `AWS_REGION` |
    /// | `endpoint=` | the server's URL, if it is not AWS; else `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` |
    /// | `virtual=1` | the endpoint already names the bucket, as in `https://bucket.s3.example.org` |
    /// | `anonymous=1` | requests are not signed: a bucket that all may read |
    /// | `insecure=1` | takes a plain `http:` endpoint on another machine |
    ///
    /// # Errors
    /// The rule that the URL or the environment breaks. No secret is repeated.
    pub fn from_url(url: &str) -> Result<Self, &'static str> {
        Self::open(url, AmazonS3Builder::from_env())
    }

    /// Takes a URL as [`S3Engine::from_url`] does, and a key instead of the credentials of the environment. For example, one from a vault.
    ///
    /// # Errors
    /// The rule that the URL breaks. No secret is repeated.
    pub fn with_key(url: &str, id: &str, secret: &str) -> Result<Self, &'static str> {
        Self::open(url, AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(secret))
    }

    fn open(url: &str, builder: AmazonS3Builder) -> Result<Self, &'static str> {
        let known = ["region", "endpoint", "virtual", "anonymous", "insecure"];
        let url = Url::parse(url, &known)?;
        let (bucket, prefix) = url.place.split_once('/').unwrap_or((url.place, ""));
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if url.scheme != "s3" || bucket.is_empty() || !bucket.chars().all(is_fine) {
            return Err("a URL of S3 is `s3://` with the name of a bucket");
        }
        let prefix = match prefix.trim_end_matches('/') {
            "" => None,
            prefix => {
                Some(Path::parse(prefix).map_err(|_| "the prefix in a URL of S3 has parts that are none")?)
            }
        };
        let mut builder = builder.with_bucket_name(bucket);
        if let Some(region) = url.parameter("region") {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = url.parameter("endpoint") {
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.trim_end_matches('/'));
        }
        if url.is_on("virtual")? {
            builder = builder.with_virtual_hosted_style_request(true);
        }
        if url.is_on("anonymous")? {
            builder = builder.with_skip_signature(true);
        }
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
        let endpoint = endpoint.iter().find_map(|key| builder.get_config_value(key));
        let is_plain = endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("https://"));
        if is_plain && !endpoint.as_deref().is_some_and(is_safe) && !url.is_on("insecure")? {
            return Err("a plain `http:` endpoint on another machine needs `insecure=1`");
        }
        let retry = RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() };
        let store = builder
            .with_allow_http(is_plain)
            .with_retry(retry)
            .with_http_connector(Transport)
            .build()
            .map_err(
                |_| "the AWS configuration in the environment makes no sense, or TLS has no certificates",
            )?;
        Ok(Self {
            bucket: bucket.into(),
            prefix,
            store: Arc::new(store),
            without_conditions: Arc::default(),
            driver: Driver::default(),
        })
    }

    fn path(&self, key: &SharedKey) -> Path {
        let key = key.to_string();
        match &self.prefix {
            None => Path::from(key),
            Some(prefix) => Path::from(format!("{prefix}/{key}")),
        }
    }
}

async fn get_one(store: &AmazonS3, path: &Path) -> Result<Option<Vec<u8>>, SharedError> {
    match store.get(path).await {
        // An empty item is rejected by its size, as this one is to be.
        Ok(found) if found.meta.size > MOST_PACK_BYTES as u64 => Ok(Some(Vec::new())),
        Ok(found) => Ok(Some(found.bytes().await.map_err(shared_error)?.into())),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(shared_error(error)),
    }
}

/// Writes an item, if none is there and the server knows how to tell. Returns whether it was written for certain.
async fn create(store: &AmazonS3, path: &Path, bytes: PutPayload) -> Result<Created, SharedError> {
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(path, bytes, options).await {
        Ok(_) => Ok(Created::Written),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            Ok(Created::WasThere)
        }
        Err(error) if transport::is_not_implemented(&error) => Ok(Created::NotSupported),
        Err(error) => Err(shared_error(error)),
    }
}

/// The outcome of a write on the condition that nothing is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Created {
    Written,
    WasThere,
    NotSupported,
}

/// Runs what `begin` makes of each item, so many at once, and returns the answers in order. The first error ends the others.
async fn each<T, R: Send + 'static, F: Future<Output = Result<R, SharedError>> + Send + 'static>(
    items: Vec<T>,
    begin: impl Fn(T) -> F,
) -> Result<Vec<R>, SharedError> {
    let mut answers: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut items = items.into_iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < IN_FLIGHT
            && let Some((at, item)) = items.next()
        {
            let request = begin(item);
            running.spawn(async move { (at, request.await) });
        }
        match running.join_next().await {
            None => return Ok(answers.into_iter().flatten().collect()),
            Some(Ok((at, answer))) => answers[at] = Some(answer?),
            Some(Err(_)) => return Err(SharedError::broken("a request panicked")),
        }
    }
}

impl SharedEngine for S3Engine {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        let paths: Vec<Path> = keys.iter().map(|key| self.path(key)).collect();
        let store = self.store.clone();
        self.driver.run(until, async move {
            each(paths, |path| {
                let store = store.clone();
                async move { get_one(&store, &path).await }
            })
            .await
        })
    }

    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        let items: Vec<(Path, PutPayload)> =
            items.iter().map(|(key, bytes)| (self.path(key), bytes.to_vec().into())).collect();
        let (store, without) = (self.store.clone(), self.without_conditions.clone());
        self.driver.run(until, async move {
            let written = each(items, |(path, bytes)| {
                let (store, without) = (store.clone(), without.clone());
                async move {
                    if how == Put::IfAbsent && !without.load(Relaxed) {
                        if create(&store, &path, bytes.clone()).await? != Created::NotSupported {
                            return Ok(());
                        }
                        without.store(true, Relaxed);
                    }
                    store.put(&path, bytes).await.map(|_| ()).map_err(shared_error)
                }
            });
            written.await.map(|_| ())
        })
    }

    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        let (store, path, holder) = (self.store.clone(), self.path(key), *holder);
        self.driver.run(until, async move { lease::take(&store, &path, holder, lasts).await })
    }

    fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
        let (store, path, holder) = (self.store.clone(), self.path(key), *holder);
        self.driver.run(until, async move { lease::end(&store, &path, holder).await })
    }

    fn limits(&self) -> Limits {
        Limits::default().item_bytes(MOST_PACK_BYTES).keys(256).patience(Duration::from_millis(750))
    }
}

impl fmt::Debug for S3Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Engine")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix.as_ref().map(Path::to_string))
            .finish_non_exhaustive()
    }
}
