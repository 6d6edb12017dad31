//! Servers for the time of a test.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder_shared::{Namespace, SharedKey};
use tempfile::TempDir;

/// A server that ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
    _folder: TempDir,
}

impl Server {
    /// Starts a server in a folder, and waits until it listens at a port; none where it is not installed. With `LARDER_SHARED_SERVERS` in the
    /// environment it has to be.
    pub(crate) fn start(command: &mut Command, port: u16, folder: TempDir) -> Option<Self> {
        let child = command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = child else {
            let program = command.get_program().to_owned();
            assert!(std::env::var_os("LARDER_SHARED_SERVERS").is_none(), "{program:?} cannot be started");
            return None;
        };
        let mut server = Self { child, port, _folder: folder };
        // It says so by answering, whenever that is.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server has ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }
}

impl Server {
    /// Tells whether it has not ended.
    #[cfg(feature = "s3")]
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of a server, by a variable or by its usual name.
pub(crate) fn program(variable: &str, usual: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| usual.to_owned())
}

/// Returns a port that is free now, below those that the system hands out by itself: a server with several ports would lose one of them to
/// its own connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Test processes that run at once begin at different ports.
        let first = 12_000 + (std::process::id() * 37 % 15_000) as u16;
        let port = first + NEXT.fetch_add(1, Relaxed) % 5_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(crate) fn some_key() -> SharedKey {
    SharedKey::reference(&Namespace::new("test").unwrap(), "main").unwrap()
}
