//! The inspector's server on a loopback address, asked over plain sockets.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod guarded;
mod running;
mod store;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use larder::storage::RedbStorage;
use larder::{Runtime, fs, task_fn};
use larder_inspect::{Inspector, Serving};
use serde_json::Value;

#[task_fn]
fn count_words(path: &str) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.split_whitespace().count())
}

#[task_fn]
fn report(paths: &[String]) -> usize {
    paths.iter().map(|path| count_words(path)).sum()
}

const TOKEN: &str = "0123456789abcdef";

/// A folder with sources, and a store of tasks over them.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn of(names: &[&str]) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        for name in names {
            std::fs::write(scene.folder.path().join(name), "one two").unwrap();
        }
        scene.runs(names);
        scene
    }

    fn runs(&self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.runtime().run(|| report(&names));
    }

    fn runtime(&self) -> Runtime {
        let storage = RedbStorage::open(self.store()).unwrap();
        let builder = Runtime::builder().base(self.folder.path()).storage(storage);
        builder.code_identity("code").try_build().unwrap()
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store.redb")
    }

    fn serve(&self) -> Serving {
        let inspector = Inspector::new().token(TOKEN).base(self.folder.path());
        inspector.store(self.store(), "127.0.0.1:0").unwrap()
    }
}

/// An answer of the server.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    #[track_caller]
    fn fine(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }
}

/// Sends bytes, and reads until the server closes the connection. None if it closes without an answer.
fn send(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).unwrap();
    // A server that has seen enough may close before all is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

fn get_with(address: SocketAddr, path: &str, headers: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    send(address, request.as_bytes()).expect("the server answers")
}

fn get(serving: &Serving, path: &str) -> Answer {
    let address = serving.address();
    get_with(address, path, &format!("Host: {address}\r\nAuthorization: Bearer {TOKEN}\r\n"))
}
