//! The model of the census: values only, no behaviour beyond adding up.
//!
//! Everything here is the output of some task function, so it is comparable (an equal value stops a change from
//! spreading) and serializable (it outlives the process). Collections are sorted when they are built.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::{AddAssign, Deref};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path that is cheap to clone, and can be stored whatever bytes it is made of.
///
/// serde refuses a `PathBuf` that is not UTF-8. A binary format gets the exact path here, and a format for people a
/// readable one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Arc<Path>);

impl FilePath {
    /// The path below `base`, for people.
    pub fn below(&self, base: &Path) -> String {
        match self.0.strip_prefix(base) {
            Ok(rest) if rest.as_os_str().is_empty() => ".".to_owned(),
            Ok(rest) => rest.to_string_lossy().into_owned(),
            Err(_) => self.0.to_string_lossy().into_owned(),
        }
    }
}

impl From<PathBuf> for FilePath {
    fn from(path: PathBuf) -> Self {
        FilePath(path.into())
    }
}

impl From<&Path> for FilePath {
    fn from(path: &Path) -> Self {
        FilePath(path.into())
    }
}

impl Deref for FilePath {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&self.0.to_string_lossy())
        } else {
            self.0.as_os_str().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer).map(|path| PathBuf::from(path).into())
        } else {
            OsString::deserialize(deserializer).map(|path| PathBuf::from(path).into())
        }
    }
}

/// How many lines hold code, only a comment, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub code: u64,
    pub comment: u64,
    pub blank: u64,
}

impl Lines {
    pub fn total(self) -> u64 {
        self.code + self.comment + self.blank
    }
}

impl AddAssign for Lines {
    fn add_assign(&mut self, other: Self) {
        self.code += other.code;
        self.comment += other.comment;
        self.blank += other.blank;
    }
}

/// The kinds of items that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    Function,
    Method,
    Struct,
    Enum,
    Union,
    Trait,
    Impl,
    Type,
    Const,
    Static,
    Module,
    Use,
    ExternBlock,
    MacroDefinition,
    MacroCall,
    Field,
    Variant,
}

impl ItemKind {
    /// Returns the text in the report.
    pub fn label(self) -> &'static str {
        match self {
            ItemKind::Function => "fn",
            ItemKind::Method => "method",
            ItemKind::Struct => "struct",
            ItemKind::Enum => "enum",
            ItemKind::Union => "union",
            ItemKind::Trait => "trait",
            ItemKind::Impl => "impl",
            ItemKind::Type => "type",
            ItemKind::Const => "const",
            ItemKind::Static => "static",
            ItemKind::Module => "mod",
            ItemKind::Use => "use",
            ItemKind::ExternBlock => "extern",
            ItemKind::MacroDefinition => "macro",
            ItemKind::MacroCall => "macro call",
            ItemKind::Field => "field",
            ItemKind::Variant => "variant",
        }
    }
}

pub type ItemCounts = BTreeMap<ItemKind, u64>;

/// Where the keyword `unsafe` opens something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsafeKind {
    Block,
    Function,
    Impl,
    Trait,
    Extern,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnsafeUse {
    pub line: u32,
    pub kind: UnsafeKind,
}

/// How often each kind of `unsafe` occurs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsafeCounts {
    pub blocks: u64,
    pub functions: u64,
    pub impls: u64,
    pub traits: u64,
    pub externs: u64,
}

impl UnsafeCounts {
    pub fn total(self) -> u64 {
        self.blocks + self.functions + self.impls + self.traits + self.externs
    }

    pub fn count(&mut self, kind: UnsafeKind) {
        *match kind {
            UnsafeKind::Block => &mut self.blocks,
            UnsafeKind::Function => &mut self.functions,
            UnsafeKind::Impl => &mut self.impls,
            UnsafeKind::Trait => &mut self.traits,
            UnsafeKind::Extern => &mut self.externs,
        } += 1;
    }
}

impl AddAssign for UnsafeCounts {
    fn add_assign(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.functions += other.functions;
        self.impls += other.impls;
        self.traits += other.traits;
        self.externs += other.externs;
    }
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Qualified within its file: `inner::Type::method`.
    pub name: String,
    pub line: u32,
    pub lines: u32,
}

/// A public item that carries no documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undocumented {
    pub name: String,
    pub kind: ItemKind,
    pub line: u32,
}

/// One leaf of a `use` tree, as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Import {
    /// The inline modules of the file around it: `a::b`, or nothing.
    pub scope: String,
    /// The path up to the leaf; of a glob, the path that is globbed.
    pub path: String,
    pub glob: bool,
    /// `pub use`
    pub public: bool,
}

/// `mod name;`: a child module in another file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFile {
    /// The inline modules of the file around it: `a::b`, or nothing.
    pub scope: String,
    pub name: String,
    /// The value of a `#[path]` attribute.
    pub path: Option<String>,
    pub line: u32,
    pub reach: Reach,
    /// It has documentation here; its file may hold some as well.
    pub documented: bool,
}

/// The visibility of a module, as far as its declaration tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    Public,
    /// A `pub use` of its parent may still open it.
    Private,
    /// A test, or hidden: no part of the API.
    Closed,
}

/// One source file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCensus {
    pub bytes: u64,
    pub lines: Lines,
    pub items: ItemCounts,
    pub functions: Vec<Function>,
    pub unsafe_uses: Vec<UnsafeUse>,
    pub undocumented: Vec<Undocumented>,
    pub imports: Vec<Import>,
    pub modules: Vec<ModuleFile>,
    /// Modules written within the file, qualified.
    pub inline_modules: Vec<String>,
    /// The file opens with `//!`.
    pub documented: bool,
    /// It could be read but not parsed: only its lines are known.
    pub broken: bool,
}

/// The statements of a manifest about the package beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    /// `[lib] path`, where it is given.
    pub library: Option<String>,
    /// `path` of the other targets.
    pub targets: Vec<String>,
}

/// A module of a crate and the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// `crate_name::a::b`; the root of another target is named by its file.
    pub path: String,
    pub file: FilePath,
}

/// Which module imports from which, by position in `modules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleGraph {
    pub modules: Vec<Module>,
    pub edges: Vec<(u32, u32)>,
    /// Files that no `mod` leads to.
    pub orphans: Vec<FilePath>,
}

/// A finding and the file that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located<T> {
    pub file: FilePath,
    pub what: T,
}

/// The sums of one crate, or of the whole report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub crates: u64,
    pub files: u64,
    pub broken_files: u64,
    pub bytes: u64,
    pub lines: Lines,
    pub items: ItemCounts,
    pub functions: u64,
    pub unsafe_uses: UnsafeCounts,
    pub undocumented: u64,
    pub modules: u64,
    pub module_edges: u64,
}

impl AddAssign<&Totals> for Totals {
    fn add_assign(&mut self, other: &Totals) {
        self.crates += other.crates;
        self.files += other.files;
        self.broken_files += other.broken_files;
        self.bytes += other.bytes;
        self.lines += other.lines;
        for (&kind, count) in &other.items {
            *self.items.entry(kind).or_default() += count;
        }
        self.functions += other.functions;
        self.unsafe_uses += other.unsafe_uses;
        self.undocumented += other.undocumented;
        self.modules += other.modules;
        self.module_edges += other.module_edges;
    }
}

/// One crate, or the files of a directory that belong to none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrateCensus {
    pub name: String,
    pub dir: FilePath,
    pub totals: Totals,
    pub graph: ModuleGraph,
    /// The largest first.
    pub largest: Vec<Located<Function>>,
    pub undocumented: Vec<Located<Undocumented>>,
    /// How many files import from each module.
    pub imported: BTreeMap<String, u64>,
}

/// Which crate it is: the arguments of the task that counts it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CrateOf {
    Directory(FilePath),
    Files(FilePath, Vec<FilePath>),
}

impl CrateOf {
    pub fn dir(&self) -> &FilePath {
        match self {
            CrateOf::Directory(dir) | CrateOf::Files(dir, _) => dir,
        }
    }
}

/// Some crates together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crates {
    pub totals: Totals,
    /// By directory.
    pub crates: Vec<CrateOf>,
    /// The largest first.
    pub largest: Vec<Located<Function>>,
    /// How many files import from each module.
    pub imported: BTreeMap<String, u64>,
}

/// All crates together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    pub totals: Totals,
    /// By directory.
    pub crates: Vec<CrateOf>,
    /// The largest first.
    pub largest: Vec<Located<Function>>,
    /// The most imported first, with the number of files that import from it.
    pub imported: Vec<(String, u64)>,
}

/// The whole census.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub totals: Totals,
    /// By directory. Shared with the tasks that they come from.
    pub crates: Vec<Arc<CrateCensus>>,
    /// The largest first.
    pub largest: Vec<Located<Function>>,
    /// The most imported first, with the number of files that import from it.
    pub imported: Vec<(String, u64)>,
}

/// Something that the census has to say beside its result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnostic {
    pub file: FilePath,
    /// Counted from 1; nothing where the trouble is with the file as a whole.
    pub line: Option<u32>,
    pub problem: Problem,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    Unreadable,
    NotUtf8,
    DoesNotParse,
    TooDeep,
    TooLarge,
}

impl Problem {
    pub fn label(self) -> &'static str {
        match self {
            Problem::Unreadable => "cannot be read",
            Problem::NotUtf8 => "is not UTF-8",
            Problem::DoesNotParse => "does not parse",
            Problem::TooDeep => "is nested too deeply",
            Problem::TooLarge => "is too large to parse",
        }
    }
}
