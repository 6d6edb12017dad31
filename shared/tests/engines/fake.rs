//! A server of HTTP in memory, as much as `HttpEngine` and `S3Engine` ask of one: `GET` and `PUT`.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Items = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Starts a server that ends with the process.
pub(crate) fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let items = Items::default();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let items = items.clone();
            std::thread::spawn(move || while serve(&stream, &items).is_some() {});
        }
    });
    address
}

/// Answers one request; none if the connection has ended.
fn serve(mut stream: &TcpStream, items: &Items) -> Option<()> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let (method, rest) = head.split_once(' ')?;
    let path = rest.split(' ').next()?.to_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut items = items.lock().unwrap();
    let (status, body) = match (method, items.get(&path)) {
        ("GET", Some(found)) => ("200 OK", found.clone()),
        ("GET", None) => ("404 Not Found", Vec::new()),
        _ => {
            items.insert(path, body);
            ("200 OK", Vec::new())
        }
    };
    drop(items);
    let head = format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).ok()
}
