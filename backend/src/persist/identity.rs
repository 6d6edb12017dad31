//! Identity: what a task function is called across processes, and which code it stands for.

use std::any::TypeId;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use crate::storage::record::FunctionRecord;
use crate::storage::{Digest, FunctionId, Group};
use crate::task_fn::RawTaskFn;

/// The task functions of an engine, as a store knows them.
pub(crate) struct Functions {
    build: Digest,
    /// By the function's index in the engine's registry.
    known: Names,
    owners: Mutex<HashMap<FunctionId, (TypeId, Identified)>>,
}

/// By what a task function's code is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identified {
    ByBuild,
    ByVersion,
}

struct Named {
    id: FunctionId,
    code: Digest,
    task_fn: &'static RawTaskFn,
    /// Another function has the same name, so that their tasks could not be told apart.
    ambiguous: bool,
    announced: AtomicBool,
}

/// Names by index, in layers that double, so that what is there never moves: each probe reads one, and takes no lock.
#[derive(Default)]
struct Names {
    layers: [OnceLock<Box<[OnceLock<Named>]>>; 26],
}

impl Names {
    const FIRST_LAYER: usize = 64;

    /// The layer of an index, the layer's length, and the place in it.
    #[inline]
    fn place(index: u32) -> (usize, usize, usize) {
        let index = index as usize;
        let layer = (index / Self::FIRST_LAYER + 1).ilog2() as usize;
        let length = Self::FIRST_LAYER << layer;
        (layer, length, index - (length - Self::FIRST_LAYER))
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&Named> {
        let (layer, _, at) = Self::place(index);
        self.layers.get(layer)?.get()?.get(at)?.get()
    }

    /// Keeps the first name that an index is given.
    fn insert(&self, index: u32, named: Named) -> Option<&Named> {
        let (layer, length, at) = Self::place(index);
        let layer = self.layers.get(layer)?.get_or_init(|| (0..length).map(|_| OnceLock::new()).collect());
        layer.get(at).map(|place| place.get_or_init(|| named))
    }
}

impl Functions {
    pub(crate) fn new(build: Digest) -> Self {
        Self { build, known: Names::default(), owners: Mutex::default() }
    }

    pub(crate) fn build(&self) -> Digest {
        self.build
    }

    /// The persistent id of a task function, unless it is one that cannot be stored.
    pub(crate) fn id(&self, index: u32, task_fn: &'static RawTaskFn) -> Option<FunctionId> {
        let named = self.known.get(index).or_else(|| self.name(index, task_fn))?;
        (!named.ambiguous).then_some(named.id)
    }

    #[cold]
    fn name(&self, index: u32, task_fn: &'static RawTaskFn) -> Option<&Named> {
        let code = self.code_of(task_fn)?;
        let id = FunctionId::new(task_fn.site.path, code);
        let identified = if task_fn.version.is_some() { Identified::ByVersion } else { Identified::ByBuild };
        let (owner, _) = *self.owners.lock().entry(id).or_insert((task_fn.id, identified));
        let announced = AtomicBool::new(false);
        self.known.insert(index, Named { id, code, task_fn, ambiguous: owner != task_fn.id, announced })
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
        self.known.get(index).is_some_and(|named| named.announced.load(Relaxed))
    }

    /// Names the function in `group`, if no group of this run has named it.
    pub(crate) fn announce(&self, index: u32, group: &mut Group) {
        let Some(named) = self.known.get(index) else { return };
        if !named.announced.load(Relaxed) && !named.announced.swap(true, Relaxed) {
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
