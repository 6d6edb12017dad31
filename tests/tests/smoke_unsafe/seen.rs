//! Runs that are observed, explained and done twice, and records over transient tasks.

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, task_fn};

#[task_fn(transient)]
fn halves(text: &Input<String>) -> Vec<String> {
    text.with(|text| text.split(';').map(str::to_owned).collect())
}

#[task_fn]
fn first(text: &Input<String>) -> String {
    halves(text).swap_remove(0)
}

#[task_fn]
fn shout(text: &Input<String>) -> String {
    first(text).to_uppercase()
}

#[test]
fn runs_are_observed_and_explained_and_records_flattened() {
    let store = MemoryStorage::new();
    for round in 0..2 {
        let runtime = Runtime::builder()
            .record_causes(true)
            .check_determinism(1.0)
            .storage(store.clone())
            .code_identity("smoke")
            .build();
        let events = runtime.subscribe(64);
        let text = runtime.input("text", "a;b".to_owned());
        for (value, expected) in [("a;b", "A"), ("a;c", "A"), ("d;c", "D"), ("a;b", "A")] {
            runtime.update(|update| update.set(&text, value.to_owned())).unwrap();
            assert_eq!(runtime.run(|| shout(&text)), expected, "round {round}");
        }
        assert!(!runtime.explain(|| shout(&text)).to_string().is_empty());
        // One that runs anyway, and has read something new.
        let _keeps = runtime.run(|| {
            shout::forget(&text);
            shout::task(&text)
        });
        runtime.update(|update| update.set(&text, "e".to_owned())).unwrap();
        runtime.run(|| shout(&text));
        assert!(runtime.explain(|| shout(&text)).to_string().contains("had changed as well"));
        assert!(runtime.impure().is_empty());
        runtime.flush().unwrap();
        let (told, _lost) = events.drain();
        assert!(!told.is_empty());
    }
}
