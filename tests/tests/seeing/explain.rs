//! Explanations of runs: down to what had changed.

use larder::explain::{Happening, State, Storing};
use larder::storage::MemoryStorage;
use larder::{Builder, Input, Reason, Runtime, task_fn};

use super::{both, half, set};

fn recording() -> Builder {
    Runtime::builder().record_causes(true)
}

#[task_fn(transient)]
fn top(one: &Input<u64>, other: &Input<u64>) -> u64 {
    both(one, other) + 1
}

/// The explanation without fingerprints, which are in parentheses of their own.
fn text(runtime: &Runtime, one: &Input<u64>, other: &Input<u64>) -> String {
    let text = runtime.explain(|| top(one, other)).to_string();
    let mut plain = String::new();
    for line in text.lines() {
        let without: Vec<_> = line.split(" (").collect();
        let kept = without.iter().enumerate().map(|(at, part)| match part.split_once(')') {
            Some((_, rest)) if at > 0 && part.contains(" to ") => rest.to_owned(),
            _ if at > 0 => format!(" ({part}"),
            _ => (*part).to_owned(),
        });
        plain.extend(kept);
        plain.push('\n');
    }
    plain
}

#[test]
fn a_chain_leads_down_to_the_input() {
    let runtime = recording().build();
    let (one, other) = (runtime.input("one", 10), runtime.input("other", 20));
    assert_eq!(
        runtime.explain(|| top(&one, &other)).to_string(),
        r#"`top(input("one"), input("other"))` has not run"#
    );
    runtime.run(|| top(&one, &other));
    assert_eq!(
        text(&runtime, &one, &other),
        "`top(input(\"one\"), input(\"other\"))` ran, for the first time\n"
    );
    set(&runtime, &other, 40);
    let stale = runtime.explain(|| top(&one, &other));
    assert_eq!(stale.state, State::Stale);
    runtime.run(|| top(&one, &other));
    let expected = r#"`top(input("one"), input("other"))` ran after update 1, because its read 0 had changed:
  `both(input("one"), input("other"))` ran after update 1, because its read 1 had changed:
    `half(input("other"))` ran after update 1, because its read 0 had changed:
      `input("other")` was set by update 1
"#;
    assert_eq!(text(&runtime, &one, &other), expected);
    let explanation = runtime.explain(|| top(&one, &other));
    let set = explanation.steps.last().unwrap();
    assert_eq!((&set.happened, set.update), (&Happening::Set, Some(1)));
    assert!(set.at.is_some() && set.before.is_some() && set.before != set.after);
}

#[test]
fn a_read_that_was_cut_off_on_the_way_is_named() {
    let runtime = recording().build();
    let (one, other) = (runtime.input("one", 10), runtime.input("other", 20));
    runtime.run(|| top(&one, &other));
    runtime
        .update(|update| {
            update.set(&one, 11);
            update.set(&other, 40);
        })
        .unwrap();
    runtime.run(|| top(&one, &other));
    let expected = r#"`top(input("one"), input("other"))` ran after update 1, because its read 0 had changed:
  `both(input("one"), input("other"))` ran after update 1, because its read 1 had changed; before that, equal came out of `half(input("one"))`:
    `half(input("other"))` ran after update 1, because its read 0 had changed:
      `input("other")` was set by update 1
"#;
    assert_eq!(text(&runtime, &one, &other), expected);
    // And if all are, what was found is told after the last run.
    set(&runtime, &one, 10);
    runtime.run(|| top(&one, &other));
    let expected = expected.to_owned()
        + "it turned out to be current after update 2: equal came out of `half(input(\"one\"))`\n";
    assert_eq!(text(&runtime, &one, &other), expected);
}

#[test]
fn a_chain_is_that_of_the_run_and_not_of_later_ones() {
    let runtime = recording().build();
    let (one, other) = (runtime.input("one", 10), runtime.input("other", 20));
    runtime.run(|| top(&one, &other));
    set(&runtime, &other, 40);
    runtime.run(|| top(&one, &other));
    let before = text(&runtime, &one, &other);
    // Runs below, of which the top one has not heard.
    set(&runtime, &other, 60);
    runtime.run(|| half(&other));
    assert_eq!(
        text(&runtime, &one, &other),
        before + "it is stale: when it is asked for, it is verified first\n"
    );
    // Nor do names go with their nodes.
    runtime.update(|update| update.remove(&one)).unwrap();
    assert!(text(&runtime, &one, &other).contains("`half(input(\"other\"))` ran after update 1"));
}

#[test]
fn without_recording_it_says_so() {
    let runtime = Runtime::new();
    let input = runtime.input("i", 1);
    runtime.run(|| half(&input));
    assert!(runtime.explain(|| half(&input)).to_string().contains("does not record causes"));
    let task = runtime.run(|| half::task(&input));
    assert!(!runtime.explain_task(&task).records_causes);
}

#[task_fn(transient, volatile)]
fn now() -> u64 {
    3
}

#[task_fn(transient)]
fn fails(input: &Input<u64>) -> u64 {
    assert!(input.get() > 10);
    input.get()
}

#[test]
fn other_causes_are_the_end_of_a_chain() {
    let runtime = recording().build();
    let input = runtime.input("i", 1);
    runtime.run(now);
    runtime.run(now);
    let explained = runtime.explain(now).to_string();
    assert!(
        explained.starts_with("`now()` ran, to an equal value, because its function is volatile"),
        "{explained}"
    );
    assert!(runtime.try_run(|| fails(&input)).is_err());
    let failed = runtime.explain(|| fails(&input)).to_string();
    assert_eq!(failed, "`fails(input(\"i\"))` ran and failed, for the first time\nit has no value now");
    set(&runtime, &input, 11);
    runtime.run(|| fails(&input));
    let failed = runtime.explain(|| fails(&input)).to_string();
    let expected = "`fails(input(\"i\"))` ran after update 1, because the run before had failed, and one of its reads had \
                    changed as well:\n  `input(\"i\")` was set by update 1";
    assert!(failed.starts_with(expected), "{failed}");
}

#[task_fn(transient)]
fn above(input: &Input<u64>, other: &Input<u64>) -> u64 {
    let other = other.get();
    fails(input) + other
}

fn steps(runtime: &Runtime, input: &Input<u64>, other: &Input<u64>) -> Vec<String> {
    let explained = runtime.explain(|| above(input, other));
    explained.steps.iter().map(|step| step.task.to_string()).collect()
}

#[test]
fn after_a_failure_what_has_changed_is_told_as_well_and_nothing_that_has_not() {
    let runtime = recording().build();
    let (input, other) = (runtime.input("i", 1), runtime.input("other", 1));
    let run = || runtime.try_run(|| above(&input, &other)).is_ok();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (top, mid) = (r#"above(input("i"), input("other"))"#, r#"fails(input("i"))"#);
    assert!(!run());
    // Nothing has changed, and it fails again.
    assert!(!run());
    assert_eq!(steps(&runtime, &input, &other), names(&[top]));
    // Neither has anything that it reads.
    let unrelated = runtime.input("unrelated", 1);
    set(&runtime, &unrelated, 2);
    assert!(!run());
    assert_eq!(steps(&runtime, &input, &other), names(&[top]));
    // It fails again, for another reason below.
    set(&runtime, &input, 2);
    assert!(!run());
    assert_eq!(steps(&runtime, &input, &other), names(&[top, mid, r#"input("i")"#]));
    // The first of two changes.
    runtime
        .update(|update| {
            update.set(&input, 20);
            update.set(&other, 2);
        })
        .unwrap();
    assert!(run());
    assert_eq!(steps(&runtime, &input, &other), names(&[top, r#"input("other")"#]));
    // A failure below whose cause has gone is a change.
    set(&runtime, &input, 3);
    assert!(!run());
    set(&runtime, &input, 30);
    assert!(run());
    assert_eq!(steps(&runtime, &input, &other), names(&[top, mid, r#"input("i")"#]));
}

#[task_fn(transient, volatile)]
fn measured(input: &Input<u64>) -> u64 {
    input.get()
}

#[task_fn(transient)]
fn forgotten(input: &Input<u64>) -> u64 {
    half(input)
}

#[test]
fn other_causes_do_not_hide_a_change_either() {
    let runtime = recording().build();
    let input = runtime.input("i", 1);
    let _keeps = runtime.run(|| {
        let _values = (measured(&input), forgotten(&input));
        forgotten::task(&input)
    });
    runtime.run(|| measured(&input));
    assert_eq!(runtime.explain(|| measured(&input)).steps.len(), 1, "nothing has changed");
    runtime.run(|| forgotten::forget(&input));
    runtime.run(|| forgotten(&input));
    assert_eq!(runtime.explain(|| forgotten(&input)).steps.len(), 1, "nothing has changed");
    runtime.run(|| forgotten::forget(&input));
    set(&runtime, &input, 10);
    runtime.run(|| (measured(&input), forgotten(&input)));
    let volatile = runtime.explain(|| measured(&input)).to_string();
    assert!(volatile.contains("is volatile, and one of its reads had changed as well:\n"), "{volatile}");
    assert!(volatile.contains("`input(\"i\")` was set by update 1"), "{volatile}");
    let forgotten = runtime.explain(|| forgotten(&input));
    let names: Vec<_> = forgotten.steps.iter().map(|step| step.task.to_string()).collect();
    assert_eq!(names, [r#"forgotten(input("i"))"#, r#"half(input("i"))"#, r#"input("i")"#], "{forgotten}");
}

#[task_fn]
fn stored_half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

#[task_fn]
fn stored_top(input: &Input<u64>) -> u64 {
    stored_half(input) + 1
}

/// It emits, so that its own reads do not stand for it.
#[task_fn(transient)]
fn told_half(input: &Input<u64>) -> u64 {
    larder::emit(input.get());
    half(input)
}

#[task_fn]
fn over_transient(input: &Input<u64>) -> u64 {
    told_half(input) + 1
}

#[task_fn]
fn over_that(input: &Input<u64>) -> u64 {
    stored_half(input) + over_transient(input)
}

#[test]
fn why_it_is_not_stored_is_told_without_recording() {
    let runtime = Runtime::builder().storage(MemoryStorage::new()).build();
    let (input, transient) = (runtime.input("i", 1), runtime.transient_input("t", 1));
    runtime.run(|| (over_that(&input), stored_top(&transient)));
    let explanation = runtime.explain(|| over_that(&input));
    let Storing::NotStored { reason, through } = &explanation.stored else {
        panic!("{:?}", explanation.stored)
    };
    assert_eq!(*reason, None);
    let names: Vec<_> = through.iter().map(|task| task.as_str()).collect();
    assert_eq!(names, [r#"over_transient(input("i"))"#, r#"told_half(input("i"))"#]);
    assert!(explanation.to_string().ends_with(
        "it is not stored: it reads `over_transient(input(\"i\"))`, which is not stored; it reads `told_half(input(\"i\"))`, \
         which is not stored: that is transient"
    ), "{explanation}");
    assert_eq!(runtime.explain(|| stored_half(&input)).stored, Storing::Stored);
    let transient_input = runtime.explain(|| stored_top(&transient)).stored;
    assert!(
        matches!(&transient_input, Storing::NotStored { reason: None, through } if through.len() == 2),
        "{transient_input:?}"
    );
    let volatile = Runtime::builder().storage(MemoryStorage::new()).build();
    volatile.run(is_volatile);
    assert_eq!(
        volatile.explain(is_volatile).stored,
        Storing::NotStored { reason: Some(Reason::DoesNotLast), through: Vec::new() }
    );
}

#[task_fn(volatile)]
fn is_volatile() -> u64 {
    2
}

#[test]
fn a_restart_is_explained_by_the_values_that_differ() {
    let store = MemoryStorage::new();
    let open = || recording().storage(store.clone()).build();
    let first = open();
    let input = first.input("i", 10);
    first.run(|| stored_top(&input));
    drop((input, first));
    let second = open();
    let input = second.input("i", 10);
    second.run(|| stored_top(&input));
    let restored = second.explain(|| stored_top(&input)).to_string();
    assert!(restored.starts_with("`stored_top(input(\"i\"))` was restored from the store ("), "{restored}");
    drop((input, second));
    let third = open();
    let input = third.input("i", 20);
    third.run(|| stored_top(&input));
    let explanation = third.explain(|| stored_top(&input));
    let names: Vec<_> = explanation.steps.iter().map(|step| step.task.as_str()).collect();
    assert_eq!(names, [r#"stored_top(input("i"))"#, r#"stored_half(input("i"))"#, r#"input("i")"#]);
    let text = explanation.to_string();
    assert!(text.ends_with("`input(\"i\")` is not what an earlier process has read"), "{text}");
}

#[test]
fn other_code_in_the_store_is_named() {
    let store = MemoryStorage::new();
    let open = |code: &str| recording().storage(store.clone()).code_identity(code).build();
    let first = open("one");
    let input = first.input("i", 10);
    first.run(|| stored_top(&input));
    drop((input, first));
    let second = open("two");
    let input = second.input("i", 10);
    second.run(|| stored_top(&input));
    let explanation = second.explain(|| stored_top(&input));
    assert_eq!(explanation.other_code.len(), 1);
    assert!(
        explanation.to_string().contains("the store has a result of this call by other code of the function")
    );
    drop((input, second));
    let third = open("two");
    let input = third.input("i", 10);
    third.run(|| stored_top(&input));
    assert!(third.explain(|| stored_top(&input)).other_code.is_empty());
}

#[task_fn(transient)]
fn deep(input: &Input<u64>, n: u64) -> u64 {
    if n == 0 { input.get() } else { deep(input, n - 1) + 1 }
}

#[test]
fn a_deep_chain_is_cut_in_the_middle_and_dropped_without_recursion() {
    let runtime = recording().build();
    let input = runtime.input("i", 1);
    for value in 2..4 {
        runtime.run(|| deep(&input, 100_000));
        set(&runtime, &input, value);
    }
    runtime.run(|| deep(&input, 100_000));
    let explanation = runtime.explain(|| deep(&input, 100_000));
    assert_eq!((explanation.steps.len(), explanation.omitted), (1000, 100_002 - 1000));
    assert_eq!(explanation.steps.last().unwrap().task.as_str(), r#"input("i")"#);
    assert!(explanation.to_string().contains(".. 99962 more .."), "{explanation}");
}

#[expect(clippy::ptr_arg, reason = "a selection takes the value of the task")]
fn first_of(values: &String, _: &()) -> String {
    values.chars().take(1).collect()
}

#[task_fn(transient)]
fn lines(input: &Input<u64>) -> String {
    "\"\\\n\u{1}ü".repeat(input.get() as usize)
}

#[task_fn(transient)]
fn reads_part(input: &Input<u64>, name: &str) -> String {
    lines::part(input, &(), first_of) + name
}

#[test]
fn json_says_the_same_and_escapes_names() {
    let runtime = recording().build();
    let input = runtime.input("quote\" back\\slash \n\u{1}", 1);
    let name = "\u{8}\t\"";
    runtime.run(|| reads_part(&input, name));
    set(&runtime, &input, 2);
    runtime.run(|| reads_part(&input, name));
    let explanation = runtime.explain(|| reads_part(&input, name));
    let json = explanation.to_json();
    assert_eq!(json, serde_json::to_string(&explanation).unwrap());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["task"], explanation.task.as_str());
    assert_eq!(value["state"], "current");
    assert_eq!(value["verified"]["cut_off"][0].as_str().map(|name| name.contains("part")), Some(true));
}

#[test]
fn a_stored_result_that_expired_while_no_process_ran_is_told_so() {
    #[task_fn(ttl = std::time::Duration::from_secs(60))]
    fn short() -> u64 {
        3
    }
    let store = MemoryStorage::new();
    let open = |seconds| {
        let ahead = std::time::Duration::from_secs(seconds);
        larder::testing::with_clock_ahead(recording(), ahead).storage(store.clone()).build()
    };
    open(0).run(short);
    let second = open(61);
    second.run(short);
    let explanation = second.explain(short).to_string();
    assert!(explanation.contains("because its value had expired"), "{explanation}");
}
