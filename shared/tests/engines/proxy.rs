//! A proxy that does to connections what networks do.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A fault on the way from the server. The way to the server has none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// Each piece comes so much later.
    Delay(Duration),
    /// Nothing comes, and the connection stays.
    Hang,
    /// The connection ends after so many bytes.
    CutAfter(usize),
    /// One byte comes at a time, with a pause behind it.
    Drip(Duration),
}

/// A proxy in front of a server, until the process ends.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    faults: Arc<Faults>,
}

/// The fault, and of how many connections one has it.
struct Faults(Mutex<(Fault, usize)>);

impl Faults {
    fn of(&self, connection: usize) -> Fault {
        let (fault, each) = *self.0.lock().unwrap();
        if connection % each == each - 1 { fault } else { Fault::None }
    }
}

impl Proxy {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            faults: Arc::new(Faults(Mutex::new((Fault::None, 1)))),
        };
        let (connections, faults) = (proxy.connections.clone(), proxy.faults.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Relaxed);
                let faults = faults.clone();
                std::thread::spawn(move || connect(client, server, &|| faults.of(number)));
            }
        });
        proxy
    }

    /// Gives one of so many connections a fault, those that are there included: 1 is all of them, 2 every second one.
    pub(crate) fn set(&self, fault: Fault, each: usize) {
        *self.faults.0.lock().unwrap() = (fault, each);
    }

    /// Returns how many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

fn connect(client: TcpStream, server: SocketAddr, fault: &dyn Fn() -> Fault) {
    let server = TcpStream::connect(server).unwrap();
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || forward(from, to, &|| Fault::None));
    forward(server, client, fault);
}

/// Forwards until one side ends.
fn forward(mut from: TcpStream, mut to: TcpStream, fault: &dyn Fn() -> Fault) {
    let (mut buffer, mut sent) = ([0; 16 << 10], 0);
    while let Ok(read) = from.read(&mut buffer)
        && read > 0
    {
        let bytes = &buffer[..read];
        let written = match fault() {
            Fault::None => to.write_all(bytes),
            Fault::Hang => continue,
            Fault::Delay(pause) => {
                std::thread::sleep(pause);
                to.write_all(bytes)
            }
            Fault::CutAfter(most) => {
                let written = to.write_all(&bytes[..read.min(most - sent)]);
                sent += read;
                if sent >= most {
                    break;
                }
                written
            }
            Fault::Drip(pause) => bytes.iter().try_for_each(|byte| {
                std::thread::sleep(pause);
                to.write_all(&[*byte])
            }),
        };
        if written.is_err() {
            break;
        }
    }
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}
