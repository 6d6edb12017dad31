//! The paths, and the headers of each answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::assets::ASSETS;
use crate::guard::Guard;
use crate::source::{Live, Question, Source, TasksQuestion};
use crate::stored::LookError;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Questions that are worked on at once; further ones wait.
const AT_ONCE: usize = 4;
/// Pages that follow what happens, at once.
const FOLLOWERS: usize = 16;
/// The least time between two messages to a follower: what happens to one task in between is told once.
const BEAT: Duration = Duration::from_millis(100);
/// A follower hears something after this time, so that one that has gone is noticed.
const SILENCE: Duration = Duration::from_secs(5);
/// Rows of a list.
const ROWS: usize = 200;
/// Nodes of a graph.
const NODES: usize = 400;
/// The longest parameter.
const PARAMETER: usize = 4096;

/// State of the handlers.
#[derive(Clone)]
struct Shared {
    guard: Arc<Guard>,
    source: Arc<dyn Source>,
    working: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// Returns the server's paths over a source.
pub(crate) fn router(guard: Arc<Guard>, source: Arc<dyn Source>) -> Router {
    let shared = Shared {
        guard,
        source,
        working: Arc::new(Semaphore::new(AT_ONCE)),
        followers: Arc::new(Semaphore::new(FOLLOWERS)),
    };
    let questions = Router::new()
        .route("/api/live", get(live))
        .route("/api/{question}", get(question))
        .route_layer(middleware::from_fn_with_state(shared.clone(), with_token));
    let mut router = Router::new().merge(questions);
    for asset in ASSETS {
        router = router.route(
            asset.path,
            get(|| async { ([(header::CONTENT_TYPE, asset.kind)], Bytes::from_static(asset.bytes)) }),
        );
    }
    router.layer(middleware::from_fn_with_state(shared.clone(), admitted)).with_state(shared)
}

/// Refuses what the guard refuses, and sets the headers of every answer.
async fn admitted(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match shared.guard.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn with_token(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    if shared.guard.knows(request.headers()) {
        next.run(request).await
    } else {
        failure(StatusCode::UNAUTHORIZED, "the token is missing, or it is another one")
    }
}

async fn question(
    State(shared): State<Shared>,
    axum::extract::Path(name): axum::extract::Path<String>,
    Query(parameters): Query<HashMap<String, String>>,
) -> Response {
    if parameters.values().any(|value| value.len() > PARAMETER) {
        return failure(StatusCode::BAD_REQUEST, "a parameter is too long");
    }
    let Some(question) = parse(&name, parameters) else {
        return failure(StatusCode::NOT_FOUND, "there is no such page");
    };
    match tokio::time::timeout(PATIENCE, answer(shared, question)).await {
        Ok(response) => response,
        Err(_) => failure(StatusCode::SERVICE_UNAVAILABLE, "the answer takes too long"),
    }
}

fn parse(name: &str, mut parameters: HashMap<String, String>) -> Option<Question> {
    let number = |name: &str| parameters.get(name).and_then(|value| value.parse::<usize>().ok());
    let (from, limit) = (number("from").unwrap_or(0), number("limit").unwrap_or(50).clamp(1, ROWS));
    let (depth, most) =
        (number("depth").unwrap_or(1).clamp(1, 6), number("most").unwrap_or(80).clamp(2, NODES));
    let mut text = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
    Some(match name {
        "about" => Question::About,
        "functions" => Question::Functions,
        "tasks" => Question::Tasks(TasksQuestion {
            function: text("function"),
            text: text("text"),
            stale: text("stale").is_some(),
            after: text("after"),
            limit,
        }),
        "sources" => Question::Sources { text: text("text").unwrap_or_default(), limit },
        "task" => Question::Task { id: text("id")?, from, limit },
        "explain" => Question::Explain { id: text("id")? },
        "graph" => Question::Graph { id: text("id")?, depth, most },
        "timeline" => Question::Timeline,
        "memory" => Question::Memory,
        "reload" => Question::Reload,
        _ => return None,
    })
}

async fn answer(shared: Shared, question: Question) -> Response {
    let Ok(permit) = shared.working.acquire_owned().await else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "the server ends");
    };
    let source = shared.source;
    let work = tokio::task::spawn_blocking(move || {
        // Held by the work, not by the request: one that was given up still takes a thread.
        let _permit = permit;
        source.answer(&question)
    });
    match work.await {
        Ok(Ok(value)) => json_response(StatusCode::OK, &value),
        Ok(Err(error @ LookError::Name(_))) => failure(StatusCode::NOT_FOUND, &error.to_string()),
        Ok(Err(error)) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "the question was not answered: its thread has failed")
        }
    }
}

fn failure(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "error": message }))
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// Follows what happens, as server-sent events.
async fn live(State(shared): State<Shared>) -> Response {
    let Some(live) = shared.source.live() else {
        return failure(StatusCode::NOT_FOUND, "nothing happens in a store");
    };
    let Ok(permit) = shared.followers.try_acquire_owned() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "too many pages follow this program");
    };
    let follower = Follower { live, cursor: 0, is_first: true, _permit: permit };
    let events = stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await;
        Some((Ok::<_, Infallible>(message), follower))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

struct Follower {
    live: Arc<dyn Live>,
    cursor: u64,
    is_first: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// Returns the next message: what has happened, or a comment if nothing has for long.
    async fn next(&mut self) -> Bytes {
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(BEAT).await;
        }
        let mut signal = self.live.signal();
        loop {
            // Marked as seen first, so that what happens while the state is read is not missed.
            signal.borrow_and_update();
            if let Some((value, cursor)) = self.live.since(self.cursor) {
                self.cursor = cursor;
                return Bytes::from(format!("id: {cursor}\ndata: {value}\n\n"));
            }
            match tokio::time::timeout(SILENCE, signal.changed()).await {
                Ok(Ok(())) => {}
                // The sender has gone: the program still answers, and nothing happens any more.
                Ok(Err(_)) => tokio::time::sleep(SILENCE).await,
                Err(_) => return Bytes::from_static(b": nothing has happened\n\n"),
            }
        }
    }
}
