//! The program: what it walks, what it tells of trouble, how it is called.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::{MANIFEST, Tree, census, check, run, text};

#[test]
fn a_file_that_does_not_parse_is_told_with_its_line_and_the_rest_is_counted() {
    let report = Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "fn good() {}\n"),
        ("src/bad.rs", "fn f() {}\n\nfn g( {\n"),
        ("src/early.rs", "\nfn f()\n"),
        ("src/token.rs", "fn f() {}\nlet x = 1;\n"),
    ])
    .census();
    check(&report, "/totals/files", 4);
    check(&report, "/totals/broken_files", 3);
    check(&report, "/totals/functions", 1);
    check(&report, "/totals/lines/code", 6);
    let lines: Vec<_> =
        report["diagnostics"].as_array().unwrap().iter().map(|one| (&one["problem"], &one["line"])).collect();
    let problem = json!("does_not_parse");
    assert_eq!(lines, [(&problem, &json!(3)), (&problem, &json!(2)), (&problem, &json!(2))]);
}

#[test]
fn bytes_that_are_not_utf8_are_told_with_their_line() {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    tree.write("src/bad.rs", b"// a\n// \xff\n");
    let report = tree.census();
    check(&report, "/diagnostics/0/problem", "not_utf8");
    check(&report, "/diagnostics/0/line", 2);
    check(&report, "/totals/functions", 1);
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n"), ("locked/a.rs", "")]);
    let locked = tree.path().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything.
    if fs::read_dir(&locked).is_err() {
        let report = tree.census();
        check(&report, "/diagnostics/0/problem", "unreadable");
        check(&report, "/totals/functions", 1);
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
}

/// The memory of the program itself is a file that no process reads from its beginning, not even the superuser.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_is_told_and_the_rest_is_counted() {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    let output = run(census().arg(tree.path()).args(["/proc/self/mem", "--json", "--no-cache"]));
    assert!(output.status.success(), "{output:?}");
    let report = serde_json::from_slice(&output.stdout).unwrap();
    check(&report, "/diagnostics/0/problem", "unreadable");
    check(&report, "/totals/broken_files", 1);
    check(&report, "/totals/functions", 1);
}

/// `script` gives the program a terminal; where there is none such, nothing is tested.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is_and_goes_away() {
    let files: Vec<_> =
        (0..40).map(|n| (format!("src/f{n}.rs"), "fn f() { g(1 + 2) }\n".repeat(2_500))).collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let tree = Tree::new(&files);
    let call =
        format!("{} --no-cache --threads 1 {}", census().get_program().display(), tree.path().display());
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &call, "/dev/null"]).env("TERM", "xterm");
    let Ok(output) = script.stdin(Stdio::null()).output() else {
        eprintln!("there is no `script` here: nothing was tested");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    let bar = shown.rfind("/40 files").unwrap_or_else(|| panic!("no bar in {shown}"));
    assert!(bar < shown.rfind("files parsed: 40").unwrap(), "{shown}");
    let without = run(census().args(["--no-cache".as_ref(), tree.path().as_os_str()]));
    assert!(!text(&without.stderr).contains("/40 files"), "{without:?}");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_so_loops_end() {
    use std::os::unix::fs::symlink;
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    symlink(tree.path(), tree.path().join("src/loop")).unwrap();
    symlink("nowhere.rs", tree.path().join("src/dangling.rs")).unwrap();
    symlink("lib.rs", tree.path().join("src/again.rs")).unwrap();
    let report = tree.census();
    check(&report, "/totals/files", 1);
    check(&report, "/diagnostics", json!([]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_not_utf8_is_counted_like_any_other() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "")]);
    let path = tree.path().join("src").join(std::ffi::OsStr::from_bytes(b"\xff\x1b.rs"));
    fs::write(path, "fn f() { 1 }\n").unwrap();
    check(&tree.census(), "/totals/functions", 1);
    let output = run(census().arg(tree.path()));
    assert!(!output.stdout.contains(&0x1b), "an escape sequence got through");
}

#[test]
fn crates_within_crates_and_loose_files_are_told_apart() {
    let report = Tree::new(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"one\"]\n"),
        ("loose.rs", "fn f() {}"),
        ("one/Cargo.toml", "[package]\nname = \"one\"\n"),
        ("one/src/lib.rs", "fn f() {}"),
        ("one/tests/fixture/Cargo.toml", "[package] # comment\nname = 'fixture' # comment\n"),
        ("one/tests/fixture/src/lib.rs", "fn f() {}\nfn g() {}"),
        ("one/.hidden/a.rs", "fn f() {}"),
        ("target/CACHEDIR.TAG", ""),
        ("target/a.rs", "fn f() {}"),
        ("empty/nothing.txt", ""),
    ])
    .census();
    check(&report, "/totals/crates", 2);
    check(&report, "/totals/files", 3);
    let crates = report["crates"].as_array().unwrap();
    let counts: Vec<_> = crates.iter().map(|one| &one["totals"]["functions"]).collect();
    assert_eq!(counts, [1, 1, 2]);
    assert_eq!((&crates[1]["name"], &crates[2]["name"]), (&json!("one"), &json!("fixture")));
}

#[test]
fn an_empty_directory_is_an_empty_report() {
    check(&Tree::new(&[]).census(), "/totals/files", 0);
}

#[test]
fn nothing_is_counted_twice_whatever_is_named_twice() {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    let paths = [".", "src", "src/lib.rs", "src/../src"].map(|path| tree.path().join(path));
    let output = run(census().args(paths).arg("--json"));
    let report = serde_json::from_slice(&output.stdout).unwrap();
    check(&report, "/totals/files", 1);
    check(&report, "/totals/crates", 1);
}

#[test]
fn a_list_on_standard_input_is_counted_by_crate() {
    let tree = Tree::new(&[
        ("one/Cargo.toml", MANIFEST),
        ("one/src/lib.rs", "fn f() {}\n"),
        ("one/src/other.rs", "fn f() {}\n"),
        ("two.rs", "fn f() {}\n"),
        ("README.md", "no source"),
    ]);
    for end in ["\n", "\r\n", "\0"] {
        let mut command = census();
        command.current_dir(tree.path()).args(["-", "--json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let list = ["one/src/lib.rs", "two.rs", "README.md", "gone.rs"].map(|path| format!("{path}{end}"));
        child.stdin.take().unwrap().write_all(list.concat().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap();
        check(&report, "/totals/files", 2);
        check(&report, "/totals/crates", 1);
        assert_eq!(output.status.code(), Some(1), "a missing file is a failure, but the others are counted");
    }
}

#[test]
fn output_is_the_same_every_time() {
    let tree = Tree::new(&[("b.rs", "pub fn f() {}\n"), ("a.rs", "use std::fmt;\n"), ("bad.rs", "fn\n")]);
    let outputs = [(); 2].map(|()| run(census().arg(tree.path())));
    assert_eq!(text(&outputs[0].stdout), text(&outputs[1].stdout));
    assert!(text(&outputs[0].stdout).lines().all(|line| line.trim_end() == line));
}

#[test]
fn without_memoization_the_report_is_the_same() {
    let tree = Tree::new(&[
        ("one/Cargo.toml", MANIFEST),
        ("one/src/lib.rs", "pub mod a;\nuse a::f;\npub unsafe fn g() { unsafe { f() } }\n"),
        ("one/src/a.rs", "pub fn f() {}\n"),
        ("two/bad.rs", "fn\n"),
    ]);
    tree.write("two/worse.rs", b"\n\xff\n");
    for arguments in [&["--json"][..], &["--top", "3"]] {
        let outputs = [&[][..], &["--plain"]].map(|more| {
            let output = run(census().arg(tree.path()).args(arguments).args(more));
            assert!(output.status.success(), "{output:?}");
            output
        });
        assert_eq!(text(&outputs[0].stdout), text(&outputs[1].stdout));
        assert!(text(&outputs[1].stderr).starts_with("without memoization; "), "{outputs:?}");
    }
}

#[test]
fn what_a_report_took_is_told_on_standard_error() {
    let tree =
        Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n"), ("src/a.rs", "fn f() {}\n")]);
    let output = run(census().arg(tree.path()).arg("--timing"));
    let told = text(&output.stderr);
    // Bodies: of each directory its package, subdirectories, packages and files, then two files, a crate, the fold over crates and the overview.
    // Hits: of packages three and of subdirectories two, asked for again, and the crate, for the report.
    assert!(told.starts_with("files parsed: 2, bodies run: 13, calls hit: 6; "), "{told}");
    for name in ["parse_file", "crate_census", "overview"] {
        assert!(told.lines().any(|line| line.starts_with(name)), "{name} in {told}");
    }
}

#[test]
fn misuse_is_told_on_standard_error() {
    let cases: &[&[&str]] = &[
        &["--nonsense"],
        &["--top", "x"],
        &["--cache", "x", "--no-cache"],
        &["-", "x"],
        &["--cache"],
        &[""],
    ];
    for arguments in cases {
        let output = run(census().args(*arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && text(&output.stderr).starts_with("census: "), "{output:?}");
    }
    assert_eq!(run(census().arg("/does/not/exist")).status.code(), Some(1));
    let output = run(census().arg("--help"));
    assert!(output.status.success() && text(&output.stdout).contains("Usage: census"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let tree = Tree::new(&[("a.rs", &"pub fn f() {}\n".repeat(20_000))]);
    let mut command = census();
    command.arg(tree.path()).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A device was read to memory without end, and a FIFO waited for; with memory and without.
#[cfg(unix)]
#[test]
fn a_device_and_a_fifo_are_neither_files_nor_directories() {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    let fifo = tree.path().join("src/fifo.rs");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for more in [&["--no-cache"][..], &["--plain"]] {
        for path in [std::path::Path::new("/dev/zero"), &fifo] {
            let output = run(census().arg(path).args(more));
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let told = text(&output.stderr);
            assert!(told.ends_with("neither a file nor a directory\n") && output.stdout.is_empty(), "{told}");
        }
        let output = run(census().arg(tree.path()).arg("--json").args(more));
        check(&serde_json::from_slice(&output.stdout).unwrap(), "/totals/files", 1);
        // Beside a file, the others are counted.
        let output = run(census().arg(tree.path()).arg("/dev/zero").arg("--json").args(more));
        check(&serde_json::from_slice(&output.stdout).unwrap(), "/totals/files", 1);
        assert_eq!(output.status.code(), Some(1));
    }
}

/// 3 GiB of nothing were read to memory.
#[cfg(unix)]
#[test]
fn a_file_that_is_too_large_is_told_and_the_rest_is_counted() {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", "fn f() {}\n")]);
    fs::File::create(tree.path().join("src/huge.rs")).unwrap().set_len(3 << 30).unwrap();
    for more in ["--no-cache", "--plain"] {
        let output = run(census().arg(tree.path()).args(["--json", more]));
        let report = serde_json::from_slice(&output.stdout).unwrap();
        check(&report, "/diagnostics/0/message", "too large");
        check(&report, "/totals/functions", 1);
    }
}
