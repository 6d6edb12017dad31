//! The cost of a task function, in bytes of a binary and in time to compile it: a crate of many is generated and built,
//! once with them and once with none, and the difference divided.
//!
//! All crates are built in release with the same settings (one codegen unit, no debug information, stripped), their
//! dependencies beforehand. Seconds are those of rebuilding the generated crate alone, linking included, the least
//! of `BUILDS`; bytes are those of the executable.

mod source;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// How many functions the budget asks for.
pub const FUNCTIONS: u32 = 300;

/// How often each crate is built for its time.
const BUILDS: u32 = 2;

/// The kind of the generated functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Functions without any attribute: what the bodies and calls themselves cost.
    Plain,
    /// `#[salsa::tracked]` functions by plain arguments, as larder's are.
    Salsa,
    /// `#[salsa::tracked]` functions by the handle of an input.
    SalsaByHandle,
    /// `#[larder::task_fn]` functions.
    Larder,
    /// `#[larder::task_fn]` async functions.
    LarderAsync,
}

impl Kind {
    /// The kinds that this build can measure.
    pub const BUILT: &[Kind] = &[
        Kind::Plain,
        Kind::Salsa,
        Kind::SalsaByHandle,
        #[cfg(feature = "larder-engine")]
        Kind::Larder,
        #[cfg(feature = "larder-engine")]
        Kind::LarderAsync,
    ];

    /// Those that the budget judges.
    pub const JUDGED: &[Kind] = &[
        Kind::Salsa,
        #[cfg(feature = "larder-engine")]
        Kind::Larder,
        #[cfg(feature = "larder-engine")]
        Kind::LarderAsync,
    ];

    /// The name in the report, and of the generated crate.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Salsa => "salsa",
            Kind::SalsaByHandle => "salsa-by-handle",
            Kind::Larder => "larder",
            Kind::LarderAsync => "larder-async",
        }
    }
}

/// The cost of one function.
#[derive(Clone, Copy, Debug)]
pub struct PerFunction {
    /// Bytes of the executable.
    pub bytes: f64,
    /// Seconds of compiling and linking.
    pub seconds: f64,
}

/// The figures of every kind that was measured.
pub struct Figures {
    per_kind: Vec<(Kind, PerFunction)>,
}

impl Figures {
    /// Returns the cost of a function of `kind`; `None` if it is not built.
    pub fn of(&self, kind: Kind) -> Option<&PerFunction> {
        self.per_kind.iter().find(|(candidate, _)| *candidate == kind).map(|(_, per)| per)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &(Kind, PerFunction)> {
        self.per_kind.iter()
    }
}

/// Generates, builds and measures those kinds with `functions` functions.
pub fn measure(functions: u32, kinds: &[Kind]) -> Result<Figures, String> {
    let place = Place::find()?;
    let mut per_kind = Vec::new();
    for kind in kinds {
        let none = place.build(*kind, 0)?;
        let all = place.build(*kind, functions)?;
        let per = |of: fn(&Built) -> f64| (of(&all) - of(&none)) / f64::from(functions);
        per_kind.push((
            *kind,
            PerFunction { bytes: per(|built| built.bytes), seconds: per(|built| built.seconds) },
        ));
    }
    Ok(Figures { per_kind })
}

struct Built {
    bytes: f64,
    seconds: f64,
}

/// Where the crates are generated: `size/` in the target folder of the running program, with one target folder of
/// their own, so that dependencies are built once.
struct Place {
    folder: PathBuf,
    workspace: PathBuf,
}

impl Place {
    fn find() -> Result<Place, String> {
        let program = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let target = program.ancestors().nth(2).ok_or("the program is not in a target folder")?;
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = manifest.parent().ok_or("the package is not in a workspace")?;
        Ok(Place { folder: target.join("size"), workspace: workspace.to_owned() })
    }

    fn build(&self, kind: Kind, functions: u32) -> Result<Built, String> {
        let name = format!("{}-{functions}", kind.name());
        let package = self.folder.join(&name);
        let main = package.join("src/main.rs");
        let text = source::main(kind, functions);
        write(&package.join("Cargo.toml"), &source::manifest(kind, &name, &self.workspace.join("runtime")))?;
        write(&main, &text)?;
        // The versions of the workspace; cargo drops those that the package does not use.
        let lock = self.workspace.join("Cargo.lock");
        if lock.exists() {
            std::fs::copy(&lock, package.join("Cargo.lock"))
                .map_err(|error| format!("copying the lock: {error}"))?;
        }
        if functions == 0 {
            self.cargo_build(&package)?; // Its dependencies, which the crate with functions finds built.
        }
        let mut seconds = f64::INFINITY;
        for _ in 0..BUILDS {
            write(&main, &text)?;
            let start = Instant::now();
            self.cargo_build(&package)?;
            seconds = seconds.min(start.elapsed().as_secs_f64());
        }
        let program =
            self.folder.join("target/release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        let bytes =
            std::fs::metadata(&program).map_err(|error| format!("{}: {error}", program.display()))?.len();
        Ok(Built { bytes: bytes as f64, seconds })
    }

    fn cargo_build(&self, package: &Path) -> Result<(), String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--release", "--quiet", "-j1"])
            .current_dir(package)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env_remove("RUSTFLAGS")
            .output()
            .map_err(|error| format!("cargo does not start: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("cargo failed").to_owned();
        Err(format!("{}: {first}", package.display()))
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().ok_or("a file has a folder")?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}
