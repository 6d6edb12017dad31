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

#[task_fn(transient, cycle_step = |_, new, _| new)]
fn no_first_value(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_step)]
fn no_step(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fallback)]
fn no_fallback(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fallback = 0)]
async fn suspended_fallback(x: u32) -> u32 {
    std::future::ready(x).await
}

#[task_fn(transient, cycle_fallback = 0, cycle_initial = 0)]
fn both(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fallback = 0, cycle_step = |_, new, _| new)]
fn stepped_fallback(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fallback = 0, cycle_rounds = 3)]
fn bounded_fallback(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fallback = |x| x)]
fn closure_for_a_fallback(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_initial = |x| x)]
fn closure_for_an_initial_value(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_result = zero)]
fn of_salsa(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fn = zero)]
fn of_salsa_too(x: u32) -> u32 {
    x
}

fn main() {
    bounded(unequal(without(1)));
    let _ = suspended(1);
}
