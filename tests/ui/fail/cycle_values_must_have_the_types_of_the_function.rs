use larder::task_fn;

#[task_fn(transient, cycle_fallback = "none")]
fn wrong_fallback(x: u32) -> u32 {
    x
}

fn fallback(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_fallback = fallback)]
fn function_for_a_fallback(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_initial = 0, cycle_step = |previous, new| new)]
fn two_of_three(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_initial = 0, cycle_step = |previous, new, round| "more")]
fn wrong_step(x: u32) -> u32 {
    x
}

#[task_fn(transient, cycle_initial = 0, cycle_step = 7)]
fn no_function(x: u32) -> u32 {
    x
}

fn main() {}
