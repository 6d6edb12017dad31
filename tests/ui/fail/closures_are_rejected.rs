use larder::task_fn;

#[task_fn]
fn apply<F: Fn(u32) -> u32>(f: F, n: u32) -> u32 {
    f(n)
}

#[task_fn(transient)]
fn called<F>(f: &F) -> u32
where
    F: Fn() -> u32 + Clone,
{
    f()
}

fn main() {
    apply(|n| n, 1);
    called(&|| 1);
}
