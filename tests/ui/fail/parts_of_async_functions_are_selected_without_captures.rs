use larder::{Input, Runtime, task_fn};

#[task_fn]
async fn list(n: &Input<u32>) -> Vec<u32> {
    std::future::ready(()).await;
    (0..n.get()).collect()
}

fn main() {
    let runtime = Runtime::new();
    let n = runtime.input("n", 3);
    let at = 1_usize;
    drop(runtime.run_async(async || list::part(&n, &(), |list, ()| list.get(at).copied()).await));
}
