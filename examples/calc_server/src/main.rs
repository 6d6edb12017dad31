//! A language server over standard input and output for a language of one-line definitions:
//!
//! ```text
//! price = 12
//! total = price * (1 + tax)
//! tax = total - total
//! ```
//! Start it from an editor as `cargo run --release -p calc_server`.

mod analysis;
mod server;
mod syntax;

use std::error::Error;

use lsp_server::Connection;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (connection, threads) = Connection::stdio();
    server::serve(&connection)?;
    // The writer ends with the last sender.
    drop(connection);
    threads.join()?;
    Ok(())
}
