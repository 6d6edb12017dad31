use larder::task_fn;

#[task_fn(returns(ref))]
fn borrowed(n: u32) -> u32 {
    n
}

#[task_fn(cycle_fn = recover, cycle_initial = 0)]
fn cyclic(n: u32) -> u32 {
    n
}

#[task_fn(durability = HIGH, specify, option)]
fn others(n: u32) -> Option<u32> {
    Some(n)
}

#[task_fn(transient(true), lru(5))]
fn lists(n: u32) -> u32 {
    n
}

fn main() {
    borrowed(1);
    cyclic(1);
    others(1);
    lists(1);
}
