//! Engines by a text, as programs get it from their users.

use crate::{FolderEngine, SharedEngine};

/// Returns the engine that a text names. Nothing is connected yet.
///
/// | text | engine |
/// |---|---|
/// | a path, or `file://PATH` | a folder |
/// | `redis://HOST`, `rediss://HOST` | with the feature `redis`, and `redis-tls` for the latter: Redis or Valkey |
/// | `s3://BUCKET/PREFIX?endpoint=..&region=..` | with the feature `s3`: S3, and what speaks as it does |
/// | `https://HOST/FOLDER` | with the feature `http`: a server that takes `PUT`. A token in the variable `LARDER_SHARED_TOKEN` goes with each request |
///
/// # Errors
/// The fault of the text. The text is not repeated, since it may hold a password.
pub fn engine_at(place: &str) -> Result<Box<dyn SharedEngine>, &'static str> {
    let folder = match place.split_once("://") {
        None => place,
        Some(("file", folder)) => folder,
        #[cfg(feature = "redis")]
        Some(("redis" | "rediss", _)) => return Ok(Box::new(crate::RedisEngine::from_url(place)?)),
        #[cfg(not(feature = "redis"))]
        Some(("redis" | "rediss", _)) => return Err("this program was built without the feature `redis`"),
        #[cfg(feature = "s3")]
        Some(("s3", _)) => return Ok(Box::new(crate::S3Engine::from_url(place)?)),
        #[cfg(not(feature = "s3"))]
        Some(("s3", _)) => return Err("this program was built without the feature `s3`"),
        #[cfg(feature = "http")]
        Some(("http" | "https", _)) => {
            let engine = crate::HttpEngine::from_url(place)?;
            let token = std::env::var("LARDER_SHARED_TOKEN").ok().filter(|token| !token.is_empty());
            return Ok(Box::new(match token {
                Some(token) => engine.bearer(&token),
                None => engine,
            }));
        }
        #[cfg(not(feature = "http"))]
        Some(("http" | "https", _)) => return Err("this program was built without the feature `http`"),
        Some(_) => return Err("there is no engine for URLs of that kind; a folder is named by its path"),
    };
    Ok(Box::new(FolderEngine::new(folder)))
}
