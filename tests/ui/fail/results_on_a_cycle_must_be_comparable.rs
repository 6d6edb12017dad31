use larder::task_fn;

#[derive(Clone)]
struct Opaque(u32);

#[task_fn(transient, cycle_initial = Opaque(0))]
fn opaque(x: u32) -> Opaque {
    Opaque(x)
}

#[task_fn(transient, cycle_initial = "none")]
fn typed(x: u32) -> u32 {
    x
}

fn main() {
    let _ = opaque(typed(1)).0;
}
