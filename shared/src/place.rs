//! Engines by a text, as programs get it from their users.

use crate::{FolderEngine, SharedEngine};

/// Returns the engine that a text names: a folder by its path or `file:` URL, and Redis by `redis:` URL with the feature `redis`. Nothing is connected yet.
///
/// # Errors
/// The fault of the text. The text is not repeated, since it may hold a password.
pub fn engine_at(place: &str) -> Result<Box<dyn SharedEngine>, &'static str> {
    let folder = match place.split_once("://") {
        None => place,
        Some(("file", folder)) => folder,
        #[cfg(feature = "redis")]
        Some(("redis", _)) => return Ok(Box::new(crate::RedisEngine::from_url(place)?)),
        #[cfg(not(feature = "redis"))]
        Some(("redis", _)) => return Err("this program was built without the feature `redis`"),
        Some(_) => return Err("there is no engine for URLs of that kind; a folder is named by its path"),
    };
    Ok(Box::new(FolderEngine::new(folder)))
}
