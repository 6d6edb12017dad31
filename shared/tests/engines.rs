//! The engines that ship keep to the trait. The one for Redis is tried where `redis-server` is installed (`ci/shared-servers.sh`).

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use larder_shared::{FolderEngine, MemoryEngine, conformance, engine_at};

#[test]
fn a_folder_and_memory_conform() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&MemoryEngine::new(), "memory").unwrap();
    conformance::check(&FolderEngine::new(folder.path()), "folder").unwrap();
}

#[test]
fn places_that_are_none_are_refused_without_repeating_them() {
    for place in
        ["ftp://me:hunter2@host", "redis://me:hunter2@cache.example.org", "redis://x?password=hunter2"]
    {
        let rule = engine_at(place).err().unwrap();
        assert!(!rule.contains("hunter2"), "{rule}");
    }
    assert!(engine_at("some/folder").is_ok() && engine_at("file:///some/folder").is_ok());
}

#[cfg(feature = "redis")]
mod redis {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use larder_shared::{Namespace, Put, RedisEngine, SharedEngine, SharedError, SharedKey, conformance};

    struct Server {
        child: Child,
        port: u16,
        _folder: tempfile::TempDir,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// Starts a server with these arguments; none where it is not installed.
    fn server(args: &[&str]) -> Option<Server> {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let program = std::env::var("LARDER_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(args)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            assert!(std::env::var_os("LARDER_SHARED_SERVERS").is_none(), "`redis-server` cannot be started");
            return None;
        };
        let server = Server { child, port, _folder: folder };
        // It says so by answering, whenever that is.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn some_key() -> SharedKey {
        SharedKey::reference(&Namespace::new("test").unwrap(), "main").unwrap()
    }

    #[test]
    fn it_conforms() {
        let Some(server) = server(&[]) else { return };
        let engine = RedisEngine::from_url(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
        conformance::check(&engine, "redis").unwrap();
        conformance::check(&engine.expires(Duration::from_secs(3600)), "expiring").unwrap();
    }

    #[test]
    fn a_server_that_was_started_anew_is_connected_to_again() {
        let Some(mut first) = server(&[]) else { return };
        let engine = RedisEngine::from_url(&format!("redis://127.0.0.1:{}/0", first.port)).unwrap();
        engine.put(&[(some_key(), b"x")], Put::Replace, soon()).unwrap();
        first.child.kill().unwrap();
        first.child.wait().unwrap();
        let gone = engine.get(&[some_key()], soon()).unwrap_err();
        assert!(matches!(gone, SharedError::Broken { .. }), "{gone}");
        let port = first.port.to_string();
        let again =
            Command::new("redis-server").args(["--port", &port, "--save", ""]).stdout(Stdio::null()).spawn();
        let _second =
            Server { child: again.unwrap(), port: first.port, _folder: tempfile::tempdir().unwrap() };
        while TcpStream::connect(("127.0.0.1", first.port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(engine.get(&[some_key()], soon()).unwrap(), [None]);
    }

    #[test]
    fn a_user_who_may_only_read_is_refused_to_write() {
        let Some(server) = server(&[]) else { return };
        let mut admin = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        admin.write_all(b"ACL SETUSER reader on >read ~* +@read +@connection\r\n").unwrap();
        assert_eq!(admin.read(&mut [0; 100]).unwrap(), b"+OK\r\n".len());
        let engine =
            RedisEngine::from_url(&format!("redis://reader:read@127.0.0.1:{}", server.port)).unwrap();
        assert_eq!(engine.get(&[some_key()], soon()).unwrap(), [None]);
        let refused = engine.put(&[(some_key(), b"x")], Put::Replace, soon()).unwrap_err();
        assert!(matches!(refused, SharedError::Refused { .. }), "{refused}");
    }

    #[test]
    fn a_password_that_is_wrong_is_a_refusal_and_is_told_nowhere() {
        let Some(server) = server(&["--requirepass", "right"]) else { return };
        let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port);
        conformance::check(&RedisEngine::from_url(&url("right")).unwrap(), "password").unwrap();
        let engine = RedisEngine::from_url(&url("hunter2")).unwrap();
        let error = engine.get(&[some_key()], soon()).unwrap_err();
        for text in [format!("{engine:?}"), format!("{error:?}"), error.to_string()] {
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert!(matches!(error, SharedError::Refused { .. }), "{error:?}");
    }

    /// A server that accepts, and then says nothing, or something else, or closes.
    fn faulty(answer: &'static [u8], stays: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 100]);
                let _ = stream.write_all(answer);
                if stays {
                    open.push(stream);
                }
            }
        });
        port
    }

    #[test]
    fn servers_that_are_silent_or_talk_nonsense_end_as_errors() {
        let nonsense: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        for (answer, stays) in
            [(&b""[..], true), (&b""[..], false), (nonsense, true), (b"*1\r\n$99999999999\r\n", false)]
        {
            let port = faulty(answer, stays);
            let engine = RedisEngine::from_url(&format!("redis://localhost:{port}")).unwrap();
            let outcome = engine.get(&[some_key()], Instant::now() + Duration::from_millis(200));
            assert!(outcome.is_err(), "{outcome:?}");
        }
        let engine = RedisEngine::from_url(&format!("redis://127.0.0.1:{}", free_port())).unwrap();
        assert!(matches!(engine.get(&[some_key()], soon()), Err(SharedError::Broken { .. })));
    }
}
