use larder::task_fn;

#[task_fn]
async fn eager(x: u32) -> u32 {
    let later = async { std::future::ready(1).await };
    drop(later);
    x
}

fn main() {
    drop(eager(1));
}
