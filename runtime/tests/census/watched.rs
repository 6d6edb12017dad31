//! `census --watch`: each change that matters is reported, and no other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use crate::{MANIFEST, Tree, census, check};

/// The program, watching.
struct Watching {
    child: Child,
    reports: Receiver<Value>,
}

impl Watching {
    fn start(paths: &[&Path]) -> Watching {
        let mut command = census();
        command.args(paths).args(["--watch", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, reports) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                let _ = sender.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        Watching { child, reports }
    }

    /// A watchdog, not a measurement.
    #[track_caller]
    fn next(&self) -> Value {
        self.reports.recv_timeout(Duration::from_secs(100)).expect("the change is reported")
    }

    /// Waits for a report. A slow machine may report a directory before the files in it, and a file before all of it is written.
    #[track_caller]
    fn until(&self, pointer: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        while self.next().pointer(pointer) != Some(&expected) {}
    }

    #[track_caller]
    fn files(&self, files: u64) {
        self.until("/totals/files", files);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every folder called `target` was taken for one that Cargo builds in.
#[test]
fn a_folder_is_not_left_out_for_its_name() {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/target/mod.rs", "fn f() {}\n")]);
    let watching = Watching::start(&[tree.path()]);
    watching.until("/totals/functions", 1);
    tree.write("src/target/mod.rs", b"fn f() {}\nfn g() {}\n");
    watching.until("/totals/functions", 2);
    tree.write("src/target/deep/new.rs", b"fn h() {}\n");
    watching.until("/totals/functions", 3);
}

/// A folder with a dot in its name was taken for a file that is no source, so that a crate of that name came and went unseen.
#[test]
fn a_crate_that_is_moved_in_or_out_is_seen() {
    let tree = Tree::new(&[
        ("tree/Cargo.toml", MANIFEST),
        ("tree/src/lib.rs", "fn f() {}\n"),
        ("outside/serde-1.0.200/Cargo.toml", "[package]\nname = \"serde\"\n"),
        ("outside/serde-1.0.200/src/lib.rs", "fn f() {}\n"),
    ]);
    let [outside, inside] = ["outside", "tree"].map(|dir| tree.path().join(dir).join("serde-1.0.200"));
    let watching = Watching::start(&[&tree.path().join("tree")]);
    watching.until("/totals/crates", 1);
    for _ in 0..2 {
        fs::rename(&outside, &inside).unwrap();
        watching.until("/totals/crates", 2);
        // A folder that has been moved in is watched as well.
        tree.write("tree/serde-1.0.200/src/more.rs", b"");
        watching.files(3);
        fs::remove_file(inside.join("src/more.rs")).unwrap();
        watching.files(2);
        fs::rename(&inside, &outside).unwrap();
        watching.until("/totals/crates", 1);
    }
    fs::rename(&outside, &inside).unwrap();
    watching.files(2);
    fs::remove_dir_all(&inside).unwrap();
    watching.files(1);
}

/// The tag of a cache has no ending of a source, so that it came and went unseen.
#[test]
fn a_cache_tag_that_is_put_in_or_taken_out_is_seen() {
    let tree = Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", ""),
        ("src/made/a.rs", ""),
        ("src/made/deep/b.rs", ""),
    ]);
    let (tag, elsewhere) = (tree.path().join("src/made/CACHEDIR.TAG"), tree.path().join("tag"));
    let watching = Watching::start(&[tree.path()]);
    watching.files(3);
    for _ in 0..2 {
        fs::write(&tag, "").unwrap();
        watching.files(1);
        // A change in a cache is no news.
        tree.write("src/made/deep/b.rs", b"fn f() {}\n");
        fs::remove_file(&tag).unwrap();
        watching.files(3);
    }
    fs::write(&elsewhere, "").unwrap();
    fs::rename(&elsewhere, &tag).unwrap();
    watching.files(1);
    fs::rename(&tag, &elsewhere).unwrap();
    watching.files(3);
}

/// The package that a file belongs to is told by a manifest in a folder above, which was not watched.
#[test]
fn a_manifest_above_a_file_is_seen() {
    let tree = Tree::new(&[("deep/src/a/lib.rs", "fn f() {}\n")]);
    let watching = Watching::start(&[&tree.path().join("deep/src/a/lib.rs")]);
    watching.until("/crates/0/name", "a");
    tree.write("deep/Cargo.toml", b"[package]\nname = \"above\"\n");
    watching.until("/crates/0/name", "above");
    tree.write("deep/src/a/lib.rs", b"fn f() {}\nfn g() {}\n");
    watching.until("/totals/functions", 2);
}

/// Links were followed by what watches, though not by what counts: one to the root made it watch everything there is.
#[cfg(unix)]
#[test]
fn a_link_to_the_root_is_not_watched() {
    use std::os::unix::fs::symlink;
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    symlink("/", tree.path().join("src/root")).unwrap();
    symlink("..", tree.path().join("src/up")).unwrap();
    let watching = Watching::start(&[tree.path()]);
    watching.until("/totals/functions", 1);
    tree.write("src/lib.rs", b"fn f() {}\nfn g() {}\n");
    watching.until("/totals/functions", 2);
}

#[test]
fn what_is_no_source_is_no_news() {
    let tree = Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "fn f() {}\n"),
        ("README.md", ""),
        ("data.d/x", ""),
    ]);
    let watching = Watching::start(&[tree.path()]);
    watching.until("/totals/functions", 1);
    tree.write("README.md", b"no source");
    tree.write(".hidden/a.rs", b"fn f() {}");
    tree.write("README.md~", b"as editors save");
    fs::rename(tree.path().join("README.md~"), tree.path().join("README.md")).unwrap();
    tree.write("data.d/y", b"");
    fs::remove_file(tree.path().join("data.d/x")).unwrap();
    // Longer than a change lasts, so that it is not reported together with the next one.
    std::thread::sleep(Duration::from_millis(500));
    fs::rename(tree.path().join("README.md"), tree.path().join("new.rs")).unwrap();
    // Nothing else was reported before it.
    check(&watching.next(), "/totals/files", 2);
    tree.write("src/new/deep.rs", b"fn h() {}\n");
    watching.files(3);
}

#[test]
fn a_report_of_a_watched_tree_runs_what_the_change_affects() {
    let tree =
        Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n"), ("src/a.rs", "fn f() {}\n")]);
    let mut command = census();
    command.arg(tree.path()).arg("--watch").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.next().unwrap().starts_with("files parsed: 2, "));
    assert!(told.next().unwrap().starts_with("watching"));
    // In one step: a machine that is busy could show the file without its content.
    let mut file = fs::File::options().append(true).open(tree.path().join("src/a.rs")).unwrap();
    file.write_all(b"fn g() {}\n").unwrap();
    let step = told.next().unwrap();
    // Three files with the manifest, two directories.
    assert!(step.starts_with("1 of 5 sources changed, "), "{step}");
    assert!(step.contains("; files parsed: 1, bodies run: 4, calls hit: "), "{step}");
    child.kill().unwrap();
    child.wait().unwrap();
}
