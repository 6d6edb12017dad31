use larder::task_fn;

#[task_fn]
fn sort(items: &mut Vec<u32>) {
    items.sort();
}

#[task_fn]
fn nested(items: Option<&mut u32>) -> bool {
    items.is_some()
}

fn main() {
    sort(&mut vec![1]);
    nested(None);
}
