use larder::{Input, Runtime, task_fn};

#[task_fn]
fn list(n: &Input<u32>) -> Vec<u32> {
    (0..n.get()).collect()
}

fn main() {
    let runtime = Runtime::new();
    let n = runtime.input("n", 3);
    let at = 1_usize;
    runtime.run(|| list::part(&n, &(), |list, ()| list.get(at).copied()));
}
