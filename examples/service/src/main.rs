//! Serves product pages: `cargo run --release -p service -- --store shop.redb`, then `curl localhost:3000/products/42`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder::Runtime;
use larder::storage::RedbStorage;
use lexopt::prelude::*;
use service::{Upstream, router};

const USAGE: &str = "usage: service [--port N] [--store FILE] [--memory MIB]";

struct Settings {
    port: u16,
    store: Option<PathBuf>,
    mebibytes: usize,
}

fn settings() -> Result<Settings, lexopt::Error> {
    let mut settings = Settings { port: 3000, store: None, mebibytes: 64 };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("port") => settings.port = args.value()?.parse()?,
            Long("store") => settings.store = Some(args.value()?.into()),
            Long("memory") => settings.mebibytes = args.value()?.parse()?,
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(settings)
}

#[allow(clippy::print_stderr, reason = "a program talks to its user")]
fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings().map_err(|error| format!("{error}\n{USAGE}"))?;
    let builder = Runtime::builder().memory_cap(settings.mebibytes << 20).collect_after(10_000);
    let runtime = match &settings.store {
        Some(path) => builder.storage(RedbStorage::open(path)?).build(),
        None => builder.build(),
    };
    let upstream = Arc::new(Upstream::new(Duration::from_millis(300), Duration::from_secs(30)));
    let app = router(runtime.clone(), upstream);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", settings.port)).await?;
        eprintln!("http://{}/products/42 and /metrics", listener.local_addr()?);
        axum::serve(listener, app).with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await }).await
    })?;
    runtime.flush()?;
    Ok(())
}
