//! A shop's product pages. Each needs a price and a description, which come from slow services ([`Upstream`]).
//!
//! ```text
//!   GET /products/{sku}   page(sku) ─┬─ price(sku)         for as long as the upstream says; errors are not kept
//!                                    └─ description(sku)   for ever, and in the store: the next process has it
//!   GET /metrics          what was answered from where, and what is in memory
//! ```
//! Callers that ask for one product at the same time share one lookup. The memory that results take is capped: what was not asked
//! for lately goes, and what failed lookups leave behind, too.

pub mod lookup;
mod metrics;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use larder::{Runtime, TaskError};

pub use self::upstream::{Failure, Offer, Upstream};

/// The longest that a caller waits.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The state that all requests share.
#[derive(Clone)]
struct Shop {
    runtime: Runtime,
    upstream: Arc<Upstream>,
}

/// Makes the service.
pub fn router(runtime: Runtime, upstream: Arc<Upstream>) -> Router {
    Router::new()
        .route("/products/{sku}", get(product))
        .route("/metrics", get(metrics))
        .with_state(Shop { runtime, upstream })
}

async fn product(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<String, (StatusCode, String)> {
    let session = shop.runtime.session().timeout(TIMEOUT);
    match session.try_run_async(lookup::page(&sku, shop.upstream)).await {
        Ok(Ok(page)) => Ok(page),
        Ok(Err(failure @ Failure::NotFound)) => Err((StatusCode::NOT_FOUND, failure.to_string())),
        Ok(Err(failure @ Failure::Unavailable)) => Err((StatusCode::BAD_GATEWAY, failure.to_string())),
        Err(TaskError::Cancelled) => {
            Err((StatusCode::GATEWAY_TIMEOUT, "the lookup took too long".to_owned()))
        }
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

async fn metrics(State(shop): State<Shop>) -> String {
    metrics::page(&shop.runtime)
}
