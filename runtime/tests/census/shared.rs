//! Two checkouts at different places, and a folder between them.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output};

use larder::shared::SigningKey;
use tempfile::TempDir;

use crate::{MANIFEST, Tree, cached::work, census, run};

const FILES: usize = 100;

fn checkout() -> Tree {
    let tree = Tree::new(&[("Cargo.toml", MANIFEST)]);
    let modules: String = (0..FILES).map(|file| format!("mod m{file};\n")).collect();
    tree.write("src/lib.rs", modules.as_bytes());
    for file in 0..FILES {
        tree.write(&format!("src/m{file}.rs"), format!("fn f{file}() {{}}\n").as_bytes());
    }
    tree
}

struct Shared {
    /// The folder, or the URL of a server.
    place: OsString,
    key: SigningKey,
    _folder: TempDir,
}

impl Shared {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { place: folder.path().into(), key: SigningKey::generate("ci").unwrap(), _folder: folder }
    }

    fn command(&self, dir: &Path) -> Command {
        let mut command = census();
        command.arg(dir).arg("--json").arg("--base").arg(dir);
        command.arg("--shared").arg(&self.place);
        command.arg("--shared-trust").arg(self.key.public().to_string());
        command
    }

    fn read(&self, tree: &Tree) -> Output {
        succeeded(run(&mut self.command(tree.path())))
    }

    fn write(&self, tree: &Tree) -> Output {
        let mut command = self.command(tree.path());
        command.args(["--shared-mode", "write"]).env("LARDER_SHARED_SIGNING_KEY", self.key.secret_text());
        succeeded(run(&mut command))
    }
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn a_second_machine_runs_nothing_and_an_edit_runs_what_it_affects() {
    two_machines(&Shared::new());
}

/// `ci/shared-servers.sh` starts the servers, and builds the program with their engines.
#[test]
fn it_is_so_over_the_servers_that_the_environment_names() {
    for url in std::env::var("LARDER_CENSUS_SHARED").unwrap_or_default().split_whitespace() {
        two_machines(&Shared { place: url.into(), ..Shared::new() });
    }
}

fn two_machines(shared: &Shared) {
    let (ci, laptop) = (checkout(), checkout());
    let first = shared.write(&ci);
    assert_eq!(work(&first).0, FILES as u64 + 1);
    let second = shared.read(&laptop);
    assert_eq!(work(&second), (0, 0), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(second.stdout, first.stdout);

    // One file in a hundred: what it costs on the machine that has computed all itself.
    let edit = b"fn f7() {}\nfn g() {}\n";
    let fresh = checkout();
    for tree in [&ci, &fresh] {
        tree.write("src/m7.rs", edit);
    }
    let alone = succeeded(run(census().arg(ci.path()).arg("--json").arg("--base").arg(ci.path())));
    let edited = shared.read(&fresh);
    assert_eq!(work(&edited), work(&alone));
    assert_eq!(edited.stdout, alone.stdout);
    assert_eq!(work(&edited).0, 1);
}

#[test]
fn a_stranger_computes_itself() {
    let (shared, ci) = (Shared::new(), checkout());
    shared.write(&ci);
    let stranger = Shared { key: SigningKey::generate("ci").unwrap(), ..shared };
    let alone = stranger.read(&checkout());
    assert_eq!(work(&alone).0, FILES as u64 + 1);
    assert!(String::from_utf8_lossy(&alone.stderr).contains("not trusted"), "{alone:?}");
}

#[test]
fn without_a_base_nothing_could_be_shared_and_that_is_told() {
    let output = run(census().args(["--shared", "anywhere", "."]));
    assert_eq!(output.status.code(), Some(2));
}
