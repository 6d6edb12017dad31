use larder::task_fn;

#[task_fn]
fn show(x: &dyn std::fmt::Display) -> String {
    x.to_string()
}

fn main() {
    show(&1);
}
