//! Links to files, as CommonMark writes them and GitHub follows them.

use std::path::Path;

use super::*;
use crate::target::{Target, scheme, shown};

/// Whether each of the links of a file is well, by its problem.
#[track_caller]
fn check(folder: &Folder, file: &str, links: &[(&str, Option<Problem>)]) {
    let text: String = links.iter().map(|(link, _)| format!("[x](<{link}>)\n")).collect();
    folder.write(file, &text);
    let report = folder.report();
    let found: Vec<_> = report.broken.iter().filter(|broken| broken.file.ends_with(file)).collect();
    for (at, (link, problem)) in links.iter().enumerate() {
        let found = found.iter().find(|broken| broken.line == at + 1).map(|broken| &broken.problem);
        assert_eq!(found, problem.as_ref(), "{link}");
    }
}

fn folder() -> Folder {
    let folder = Folder::new();
    for name in ["index.md", "other.md", "sub/deep.md"] {
        folder.write(name, "");
    }
    folder
}

#[test]
fn anchors_and_paths_are_percent_encoded() {
    let folder = folder();
    for name in ["a b.md", "größe.md", "50%.md", "a#b.md", "q?.md", "plus+.md"] {
        folder.write(name, "# Größe\n\n# ⚙\u{fe0f} Set\n");
    }
    let missing = Some(Problem::NoSuchFile);
    check(
        &folder,
        "index.md",
        &[
            ("a%20b.md", None),
            ("a b.md#gr%C3%B6%C3%9Fe", None),
            ("gr%c3%b6%c3%9fe.md#größe", None),
            ("größe.md#%EF%B8%8F-set", None),
            ("größe.md#user-content-größe", None),
            ("größe.md#Größe", Some(Problem::NoSuchAnchor)),
            ("50%25.md", None),
            ("50%.md", None),
            ("a%23b.md", None),
            ("a#b.md", missing.clone()),
            ("q%3F.md", None),
            ("plus+.md", None),
            ("sub%2Fdeep.md", missing.clone()),
            ("%2Fetc%2Fpasswd", missing.clone()),
            ("sub/%2e%2e/a%20b.md", None),
            ("%FF.md", missing.clone()),
            ("%00", missing),
        ],
    );
}

#[test]
fn queries_tops_and_fragments_for_browsers_are_no_part_of_a_name() {
    let folder = folder();
    folder.write("other.md", "# The second\n");
    let missing = Some(Problem::NoSuchAnchor);
    check(
        &folder,
        "index.md",
        &[
            ("#", None),
            ("#top", None),
            ("#Top", None),
            ("other.md#", None),
            ("other.md#TOP", None),
            ("other.md?raw=true", None),
            ("other.md?raw=true#the-second", None),
            ("other.md?raw=true#third", missing.clone()),
            ("other.md?plain=1#L1-L3", None),
            ("other.md#L1", missing.clone()),
            ("?plain=1#L2", None),
            ("other.md#:~:text=second", None),
            ("other.md#the-second:~:text=second", None),
            ("other.md#third:~:text=second", missing.clone()),
            ("#no-such", missing),
            ("missing.md?raw=true", Some(Problem::NoSuchFile)),
        ],
    );
}

#[test]
fn paths_from_the_root_and_slashes_at_the_end() {
    let folder = folder();
    folder.write("sub/index.md", "# Sub\n");
    folder.write("other.MARKDOWN", "# Other\n");
    let missing = Some(Problem::NoSuchFile);
    check(
        &folder,
        "sub/deep.md",
        &[
            ("/other.md", None),
            ("/sub/index.md#sub", None),
            ("/", None),
            ("/deep.md", missing.clone()),
            ("../sub/", None),
            ("../sub", None),
            (".", None),
            ("..", None),
            ("index.md/", missing.clone()),
            ("index.md/.", missing.clone()),
            ("index.md/..", None),
            ("../other.MARKDOWN#other", None),
            ("../other.MARKDOWN#none", Some(Problem::NoSuchAnchor)),
            ("../OTHER.md", missing),
        ],
    );
}

/// A colon was taken for the end of a scheme wherever it stood, so files with one in their name were never checked.
#[test]
fn a_colon_in_a_name_makes_no_scheme() {
    let folder = folder();
    folder.write("12:30.md", "");
    folder.write("sub/a:b.md", "");
    folder.write("the log:b.md", "");
    let missing = Some(Problem::NoSuchFile);
    check(
        &folder,
        "index.md",
        &[
            ("12:30.md", None),
            ("12:31.md", missing.clone()),
            ("sub/a:b.md", None),
            ("./sub/a:c.md", missing.clone()),
            ("the log:b.md", None),
            ("the log:c.md", missing),
            ("tel:+49", None),
            ("javascript:void(0)", None),
        ],
    );
    assert_eq!(folder.report().unchecked, 2);
    assert_eq!(
        [scheme("a+b.c-1:x"), scheme("1a:x"), scheme(":x"), scheme("ä:x")],
        [Some("a+b.c-1"), None, None, None]
    );
}

#[cfg(unix)]
#[test]
fn a_link_in_the_file_system_is_followed_and_may_lead_nowhere() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let at = |name: &str| folder.dir.path().join(name);
    folder.write("other.md", "# Other\n");
    symlink("other.md", at("linked.md")).unwrap();
    symlink("sub", at("folder")).unwrap();
    symlink("nowhere", at("dangling.png")).unwrap();
    symlink("circle", at("circle")).unwrap();
    let missing = Some(Problem::NoSuchFile);
    check(
        &folder,
        "index.md",
        &[
            ("linked.md#other", None),
            ("folder/deep.md", None),
            ("folder/", None),
            ("linked.md/", missing.clone()),
            ("dangling.png", missing.clone()),
            ("circle", missing),
        ],
    );
}

#[test]
fn what_has_a_host_is_a_page() {
    let of = |target: &str| Target::of(Path::new("/top/a/f.md"), Path::new("/top"), target);
    let page = |url: &str| Target::Page(url.to_owned(), None);
    assert_eq!(of("//host.test/x"), page("https://host.test/x"));
    assert_eq!(of("HTTP://host.test"), page("HTTP://host.test"));
    assert_eq!(of("http://h.test/?q=a:b#:~:text=x"), page("http://h.test/?q=a:b"));
    assert_eq!(
        of("http://h.test/#caf%C3%A9"),
        Target::Page("http://h.test/".to_owned(), Some("café".to_owned()))
    );
    assert_eq!(of("mailto:a@b.test"), Target::Other);
    assert_eq!(shown("http://user:secret@host.test/@x"), "http://***@host.test/@x");
    for plain in ["http://host.test/@x", "a//b@c", "x.md", "mailto:a@b.test"] {
        assert!(plain == "a//b@c" || shown(plain) == plain, "{plain}");
    }
}

/// A file in place of a folder had no entries, and was reported as "0 links in 0 files", which is well.
#[test]
fn a_file_may_be_given_and_what_is_none_is_an_error() {
    let folder = folder();
    folder.write("index.md", "[a](other.md)\n[b](missing.md)\n");
    folder.write("notes.txt", "[b](missing.md)\n");
    let run = |arguments: &[&str]| {
        let mut linkcheck = Command::new(env!("CARGO_BIN_EXE_linkcheck"));
        let output = linkcheck.args(arguments).current_dir(folder.dir.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, told, summary) = run(&["index.md"]);
    assert_eq!((code, &*told), (Some(1), "index.md:2: missing.md: no such file\n"));
    assert!(summary.starts_with("2 links in 1 files, 1 broken"), "{summary}");
    let (code, told, _) = run(&["notes.txt"]);
    assert_eq!((code, &*told), (Some(1), "notes.txt:1: missing.md: no such file\n"));
    assert_eq!(run(&["other.md"]).0, Some(0));
    for nothing in ["nowhere.md", "nowhere", "other.md/", "/dev/null"] {
        let (code, told, why) = run(&[nothing]);
        assert_eq!((code, &*told), (Some(1), ""), "{nothing}");
        assert!(why.contains(nothing), "{why}");
    }
}
