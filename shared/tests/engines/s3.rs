//! `SeaweedFS` with identities, and rclone, which ignores conditions, where they are installed.

use std::process::Command;

use larder_shared::{Namespace, Put, S3Engine, SharedEngine, SharedError, SharedKey, conformance};
use larder_storage::{Digest, TaskKey};
use tempfile::TempDir;

use crate::server::{Server, free_port, program, some_key, soon};

const IDENTITIES: &str = r#"{"identities": [
    {"name": "writer", "credentials": [{"accessKey": "writer", "secretKey": "hunter2"}], "actions": ["Admin", "Read", "Write", "List"]},
    {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "hunter3"}], "actions": ["Read:larder"]}
]}"#;

fn seaweed() -> Option<Server> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("identities.json"), IDENTITIES).unwrap();
    let port = free_port();
    let mut weed = Command::new(program("LARDER_WEED", "weed"));
    weed.args(["server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
    // Servers of other protocols, at ports of their own.
    weed.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
    weed.args(["-s3.config=identities.json", "-master.volumeSizeLimitMB=64", "-volume.max=20"]);
    weed.arg(format!("-s3.port={port}"));
    for other in ["master", "volume", "filer"] {
        weed.arg(format!("-{other}.port={}", free_port()));
    }
    for other in ["master", "volume", "filer", "s3"] {
        weed.arg(format!("-{other}.port.grpc={}", free_port()));
    }
    let mut server = Server::start(&mut weed, port, folder)?;
    // It listens before it has all that it needs to take an item.
    let engine = engine(&server, "", "writer", "hunter2");
    while let Err(error) = engine.put(&[(some_key(), b"x")], Put::Replace, soon()) {
        assert!(server.runs(), "the server has ended: {error}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Some(server)
}

/// rclone over a folder with the bucket in it.
fn rclone() -> Option<Server> {
    let (port, folder) = (free_port(), TempDir::new().unwrap());
    std::fs::create_dir_all(folder.path().join("files/larder")).unwrap();
    let mut rclone = Command::new(program("LARDER_RCLONE", "rclone"));
    rclone.args(["serve", "s3", "--config=/dev/null", "--auth-key=writer,hunter2", "files"]);
    rclone.arg(format!("--addr=127.0.0.1:{port}"));
    Server::start(&mut rclone, port, folder)
}

fn engine(server: &Server, rest: &str, id: &str, secret: &str) -> S3Engine {
    let url = format!("s3://larder{rest}?region=us-east-1&endpoint=http://127.0.0.1:{}", server.port);
    S3Engine::with_key(&url, id, secret).unwrap()
}

#[test]
fn it_conforms_over_seaweedfs() {
    let Some(server) = seaweed() else { return };
    conformance::check(&engine(&server, "", "writer", "hunter2"), "root").unwrap();
    conformance::check(&engine(&server, "/some/prefix", "writer", "hunter2"), "root").unwrap();
    keys_of_other_users_are_refused(&server);
    conditions_hold(&server);
    assert_eq!(conformance::check_leases(&engine(&server, "", "writer", "hunter2"), "leases"), Ok(true));
}

fn keys_of_other_users_are_refused(server: &Server) {
    let reader = engine(server, "", "reader", "hunter3");
    assert_eq!(reader.get(&[some_key()], soon()).unwrap(), [Some(b"x".to_vec())]);
    let refused = reader.put(&[(some_key(), b"y")], Put::Replace, soon()).unwrap_err();
    assert!(matches!(refused, SharedError::Refused { .. }), "{refused}");
    for (id, secret) in [("writer", "s3cr3t"), ("other", "s3cr3t")] {
        let engine = engine(server, "", id, secret);
        let error = engine.get(&[some_key()], soon()).unwrap_err();
        assert!(matches!(error, SharedError::Refused { .. }), "{error}");
        for text in [format!("{engine:?}"), format!("{error:?}"), error.to_string()] {
            assert!(!text.contains("s3cr3t"), "{text}");
        }
    }
}

fn conditions_hold(server: &Server) {
    let writer = engine(server, "/conditions", "writer", "hunter2");
    let put = |bytes: &[u8]| writer.put(&[(some_key(), bytes)], Put::IfAbsent, soon()).unwrap();
    put(b"first");
    put(b"second");
    assert_eq!(writer.get(&[some_key()], soon()).unwrap(), [Some(b"first".to_vec())]);
}

/// rclone does not conform: it answers with status 500 where several items are written at once (and so has to make one folder), or one of them
/// twice. Items that are written one after the other it keeps; of `IfAbsent` it makes `Replace`.
#[test]
fn items_are_kept_by_rclone_which_ignores_conditions() {
    let Some(server) = rclone() else { return };
    let engine = engine(&server, "/prefix", "writer", "hunter2");
    let namespace = Namespace::new("rclone").unwrap();
    let key = |number: u32| SharedKey::task(&namespace, TaskKey(Digest(number.into())));
    let bytes: Vec<Vec<u8>> = (0..100_u32).map(|number| number.to_le_bytes().repeat(1000)).collect();
    let items: Vec<_> = (0..).map(key).zip(bytes.iter().map(Vec::as_slice)).collect();
    for item in items.iter().chain(&items[50..]) {
        engine.put(std::slice::from_ref(item), Put::IfAbsent, soon()).unwrap();
    }
    let keys: Vec<_> = (0..101).map(key).collect();
    let found = engine.get(&keys, soon()).unwrap();
    let expected: Vec<_> = bytes.iter().cloned().map(Some).chain([None]).collect();
    assert!(found == expected, "100 items and one that is not there");

    let url = format!("s3://missing?region=us-east-1&endpoint=http://127.0.0.1:{}", server.port);
    let engine = S3Engine::with_key(&url, "writer", "hunter2").unwrap();
    let error = engine.get(&[some_key()], soon()).unwrap_err();
    assert!(
        matches!(error, SharedError::Refused { .. }),
        "a bucket that is not there is not a miss: {error}"
    );
}

#[test]
fn urls_that_are_none_or_travel_in_the_clear_are_refused() {
    for url in [
        "s3://",
        "s3://buc ket",
        "s3://bucket?endpoint=http://cache.example.org",
        "s3://bucket?region=a&region=b",
        "s3://bucket?acces_key=x",
        "s3://bucket?endpoint=http://127.0.0.1@cache.example.org",
        "s3://bucket/a//b",
        "http://bucket",
    ] {
        assert!(S3Engine::with_key(url, "id", "secret").is_err(), "{url}");
    }
    for url in [
        "s3://bucket",
        "s3://bucket/a/b/?region=eu-1",
        "s3://bucket?endpoint=https://s3.example.org&virtual=1",
        "s3://bucket?endpoint=http://cache.example.org&insecure=1",
        "s3://bucket?endpoint=http://[::1]:9000&anonymous=1",
    ] {
        assert!(S3Engine::with_key(url, "id", "secret").is_ok(), "{url}");
    }
}

#[test]
fn it_can_be_called_from_within_an_async_runtime_and_dropped_there() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let url = format!("s3://bucket?endpoint=http://127.0.0.1:{}", free_port());
        let engine = S3Engine::with_key(&url, "id", "secret").unwrap();
        let error = engine.get(&[some_key()], soon()).unwrap_err();
        assert!(matches!(error, SharedError::Broken { .. }), "{error}");
    });
}
