//! The module graph of a crate: which file is which module, and which module imports from which.
//!
//! Files are found as the compiler finds them, from the targets along `mod`, without evaluating `cfg` or expanding
//! macros. Names are resolved by their text: an import leads to the longest prefix of its path that is a module.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::model::{
    FileCensus, FilePath, Import, ItemKind, Located, Module, ModuleFile, ModuleGraph, Package, Reach,
    Undocumented,
};

/// The statements of a crate's files about each other.
#[derive(Debug, Default)]
pub struct Survey {
    pub graph: ModuleGraph,
    pub undocumented: Vec<Located<Undocumented>>,
    /// How many files import from each module.
    pub imported: BTreeMap<String, u64>,
}

type Files = [(FilePath, Arc<FileCensus>)];

pub fn survey(dir: &Path, package: Option<&Package>, files: &Files) -> Survey {
    let mut tree =
        Tree { files, by_path: HashMap::new(), found: Vec::new(), module_of: vec![None; files.len()] };
    tree.by_path.extend(files.iter().enumerate().map(|(index, (path, _))| (&**path, index)));
    let library = package.map(|package| package.name.replace('-', "_"));
    if let Some(package) = package {
        for target in targets(dir, package, files) {
            tree.follow(dir, target, library.as_deref().unwrap_or_default());
        }
    }
    let mut survey = Survey { undocumented: tree.undocumented(package.is_some()), ..Survey::default() };
    tree.imports(library.as_deref(), &mut survey);
    survey.graph.modules = tree
        .found
        .iter()
        .map(|at| Module { path: at.path.clone(), file: files[at.file].0.clone() })
        .collect();
    if package.is_some() {
        let orphans = files.iter().zip(&tree.module_of).filter(|(_, module)| module.is_none());
        survey.graph.orphans = orphans.map(|((path, _), _)| path.clone()).collect();
    }
    survey
}

/// A file that the compiler starts from.
struct Target {
    file: PathBuf,
    kind: TargetKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TargetKind {
    Library,
    Other,
}

/// The library first, so that a file which several targets share is a module of the library.
fn targets(dir: &Path, package: &Package, files: &Files) -> Vec<Target> {
    let library = dir.join(package.library.as_deref().unwrap_or("src/lib.rs"));
    let declared = package.targets.iter().map(|path| lexically_normal(&dir.join(path)));
    let found = files.iter().map(|(path, _)| path.to_path_buf()).filter(|path| is_target_by_place(dir, path));
    let others: BTreeSet<PathBuf> = declared.chain(found).filter(|path| *path != library).collect();
    let others = others.into_iter().map(|file| Target { file, kind: TargetKind::Other });
    std::iter::once(Target { file: lexically_normal(&library), kind: TargetKind::Library })
        .chain(others)
        .collect()
}

/// Where Cargo looks for targets that no manifest declares.
fn is_target_by_place(dir: &Path, file: &Path) -> bool {
    let Ok(place) = file.strip_prefix(dir) else { return false };
    let place: Vec<_> = place.iter().map(|part| part.to_str().unwrap_or_default()).collect();
    matches!(
        place[..],
        ["build.rs"]
            | ["src", "main.rs"]
            | ["src", "bin", _]
            | ["tests" | "examples" | "benches", _]
            | ["src", "bin", _, "main.rs"]
            | ["tests" | "examples" | "benches", _, "main.rs"]
    )
}

/// A module and how it was reached.
struct Found {
    file: usize,
    path: String,
    /// The root module of its target, by position in `found`.
    root: usize,
    /// Where the files of its children lie.
    children: PathBuf,
    /// Its public items are part of the library's API, as far as can be told.
    open: bool,
    /// Declared `pub mod` without documentation: the declaration's line and the file that it is in.
    declared: Option<(usize, u32)>,
}

struct Tree<'a> {
    files: &'a Files,
    by_path: HashMap<&'a Path, usize>,
    found: Vec<Found>,
    /// By file.
    module_of: Vec<Option<usize>>,
}

impl Tree<'_> {
    /// Takes up all modules of a target, breadth first, each file once.
    fn follow(&mut self, dir: &Path, target: Target, library: &str) {
        let Some(&file) = self.by_path.get(target.file.as_path()) else { return };
        let is_library = target.kind == TargetKind::Library;
        let path = match is_library {
            true => library.to_owned(),
            false => FilePath::from(target.file.with_extension("")).below(dir),
        };
        let children = target.file.parent().unwrap_or(dir).to_owned();
        let mut next = self.found.len();
        self.add(Found { file, path, root: next, children, open: is_library, declared: None });
        while next < self.found.len() {
            let census = Arc::clone(&self.files[self.found[next].file].1);
            for declaration in &census.modules {
                self.descend(next, &census, declaration);
            }
            next += 1;
        }
    }

    fn add(&mut self, found: Found) {
        if self.module_of[found.file].is_none() {
            self.module_of[found.file] = Some(self.found.len());
            self.found.push(found);
        }
    }

    fn descend(&mut self, parent: usize, census: &FileCensus, declaration: &ModuleFile) {
        let above = &self.found[parent];
        let name = declaration.name.trim_start_matches("r#");
        let base = declaration.scope.split("::").fold(above.children.clone(), |dir, part| dir.join(part));
        let beside = self.files[above.file].0.parent().unwrap_or(&base);
        let (by_attribute, by_name, by_folder) = match &declaration.path {
            Some(path) if declaration.scope.is_empty() => (Some(beside.join(path)), None, None),
            Some(path) => (Some(base.join(path)), None, None),
            None => (None, Some(base.join(format!("{name}.rs"))), Some(base.join(name).join("mod.rs"))),
        };
        let lookup = |path: Option<PathBuf>| self.by_path.get(lexically_normal(&path?).as_path()).copied();
        let (file, children) = match (lookup(by_attribute), lookup(by_name), lookup(by_folder)) {
            (Some(file), ..) => (file, self.files[file].0.parent().unwrap_or(&base).to_owned()),
            (_, Some(file), _) | (_, _, Some(file)) => (file, base.join(name)),
            (None, None, None) => return,
        };
        let open = match declaration.reach {
            Reach::Public => above.open,
            Reach::Private => above.open && is_reexported(census, declaration),
            Reach::Closed => false,
        };
        let asks = open && declaration.reach == Reach::Public && !declaration.documented;
        let declared = asks.then_some((above.file, declaration.line));
        let path = join(&join(&above.path, &declaration.scope), name);
        let root = above.root;
        self.add(Found { file, path, root, children, open, declared });
    }

    /// Of a package, what its library shows; of loose files, all of them.
    fn undocumented(&self, is_package: bool) -> Vec<Located<Undocumented>> {
        let mut all = Vec::new();
        for at in self.found.iter().filter(|at| !self.files[at.file].1.documented) {
            if let Some((file, line)) = at.declared {
                let name = at.path.clone();
                let what = Undocumented { name, kind: ItemKind::Module, line };
                all.push(Located { file: self.files[file].0.clone(), what });
            }
        }
        for ((path, file), module) in self.files.iter().zip(&self.module_of) {
            let open = match module {
                Some(module) => self.found[*module].open,
                None => !is_package,
            };
            if open {
                let located = |what: &Undocumented| Located { file: path.clone(), what: what.clone() };
                all.extend(file.undocumented.iter().map(located));
            }
        }
        all.sort_by(|a, b| (&a.file, a.what.line, &a.what.name).cmp(&(&b.file, b.what.line, &b.what.name)));
        all
    }

    fn imports(&self, library: Option<&str>, survey: &mut Survey) {
        let mut modules: HashMap<String, usize> = HashMap::new();
        for (index, at) in self.found.iter().enumerate() {
            modules.entry(at.path.clone()).or_insert(index);
            for inline in &self.files[at.file].1.inline_modules {
                modules.entry(join(&at.path, inline)).or_insert(index);
            }
        }
        let mut edges = BTreeSet::new();
        for ((_, file), module) in self.files.iter().zip(&self.module_of) {
            let mut named = BTreeSet::new();
            for import in &file.imports {
                let at = module.map(|module| (&self.found[module], module));
                let here = at.map(|(at, _)| join(&at.path, &import.scope)).unwrap_or_default();
                let root = at.map(|(at, _)| self.found[at.root].path.as_str()).unwrap_or_default();
                match resolve(import, &here, root, library, &modules) {
                    Resolved::Local(to) => {
                        if let Some((_, from)) = at.filter(|&(_, from)| from != to) {
                            edges.insert((from as u32, to as u32));
                            named.insert(self.found[to].path.clone());
                        }
                    }
                    Resolved::External(module) => drop(named.insert(module)),
                    Resolved::Item => {}
                }
            }
            for module in named {
                *survey.imported.entry(module).or_default() += 1;
            }
        }
        survey.graph.edges = edges.into_iter().collect();
    }
}

/// `pub use child::...` beside `mod child;`.
fn is_reexported(census: &FileCensus, declaration: &ModuleFile) -> bool {
    census.imports.iter().any(|import| {
        let path = import.path.strip_prefix("self::").unwrap_or(&import.path);
        let first = path.split("::").next();
        import.public && import.scope == declaration.scope && first == Some(&declaration.name)
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Resolved {
    Local(usize),
    External(String),
    /// Something in scope that is no module: `use Kind::*`.
    Item,
}

fn resolve(
    import: &Import,
    here: &str,
    root: &str,
    library: Option<&str>,
    modules: &HashMap<String, usize>,
) -> Resolved {
    let (first, rest) = import.path.split_once("::").unwrap_or((&import.path, ""));
    let absolute = match first {
        "crate" => join(root, rest),
        "self" => join(here, rest),
        "super" => {
            let (mut at, mut rest) = (here, import.path.as_str());
            while let Some(after) = rest.strip_prefix("super") {
                at = at.rsplit_once("::").map_or("", |(above, _)| above);
                rest = after.trim_start_matches("::");
            }
            join(at, rest)
        }
        "" => return external(import.path.trim_start_matches("::"), import.glob),
        _ if library == Some(first) => import.path.clone(),
        // A child of this module; by the rules of 2015, of the root.
        _ if modules.contains_key(&join(here, first)) => join(here, &import.path),
        _ if modules.contains_key(&join(root, first)) => join(root, &import.path),
        _ if first.starts_with(char::is_uppercase) => return Resolved::Item,
        _ => return external(&import.path, import.glob),
    };
    let mut prefix = absolute.as_str();
    loop {
        match (modules.get(prefix), prefix.rsplit_once("::")) {
            (Some(&module), _) => return Resolved::Local(module),
            (None, Some((above, _))) => prefix = above,
            (None, None) => return Resolved::Item,
        }
    }
}

/// The module of another crate. Whether `a::b` names a module or an item of `a` cannot be seen; by far most often
/// a name in lower case right below the crate is a module (`std::fmt`), and deeper is a function (`std::mem::swap`).
fn external(path: &str, glob: bool) -> Resolved {
    let is_module = |leaf: &str| leaf.starts_with(char::is_lowercase);
    let module = match path.rsplit_once("::") {
        Some((above, leaf)) if !glob && (above.contains("::") || !is_module(leaf)) => above,
        _ => path,
    };
    // `std::io::ErrorKind::*` is an enum's variants, of the module `std::io`.
    let end = module.split("::").take_while(|part| !part.starts_with(char::is_uppercase));
    Resolved::External(end.collect::<Vec<_>>().join("::"))
}

fn join(path: &str, rest: &str) -> String {
    match (path, rest) {
        (_, "") => path.to_owned(),
        ("", _) => rest.to_owned(),
        _ => format!("{path}::{rest}"),
    }
}

/// `a/../b` as `b`, without asking the file system.
fn lexically_normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            _ => normal.push(part),
        }
        normal
    })
}
