//! `service` as functions of cached. Each value says itself when it expires. Nothing but that connects a page with the price that is
//! on it: both have to expire at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use cached::macros::cached;
use cached::{Cached as _, Expires};
use service::{Failure, Upstream};

/// A value that holds for a time.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    /// The value.
    pub value: T,
    until: Instant,
}

impl<T> Expires for Timed<T> {
    fn is_expired(&self) -> bool {
        Instant::now() >= self.until
    }
}

static BODIES: AtomicU64 = AtomicU64::new(0);

/// Returns how many bodies have run since this was asked last.
pub fn take_bodies() -> u64 {
    BODIES.swap(0, Relaxed)
}

#[cached(expires = true, key = "String", convert = r#"{ sku.to_owned() }"#, sync_writes = "by_key")]
async fn price(sku: &str, upstream: Arc<Upstream>) -> Result<Timed<u64>, Failure> {
    BODIES.fetch_add(1, Relaxed);
    let offer = upstream.offer(sku).await?;
    Ok(Timed { value: offer.cents, until: Instant::now() + offer.max_age })
}

#[cached(key = "String", convert = r#"{ sku.to_owned() }"#, sync_writes = "by_key")]
async fn description(sku: &str, upstream: Arc<Upstream>) -> Result<String, Failure> {
    BODIES.fetch_add(1, Relaxed);
    upstream.description(sku).await
}

/// The page of a product.
#[cached(expires = true, key = "String", convert = r#"{ sku.to_owned() }"#, sync_writes = "by_key")]
pub async fn page(sku: &str, upstream: Arc<Upstream>) -> Result<Timed<String>, Failure> {
    BODIES.fetch_add(1, Relaxed);
    let offer = price(sku, upstream.clone()).await?;
    let text = description(sku, upstream).await?;
    let value = format!("{sku}: {text}\n{}.{:02} EUR\n", offer.value / 100, offer.value % 100);
    Ok(Timed { value, until: offer.until })
}

/// Forgets everything: the caches are statics of the process.
pub async fn clear() {
    PRICE.write().await.cache_clear();
    DESCRIPTION.write().await.cache_clear();
    PAGE.write().await.cache_clear();
    _ = take_bodies();
}
