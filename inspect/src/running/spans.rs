//! Sessions, updates, waits at the gate and batches of the store: the last ones.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::{Value, json};

/// Spans that are kept.
const KEPT: usize = 2000;

#[derive(Debug)]
pub(super) struct Span {
    pub(super) kind: &'static str,
    pub(super) thread: String,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) text: String,
}

#[derive(Debug, Default)]
pub(super) struct Spans(VecDeque<Span>);

impl Spans {
    pub(super) fn add(&mut self, span: Span) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(span);
    }

    /// Returns all, with times in milliseconds since `began`.
    pub(super) fn json(&self, began: Instant) -> Value {
        let at = |moment: Instant| moment.saturating_duration_since(began).as_secs_f64() * 1000.0;
        let rows: Vec<Value> = self
            .0
            .iter()
            .map(|span| {
                json!({
                    "kind": span.kind, "thread": span.thread, "start_ms": at(span.start), "end_ms": at(span.end),
                    "text": span.text,
                })
            })
            .collect();
        json!({ "rows": rows, "now_ms": at(Instant::now()) })
    }
}
