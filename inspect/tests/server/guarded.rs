//! Which requests are answered, and which connections are kept.

use std::time::Duration;

use super::*;

fn status(serving: &Serving, path: &str, headers: &str) -> u16 {
    get_with(serving.address(), path, headers).status
}

#[test]
fn the_token_is_needed_for_all_that_tells_something() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    let host = format!("Host: {}\r\n", serving.address());
    for path in ["/api/about", "/api/functions", "/api/tasks", "/api/live", "/api/reload", "/api/nothing"] {
        assert_eq!(status(&serving, path, &host), 401, "{path}");
        for wrong in
            ["Bearer", "Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Basic 0123456789abcdef", ""]
        {
            assert_eq!(
                status(&serving, path, &format!("{host}Authorization: {wrong}\r\n")),
                401,
                "{path} {wrong}"
            );
        }
        // A token in the address would stand in histories and logs.
        assert_eq!(status(&serving, &format!("{path}?token={TOKEN}"), &host), 401, "{path}");
    }
    assert_eq!(get(&serving, "/api/about").status, 200);
    assert_eq!(status(&serving, "/nothing", &host), 404);
    for path in ["/", "/page.js", "/views.js", "/page.css", "/cytoscape.js", "/uPlot.js"] {
        let answer = get_with(serving.address(), path, &host);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(TOKEN), "{path}");
    }
}

#[test]
fn tokens_differ_and_are_long() {
    let scene = Scene::of(&["a.txt"]);
    let url = || Inspector::new().store(scene.store(), "127.0.0.1:0").unwrap().url().to_owned();
    let tokens = [url(), url()].map(|url| url.split_once("#token=").unwrap().1.to_owned());
    assert!(tokens[0] != tokens[1] && tokens[0].len() == 32, "{tokens:?}");
    assert!(Inspector::new().token("short").store(scene.store(), "127.0.0.1:0").is_err());
    assert!(Inspector::new().token("0123456789abcdef\r\n").store(scene.store(), "127.0.0.1:0").is_err());
}

#[test]
fn a_page_of_elsewhere_that_leads_here_is_refused() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    let port = serving.address().port();
    let asked =
        |hosts: &str| status(&serving, "/api/about", &format!("{hosts}Authorization: Bearer {TOKEN}\r\n"));
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(asked(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("user@127.0.0.1:{port}"),
        format!("192.168.0.1:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        String::new(),
        "\u{e9}".to_owned(),
    ] {
        assert_ne!(asked(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    assert_ne!(asked(""), 200);
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    assert_ne!(asked(&format!("{own}Host: evil.example\r\n")), 200);
    let full = get_with(
        serving.address(),
        "http://evil.example/api/about",
        &format!("{own}Authorization: Bearer {TOKEN}\r\n"),
    );
    assert_ne!(full.status, 200);
}

#[test]
fn only_this_machine_is_served_unless_told() {
    let scene = Scene::of(&["a.txt"]);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let refused = Inspector::new().store(scene.store(), address).unwrap_err();
        assert!(refused.to_string().contains("other machines reach"), "{address}: {refused}");
    }
    let serving = Inspector::new()
        .allow_remote()
        .token(TOKEN)
        .host("builder.example")
        .store(scene.store(), "0.0.0.0:0")
        .unwrap();
    let port = serving.address().port();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let asked = |host: &str| {
        get_with(to, "/api/about", &format!("Host: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"))
            .status
    };
    assert_eq!((asked("192.0.2.1"), asked("builder.example"), asked("evil.example")), (200, 200, 421));
}

#[test]
fn nothing_but_get_is_answered() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    let address = serving.address();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "FROB"] {
        let request = format!(
            "{method} /api/about HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        );
        let status = send(address, request.as_bytes()).map(|answer| answer.status);
        assert!(status.is_none_or(|status| status >= 400), "{method}: {status:?}");
    }
    let with_body = format!("Host: {address}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 4\r\n");
    assert_eq!(get_with(address, "/api/about", &with_body).status, 400);
}

#[test]
fn paths_lead_to_the_page_alone() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2f..%2fetc/passwd",
        "/api/../page.js",
        "/api/%2e%2e/page.js",
        "//etc/passwd",
        "/page.js/",
        "/page.js%00",
        "/assets/page.js",
        "/api/",
        "/api/about/more",
        "/api/graph",
        "/api/task",
        "/api/nothing",
        "/store.redb",
    ] {
        let answer = get(&serving, path);
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        assert!(!answer.body.contains("root:") && !answer.body.contains("[package]"), "{path}");
    }
}

#[test]
fn every_answer_says_what_the_page_may_load() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    for path in ["/", "/page.js", "/api/about", "/api/nothing", "/nothing"] {
        let head = get(&serving, path).head;
        assert!(head.contains("content-security-policy: default-src 'self';"), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{path}: {head}");
        assert!(head.contains("frame-ancestors 'none'"), "{path}: {head}");
        assert!(!head.contains("access-control-allow-origin"), "{path}: {head}");
    }
    // Neither scripts nor styles stand in the page itself, and nothing is loaded from elsewhere.
    let page = get(&serving, "/").body;
    assert!(!page.contains("<script>") && !page.contains("style=") && !page.contains("://"), "{page}");
    for script in ["/page.js", "/views.js"] {
        let text = get(&serving, script).body;
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"] {
            assert!(!text.contains(way), "{script} has {way}");
        }
    }
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    let address = serving.address();
    let long = format!("Host: {address}\r\nX: {}\r\n", "x".repeat(64 << 10));
    let request = format!("GET / HTTP/1.1\r\n{long}Connection: close\r\n\r\n");
    assert!(send(address, request.as_bytes()).is_none_or(|answer| answer.status == 431));
    let many: String = (0..1000).map(|number| format!("X-{number}: 1\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n{many}Connection: close\r\n\r\n");
    assert!(send(address, request.as_bytes()).is_none_or(|answer| answer.status == 431));
    let text = format!("/api/tasks?text={}", "x".repeat(5000));
    assert_eq!(get(&serving, &text).status, 400);
}

#[test]
fn connections_that_send_little_or_nothing_do_not_keep_others_out() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    let address = serving.address();
    let mut slow = Vec::new();
    for at in 0..40 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&b"GET /api/about HTTP/1.1\r\nHost: "[..at % 30]).unwrap();
        slow.push(stream);
    }
    // Cut in the middle of an answer.
    for _ in 0..40 {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /cytoscape.js HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut some = [0; 100];
        stream.read_exact(&mut some).unwrap();
        drop(stream);
    }
    assert_eq!(get(&serving, "/api/about").status, 200);
    // The server ends them in the end: a read finds the end of the stream, or an answer that says so.
    let mut stream = slow.swap_remove(7);
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the server closes a connection that sends nothing more");
}

#[test]
fn garbage_is_no_request() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let valid = format!(
        "GET /api/task?id=%00%ff HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n",
        serving.address()
    );
    for round in 0..300 {
        let mut bytes = valid.clone().into_bytes();
        for _ in 0..=round % 8 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut stream = TcpStream::connect(serving.address()).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            !text.starts_with("HTTP/1.1 200") || text.contains("<!doctype") || text.contains('{'),
            "{text}"
        );
    }
    assert_eq!(get(&serving, "/api/about").status, 200);
}
