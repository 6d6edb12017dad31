//! The cache between runs of the program.

use std::process::Output;

use crate::{MANIFEST, Tree, census, run};

const LIB: &str = "pub mod a;\nfn f() {}\n";

fn tree() -> Tree {
    Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", LIB),
        ("src/a.rs", "fn f() {}\n"),
        ("src/b.rs", "fn f( {\n"),
        ("two/Cargo.toml", "[package]\nname = \"two\"\n"),
        ("two/src/lib.rs", "fn h() {}\n"),
    ])
}

fn counted(tree: &Tree) -> Output {
    let output = run(census().arg(tree.path()).arg("--json"));
    assert!(output.status.success(), "{output:?}");
    output
}

/// Files parsed and bodies run.
pub fn work(output: &Output) -> (u64, u64) {
    let told = String::from_utf8_lossy(&output.stderr);
    let number = |name: &str| {
        let rest = told.split(name).nth(1).unwrap_or_else(|| panic!("no {name} in {told}"));
        rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    (number("files parsed:"), number("bodies run:"))
}

#[test]
fn a_second_run_runs_nothing_and_says_the_same() {
    let tree = tree();
    let first = counted(&tree);
    assert_eq!(work(&first).0, 4);
    for _ in 0..2 {
        let next = counted(&tree);
        assert_eq!(work(&next), (0, 0), "{next:?}");
        assert_eq!(next.stdout, first.stdout);
    }
    assert!(tree.path().join(".larder/CACHEDIR.TAG").is_file());
}

#[test]
fn after_an_edit_the_file_its_crate_and_the_report_are_done_again() {
    let tree = tree();
    counted(&tree);
    tree.write("src/a.rs", b"fn f() {}\nfn g() {}\n");
    let next = counted(&tree);
    assert_eq!(work(&next), (1, 4));
    assert_eq!(next.stdout, run(census().arg(tree.path()).args(["--json", "--plain"])).stdout);
    // A new file, in another crate.
    tree.write("two/src/new.rs", b"fn f() {}\n");
    let next = counted(&tree);
    assert_eq!(work(&next).0, 1);
    assert_eq!(next.stdout, run(census().arg(tree.path()).args(["--json", "--plain"])).stdout);
}

#[test]
fn another_branch_and_back_runs_nothing() {
    let tree = tree();
    let first = counted(&tree);
    tree.write("src/lib.rs", b"fn other() {}\n");
    tree.write("two/src/more.rs", b"fn f() {}\n");
    assert_eq!(work(&counted(&tree)).0, 2);
    tree.write("src/lib.rs", LIB.as_bytes());
    std::fs::remove_file(tree.path().join("two/src/more.rs")).unwrap();
    let back = counted(&tree);
    assert_eq!(work(&back), (0, 0));
    assert_eq!(back.stdout, first.stdout);
}

#[test]
fn a_switch_of_branches_with_git_and_back_runs_nothing() {
    let tree = tree();
    let git = |arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.current_dir(tree.path()).args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "core.hooksPath=/",
        ]);
        git.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        git.output().ok().filter(|output| output.status.success())
    };
    if git(&["init", "--quiet", "--initial-branch", "one"]).is_none() {
        eprintln!("there is no git here: nothing was tested");
        return;
    }
    let commit = || {
        git(&["add", "."]).unwrap();
        git(&["commit", "--quiet", "--message", "state"]).unwrap();
    };
    let first = counted(&tree);
    commit();
    git(&["switch", "--quiet", "--create", "two"]).unwrap();
    tree.write("src/lib.rs", b"pub mod a;\nfn other() {}\n");
    tree.write("src/deep/new.rs", b"fn f() {}\n");
    std::fs::remove_file(tree.path().join("src/b.rs")).unwrap();
    commit();
    let second = counted(&tree);
    assert_eq!(work(&second).0, 2);
    for (branch, expected) in [("one", &first), ("two", &second), ("one", &first)] {
        git(&["switch", "--quiet", branch]).unwrap();
        let output = counted(&tree);
        assert_eq!(work(&output), (0, 0), "{branch}: {output:?}");
        assert_eq!(output.stdout, expected.stdout, "{branch}");
    }
}

#[test]
fn a_cache_elsewhere_or_none() {
    let tree = tree();
    let elsewhere = tempfile::tempdir().unwrap();
    for expected in [4, 0] {
        let output = run(census().arg(tree.path()).arg("--cache").arg(elsewhere.path().join("deep/er")));
        assert_eq!(work(&output).0, expected);
        assert_eq!(work(&run(census().arg(tree.path()).arg("--no-cache"))).0, 4);
    }
    assert!(!tree.path().join(".larder").exists());
}

#[test]
fn two_runs_at_once_do_no_harm() {
    let tree = tree();
    let expected = run(census().arg(tree.path()).args(["--json", "--plain"])).stdout;
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|_| scope.spawn(|| counted(&tree))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|output| output.stdout == expected));
    assert_eq!(counted(&tree).stdout, expected);
}

#[test]
fn a_cache_that_cannot_be_used_is_told_and_nothing_is_lost() {
    let tree = tree();
    tree.write(".larder", b"a file where the folder should be");
    let output = counted(&tree);
    assert_eq!(work(&output).0, 4);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is kept"), "{output:?}");
    // A file of another program in place of the store is not touched.
    std::fs::remove_file(tree.path().join(".larder")).unwrap();
    tree.write(".larder/census.redb", b"not a store at all");
    for _ in 0..2 {
        let output = counted(&tree);
        assert_eq!(work(&output).0, 4);
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing is kept"), "{output:?}");
    }
    let there = std::fs::read(tree.path().join(".larder/census.redb")).unwrap();
    assert_eq!(there, b"not a store at all");
}
