use larder::{Input, Runtime, task_fn};

#[derive(PartialEq, Clone)]
struct NotHash(u32);

#[task_fn]
fn list(n: &Input<u32>) -> Vec<u32> {
    (0..n.get()).collect()
}

fn main() {
    let runtime = Runtime::new();
    let n = runtime.input("n", 3);
    runtime.run(|| list::part(&n, &NotHash(1), |list, key| list.len() + key.0 as usize));
    runtime.run(|| list::entry(&n, "one"));
}
