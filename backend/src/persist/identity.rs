//! Identity: what a task function is called across processes, and which code it stands for.

use std::any::TypeId;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;

use parking_lot::{Mutex, RwLock};
use xxhash_rust::xxh3::Xxh3;

use crate::storage::record::FunctionRecord;
use crate::storage::{Digest, FunctionId, Group};
use crate::task_fn::RawTaskFn;

/// The task functions of an engine, as a store knows them.
pub(crate) struct Functions {
    build: Digest,
    /// By the function's index in the engine's registry.
    known: RwLock<Vec<Option<Named>>>,
    owners: Mutex<HashMap<FunctionId, (TypeId, Identified)>>,
}

/// By what a task function's code is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identified {
    ByBuild,
    ByVersion,
}

#[derive(Clone, Copy)]
struct Named {
    id: FunctionId,
    code: Digest,
    task_fn: &'static RawTaskFn,
    /// Another function has the same name, so that their tasks could not be told apart.
    ambiguous: bool,
    announced: bool,
}

impl Functions {
    pub(crate) fn new(build: Digest) -> Self {
        Self { build, known: RwLock::default(), owners: Mutex::default() }
    }

    pub(crate) fn build(&self) -> Digest {
        self.build
    }

    /// The persistent id of a task function, unless it is one that cannot be stored.
    pub(crate) fn id(&self, index: u32, task_fn: &'static RawTaskFn) -> Option<FunctionId> {
        let known = self.known.read().get(index as usize).copied().flatten();
        let named = known.or_else(|| self.name(index, task_fn))?;
        (!named.ambiguous).then_some(named.id)
    }

    #[cold]
    fn name(&self, index: u32, task_fn: &'static RawTaskFn) -> Option<Named> {
        let code = self.code_of(task_fn)?;
        let id = FunctionId::new(task_fn.site.path, code);
        let identified = if task_fn.version.is_some() { Identified::ByVersion } else { Identified::ByBuild };
        let (owner, _) = *self.owners.lock().entry(id).or_insert((task_fn.id, identified));
        let named = Named { id, code, task_fn, ambiguous: owner != task_fn.id, announced: false };
        let mut known = self.known.write();
        let needed = (index as usize + 1).max(known.len());
        known.resize(needed, None);
        Some(*known[index as usize].get_or_insert(named))
    }

    /// The code identity: the build or the declared version; and the names of the function with its type arguments, of its
    /// arguments and of its output, so that a change in them is another function whatever the version says.
    fn code_of(&self, task_fn: &RawTaskFn) -> Option<Digest> {
        let (key, output) = (task_fn.stored?.type_names)();
        let mut text = match task_fn.version {
            Some(version) => format!("version {version}"),
            None => format!("build {}", self.build),
        };
        for part in [task_fn.full_name.map_or("", |name| name()), key, output] {
            text.push('\0');
            text.push_str(part);
        }
        Some(Digest::of(text.as_bytes()))
    }

    /// By what the code of a function is identified, if this process has met it.
    pub(crate) fn met(&self, function: FunctionId) -> Option<Identified> {
        self.owners.lock().get(&function).map(|(_, identified)| *identified)
    }

    /// Whether a group of this run has named the function.
    pub(crate) fn is_announced(&self, index: u32) -> bool {
        self.known.read().get(index as usize).copied().flatten().is_some_and(|named| named.announced)
    }

    /// Names the function in `group`, if no group of this run has named it.
    pub(crate) fn announce(&self, index: u32, group: &mut Group) {
        if self.is_announced(index) {
            return;
        }
        if let Some(Some(named)) = self.known.write().get_mut(index as usize) {
            named.announced = true;
            group.function(&FunctionRecord { path: named.task_fn.site.path, code: named.code });
        }
    }
}

/// The digest of the running program: what task functions without a declared version are identified by.
///
/// # Errors
/// If the program's file cannot be read.
pub(crate) fn build_identity() -> io::Result<Digest> {
    static BUILD: OnceLock<Digest> = OnceLock::new();
    if let Some(build) = BUILD.get() {
        return Ok(*build);
    }
    let build = digest_of(running_program()?)?;
    Ok(*BUILD.get_or_init(|| build))
}

/// The file that this process was started from, even if another one has taken its place since.
fn running_program() -> io::Result<File> {
    if cfg!(target_os = "linux")
        && let Ok(file) = File::open("/proc/self/exe")
    {
        return Ok(file);
    }
    File::open(std::env::current_exe()?)
}

fn digest_of(mut file: File) -> io::Result<Digest> {
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest(hasher.digest128())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
