use larder::task_fn;

#[task_fn(size = 100, time = 60, result = true)]
fn words(text: &str) -> usize {
    text.len()
}

fn main() {
    words("");
}
