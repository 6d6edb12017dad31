//! The `larder` command, run as a program on stores that were made through the public API.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod doctor;
mod hostile;
mod reading;
mod serving;
mod sharing;
mod writing;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use larder::storage::{Fingerprints, RedbStorage};
use larder::{Runtime, env, fs, task_fn};

#[task_fn]
fn count_words(path: &str) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.split_whitespace().count())
}

#[task_fn]
fn shout(path: &str, mark: char) -> String {
    let end =
        env::var_os("LARDER_CLI_TEST_END").map_or(String::new(), |end| end.to_string_lossy().into_owned());
    format!("{}{mark}{end}", count_words(path))
}

#[task_fn]
fn report(paths: &[String]) -> String {
    paths.iter().map(|path| shout(path, '!')).collect::<Vec<_>>().join("\n")
}

/// A folder with sources, and a store of tasks over them.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// Two sources, six tasks.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "one two three").unwrap();
        std::fs::write(folder.path().join("b.txt"), "four").unwrap();
        let scene = Self { folder };
        scene.runs(&["a.txt", "b.txt"]);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store.redb")
    }

    /// A runtime over the store, of code `code`, with the fingerprints that shared results have.
    fn runtime_of(&self, store: &str, code: &str) -> Runtime {
        self.runtime_with(Fingerprints::Blake3, store, code)
    }

    fn runtime_with(&self, fingerprints: Fingerprints, store: &str, code: &str) -> Runtime {
        let storage = RedbStorage::open(self.path(store)).unwrap();
        let builder = Runtime::builder().base(self.folder.path()).fingerprints(fingerprints);
        builder.storage(storage).code_identity(code).try_build().unwrap()
    }

    fn runs(&self, paths: &[&str]) {
        self.runs_in("store.redb", "code", paths);
    }

    fn runs_in(&self, store: &str, code: &str, paths: &[&str]) {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        self.runtime_of(store, code).run(|| report(&paths));
    }

    /// Runs `larder COMMAND STORE ARGS`, in an environment without the variable that tasks read.
    fn larder(&self, command: &str, args: &[&str]) -> Ran {
        run(Command::new(LARDER).arg(command).arg(self.store()).args(args))
    }

    fn explain(&self, args: &[&str]) -> Ran {
        let base = self.folder.path().to_str().unwrap();
        self.larder("explain", &[args, &["--base", base]].concat())
    }
}

const LARDER: &str = env!("CARGO_BIN_EXE_larder");

/// The outcome of a command.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Ran {
    let command = command.env_remove("LARDER_CLI_TEST_END").stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!err.contains("panicked"), "{err}");
    Ran { code: status.code().expect("a command ends by itself"), out, err }
}

fn on(command: &str, store: &Path) -> Ran {
    let mut larder = Command::new(LARDER);
    larder.arg(command).arg(store);
    if matches!(command, "show" | "explain") {
        larder.arg("report");
    }
    if command == "diff" {
        larder.arg(store);
    }
    run(&mut larder)
}

impl Ran {
    /// Returns what was printed, after an end without problems.
    #[track_caller]
    fn fine(self) -> String {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self.out
    }

    /// Returns what was said, after an end with this code.
    #[track_caller]
    fn fails(self, code: i32) -> String {
        assert_eq!((self.code, &*self.out), (code, ""), "{}", self.err);
        self.err
    }

    /// Returns what was printed, as JSON.
    #[track_caller]
    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out))
    }
}

/// Masks ids and fingerprints: hexadecimal numbers of 8 digits and more.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for word in text.split_inclusive([' ', '\n', ',', '(']) {
        let end = word.trim_end_matches([' ', '\n', ',', '(']).len();
        let (word, behind) = word.split_at(end);
        let is_id = word.len() >= 8 && word.chars().all(|digit| digit.is_ascii_hexdigit());
        masked.push_str(if is_id { "ID" } else { word });
        masked.push_str(behind);
    }
    masked
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.sort_unstable();
    lines
}
