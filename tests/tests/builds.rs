//! Code identity, with real programs that differ: results of other code are misses, and those of the same code are hits.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Builds a version of the program, and moves it to where the next one does not replace it.
fn build(variant: &str, folder: &Path) -> PathBuf {
    build_package("larder-builds", variant);
    let program = folder.join(if variant.is_empty() { "base" } else { variant });
    std::fs::copy(built(&format!("larder-builds{}", std::env::consts::EXE_SUFFIX)), &program).unwrap();
    program
}

/// Where a file is that was built.
fn built(name: &str) -> PathBuf {
    let mut built = std::env::current_exe().unwrap();
    built.pop();
    built.set_file_name(name);
    built
}

/// The tests of this file build the same packages, one version after another.
static BUILDING: Mutex<()> = Mutex::new(());

fn build_package(package: &str, variant: &str) {
    let mut build = cargo_build(package, variant);
    assert!(build.status().unwrap().success(), "{build:?}");
}

fn cargo_build(package: &str, variant: &str) -> Command {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", package, "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.env("LARDER_VARIANT", variant);
    build
}

fn run(program: &Path, store: &Path) -> String {
    let output = Command::new(program).arg(store).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Asks a program for one thing; returns what it prints: the results, and how many bodies ran.
fn ask(program: &Path, store: &Path, what: &str) -> String {
    let output = Command::new(program).arg(store).arg(what).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A process that met one of two functions of one name only was given the results of the other one.
#[test]
fn functions_of_two_versions_of_a_package_share_no_results() {
    let _building = BUILDING.lock();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.redb");
    let program = build_twins(folder.path());
    for what in ["plain", "declared", "method", "told", "generic", "generic by version"] {
        for runs in [1, 0] {
            assert_eq!(ask(&program, &store, &format!("{what} one")), format!("10 {runs}"), "{what}");
            assert_eq!(ask(&program, &store, &format!("{what} two")), format!("20 {runs}"), "{what}");
        }
    }
}

/// Builds a program with two versions of a package, by the compiler alone: a workspace has no two packages of one name.
fn build_twins(folder: &Path) -> PathBuf {
    let compiler = Compiler::new(folder);
    let twin =
        |which: &str| format!("twin_{which}={}", folder.join(format!("libtwin-{which}.rlib")).display());
    let twins = ["--crate-name=twin", "--crate-type=rlib"];
    compiler.compile(
        "twin.rs",
        "1.0.0",
        &[&twins[..], &["-Cmetadata=one", "-Cextra-filename=-one"]].concat(),
    );
    let second = ["-Cmetadata=two", "-Cextra-filename=-two", "--cfg=second"];
    compiler.compile("twin.rs", "2.0.0", &[&twins[..], &second].concat());
    compiler.compile("program.rs", "1.0.0", &["--extern", &twin("one"), "--extern", &twin("two")]);
    folder.join(format!("program{}", std::env::consts::EXE_SUFFIX))
}

/// The compiler, for programs that cargo builds in no workspace.
struct Compiler<'f> {
    folder: &'f Path,
    /// The files that `larder-builds` is made of.
    libraries: HashMap<String, String>,
}

impl<'f> Compiler<'f> {
    fn new(folder: &'f Path) -> Self {
        Self { folder, libraries: libraries_of_builds() }
    }

    fn compile(&self, source: &str, version: &str, arguments: &[&str]) {
        let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/builds/twins"));
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        rustc.args(["--edition", "2024", "-A", "warnings", "--out-dir"]).arg(self.folder).args(arguments);
        for library in ["larder", "serde"] {
            if !arguments.iter().any(|argument| argument.starts_with(&format!("{library}="))) {
                rustc.arg("--extern").arg(format!("{library}={}", self.libraries[library]));
            }
        }
        rustc.arg("-L").arg(self.folder).arg("-L").arg(built("deps")).arg(sources.join(source));
        rustc.envs([("CARGO_PKG_NAME", "twin"), ("CARGO_PKG_VERSION", version)]);
        assert!(rustc.status().unwrap().success(), "{rustc:?}");
    }
}

/// The files of the libraries that `larder-builds` is made of, by name, as cargo tells.
fn libraries_of_builds() -> HashMap<String, String> {
    let output = cargo_build("larder-builds", "").arg("--message-format=json").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let quoted = text.split('"').filter(|text| text.ends_with(".rlib"));
    quoted
        .filter_map(|path| {
            let (name, _) = Path::new(path).file_stem()?.to_str()?.strip_prefix("lib")?.rsplit_once('-')?;
            Some((name.to_owned(), path.replace("\\\\", "\\")))
        })
        .collect()
}

/// Code may be moved without a change to its declared version; names do not tell by what is before a function.
#[test]
fn functions_with_a_declared_version_stay_warm_where_lines_move() {
    let _building = BUILDING.lock();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.redb");
    let base = build("", folder.path());
    let results = "[1, 2, 3, 9, 10, 20]";
    assert_eq!(ask(&base, &store, "moved"), format!("{results} 6"));
    assert_eq!(ask(&base, &store, "moved"), format!("{results} 0"));
    let moved = build("moved", folder.path());
    assert_ne!(std::fs::read(&base).unwrap(), std::fs::read(&moved).unwrap());
    assert_eq!(ask(&moved, &store, "moved"), format!("{results} 0"));
    // The body may change as well, but for the two that stand in the body of another function.
    let edited = build("edited", folder.path());
    assert_eq!(ask(&edited, &store, "moved"), format!("{results} 2"));
}

/// A library that was built anew, under a program that was not, was given the results of its old code.
#[test]
#[cfg(target_os = "linux")]
fn results_of_the_code_of_another_library_are_misses() {
    let _building = BUILDING.lock();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.redb");
    let (host, library) = (folder.path().join("host"), folder.path().join("plugin.so"));
    build_package("larder-builds", "");
    std::fs::copy(built("larder-host"), &host).unwrap();
    let run = |moved: &[&Path]| {
        let mut run = Command::new(&host);
        let output = run.arg(&library).args(moved).env("LARDER_STORE", &store).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let install = |variant: &str| {
        build_package("larder-plugin", variant);
        // Not over the file that some process may have mapped.
        let _ = std::fs::remove_file(&library);
        std::fs::copy(built("liblarder_plugin.so"), &library).unwrap();
    };
    install("");
    // Which ran: by the build, generic, declared, and the reader of the first.
    assert_eq!(run(&[]), "(2, 2, 2, 20) [1, 1, 1, 1] 0");
    assert_eq!(run(&[]), "(2, 2, 2, 20) [0, 0, 0, 0] 0");
    install("body");
    assert_eq!(run(&[]), "(101, 101, 2, 1010) [1, 1, 0, 1] 0");
    assert_eq!(run(&[]), "(101, 101, 2, 1010) [0, 0, 0, 0] 0");
    install("");
    assert_eq!(run(&[]), "(2, 2, 2, 20) [0, 0, 0, 0] 0");
    // Its file is elsewhere, or nowhere, by the time that the code is asked for.
    let elsewhere = folder.path().join("elsewhere.so");
    assert_eq!(run(&[&elsewhere]), "(2, 2, 2, 20) [0, 0, 0, 0] 0");
    std::fs::rename(&elsewhere, &library).unwrap();
    let gone = run(&[Path::new("/dev/null/nowhere")]);
    // The superuser may look at a file that is mapped and gone; with others nothing tells which code that is.
    assert!(["(2, 2, 2, 20) [1, 1, 0, 1] 0", "(2, 2, 2, 20) [0, 0, 0, 0] 0"].contains(&&gone[..]), "{gone}");
}

/// A function of the program that read one of a library was given its old result when only the library was built anew.
#[test]
#[cfg(target_os = "linux")]
fn functions_of_a_library_beside_the_program_are_known_by_it_and_their_readers_are_not_stored() {
    let _building = BUILDING.lock();
    let folder = tempfile::tempdir().unwrap();
    let (folder, store) = (folder.path(), folder.path().join("store.redb"));
    let compiler = Compiler::new(folder);
    let file = |name: &str| folder.join(name).display().to_string();
    let (engine, twin) =
        (format!("larder={}", file("libengine.so")), format!("twin_one={}", file("libtwin.so")));
    let dynamic = ["-Cprefer-dynamic", "--extern", &engine];
    let build_library = |more: &[&str]| {
        let library = ["--crate-name=twin", "--crate-type=dylib", "-Cmetadata=one"];
        compiler.compile("twin.rs", "1.0.0", &[&dynamic[..], &library, more].concat());
    };
    compiler.compile("engine.rs", "1.0.0", &["--crate-type=dylib", "-Cprefer-dynamic"]);
    build_library(&[]);
    compiler.compile("shared.rs", "1.0.0", &[&dynamic[..], &["--extern", &twin]].concat());
    let standard = Command::new("rustc").args(["--print", "target-libdir"]).output().unwrap();
    let paths = format!("{}:{}", folder.display(), String::from_utf8(standard.stdout).unwrap().trim());
    let run = || {
        let mut run = Command::new(folder.join("shared"));
        let output = run.arg(&store).env("LD_LIBRARY_PATH", &paths).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let unstored = r#"[("shared::reads_library", ReadsLibrary), ("shared::reads_reader", ReadsUnstored)]"#;
    assert_eq!(run(), format!("(1000, 100, 10) [1, 1, 1, 1, 1, 1] {unstored}"));
    assert_eq!(run(), format!("(1000, 100, 10) [0, 1, 1, 0, 0, 0] {unstored}"));
    build_library(&["--cfg=second"]);
    assert_eq!(run(), format!("(2000, 100, 20) [1, 1, 1, 0, 0, 1] {unstored}"));
}

#[test]
fn results_of_other_code_are_misses() {
    let _building = BUILDING.lock();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.redb");
    let base = build("", folder.path());
    // The results, and which bodies ran: `by_build`, `declared`, and the reader of `by_build`.
    assert_eq!(run(&base, &store), "(2, 2, 20) 1 1 1");
    assert_eq!(run(&base, &store), "(2, 2, 20) 0 0 0");
    let cases = [
        // A declared version vouches for what the function itself does, not for what it reads: its reader runs again.
        ("body", "(101, 2, 1010) 1 0 1"),
        ("renamed", "(2, 3, 20) 1 1 1"),
        ("argument", "(2, 4, 20) 1 1 1"),
        ("output", "(2, 5, 20) 1 1 1"),
        ("version", "(2, 6, 20) 1 1 1"),
        ("removed", "(2, 7, 20) 1 0 1"),
    ];
    for (variant, expected) in cases {
        let program = build(variant, folder.path());
        assert_eq!(run(&program, &store), expected, "{variant}");
        let again = run(&program, &store);
        assert!(again.ends_with(" 0 0 0"), "{variant}: {again}");
        // No program's results are in another one's way.
        assert_eq!(run(&base, &store), "(2, 2, 20) 0 0 0", "after {variant}");
    }
}

/// Prints the identity of a type of the standard library, as `backend/src/persist/identity/code.rs` takes it.
const COMPILER: &str = r#"
    #[derive(Default)]
    struct Bytes(Vec<u8>);
    impl std::hash::Hasher for Bytes {
        fn write(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    fn main() {
        let (id, mut bytes) = (std::any::TypeId::of::<String>(), Bytes::default());
        std::hash::Hash::hash(&id, &mut bytes);
        println!("{id:?} {:?}", bytes.0);
    }
"#;

/// Results of `version = N, shared` are of one compiler, which they know by a type of its standard library: that has to be another one for each
/// release, and one and the same however a program is built.
#[test]
fn a_type_of_the_standard_library_says_which_compiler_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("compiler.rs");
    std::fs::write(&source, COMPILER).unwrap();
    let output = |command: &mut Command| {
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).unwrap())
    };
    let listed = output(Command::new("rustup").args(["toolchain", "list", "-q"])).unwrap_or_default();
    let others = listed.lines().filter_map(|line| line.split_whitespace().next());
    let mut identities: HashMap<String, String> = HashMap::new();
    let mut tried = 0;
    for toolchain in [None].into_iter().chain(others.map(Some)) {
        let rustc = || match toolchain {
            None => Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())),
            Some(toolchain) => {
                let mut command = Command::new("rustup");
                command.args(["run", toolchain, "rustc"]);
                command
            }
        };
        let Some(version) = output(rustc().arg("-vV")) else { continue };
        for (number, flags) in
            [&["-O"][..], &["-g", "-Cmetadata=other", "-Cpanic=abort"]].into_iter().enumerate()
        {
            let program = folder.path().join(format!("program{tried}_{number}"));
            let name = format!("--crate-name=name{number}");
            let mut compiling = rustc();
            compiling.args(flags).args([&*name, "--edition=2021", "-o"]).arg(&program).arg(&source);
            // A toolchain without a standard library, say.
            if output(&mut compiling).is_none() && toolchain.is_some() {
                continue;
            }
            let identity = output(&mut Command::new(&program)).unwrap();
            let known = identities.entry(version.clone()).or_insert_with(|| identity.clone());
            assert_eq!(*known, identity, "of one compiler, built with {flags:?}:\n{version}");
            tried += 1;
        }
    }
    assert!(tried >= 2);
    let distinct: std::collections::HashSet<_> = identities.values().collect();
    assert_eq!(distinct.len(), identities.len(), "two compilers have one identity: {identities:?}");
    println!("{} compilers tell each other apart", identities.len());
}
