//! Events for subscribers of `tracing`.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use larder::{Input, Runtime, task_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[task_fn(transient)]
fn half(input: &Input<u64>) -> u64 {
    assert!(input.get() < 100, "too large");
    input.get() / 2
}

#[task_fn(transient)]
fn top(input: &Input<u64>) -> u64 {
    half(input) + 1
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "elapsed_us" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "larder" && *metadata.level() <= Level::TRACE
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn runs_and_updates_reach_a_subscriber() {
    let (lines, runtime) = (Lines::default(), Runtime::new());
    let input = runtime.input("i", 10);
    runtime.run(|| top(&input));
    tracing::subscriber::with_default(lines.clone(), || {
        let telling = runtime.trace_events();
        runtime.update(|update| update.set(&input, 11)).unwrap();
        runtime.run(|| top(&input));
        runtime.update(|update| update.set(&input, 100)).unwrap();
        assert!(runtime.try_run(|| half(&input)).is_err());
        drop(telling);
        runtime.update(|update| update.set(&input, 3)).unwrap();
    });
    assert_eq!(
        *lines.0.lock().unwrap(),
        [
            "DEBUG message=updated number=1 changed=1 marked=2",
            r#"DEBUG message=ran task=half(input("i")) cause=read 0, input("i"), had changed outcome=CutOff"#,
            r#"TRACE message=verified task=top(input("i"))"#,
            "DEBUG message=updated number=2 changed=1 marked=2",
            r#"WARN message=ran task=half(input("i")) cause=read 0, input("i"), had changed outcome=Failed"#,
        ]
    );
}
