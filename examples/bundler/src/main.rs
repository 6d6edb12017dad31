//! Bundles a project: `cargo run -p bundler -- FOLDER OUTPUT [--entry main.js] [--store FILE] [--watch]`, or without arguments a
//! generated one of 300 modules, which is edited then.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bundler::bundle::chunks;
use bundler::output::Output;
use bundler::watch::Changes;
use bundler::{bundle, generated};
use larder::Runtime;
use larder::storage::RedbStorage;
use lexopt::prelude::*;

const USAGE: &str = "usage: bundler [FOLDER OUTPUT [--entry FILE] [--store FILE] [--watch]]";

struct Settings {
    folders: Vec<PathBuf>,
    entry: PathBuf,
    store: Option<PathBuf>,
    watches: bool,
}

fn settings() -> Result<Settings, lexopt::Error> {
    let mut settings =
        Settings { folders: Vec::new(), entry: generated::ENTRY.into(), store: None, watches: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("entry") => settings.entry = args.value()?.into(),
            Long("store") => settings.store = Some(args.value()?.into()),
            Long("watch") => settings.watches = true,
            Value(folder) if settings.folders.len() < 2 => settings.folders.push(folder.into()),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(settings)
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings().map_err(|error| format!("{error}\n{USAGE}"))?;
    match &settings.folders[..] {
        [] => demonstrate(),
        [folder, output] => bundle_all(&settings, folder, output),
        _ => Err(USAGE.into()),
    }
}

fn bundle_all(settings: &Settings, folder: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    // Before the first build, so that no change is missed.
    let changes = if settings.watches { Some(Changes::below(folder)?) } else { None };
    let builder = Runtime::builder().base(folder);
    let runtime = match &settings.store {
        Some(store) => builder.storage(RedbStorage::open(store)?).build(),
        None => builder.build(),
    };
    let mut output = Output::to(output);
    build(&runtime, &settings.entry, &mut output)?;
    while changes.as_ref().is_some_and(Changes::wait) {
        if runtime.refresh()?.changed > 0 {
            build(&runtime, &settings.entry, &mut output)?;
        }
    }
    runtime.flush()?;
    Ok(())
}

/// Builds once, writes what differs, and tells about it.
#[allow(clippy::print_stdout, reason = "a program talks to its user")]
fn build(runtime: &Runtime, entry: &Path, output: &mut Output) -> Result<(), Box<dyn Error>> {
    let (began, before) = (Instant::now(), runtime.stats());
    let chunks = runtime.run(|| chunks(entry));
    let changes = output.write(&chunks)?;
    let bodies = runtime.stats().since(&before).runs();
    for problem in chunks.values().flat_map(|chunk| &chunk.problems) {
        println!("{problem}");
    }
    println!(
        "{} of {} chunks written, {} removed; {bodies} bodies, {} ms",
        changes.written.len(),
        chunks.len(),
        changes.removed.len(),
        began.elapsed().as_millis()
    );
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a program talks to its user")]
fn demonstrate() -> Result<(), Box<dyn Error>> {
    let (project, output) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let folder = project.path();
    generated::write(folder)?;
    let runtime = Runtime::builder().base(folder).build();
    let mut output = Output::to(output.path());
    let entry = Path::new(generated::ENTRY);
    build(&runtime, entry, &mut output)?;
    println!("{} modules", runtime.run(|| bundle::reached(entry)).len());
    let edits = [
        ("the code of a module", "part3/m5.js", "import \"shared5\"\nimport \"./m6\"\nlet m5 = 50\n"),
        ("a file that is not imported", "part3/notes.js", "let notes = 1\n"),
        ("a file that comes before the one that was found", "modules/shared4.js", "let shared4 = 40\n"),
        ("an import that leads nowhere", "part9/m28.js", "import \"./m29\"\nlet m28 = 28\n"),
        ("and then somewhere", "part9/m29.js", "let m29 = 29\n"),
    ];
    for (what, path, text) in edits {
        std::fs::write(folder.join(path), text)?;
        runtime.refresh()?;
        println!("\n{what}: {path}");
        build(&runtime, entry, &mut output)?;
    }
    Ok(())
}
