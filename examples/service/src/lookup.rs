//! The lookups, as task functions.

use std::sync::Arc;

use larder::task_fn;

use crate::upstream::{Failure, Offer, Upstream};

/// The offer for a product: an answer is kept for as long as it says itself, a failure not at all.
#[task_fn(transient, no_errors, expires = |offer| offer.as_ref().ok().map(|offer| offer.max_age))]
async fn price(sku: &str, #[skip] upstream: Arc<Upstream>) -> Result<Offer, Failure> {
    upstream.offer(sku).await
}

/// The text about a product, which never changes. It is stored: asking again after a restart costs one read.
#[task_fn(no_errors, version = 1)]
async fn description(sku: &str, #[skip] upstream: Arc<Upstream>) -> Result<String, Failure> {
    upstream.description(sku).await
}

/// The page of a product. It is current for as long as what it has read is.
///
/// # Errors
/// If there is no such product, or no answer. Failures are not kept.
#[task_fn(transient, no_errors)]
pub async fn page(sku: &str, #[skip] upstream: Arc<Upstream>) -> Result<String, Failure> {
    let offer = price(sku, upstream.clone()).await?;
    let text = description(sku, upstream).await?;
    Ok(format!("{sku}: {text}\n{}.{:02} EUR\n", offer.cents / 100, offer.cents % 100))
}
