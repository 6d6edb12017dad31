//! Calls, edges, and what bodies may do.

use super::*;

#[task_fn(transient)]
async fn double(input: Input<u64>) -> u64 {
    give_way().await;
    let value = input.get();
    give_way().await;
    value * 2
}

#[task_fn(transient)]
async fn parity(input: Input<u64>) -> u64 {
    double(input).await / 2 % 2
}

#[task_fn(transient)]
async fn summary(inputs: Vec<Input<u64>>) -> u64 {
    let mut sum = 0;
    for input in &inputs {
        sum += parity(input.clone()).await * 10 + plain(input.clone());
    }
    sum
}

#[task_fn(transient)]
fn plain(input: Input<u64>) -> u64 {
    input.get().min(1)
}

fn check_edges(run: impl Fn(&Runtime, Vec<Input<u64>>) -> u64) {
    let rt = Runtime::new();
    let inputs: Vec<_> = (0..6).map(|n| rt.input(&format!("in{n}"), n)).collect();
    let mut values: Vec<u64> = (0..6).collect();
    let expected = |values: &[u64]| values.iter().map(|n| n % 2 * 10 + n.min(&1)).sum::<u64>();
    assert_eq!(run(&rt, inputs.clone()), expected(&values));
    assert_eq!(run(&rt, inputs.clone()), expected(&values));
    assert_eq!(runs(&rt, "summary"), 1);
    for (change, (at, value)) in [(3, 5), (3, 7), (0, 1), (5, 6), (2, 2), (1, 9)].into_iter().enumerate() {
        let (before, reruns) = (expected(&values), runs(&rt, "summary"));
        let doubles = runs(&rt, "double");
        values[at] = value;
        rt.update(|u| u.set(&inputs[at], value)).unwrap();
        assert_eq!(run(&rt, inputs.clone()), expected(&values), "change {change}");
        // Early cutoff: the summary runs again only if a parity or a minimum has changed.
        let changed = expected(&values) != before;
        assert_eq!(runs(&rt, "summary"), reruns + u64::from(changed), "change {change}");
        assert!(runs(&rt, "double") <= doubles + 1);
    }
}

#[test]
fn edges_are_recorded_across_awaits_on_every_executor() {
    check_edges(|rt, inputs| rt.run(|| block_on(summary(inputs))));
    check_edges(|rt, inputs| block_on(rt.run_async(async { summary(inputs).await })));
    check_edges(|rt, inputs| smol::block_on(rt.run_async(async { summary(inputs).await })));
    let tokio = tokio();
    check_edges(|rt, inputs| tokio.block_on(rt.run_async(async { summary(inputs).await })));
    check_edges(|rt, inputs| {
        let rt = rt.clone();
        tokio.block_on(async {
            tokio::spawn(async move { rt.run_async(summary_of(inputs)).await }).await.unwrap()
        })
    });
    // Through a sync task, and by a handle: driven to the end on the thread that asks.
    check_edges(|rt, inputs| rt.run(|| summary_by_handle(summary::task(inputs))));
}

async fn summary_of(inputs: Vec<Input<u64>>) -> u64 {
    summary(inputs).await
}

#[task_fn(transient)]
fn summary_by_handle(summary: Task<u64>) -> u64 {
    summary.get()
}

#[test]
fn a_call_is_looked_up_when_it_is_made_and_starts_when_it_is_polled() {
    let rt = Runtime::new();
    let input = rt.input("in", 4);
    rt.run(|| {
        let call = double(input.clone());
        assert!(!call.is_ready());
        drop(call);
        assert_eq!(runs(&rt, "double"), 0);
        let call = double(input.clone()).try_ready().unwrap_err();
        assert_eq!(block_on(call), 8);
        assert!(matches!(double(input.clone()), TaskCall::Ready(8)));
        assert_eq!(double(input.clone()).try_ready().unwrap(), 8);
        // A hit needs no waker and no second poll.
        assert_eq!(poll_once(pin!(double(input.clone()))), Poll::Ready(8));
    });
    assert_eq!(runs(&rt, "double"), 1);
}

#[task_fn(transient)]
async fn chain(n: u64, input: Input<u64>) -> u64 {
    if n == 0 {
        give_way().await;
        return input.get();
    }
    chain(n - 1, input).await + 1
}

#[test]
fn deep_chains_of_futures_do_not_overflow_the_stack() {
    let rt = Runtime::new();
    let input = rt.input("in", 0);
    assert_eq!(rt.run(|| block_on(chain(20_000, input.clone()))), 20_000);
    rt.update(|u| u.set(&input, 5)).unwrap();
    assert_eq!(smol::block_on(rt.run_async(async { chain(20_000, input.clone()).await })), 20_005);
    rt.update(|u| u.set(&input, 6)).unwrap();
    // Given up half-way: dropped from the outside in.
    rt.run(|| assert!(poll_once(pin!(chain(20_000, input.clone()))).is_pending()));
    assert_eq!(rt.run(|| chain::task(20_000, input.clone()).get()), 20_006);
}

#[task_fn(transient)]
async fn says(n: u64) -> u64 {
    emit(format!("before {n}"));
    give_way().await;
    if n > 0 {
        says(n - 1).await;
    }
    emit(format!("after {n}"));
    n
}

#[test]
fn emitted_values_are_kept_in_order_across_awaits() {
    let rt = Runtime::new();
    rt.run(|| assert_eq!(block_on(says(2)), 2));
    let found = rt.run(|| says::collect::<String>(2));
    assert_eq!(found, ["before 0", "after 0", "before 1", "after 1", "before 2", "after 2"]);
}

#[task_fn(transient)]
async fn calls_in_parallel(inputs: Vec<Input<u64>>) -> u64 {
    give_way().await;
    let sum: u64 = par_map(&inputs, |input| plain(input.clone())).into_iter().sum();
    give_way().await;
    sum
}

#[test]
fn scopes_work_inside_async_bodies() {
    let rt = Runtime::builder().threads(2).build();
    let inputs: Vec<_> = (0..50).map(|n| rt.input(&format!("in{n}"), n)).collect();
    assert_eq!(rt.run(|| block_on(calls_in_parallel(inputs.clone()))), 49);
    rt.update(|u| u.set(&inputs[0], 3)).unwrap();
    assert_eq!(rt.run(|| block_on(calls_in_parallel(inputs.clone()))), 50);
}

#[task_fn(transient, heavy)]
fn heavy_sync(n: u64) -> String {
    assert!(n < 100, "too heavy: {n}");
    format!("{n} on {}", thread::current().name().unwrap_or("?"))
}

#[task_fn(transient, heavy)]
async fn heavy_async(input: Input<u64>) -> String {
    give_way().await;
    format!("{} on {}", input.get(), thread::current().name().unwrap_or("?"))
}

#[test]
fn heavy_bodies_move_to_the_crew() {
    let rt = Runtime::builder().threads(2).build();
    let input = rt.input("in", 1);
    let on_crew = |text: String| assert!(text.contains("on larder-crew-"), "{text}");
    for n in 0..20 {
        rt.update(|u| u.set(&input, n)).unwrap();
        on_crew(smol::block_on(rt.run_async(async { heavy_async(input.clone()).await })));
        on_crew(block_on(rt.run_async(async { heavy_sync::task(n).get_async().await })));
        // Sync callers run it where they are.
        assert!(!rt.run(|| heavy_sync(n + 50)).contains("larder-crew"));
    }
    assert_eq!(runs(&rt, "heavy_async"), 20);
    let error = block_on(rt.try_run_async(async { heavy_sync::task(100).get_async().await }));
    assert!(
        matches!(&error, Err(TaskError::Panicked { message, .. }) if message == "too heavy: 100"),
        "{error:?}"
    );
}

#[test]
fn a_call_that_lost_its_task_fails_loudly() {
    let (rt, tokio) = (Runtime::new(), tokio());
    let input = rt.input("in", 1);
    let lost = tokio.block_on(rt.run_async(async { tokio::spawn(double(input.clone())).await }));
    let panic = lost.unwrap_err().into_panic();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("without its task"));
    let leaked = rt.run(|| double(input.clone()));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(leaked))).is_err());
    rt.update(|u| u.set(&input, 2)).unwrap();
    assert_eq!(rt.run(|| block_on(double(input.clone()))), 4);
}

#[task_fn(transient)]
async fn spawns(inputs: Vec<Input<u64>>) -> u64 {
    let task = current();
    let spawned: Vec<_> =
        inputs.iter().map(|input| tokio::spawn(task.future(parity(input.clone())))).collect();
    let mut sum = 0;
    for task in spawned {
        sum += task.await.unwrap();
    }
    sum
}

#[test]
fn wrapped_futures_can_be_spawned_and_lose_no_edge() {
    let (rt, tokio) = (Runtime::new(), tokio());
    let inputs: Vec<_> = (0..30).map(|n| rt.input(&format!("in{n}"), n)).collect();
    let sum = || tokio.block_on(rt.run_async(async { spawns(inputs.clone()).await }));
    assert_eq!(sum(), 15);
    for (at, value) in [(0, 1), (29, 2), (10, 12)] {
        rt.update(|u| u.set(&inputs[at], value)).unwrap();
        sum();
    }
    assert_eq!(sum(), 15);
    assert_eq!(runs(&rt, "spawns"), 3);
    assert_eq!(runs(&rt, "double"), 33);
}

#[test]
fn futures_and_calls_are_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let rt = Runtime::new();
    let input = rt.input("in", 1);
    let session = send(rt.run_async(async { send(double(input.clone())).await }));
    assert_eq!(block_on(session), 2);
    block_on(send(rt.update_async(|u| u.set(&input, 3)))).unwrap();
    assert_eq!(rt.run(|| block_on(double(input.clone()))), 6);
}
