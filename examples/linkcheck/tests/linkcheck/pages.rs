//! Links to pages: what is asked for, and how far an answer counts.

use super::*;
use crate::url::{Url, base64};

#[track_caller]
fn joined(base: &str, location: &str, expected: &str) {
    let url = Url::parse(base).unwrap().join(location).unwrap();
    assert_eq!(url.whole().unwrap().to_string(), expected, "{location}");
}

/// A relative `Location` was taken for a host.
#[test]
fn a_redirection_leads_relative_to_where_it_comes_from() {
    // From RFC 3986, section 5.4.
    let base = "http://a/b/c/d;p?q";
    for (location, expected) in [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g/"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        (";x", "http://a/b/c/;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../../g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g..", "http://a/b/c/g.."),
        ("./g/.", "http://a/b/c/g/"),
        ("g/../h", "http://a/b/c/h"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("https://h:8443/x", "https://h:8443/x"),
    ] {
        joined(base, location, expected);
    }
    joined("http://a", "g", "http://a/g");
    joined("http://a?q", "größe 1", "http://a/gr%C3%B6%C3%9Fe%201");
    assert!(Url::parse("http://").is_none() && Url::parse("http:a").is_none() && Url::parse("a").is_none());
}

#[test]
fn an_address_is_a_host_and_a_port() {
    let address = |url: &str| Url::parse(url).unwrap().address().unwrap();
    assert_eq!(address("http://user:secret@host.test/x@y:1"), ("host.test".to_owned(), 80));
    assert_eq!(address("HTTPS://host.test:8443"), ("host.test".to_owned(), 8443));
    assert_eq!(address("http://[::1]:81/"), ("::1".to_owned(), 81));
    for (plain, encoded) in
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("user:secret", "dXNlcjpzZWNyZXQ=")]
    {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
}

/// The links of a file by their problem, over a server that answers by `answers`.
#[track_caller]
fn check(answers: &[&str], links: &[(&str, Option<Problem>)], unchecked: usize) {
    let folder = Folder::new();
    answers.iter().for_each(|answer| folder.answers.add(answer).unwrap());
    folder.write("other.md", "");
    let text: String = links.iter().map(|(link, _)| format!("[x](<{link}>)\n")).collect();
    folder.write("index.md", &text);
    let report = folder.report();
    for (at, (link, problem)) in links.iter().enumerate() {
        let found =
            report.broken.iter().find(|broken| broken.file.ends_with("index.md") && broken.line == at + 1);
        assert_eq!(found.map(|broken| &broken.problem), problem.as_ref(), "{link}");
    }
    assert_eq!(report.unchecked, unchecked);
}

#[test]
fn redirections_are_followed_wherever_they_lead() {
    let answers = [
        "http://r.test/a/one -> two",
        "http://r.test/a/two -> ../three?x#here",
        "http://r.test/three?x #here",
        "http://r.test/host -> //s.test/",
        "http://s.test/ -> https://s.test/",
        "https://s.test/ #here",
        "http://r.test/bad -> http://",
    ];
    let links = [
        ("http://r.test/a/one#here", None),
        ("http://r.test/host#here", None),
        ("//s.test/#here", None),
        ("http://r.test/bad", Some(Problem::Fetch(FetchError::NotAUrl))),
    ];
    check(&answers, &links, 0);
}

/// A page above 4 MiB was reported as broken.
#[test]
fn a_long_page_is_well_though_not_all_of_it_is_read() {
    let answers = ["http://l.test/long of 5000000 #end", "http://l.test/short of 5000 #end"];
    let links = [
        ("http://l.test/long", None),
        ("http://l.test/long#end", None),
        ("http://l.test/short#end", None),
        ("http://l.test/short#none", Some(Problem::NoSuchAnchor)),
        ("http://l.test/short#:~:text=x", None),
        ("http://l.test/short#top", None),
    ];
    // Whether there is `#end` is not known.
    check(&answers, &links, 1);
}

/// A name and a password went into the request as a part of the host.
#[test]
fn a_name_and_a_password_are_told_to_the_host_and_to_nobody_else() {
    let answers = [
        "http://c.test/page for user:se@cret #here",
        "http://c.test/on -> http://d.test/",
        "http://c.test/within -> page",
        "http://d.test/ for user:se@cret",
    ];
    let links = [
        ("http://user:se%40cret@c.test/page#here", None),
        ("http://c.test/page", Some(Problem::Status(401))),
        ("http://user:other@c.test/page", Some(Problem::Status(401))),
        ("http://user:se%40cret@c.test/within", None),
        ("http://user:se%40cret@c.test/on", Some(Problem::Status(401))),
    ];
    check(&answers, &links, 0);
}

/// A server that sends its clients on to https, as most do: without TLS it was asked on its port for http.
#[test]
fn a_page_that_moved_to_https_is_not_checked() {
    let folder = Folder::new();
    for answer in ["/moved -> https://127.0.0.1/moved", "/page #user-content-here"] {
        folder.answers.add(answer).unwrap();
    }
    let address = folder.settings.client.stand_in.unwrap();
    let client = Client { stand_in: None, timeout: Duration::from_secs(60) };
    let settings = Settings { client, ..folder.settings.clone() };
    for name in ["other.md", "sub/deep.md"] {
        folder.write(name, "");
    }
    folder.write(
        "index.md",
        &format!("[a](http://{address}/moved) [b](http://{address}/page#here) [c](https://{address}/page)\n"),
    );
    let session = folder.runtime.run_async(async { tasks::report(&settings, folder.dir.path()).await });
    let report = folder.executor.block_on(session);
    assert_eq!((report.broken.len(), report.unchecked), (0, 2), "{report:?}");
}
