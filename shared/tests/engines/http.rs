//! nginx with its DAV module, where it is installed.

use std::path::Path;
use std::process::Command;

use larder_shared::{HttpEngine, Put, SharedEngine, SharedError, conformance, engine_at};

use crate::server::{Server, free_port, program, some_key, soon};

/// A configuration for one user at a time: `open` takes all, `closed` a name and a password, `readonly` no `PUT`, `busy` nothing now.
const CONFIGURATION: &str = r#"
daemon off; pid DIR/pid; error_log DIR/error.log; master_process off;
events { worker_connections 256; }
http {
    access_log off; client_max_body_size 32m;
    client_body_temp_path DIR/body; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; uwsgi_temp_path DIR/u; scgi_temp_path DIR/s;
    server {
        listen 127.0.0.1:PORT;
        root DIR/files;
        location /open/ { dav_methods PUT; create_full_put_path on; }
        location /closed/ {
            dav_methods PUT; create_full_put_path on;
            auth_basic "cache"; auth_basic_user_file DIR/users;
        }
        location /token/ {
            dav_methods PUT; create_full_put_path on;
            if ($http_authorization != "Bearer t0ken") { return 401; }
        }
        location /readonly/ { limit_except GET { deny all; } }
        location /busy/ { add_header Retry-After 7 always; return 503; }
        location /moved/ { return 302 http://127.0.0.1:PORT/open/; }
        location /broken/ { return 500 "hunter2"; }
    }
}
"#;

fn server() -> Option<Server> {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let dir = folder.path().to_str().unwrap();
    let text = CONFIGURATION.replace("DIR", dir).replace("PORT", &port.to_string());
    std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
    std::fs::write(folder.path().join("users"), "ci:{PLAIN}hunter2\n").unwrap();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    let is_there = |path: &str| Path::new(path).is_file();
    let usual = if is_there("/usr/sbin/nginx") { "/usr/sbin/nginx" } else { "nginx" };
    let mut nginx = Command::new(program("LARDER_NGINX", usual));
    nginx.args(["-p", dir, "-c", "nginx.conf"]);
    // It would run its workers as another user, that cannot enter the folder.
    nginx.args(["-g", "user root;"]);
    Server::start(&mut nginx, port, folder)
}

fn get(url: &str) -> Result<Option<Vec<u8>>, SharedError> {
    HttpEngine::from_url(url).unwrap().get(&[some_key()], soon()).map(|mut found| found.remove(0))
}

fn put(url: &str) -> Result<(), SharedError> {
    HttpEngine::from_url(url).unwrap().put(&[(some_key(), b"x")], Put::Replace, soon())
}

#[test]
fn it_conforms() {
    let Some(server) = server() else { return };
    let at = |rest: &str| format!("127.0.0.1:{}/{rest}", server.port);
    conformance::check(&HttpEngine::from_url(&format!("http://{}", at("open/"))).unwrap(), "http").unwrap();
    let http = HttpEngine::from_url(&format!("http://{}", at("open/"))).unwrap();
    assert_eq!(conformance::check_leases(&http, "http"), Ok(false));
    let with_password = HttpEngine::from_url(&format!("http://ci:hunter2@{}", at("closed"))).unwrap();
    conformance::check(&with_password, "http").unwrap();
    let with_token = HttpEngine::from_url(&format!("http://{}", at("token"))).unwrap().bearer("t0ken\n");
    conformance::check(&with_token, "http").unwrap();
    conformance::check(&engine_at(&format!("http://{}", at("open/by-text"))).unwrap(), "text").unwrap();
}

#[test]
fn answers_become_errors_of_their_kind() {
    let Some(server) = server() else { return };
    let at = |rest: &str| format!("http://127.0.0.1:{}/{rest}", server.port);
    let refused = |error: Result<(), SharedError>| matches!(error, Err(SharedError::Refused { .. }));
    assert!(refused(put(&at("closed"))));
    assert!(refused(put(&at("token"))));
    assert_eq!(get(&at("readonly")).unwrap(), None);
    assert!(refused(put(&at("readonly"))));
    assert!(refused(get(&at("token")).map(drop)));
    let Err(SharedError::Busy { retry_after: Some(pause) }) = get(&at("busy")) else { panic!("not busy") };
    assert_eq!(pause.as_secs(), 7);
    // A redirection could lead from TLS into the clear.
    assert!(matches!(get(&at("moved")), Err(SharedError::Broken { .. })));
    let broken = get(&at("broken")).unwrap_err();
    assert!(matches!(broken, SharedError::Broken { .. }), "{broken}");
    assert!(broken.to_string().contains("500") && !format!("{broken:?}").contains("hunter2"), "{broken:?}");
}

#[test]
fn a_password_that_is_wrong_is_told_nowhere() {
    let Some(server) = server() else { return };
    let url = format!("http://ci:s3cr3t@127.0.0.1:{}/closed", server.port);
    let engine = HttpEngine::from_url(&url).unwrap();
    let error = engine.get(&[some_key()], soon()).unwrap_err();
    assert!(matches!(error, SharedError::Refused { .. }), "{error:?}");
    for text in [format!("{engine:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn urls_that_are_none_or_travel_in_the_clear_are_refused() {
    for url in [
        "http://cache.example.org/larder",
        "http://127.0.0.1.example.org/",
        "http://localhost@cache.example.org/",
        "https://",
        "https://host/#a",
        "https://host/?a=b",
        "https://ho st/",
        "ftp://host/",
    ] {
        assert!(HttpEngine::from_url(url).is_err(), "{url}");
    }
    for url in [
        "http://cache.example.org/larder?insecure=1",
        "http://[::1]:80/",
        "http://me:hunter2@localhost:1/x",
        "https://x",
    ] {
        assert!(HttpEngine::from_url(url).is_ok(), "{url}");
    }
}
