use larder::task_fn;

#[task_fn(transient, max_future = 64)]
async fn large(x: u8) -> u8 {
    let buffer = [x; 4096];
    std::future::ready(()).await;
    buffer[usize::from(x)]
}

fn main() {
    drop(large(1));
}
