//! Redis, where `redis-server` is installed.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use larder_shared::{Put, RedisEngine, SharedEngine, SharedError, conformance};

use crate::server::{Server, free_port, program, some_key, soon};

/// Starts a server with these arguments; none where it is not installed.
fn server(args: &[&str]) -> Option<Server> {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let mut command = Command::new(program("LARDER_REDIS_SERVER", "redis-server"));
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    Server::start(command.args(args), port, folder)
}

#[test]
fn it_conforms() {
    let Some(server) = server(&[]) else { return };
    let engine = RedisEngine::from_url(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
    conformance::check(&engine, "redis").unwrap();
    assert_eq!(conformance::check_leases(&engine, "redis"), Ok(true));
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
    let mut again = Command::new(program("LARDER_REDIS_SERVER", "redis-server"));
    again.args(["--port", &first.port.to_string(), "--save", ""]);
    let _second = Server::start(&mut again, first.port, tempfile::tempdir().unwrap()).unwrap();
    assert_eq!(engine.get(&[some_key()], soon()).unwrap(), [None]);
}

#[test]
fn a_user_who_may_only_read_is_refused_to_write() {
    let Some(server) = server(&[]) else { return };
    let mut admin = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    admin.write_all(b"ACL SETUSER reader on >read ~* +@read +@connection\r\n").unwrap();
    assert_eq!(admin.read(&mut [0; 100]).unwrap(), b"+OK\r\n".len());
    let engine = RedisEngine::from_url(&format!("redis://reader:read@127.0.0.1:{}", server.port)).unwrap();
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
