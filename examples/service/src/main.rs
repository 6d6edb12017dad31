//! Serves product pages: `cargo run --release -p service -- --store shop.redb`, then `curl localhost:3000/products/42`. With `--inspect 0` it also
//! shows itself in a browser, at the address that it prints.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use larder::Runtime;
use larder::storage::RedbStorage;
use larder_inspect::InspectRuntime;
use lexopt::prelude::*;
use service::{Upstream, router};

const USAGE: &str = "usage: service [--port N] [--store FILE] [--memory MIB] [--inspect PORT]";

struct Settings {
    port: u16,
    store: Option<PathBuf>,
    mebibytes: usize,
    inspect: Option<u16>,
}

fn settings() -> Result<Settings, lexopt::Error> {
    let mut settings = Settings { port: 3000, store: None, mebibytes: 64, inspect: None };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("port") => settings.port = args.value()?.parse()?,
            Long("store") => settings.store = Some(args.value()?.into()),
            Long("inspect") => settings.inspect = Some(args.value()?.parse()?),
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
    // Shown until the program ends.
    let inspector = settings.inspect.map(|port| runtime.inspect(("127.0.0.1", port))).transpose()?;
    let upstream = Arc::new(Upstream::new(Duration::from_millis(300), Duration::from_secs(30)));
    let app = router(runtime.clone(), upstream);
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", settings.port)).await?;
        eprintln!("http://{}/products/42 and /metrics", listener.local_addr()?);
        if let Some(inspector) = &inspector {
            eprintln!("{}", inspector.url());
        }
        axum::serve(listener, app).with_graceful_shutdown(async { _ = tokio::signal::ctrl_c().await }).await
    })?;
    runtime.flush()?;
    Ok(())
}
