//! The task functions of the soak of bounds: what a key comes to can be told from the key, so each answer is checked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use larder::{Input, task_fn};
use larder_tests::executor::give_way;

/// How long results last that expire: each round ends with so much time having passed.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The rounds so far: what results that expire come to.
pub(super) static ROUND: AtomicU64 = AtomicU64::new(0);

/// The bytes of a page.
pub(super) const PAGE: usize = 1000;

#[task_fn]
pub(super) fn page(key: u64) -> String {
    format!("{key:>PAGE$}")
}

#[task_fn]
pub(super) fn length(key: u64) -> usize {
    page(key).len()
}

#[task_fn(transient)]
pub(super) fn draft(key: u64) -> String {
    format!("{key:>PAGE$}")
}

#[task_fn]
pub(super) async fn fetched(key: u64) -> String {
    give_way().await;
    format!("{key:>PAGE$}")
}

/// Another value in each round.
#[task_fn(ttl = HOUR)]
pub(super) fn price(key: u64) -> String {
    format!("{:>PAGE$}", key + ROUND.load(Relaxed))
}

#[task_fn(ttl = HOUR)]
pub(super) async fn price_elsewhere(key: u64) -> u64 {
    give_way().await;
    key + ROUND.load(Relaxed)
}

#[task_fn]
pub(super) fn is_dear(key: u64) -> bool {
    !price(key).is_empty()
}

#[task_fn(no_errors)]
pub(super) fn parsed(key: u64) -> Result<u64, String> {
    Err(format!("{key} cannot be read"))
}

#[task_fn]
pub(super) fn fails(key: u64) -> u64 {
    if length(key) == PAGE {
        // Without the panic hook.
        std::panic::resume_unwind(Box::new("as it should"));
    }
    key
}

#[task_fn]
pub(super) fn count(text: &Input<String>) -> usize {
    text.with(String::len)
}

#[task_fn]
pub(super) fn total(texts: &[Input<String>]) -> usize {
    texts.iter().map(count).sum()
}
