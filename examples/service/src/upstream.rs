//! Stands for what is slow and may fail: a database, another service.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The slow side of the service.
#[derive(Debug, Default)]
pub struct Upstream {
    latency: Duration,
    max_age: Duration,
    is_down: AtomicBool,
    offers: AtomicU64,
    descriptions: AtomicU64,
}

/// A price, and for how long it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The price in cents.
    pub cents: u64,
    /// For how long it holds.
    pub max_age: Duration,
}

/// The reason why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// There is no such product.
    NotFound,
    /// The other side is down.
    Unavailable,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such product",
            Self::Unavailable => "the price service does not answer",
        })
    }
}

impl std::error::Error for Failure {}

impl Upstream {
    /// An upstream that takes `latency` for an answer, whose offers hold for `max_age`.
    #[must_use]
    pub fn new(latency: Duration, max_age: Duration) -> Self {
        Self { latency, max_age, ..Self::default() }
    }

    /// Has it fail from now on, or answer again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Relaxed);
    }

    /// Returns how many offers and descriptions were asked for.
    pub fn asked(&self) -> (u64, u64) {
        (self.offers.load(Relaxed), self.descriptions.load(Relaxed))
    }

    /// Returns the offer for a product.
    ///
    /// # Errors
    /// If there is no such product, or no answer.
    pub async fn offer(&self, sku: &str) -> Result<Offer, Failure> {
        self.offers.fetch_add(1, Relaxed);
        let number = self.number_of(sku).await?;
        Ok(Offer { cents: 100 + number % 10_000, max_age: self.max_age })
    }

    /// Returns the text about a product.
    ///
    /// # Errors
    /// If there is no such product, or no answer.
    pub async fn description(&self, sku: &str) -> Result<String, Failure> {
        self.descriptions.fetch_add(1, Relaxed);
        let number = self.number_of(sku).await?;
        Ok(format!("the {number}th of the best things"))
    }

    /// Products are called by their numbers.
    async fn number_of(&self, sku: &str) -> Result<u64, Failure> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        if self.is_down.load(Relaxed) {
            return Err(Failure::Unavailable);
        }
        sku.parse().map_err(|_| Failure::NotFound)
    }
}
