//! Modules, and where their imports lead. All paths are relative to the runtime's base directory.
//!
//! ```text
//! import "./button"     button.js or button/index.js, beside the module
//! import "colors"       the same in modules/, beside the module or in a folder above
//! let width = 12        everything else is code
//! ```

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use larder::task_fn;
use serde::{Deserialize, Serialize};

/// A module, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// The names of its imports, in order.
    pub imports: Arc<Vec<String>>,
    /// Its code, without the imports.
    pub code: String,
}

/// Reads a module and takes it apart.
///
/// # Errors
/// If the file cannot be read.
#[task_fn]
pub fn module(path: &Path) -> Result<Arc<Module>, String> {
    let text = larder::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let mut module = Module::default();
    let mut imports = Vec::new();
    for line in text.lines() {
        match line.trim().strip_prefix("import ") {
            Some(name) => imports.push(name.trim_matches(['"', ';', ' ']).to_owned()),
            None => module.code += &format!("{line}\n"),
        }
    }
    module.imports = Arc::new(imports);
    Ok(Arc::new(module))
}

/// Finds the file that a name leads to from a folder. It depends on which of the candidates exist, up to the first, and on no other
/// file of the folders that they are in.
#[task_fn]
pub fn resolved(folder: &Path, name: &str) -> Option<PathBuf> {
    let found = |path: PathBuf| candidates(path).into_iter().find(|path| larder::fs::is_file(path));
    match name.starts_with('.') {
        true => found(folder.join(name)),
        false => folder.ancestors().find_map(|folder| found(folder.join("modules").join(name))),
    }
}

fn candidates(path: PathBuf) -> [PathBuf; 2] {
    let path = normal(&path);
    [path.with_added_extension("js"), path.join("index.js")]
}

/// Returns the path without `.` and `..`, so that each module has one path.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if normal.file_name().is_some() => _ = normal.pop(),
            other => normal.push(other),
        }
    }
    normal
}

/// An import, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The name, as it is written.
    pub name: String,
    /// The module, if there is one.
    pub target: Option<PathBuf>,
}

/// Returns the imports of a module and where they lead. A change of its code does not concern this.
#[task_fn]
pub fn links(path: &Path) -> Arc<Vec<Link>> {
    let imports =
        module::part(path, &(), |module, ()| module.as_ref().ok().map(|module| module.imports.clone()));
    let folder = path.parent().unwrap_or(Path::new(""));
    let link = |name: &String| Link { name: name.clone(), target: resolved(folder, name) };
    Arc::new(imports.unwrap_or_default().iter().map(link).collect())
}
