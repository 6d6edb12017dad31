//! The census example, on small trees made for the purpose: as its users run it, and its tasks by themselves.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]
#![expect(unreachable_pub, dead_code, reason = "the program's modules offer more than is asked of them here")]

mod cached;
mod counts;
mod incremental;
mod moved;
mod program;
#[cfg(feature = "shared")]
mod shared;
mod stored;
mod watched;

// The modules of the program that `memoized` and its tasks name.
#[path = "../../examples/census/attributes.rs"]
mod attributes;
#[path = "../../examples/census/manifest.rs"]
mod manifest;
#[path = "../../examples/census/memoized.rs"]
mod memoized;
#[path = "../../examples/census/model.rs"]
mod model;
#[path = "../../examples/census/modules.rs"]
mod modules;
#[path = "../../examples/census/parse.rs"]
mod parse;
#[path = "../../examples/census/roots.rs"]
mod roots;
#[path = "../../examples/census/scan.rs"]
mod scan;
#[path = "../../examples/census/sums.rs"]
mod sums;
#[path = "../../examples/census/visit.rs"]
mod visit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = "[package]\nname = \"a-crate\"\n";

struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Tree {
        let tree = Tree(TempDir::with_prefix("census-").unwrap());
        for (path, text) in files {
            tree.write(path, text.as_bytes());
        }
        tree
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The report as JSON.
    fn census(&self) -> Value {
        let output = run(census().arg(self.path()).arg("--json"));
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The program, beside the tests' directory. `cargo test` has built it, but `cargo test --test census` has not, and what
/// an earlier build left there would be tested instead; so it is built here, which takes no time when it is there.
fn census() -> Command {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut build = Command::new(env!("CARGO"));
        let features = [
            ("shared", cfg!(feature = "shared")),
            ("shared-redis", cfg!(feature = "shared-redis")),
            ("shared-s3", cfg!(feature = "shared-s3")),
            ("shared-http", cfg!(feature = "shared-http")),
        ];
        let features = features.iter().filter_map(|(name, is_on)| is_on.then_some(*name));
        let features: Vec<_> = features.collect();
        build.args(["build", "--quiet", "--example", "census", "--features", &features.join(",")]);
        build.arg("--manifest-path");
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        build.args((!cfg!(debug_assertions)).then_some("--release"));
        assert!(build.status().unwrap().success(), "{build:?}");
        let mut program: PathBuf = std::env::current_exe().unwrap();
        program.pop();
        program.set_file_name("examples");
        program.join(format!("census{}", std::env::consts::EXE_SUFFIX))
    });
    Command::new(&*PROGRAM)
}

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .expect("`cargo test` and `cargo build --examples` build the example")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check(report: &Value, pointer: &str, expected: impl Into<Value>) {
    assert_eq!(report.pointer(pointer).unwrap_or(&Value::Null), &expected.into(), "{pointer} of {report:#}");
}
