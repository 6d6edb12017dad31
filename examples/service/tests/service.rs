//! The service, asked as its clients ask.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use larder::Runtime;
use larder::storage::RedbStorage;
use service::{Upstream, router};
use tower::ServiceExt as _;

const HOUR: Duration = Duration::from_secs(3600);

async fn get(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("the path is one");
    let response = app.clone().oneshot(request).await.expect("the service does not fail");
    let status = response.status();
    let body = response.into_body().collect().await.expect("the body is at hand").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("the pages are text"))
}

fn quick(max_age: Duration) -> Arc<Upstream> {
    Arc::new(Upstream::new(Duration::from_millis(5), max_age))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_one_product_share_a_lookup() {
    let upstream = quick(HOUR);
    let app = router(Runtime::new(), upstream.clone());
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { get(&app, "/products/42").await })
        })
        .collect();
    for answer in asked {
        let (status, page) = answer.await.expect("no request panics");
        assert_eq!((status, page.as_str()), (StatusCode::OK, "42: the 42th of the best things\n1.42 EUR\n"));
    }
    assert_eq!(upstream.asked(), (1, 1));
}

#[tokio::test]
async fn failures_are_told_and_not_kept() {
    let upstream = quick(HOUR);
    let app = router(Runtime::new(), upstream.clone());
    assert_eq!(get(&app, "/products/none").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&app, "/products/none").await.0, StatusCode::NOT_FOUND);
    assert_eq!(upstream.asked(), (2, 0));
    upstream.set_down(true);
    assert_eq!(get(&app, "/products/7").await.0, StatusCode::BAD_GATEWAY);
    upstream.set_down(false);
    assert_eq!(get(&app, "/products/7").await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_offer_holds_for_as_long_as_it_says() {
    let upstream = quick(Duration::ZERO);
    let app = router(Runtime::new(), upstream.clone());
    for _ in 0..3 {
        assert_eq!(get(&app, "/products/7").await.0, StatusCode::OK);
    }
    assert_eq!(upstream.asked(), (3, 1));
}

#[tokio::test]
async fn what_is_stored_is_not_looked_up_by_the_next_process() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("shop.redb");
    for round in 0..2 {
        let upstream = quick(HOUR);
        let store = RedbStorage::open(&path).expect("nobody else has it open");
        let runtime = Runtime::builder().storage(store).build();
        let app = router(runtime.clone(), upstream.clone());
        assert_eq!(get(&app, "/products/7").await.0, StatusCode::OK);
        runtime.flush().expect("nothing is wrong with the store");
        assert_eq!(upstream.asked(), (1, 1 - round));
    }
}

#[tokio::test]
async fn memory_stays_below_the_cap_whatever_is_asked_for() {
    let cap = 200_000;
    let runtime = Runtime::builder().memory_cap(cap).build();
    let app = router(runtime.clone(), Arc::new(Upstream::new(Duration::ZERO, HOUR)));
    for number in 0..3000 {
        assert_eq!(get(&app, &format!("/products/bad-{number}")).await.0, StatusCode::NOT_FOUND);
        assert_eq!(get(&app, &format!("/products/{number}")).await.0, StatusCode::OK);
        if number % 100 == 0 {
            // In a moment without sessions.
            runtime.run(|| ());
            assert!(runtime.memory().bytes <= cap, "{}", runtime.memory());
        }
    }
    let (status, metrics) = get(&app, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in ["larder_runs_total{function=\"price\"} 6000", "larder_memory_cap_bytes 200000"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
