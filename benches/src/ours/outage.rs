//! A shared cache over HTTP whose server is not there, or hangs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use larder::Runtime;
use larder::shared::{Namespace, Shared, SigningKey};
use larder::storage::MemoryStorage;
use larder_shared::HttpEngine;

use super::stored::folder;
use crate::busy::spin_60_ns;

/// Edits, of which each makes one task run whose record is looked for first.
const MISSES: usize = 2_000;
/// How long a body works.
const BODY: Duration = Duration::from_micros(200);

/// The fault of a server.
#[derive(Clone, Copy, Debug)]
pub enum Outage {
    /// Nothing listens at its port.
    Refused,
    /// It takes connections and says nothing.
    Hangs,
    /// It says that nothing is there, and closes; on every second connection it says nothing.
    EverySecondHangs,
}

#[larder::task_fn]
fn length(path: &str) -> usize {
    let text = larder::fs::read_to_string(path).expect("the file is there");
    let (start, mut sum) = (Instant::now(), 0);
    while start.elapsed() < BODY {
        sum ^= spin_60_ns(sum);
    }
    std::hint::black_box(sum);
    text.len()
}

/// Seconds for all the misses, from building the runtime on. Without an outage there is no shared cache.
#[must_use]
pub fn misses(outage: Option<Outage>) -> f64 {
    let (base, file) = (folder(), "file");
    let write =
        |edit: usize| std::fs::write(base.path().join(file), "x".repeat(edit)).expect("the disk takes it");
    let at = outage.map(server);
    write(1);
    let start = Instant::now();
    let builder = Runtime::builder().base(base.path()).storage(MemoryStorage::new());
    let runtime = match at {
        Some(at) => builder.shared(shared(at)).build(),
        None => builder.build(),
    };
    for edit in 1..=MISSES {
        write(edit);
        runtime.refresh().expect("no session is open");
        assert_eq!(runtime.run(|| length(file)), edit, "an outage changes no value");
    }
    start.elapsed().as_secs_f64()
}

fn shared(at: SocketAddr) -> Shared {
    let engine = HttpEngine::from_url(&format!("http://{at}/cache")).expect("that is a URL");
    let key = SigningKey::generate("ci").expect("the system has random bytes");
    Shared::new(engine, Namespace::new("acme/outage").expect("that is a namespace")).trust(key.public())
}

/// Starts a server with this fault, until the process ends.
fn server(outage: Outage) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a port");
    let at = listener.local_addr().expect("it is bound");
    if let Outage::Refused = outage {
        return at;
    }
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for (number, stream) in listener.incoming().flatten().enumerate() {
            if matches!(outage, Outage::Hangs) || number % 2 == 1 {
                silent.push(stream);
            } else {
                // A client that has gone is none of its business.
                _ = not_there(stream);
            }
        }
    });
    at
}

fn not_there(mut stream: TcpStream) -> std::io::Result<()> {
    _ = stream.read(&mut [0; 4096])?;
    stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
