//! Engines behind a network that fails: a call comes back with the error of its kind, or with what was written, and never with a piece of it.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use larder_shared::{Namespace, Put, SharedEngine, SharedError, SharedKey, conformance, engine_at};
use larder_storage::{Digest, TaskKey};

use crate::fake;
use crate::proxy::{Fault, Proxy};
use crate::server::soon;

/// Runs a test on each engine of HTTP, behind a proxy.
fn each(test: impl Fn(&Proxy, &dyn SharedEngine)) {
    let proxy = || Proxy::before(fake::server());
    #[cfg(feature = "http")]
    {
        let proxy = proxy();
        test(&proxy, &engine_at(&format!("http://{}/files", proxy.address)).unwrap());
    }
    #[cfg(feature = "s3")]
    {
        let proxy = proxy();
        test(&proxy, &s3(proxy.address));
    }
}

#[cfg(feature = "s3")]
fn s3(at: SocketAddr) -> Box<dyn SharedEngine> {
    engine_at(&format!("s3://bucket?anonymous=1&region=us-east-1&endpoint=http://{at}")).unwrap()
}

/// A moment that comes before anything that hangs does, and that a busy machine may reach with nothing wrong.
fn in_a_moment() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

fn key(number: u32) -> SharedKey {
    SharedKey::task(&Namespace::new("faults").unwrap(), TaskKey(Digest(number.into())))
}

const BYTES: &[u8] = &[0x5A; 40_000];

#[test]
fn a_network_without_faults_and_one_that_is_slow_conform() {
    each(|proxy, engine| {
        conformance::check(engine, "fine").unwrap();
        proxy.set(Fault::Delay(Duration::from_millis(1)), 1);
        conformance::check(engine, "delayed").unwrap();
    });
}

#[test]
fn what_hangs_or_drips_is_late() {
    for fault in [Fault::Hang, Fault::Drip(Duration::from_millis(10))] {
        each(|proxy, engine| {
            engine.put(&[(key(1), BYTES)], Put::Replace, soon()).unwrap();
            proxy.set(fault, 1);
            let keys: Vec<_> = (1..20).map(key).collect();
            for _ in 0..3 {
                let late = engine.get(&keys, in_a_moment());
                assert!(matches!(late, Err(SharedError::Slow)), "{fault:?}: {late:?}");
            }
            let items: Vec<_> = (30..50).map(|number| (key(number), BYTES)).collect();
            let late = engine.put(&items, Put::IfAbsent, in_a_moment());
            assert!(matches!(late, Err(SharedError::Slow)), "{fault:?}: {late:?}");
            // With the network, the engine is well again.
            proxy.set(Fault::None, 1);
            assert_eq!(engine.get(&[key(1)], soon()).unwrap(), [Some(BYTES.to_vec())]);
        });
    }
}

#[test]
fn what_is_cut_off_is_an_error_and_never_a_piece() {
    for after in [0, 1, 10, 50, 100, 2_000, 39_000] {
        each(|proxy, engine| {
            engine.put(&[(key(1), BYTES)], Put::Replace, soon()).unwrap();
            proxy.set(Fault::CutAfter(after), 1);
            for _ in 0..3 {
                let error = engine.get(&[key(1), key(1), key(1)], soon()).unwrap_err();
                assert!(matches!(error, SharedError::Broken { .. }), "{error}");
            }
        });
    }
}

#[test]
fn of_calls_on_every_second_connection_that_hangs_some_are_late_and_none_is_wrong() {
    each(|proxy, engine| {
        engine.put(&[(key(1), BYTES)], Put::Replace, soon()).unwrap();
        proxy.set(Fault::Hang, 2);
        for _ in 0..6 {
            match engine.get(&[key(1), key(2), key(1)], in_a_moment()) {
                Ok(found) => assert_eq!(found, [Some(BYTES.to_vec()), None, Some(BYTES.to_vec())]),
                Err(error) => assert!(matches!(error, SharedError::Slow), "{error}"),
            }
        }
        // One request is made once: each of the three has opened at most one connection.
        assert!(proxy.connections() <= 1 + 6 * 3, "{}", proxy.connections());
    });
}

#[test]
fn a_closed_port_is_an_error_of_one_connection() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    #[cfg(feature = "http")]
    refused(&*engine_at(&format!("http://{port}/files")).unwrap());
    #[cfg(feature = "s3")]
    refused(&*s3(port));
}

fn refused(engine: &dyn SharedEngine) {
    let error = engine.get(&[key(1)], soon()).unwrap_err();
    assert!(matches!(error, SharedError::Broken { .. }), "{error}");
    // The text says what it is, and names no URL.
    let text = error.to_string();
    assert!(text.contains("refused") && !text.contains("http:") && !text.contains("s3:"), "{text}");
}

#[test]
fn answers_that_are_none_end_as_errors() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nabc",
        "+PONG\r\n",
        "",
    ] {
        let at = nonsense(answer);
        #[cfg(feature = "http")]
        none(answer, &*engine_at(&format!("http://{at}/")).unwrap());
        #[cfg(feature = "s3")]
        none(answer, &*s3(at));
    }
}

fn none(answer: &str, engine: &dyn SharedEngine) {
    let found = engine.get(&[key(1)], in_a_moment());
    // An item that is larger than any may be comes as an empty one, which is rejected.
    let is_fine = found.is_err() || found.as_ref().is_ok_and(|found| found == &[Some(Vec::new())]);
    assert!(is_fine, "{answer:?}: {found:?}");
}

/// A server that answers each request with this, and closes.
fn nonsense(answer: &'static str) -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}
