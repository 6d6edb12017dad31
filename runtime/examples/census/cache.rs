//! Where results are kept between runs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use larder::storage::RedbStorage;
use larder::{Builder, Runtime};

use crate::args::{Args, Cache, Threads};
use crate::roots::Roots;

/// A runtime that keeps its results where the command line says. Where that is not possible, nothing is kept, and the reason is
/// returned.
pub fn runtime(args: &Args, roots: &Roots) -> (Runtime, Option<String>) {
    let builder = match args.threads {
        Threads::PerProcessor => Runtime::builder(),
        Threads::Number(threads) => Runtime::builder().threads(threads.get()),
    };
    let builder = match &args.base {
        Some(base) => builder.base(base),
        None => builder,
    };
    let dir = match &args.cache {
        Cache::Nowhere => return (builder.build(), None),
        Cache::At(dir) => dir.clone(),
        Cache::BelowTheTree => roots.base().join(".larder"),
    };
    match open(builder.clone(), &dir, args) {
        Ok((runtime, note)) => (runtime, note),
        Err(reason) => (builder.build(), Some(format!("nothing is kept for the next run: {reason}"))),
    }
}

/// A runtime, and what the user should know about its store.
#[cfg_attr(not(feature = "shared"), expect(unused_variables, reason = "the shared cache is a feature"))]
fn open(builder: Builder, dir: &Path, args: &Args) -> Result<(Runtime, Option<String>), String> {
    prepare(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let (storage, note) = match RedbStorage::open(store(dir)) {
        Err(error) if error.is_held() => {
            let note = "another run has the cache; it is read as it is now, and this run adds nothing to it";
            (RedbStorage::open_snapshot(store(dir)), Some(note.to_owned()))
        }
        opened => (opened, None),
    };
    let storage = storage.map_err(|error| error.to_string())?;
    let builder = builder.storage(storage);
    #[cfg(feature = "shared")]
    let builder = match shared(args)? {
        Some(shared) => builder.shared(shared),
        None => builder,
    };
    let runtime = builder.try_build().map_err(|error| error.to_string())?;
    Ok((runtime, note))
}

/// The shared cache that the command line names, or else the environment.
#[cfg(feature = "shared")]
fn shared(args: &Args) -> Result<Option<larder::shared::Shared>, String> {
    use crate::args::SharedMode;
    use larder::shared::{Namespace, Shared};

    let namespace = Namespace::new("census").map_err(str::to_owned)?;
    let problem = |error: larder::shared::EnvError| error.to_string();
    let mode = args.shared.mode.unwrap_or(SharedMode::Read);
    let Some(place) = &args.shared.place else {
        // Without a base nothing could be shared.
        return if args.base.is_some() { Shared::from_env(namespace).map_err(problem) } else { Ok(None) };
    };
    if mode == SharedMode::Off {
        return Ok(None);
    }
    let trust = match args.shared.trust.join(" ") {
        none if none.is_empty() => std::env::var("LARDER_SHARED_TRUST").unwrap_or_default(),
        trust => trust,
    };
    let shared = Shared::at(place, namespace).and_then(|shared| shared.trusting(&trust)).map_err(problem)?;
    match mode {
        SharedMode::Write => shared.writing().map(Some).map_err(problem),
        SharedMode::Read | SharedMode::Off => Ok(Some(shared)),
    }
}

fn store(dir: &Path) -> PathBuf {
    dir.join("census.redb")
}

/// Makes the directory, tagged so that backups leave it out, and unknown to Git.
fn prepare(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    write_new(&dir.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n# Kept by census.\n")?;
    write_new(&dir.join(".gitignore"), "*\n")
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
