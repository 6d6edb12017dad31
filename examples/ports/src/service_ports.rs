//! Requests to a shop.

use std::sync::Arc;
use std::time::Duration;

use larder::Runtime;
use service::{Upstream, lookup};

use crate::{Ran, Step, service_in_cached};

const HOUR: Duration = Duration::from_secs(3600);

/// Requests for one product, so many at once.
struct Requests {
    edit: &'static str,
    sku: &'static str,
    at_once: usize,
    /// Whether the upstream is down meanwhile.
    is_down: bool,
    /// Whether offers of it hold for no time.
    is_fleeting: bool,
}

const fn requests(edit: &'static str, sku: &'static str) -> Requests {
    Requests { edit, sku, at_once: 1, is_down: false, is_fleeting: false }
}

const ALL: [Requests; 9] = [
    requests("first request", "1"),
    requests("the same again", "1"),
    Requests { at_once: 20, ..requests("20 at once", "2") },
    Requests { is_down: true, ..requests("the upstream is down", "3") },
    Requests { is_down: true, ..requests("and is asked again", "3") },
    requests("and answers again", "3"),
    requests("there is no such product", "none"),
    Requests { is_fleeting: true, ..requests("an offer that holds for no time", "4") },
    Requests { is_fleeting: true, ..requests("is asked for again, and is the same", "4") },
];

pub(crate) fn steps() -> Vec<Step> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
    tokio.expect("a runtime of one thread can be made").block_on(all())
}

async fn all() -> Vec<Step> {
    service_in_cached::clear().await;
    let runtime = Runtime::new();
    // The upstreams of both, which are asked by nothing else.
    let upstream = |max_age| Arc::new(Upstream::new(Duration::from_millis(1), max_age));
    let (lasting, fleeting) = (upstream(HOUR), upstream(Duration::ZERO));
    let mut steps = Vec::new();
    for requests in ALL {
        let upstream = if requests.is_fleeting { &fleeting } else { &lasting };
        upstream.set_down(requests.is_down);
        let before = runtime.stats();
        let mut asked = Vec::new();
        for _ in 0..requests.at_once {
            let (runtime, upstream) = (runtime.clone(), upstream.clone());
            asked.push(tokio::spawn(async move {
                let here = runtime.run_async(lookup::page(requests.sku, upstream.clone())).await;
                let there = service_in_cached::page(requests.sku, upstream).await;
                assert_eq!(here, there.map(|page| page.value), "{}", requests.edit);
            }));
        }
        for one in asked {
            one.await.expect("both give the same page");
        }
        let here = Ran::since(&before, &runtime);
        let there = Ran { bodies: service_in_cached::take_bodies(), selections: 0 };
        steps.push(Step { program: "service", peer: "cached", edit: requests.edit, here, there });
    }
    steps
}
