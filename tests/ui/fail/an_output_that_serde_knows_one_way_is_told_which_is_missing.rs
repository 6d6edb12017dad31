use larder::task_fn;

#[derive(Clone, PartialEq, serde::Serialize)]
struct Written(u32);

#[derive(Clone, PartialEq, serde::Deserialize)]
struct Read(u32);

#[derive(serde::Serialize)]
struct WrittenAndNotCloned(u32);

#[task_fn]
fn written(x: u32) -> Written {
    Written(x)
}

#[task_fn]
fn read(x: u32) -> Vec<Read> {
    vec![Read(x)]
}

#[task_fn]
async fn awaited(x: u32) -> Result<Written, Read> {
    later(x).await
}

async fn later(x: u32) -> Result<Written, Read> {
    Ok(Written(x))
}

#[task_fn]
fn not_cloned(x: u32) -> WrittenAndNotCloned {
    WrittenAndNotCloned(x)
}

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Shop;

impl Shop {
    #[task_fn]
    fn written(&self) -> Written {
        Written(1)
    }

    #[task_fn(no_companion)]
    fn read(x: u32) -> Read {
        Read(x)
    }
}

fn main() {
    let _ = (written(1), read(1), awaited(1), not_cloned(1), Shop.written(), Shop::read(1));
}
