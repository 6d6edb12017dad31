//! The modules that an entry reaches, and the chunks that are made of them: one for each folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::{Digested, Keys, task_fn};
use serde::{Deserialize, Serialize};

use crate::modules::{links, module};

/// Finds the modules that an entry reaches, in the order of their paths. Each step looks at all modules that the last one has found, on
/// all threads.
#[task_fn]
pub fn reached(entry: &Path) -> Keys<PathBuf> {
    let mut reached = BTreeSet::from([entry.to_owned()]);
    let mut last = vec![entry.to_owned()];
    while !last.is_empty() {
        let found = larder::par_map(last, |path| links(&path));
        let targets = found.iter().flat_map(|links| links.iter().filter_map(|link| link.target.clone()));
        last = targets.filter(|target| reached.insert(target.clone())).collect();
    }
    reached.into_iter().collect()
}

/// A chunk, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The text, whose digest tells whether it has to be written.
    pub text: Digested<String>,
    /// Imports that lead nowhere, and files that cannot be read.
    pub problems: Vec<String>,
}

/// Returns a module as it stands in its chunk.
#[task_fn]
fn rendered(path: &Path) -> Arc<(String, Vec<String>)> {
    let mut problems = Vec::new();
    let mut text = format!("// {}\n", path.display());
    for link in links(path).iter() {
        match &link.target {
            Some(target) => text += &format!("use {:?} from {:?}\n", link.name, target.display().to_string()),
            None => problems.push(format!("{}: there is no `{}`", path.display(), link.name)),
        }
    }
    match module(path) {
        Ok(module) => text += &module.code,
        Err(problem) => problems.push(problem),
    }
    Arc::new((text, problems))
}

/// Puts the modules of a folder together.
#[task_fn]
fn chunk(modules: &Keys<PathBuf>) -> Chunk {
    let (mut text, mut problems) = (String::new(), Vec::new());
    for path in modules {
        let rendered = rendered(path);
        text += &rendered.0;
        problems.extend(rendered.1.iter().cloned());
    }
    Chunk { text: Digested::new(text), problems }
}

/// Returns the chunks of an entry by the names of their files.
#[task_fn]
pub fn chunks(entry: &Path) -> Arc<BTreeMap<String, Chunk>> {
    let mut folders: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for path in &reached(entry) {
        let folder = path.parent().unwrap_or(Path::new("")).display().to_string();
        let name = if folder.is_empty() { "main".to_owned() } else { folder.replace(['/', '\\'], "-") };
        folders.entry(format!("{name}.js")).or_default().push(path.clone());
    }
    let chunk = |(name, modules): (String, Vec<PathBuf>)| (name, chunk(&modules.into_iter().collect()));
    Arc::new(folders.into_iter().map(chunk).collect())
}
