//! `larder serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::*;

/// A server that ends with the test.
struct Served(std::process::Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn serve_prints_where_the_page_is_and_answers_there() {
    let scene = Scene::new();
    let mut command = Command::new(LARDER);
    command.arg("serve").arg(scene.store()).arg("--json").stdout(Stdio::piped());
    let mut served = Served(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(served.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let printed: serde_json::Value = serde_json::from_str(&line).unwrap();
    let address = printed["address"].as_str().unwrap();
    let (page, token) = printed["url"].as_str().unwrap().split_once("#token=").unwrap();
    assert_eq!(page, format!("http://{address}/"));
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("Host: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    write!(stream, "GET /api/tasks?function=report HTTP/1.1\r\n{head}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("a.txt"), "{answer}");
}

#[test]
fn serve_refuses_what_other_machines_reach_and_what_is_no_store() {
    let scene = Scene::new();
    let refused = scene.larder("serve", &["--addr", "0.0.0.0:0"]).fails(2);
    assert!(refused.contains("other machines reach"), "{refused}");
    scene.larder("serve", &["--addr", "no address"]).fails(3);
    let missing = run(Command::new(LARDER).arg("serve").arg(scene.path("nothing")));
    assert_eq!(missing.code, 3);
}
