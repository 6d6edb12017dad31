//! Nodes: allocated and freed, edges in place and in lists, marks, cutoff, forgetting, handles, threads, failures.

use larder::{Input, Runtime, Task, emit, task_fn};

#[task_fn(transient)]
fn leaf(x: &Input<String>, n: usize) -> String {
    emit(n);
    x.get().chars().take(n).collect()
}

#[task_fn(transient)]
fn some(x: &Input<String>, which: &[usize]) -> Vec<String> {
    which.iter().map(|n| leaf(x, *n)).collect()
}

#[task_fn(transient)]
fn by_length(x: &Input<String>, of: Task<Vec<String>>) -> String {
    let length = x.with(String::len);
    assert_ne!(length, 4, "four");
    if length.is_multiple_of(2) { of.with(|list| list.concat()) } else { leaf(x, length) }
}

#[task_fn(transient)]
fn all(x: &Input<String>) -> (usize, Vec<usize>) {
    let one = some::task(x, &[1, 2, 3]);
    let length = by_length::task(x, one.clone()).try_get().map_or(0, |text| text.len());
    (length + some::with(x, &[], Vec::len), one.collect::<usize>())
}

#[test]
fn nodes_edges_marks_and_handles_live_and_die_well() {
    let runtime = Runtime::new();
    let x = runtime.input("x", String::new());
    let mut kept = Vec::new();
    for text in ["a", "abcd", "abcdef", "abcdeg", "abc", "abcd", "ab", ""] {
        runtime.update(|update| update.set(&x, text.to_owned())).expect("no session is open");
        let (length, emitted) = runtime.run(|| all(&x));
        let expected = match text.len() {
            4 => 0,
            n if n % 2 == 0 => n.min(1) + n.min(2) + n.min(3),
            n => n,
        };
        assert_eq!((length, emitted), (expected, vec![1, 2, 3]));
        runtime.run(|| {
            kept.push(leaf::task(&x, 1));
            assert!(some::forget(&x, &[1, 2, 3]));
            leaf::forget(&x, text.len());
            all::forget(&x);
        });
    }
    assert!(kept.iter().all(|handle| *handle == kept[0]));
    drop(runtime);
    drop(kept);
}

#[test]
fn threads_share_nodes_well() {
    let runtime = Runtime::new();
    let x = runtime.input("x", "abc".to_owned());
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let ask = || runtime.run(|| (some(&x, &[3, 2]), all(&x), all::forget(&x)));
            let other = scope.spawn(ask);
            assert_eq!(ask().0, other.join().expect("no thread panics").0);
        });
        runtime
            .update_with(larder::UpdatePolicy::Cancel, |update| update.set(&x, "abd".to_owned()))
            .expect("no session is open");
    }
}

#[task_fn(transient)]
fn number(x: &Input<usize>) -> usize {
    x.get()
}

#[task_fn(transient)]
fn in_order(order: &Input<Vec<usize>>, cells: &[Input<usize>]) -> usize {
    order.get().iter().map(|at| number(&cells[*at])).sum()
}

#[test]
fn reads_that_were_expected_and_others_are_noted_well() {
    let runtime = Runtime::new();
    let cells: Vec<_> = (0..6).map(|n| runtime.input(&format!("cell {n}"), n)).collect();
    let order = runtime.input("order", Vec::new());
    let orders: [&[usize]; 9] = [
        &[0, 1, 2, 3],
        &[0, 1, 2, 3],
        &[0, 1],
        &[0, 1, 5, 4],
        &[0, 5, 4],
        &[4, 5, 0],
        &[4, 4, 5, 5, 0, 0],
        &[],
        &[3],
    ];
    for (step, now) in orders.into_iter().enumerate() {
        runtime.update(|update| update.set(&order, now.to_vec())).expect("no session is open");
        // Another value of a cell that is expected: the body runs again, up to it and beyond.
        runtime.update(|update| update.set(&cells[step % 6], step * 10)).expect("no session is open");
        let sum = runtime.run(|| now.iter().map(|at| cells[*at].get()).sum::<usize>());
        assert_eq!(runtime.run(|| in_order(&order, &cells)), sum, "{now:?}");
    }
}
