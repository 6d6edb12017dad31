//! Redis over TLS, where `redis-server` and `openssl` are installed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use larder_shared::{Put, RedisEngine, SharedEngine, SharedError, conformance};

use crate::server::{Server, free_port, program, some_key, soon};

/// An authority, and the folder of its certificates.
struct Authority(tempfile::TempDir);

impl Authority {
    /// None where `openssl` is not installed.
    fn new() -> Option<Self> {
        let authority = Self(tempfile::tempdir().unwrap());
        let subject = ["-x509", "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.pem"];
        let is_installed = authority.openssl("req", &[&NEW[..], &subject].concat());
        if !is_installed {
            assert!(std::env::var_os("LARDER_SHARED_SERVERS").is_none(), "openssl cannot be started");
        }
        is_installed.then_some(authority)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a certificate for a server that has these names.
    fn certify(&self, names: &str) {
        std::fs::write(self.path("names"), format!("subjectAltName={names}")).unwrap();
        let request = ["-subj", "/CN=a server", "-keyout", "server.key", "-out", "server.csr"];
        assert!(self.openssl("req", &[&NEW[..], &request].concat()));
        let signed = ["-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        let out = ["-days", "2", "-extfile", "names", "-out", "server.pem"];
        assert!(self.openssl("x509", &[&signed[..], &out].concat()));
    }

    fn openssl(&self, command: &str, args: &[&str]) -> bool {
        let mut openssl = Command::new("openssl");
        openssl
            .arg(command)
            .args(args)
            .current_dir(self.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        openssl.status().is_ok_and(|status| status.success())
    }

    /// Starts a server that speaks TLS only; none where it is not installed.
    fn server(&self) -> Option<Server> {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let mut command = Command::new(program("LARDER_REDIS_SERVER", "redis-server"));
        command.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--tls-auth-clients", "no"]);
        for (option, file) in
            [("cert-file", "server.pem"), ("key-file", "server.key"), ("ca-cert-file", "ca.pem")]
        {
            command.arg(format!("--tls-{option}")).arg(self.path(file));
        }
        Server::start(&mut command, port, folder)
    }
}

const NEW: [&str; 7] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];

fn url(host: &str, port: u16, ca: &Path) -> String {
    format!("rediss://{host}:{port}?ca={}", ca.display())
}

#[test]
fn it_conforms() {
    let Some(authority) = Authority::new() else { return };
    authority.certify("DNS:localhost,IP:127.0.0.1");
    let Some(server) = authority.server() else { return };
    for host in ["localhost", "127.0.0.1"] {
        let engine = RedisEngine::from_url(&url(host, server.port, &authority.path("ca.pem"))).unwrap();
        conformance::check(&engine, host).unwrap();
        assert_eq!(conformance::check_leases(&engine, host), Ok(true));
    }
}

#[test]
fn a_server_that_cannot_prove_its_name_is_told_nothing() {
    let Some(authority) = Authority::new() else { return };
    authority.certify("DNS:elsewhere.test");
    let Some(server) = authority.server() else { return };
    let other = Authority::new().unwrap();
    let refused = |url: String| {
        let engine = RedisEngine::from_url(&url).unwrap();
        let error = engine.put(&[(some_key(), b"x")], Put::Replace, soon()).unwrap_err();
        assert!(matches!(error, SharedError::Broken { .. }), "{error:?}");
        assert!(engine.get(&[some_key()], soon()).is_err());
    };
    refused(url("localhost", server.port, &authority.path("ca.pem")));
    drop(server);
    authority.certify("DNS:localhost");
    let server = authority.server().unwrap();
    // Signed by another authority, or by none that this machine knows.
    refused(url("localhost", server.port, &other.path("ca.pem")));
    refused(format!("rediss://localhost:{}", server.port));
    let engine = RedisEngine::from_url(&url("localhost", server.port, &authority.path("ca.pem"))).unwrap();
    assert_eq!(engine.get(&[some_key()], soon()).unwrap(), [None]);
    // In the clear nothing is to be had of it.
    let clear = RedisEngine::from_url(&format!("redis://localhost:{}", server.port)).unwrap();
    assert!(clear.get(&[some_key()], soon()).is_err());
}

#[test]
fn a_server_that_says_nothing_ends_in_time() {
    let Some(authority) = Authority::new() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It accepts, and never begins with TLS.
    let engine = RedisEngine::from_url(&url("127.0.0.1", port, &authority.path("ca.pem"))).unwrap();
    let outcome = engine.get(&[some_key()], Instant::now() + Duration::from_millis(200));
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn urls_that_would_believe_anything_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let missing = folder.path().join("missing.pem");
    for url in [
        "rediss://localhost/#insecure".to_owned(),
        "redis://cache.example/0#insecure".to_owned(),
        format!("rediss://localhost?ca={}", empty.display()),
        format!("rediss://localhost?ca={}", missing.display()),
        format!("redis://localhost?ca={}", empty.display()),
    ] {
        let error = RedisEngine::from_url(&url).unwrap_err();
        assert!(!error.contains("localhost"), "{error}");
    }
    // With TLS, a server elsewhere needs no `insecure`.
    assert!(RedisEngine::from_url("rediss://user:password@cache.example:6380/1").is_ok());
}
