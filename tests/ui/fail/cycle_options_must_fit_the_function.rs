use larder::task_fn;

#[task_fn(transient, cycle_rounds = 3)]
fn bounded(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_initial = 0)]
async fn suspended(x: u32) -> u32 {
    std::future::ready(x).await
}

#[task_fn(transient, no_eq, cycle_initial = 0)]
fn unequal(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_initial)]
fn without(x: u32) -> u32 {
    x
}

fn main() {
    bounded(unequal(without(1)));
    let _ = suspended(1);
}
