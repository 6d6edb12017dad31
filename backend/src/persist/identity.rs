//! Identity: what a task function is called across processes, and which code it stands for.
//!
//! Two functions must never have one name, in no two processes, or one would be given the results of the other. The parts that tell
//! them apart are in [`code`]; which file their code comes from, in [`objects`].

mod code;
mod names;
mod objects;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use self::code::Code;
use self::names::Names;
pub(crate) use self::objects::build_identity;
use crate::graph::reason::Reason;
use crate::graph::task_fn::{RawTaskFn, Sharing};
use larder_storage::record::{FunctionRecord, lossy_key};
use larder_storage::{Digest, FunctionId, Group, Guarded, Table, Visit};

/// The identity of the code of functions without a declared version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Build {
    /// The digest of the program's file. Libraries that were loaded beside it count, too.
    OfProgram(Digest),
    /// The identity that the program gives. It stands for all code.
    Given(Digest),
}

impl Build {
    pub(crate) fn digest(self) -> Digest {
        let (Self::OfProgram(digest) | Self::Given(digest)) = self;
        digest
    }
}

/// The task functions of an engine, as a store knows them.
pub(crate) struct Functions {
    build: Build,
    store: Arc<Guarded>,
    /// By the function's index in the engine's registry.
    known: Names,
    owners: Mutex<HashMap<FunctionId, Owner>>,
    /// Those that the program has from its start, by id.
    registered: OnceLock<HashMap<FunctionId, Owner>>,
    /// Whether the code of some function is in a library that was loaded beside the program.
    has_libraries: AtomicBool,
    /// See [`Functions::is_of_the_build`].
    of_the_build: Mutex<HashMap<u32, bool>>,
}

/// The task function of an id.
#[derive(Clone, Copy)]
struct Owner {
    task_fn: &'static RawTaskFn,
    by: Identified,
    /// Another function has the same id.
    ambiguous: bool,
}

impl Owner {
    fn new(task_fn: &'static RawTaskFn) -> Self {
        let by = if task_fn.version.is_some() { Identified::ByVersion } else { Identified::ByBuild };
        Self { task_fn, by, ambiguous: false }
    }
}

/// By what a task function's code is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identified {
    ByBuild,
    ByVersion,
}

/// Other code of a function, whose results are in the store.
pub(crate) struct OtherCode {
    pub(crate) id: FunctionId,
    pub(crate) code: Digest,
}

/// A task function as a store knows it.
struct Named {
    id: FunctionId,
    code: Code,
    task_fn: &'static RawTaskFn,
    refused: Refused,
    announced: AtomicBool,
    /// So many runs of it were stored, and so many results restored; an estimate where several threads count at once.
    stored: AtomicU32,
    restored: AtomicU32,
}

/// Why a function is not stored, if there is a reason that concerns all of its tasks.
#[derive(Default)]
struct Refused(AtomicU32);

impl Refused {
    const REASONS: [Reason; 3] = [Reason::AmbiguousKey, Reason::UnknownCode, Reason::NoRoundTrip];

    fn because(reason: Option<Reason>) -> Self {
        let refused = Self::default();
        if let Some(reason) = reason {
            refused.set(reason);
        }
        refused
    }

    /// Returns whether there was none.
    fn set(&self, reason: Reason) -> bool {
        let at = Self::REASONS.iter().position(|other| *other == reason).map_or(0, |at| at + 1);
        self.0.compare_exchange(0, at as u32, Relaxed, Relaxed).is_ok()
    }

    #[inline]
    fn is_none(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    fn reason(&self) -> Option<Reason> {
        Self::REASONS.get((self.0.load(Relaxed) as usize).checked_sub(1)?).copied()
    }
}

impl Functions {
    pub(crate) fn new(build: Build, store: Arc<Guarded>) -> Self {
        let (known, owners, registered) = (Names::default(), Mutex::default(), OnceLock::new());
        Self {
            build,
            store,
            known,
            owners,
            registered,
            has_libraries: AtomicBool::new(false),
            of_the_build: Mutex::default(),
        }
    }

    pub(crate) fn code(&self) -> Build {
        self.build
    }

    pub(crate) fn build(&self) -> Digest {
        self.build.digest()
    }

    /// Whether the types of emitted values are told apart by the compiler's identity, and not only by their name.
    pub(crate) fn knows_types(&self) -> bool {
        matches!(self.build, Build::OfProgram(_))
    }

    /// The persistent id of a task function, unless it is one that cannot be stored.
    pub(crate) fn id(&self, index: u32, task_fn: &'static RawTaskFn) -> Option<FunctionId> {
        let named = self.known.get(index).or_else(|| self.name(index, task_fn))?;
        named.refused.is_none().then_some(named.id)
    }

    #[cold]
    fn name(&self, index: u32, task_fn: &'static RawTaskFn) -> Option<&Named> {
        let code = Code::of(task_fn, self.build)?;
        let id = FunctionId::new(task_fn.site.path, code.digest);
        let is_another = {
            let mut owners = self.owners.lock();
            let owner = owners.entry(id).or_insert_with(|| Owner::new(task_fn));
            let is_another = !owner.task_fn.is(task_fn);
            owner.ambiguous |= is_another;
            is_another
        };
        let refused = if is_another {
            Some(Reason::AmbiguousKey)
        } else if !code.is_known {
            Some(Reason::UnknownCode)
        } else {
            self.was_refused(id).then_some(Reason::NoRoundTrip)
        };
        if !code.libraries.is_empty() {
            self.has_libraries.store(true, Relaxed);
        }
        self.known.insert(
            index,
            Named {
                id,
                code,
                task_fn,
                refused: Refused::because(refused),
                announced: AtomicBool::new(false),
                stored: AtomicU32::new(0),
                restored: AtomicU32::new(0),
            },
        )
    }

    /// Whether a process before this one has found that what the function stores does not come back.
    fn was_refused(&self, id: FunctionId) -> bool {
        self.store.get(Table::Meta, &lossy_key(id), &mut Vec::new()).is_some()
    }

    /// Why no task of the function is stored.
    pub(crate) fn refusal(&self, index: u32) -> Option<Reason> {
        self.known.get(index)?.refused.reason()
    }

    /// From now on nothing of the function is stored or restored: what it stores does not come back. Says so in `group`, for
    /// later processes. Returns whether this is new.
    pub(crate) fn refuse(&self, index: u32, group: &mut Group) -> bool {
        let Some(named) = self.known.get(index) else { return false };
        let is_new = named.refused.set(Reason::NoRoundTrip);
        if is_new {
            group.lossy_function(&named.record());
        }
        is_new
    }

    /// Counts a run that is about to be stored. Returns whether this one is to be checked.
    #[inline]
    pub(crate) fn is_store_due(&self, index: u32) -> bool {
        self.known.get(index).is_some_and(|named| is_due(&named.stored))
    }

    /// Counts a result that is about to be restored. Returns whether this one is to be checked.
    #[inline]
    pub(crate) fn is_restore_due(&self, index: u32) -> bool {
        self.known.get(index).is_some_and(|named| is_due(&named.restored))
    }

    /// Whether this process has named a function of a library that was loaded beside the program.
    #[inline]
    pub(crate) fn has_libraries(&self) -> bool {
        self.has_libraries.load(Relaxed)
    }

    /// Whether the identity of a reader stands for the code of what it reads: no result may outlive a library that was loaded
    /// beside the program and that its own name says nothing of.
    pub(crate) fn covers(&self, reader: u32, read: u32) -> bool {
        let libraries = |index| self.known.get(index).map_or(&[][..], |named| &named.code.libraries);
        let own = libraries(reader);
        libraries(read).iter().all(|library| own.contains(library))
    }

    /// Whether the identity of functions without a declared version stands for the code of a transient function, too: it is not in a
    /// library that was loaded beside the program.
    pub(crate) fn is_of_the_build(&self, index: u32, task_fn: &'static RawTaskFn) -> bool {
        if let Build::Given(_) = self.build {
            return true;
        }
        let known = self.of_the_build.lock().get(&index).copied();
        known.unwrap_or_else(|| {
            let is_of_it = objects::libraries_of(task_fn).is_ok_and(|libraries| libraries.is_empty());
            self.of_the_build.lock().insert(index, is_of_it);
            is_of_it
        })
    }

    /// By what the code of a function is identified, if this process knows it.
    pub(crate) fn met(&self, function: FunctionId) -> Option<Identified> {
        self.owner(function).map(|owner| owner.by)
    }

    /// The task function of an id, if this process has met it or has it from its start, and only one has this id.
    pub(crate) fn find(&self, function: FunctionId) -> Option<&'static RawTaskFn> {
        self.owner(function).filter(|owner| !owner.ambiguous).map(|owner| owner.task_fn)
    }

    fn owner(&self, function: FunctionId) -> Option<Owner> {
        let met = self.owners.lock().get(&function).copied();
        let registered = || self.registered.get_or_init(|| self.all_registered()).get(&function).copied();
        // One that was met is the only one unless two have registered themselves.
        match (met, registered()) {
            (Some(met), Some(registered)) => {
                let ambiguous = met.ambiguous || registered.ambiguous || !met.task_fn.is(registered.task_fn);
                Some(Owner { ambiguous, ..met })
            }
            (met, registered) => met.or(registered),
        }
    }

    #[cold]
    fn all_registered(&self) -> HashMap<FunctionId, Owner> {
        let mut owners = HashMap::new();
        for Registered(task_fn) in inventory::iter::<Registered> {
            let task_fn = task_fn();
            let Some(code) = Code::of(task_fn, self.build).filter(|code| code.is_known) else { continue };
            let id = FunctionId::new(task_fn.site.path, code.digest);
            let owner = owners.entry(id).or_insert_with(|| Owner::new(task_fn));
            owner.ambiguous |= !owner.task_fn.is(task_fn);
        }
        owners
    }

    /// Returns the other code that the store knows under the path of a function.
    #[cold]
    pub(crate) fn others_of(&self, index: u32) -> Vec<OtherCode> {
        let Some(named) = self.known.get(index) else { return Vec::new() };
        let mut others = Vec::new();
        let scanned = self.store.scan(Table::Functions, &[], |_, payload| {
            if let Ok(record) = FunctionRecord::decode(payload)
                && record.path == named.task_fn.site.path
                && record.code != named.code.digest
            {
                others.push(OtherCode { id: record.id(), code: record.code });
            }
            Visit::Continue
        });
        // A store that fails knows of none.
        if scanned.is_err() { Vec::new() } else { others }
    }

    /// Names the function in `group`, if no group of this run has named it.
    pub(crate) fn announce(&self, index: u32, group: &mut Group) {
        let Some(named) = self.known.get(index) else { return };
        if !named.announced.load(Relaxed) && !named.announced.swap(true, Relaxed) {
            match named.task_fn.sharing {
                Sharing::Builds => group.shared_function(&named.record()),
                Sharing::Local => group.local_function(&named.record()),
                Sharing::Build => group.function(&named.record()),
            }
            if named.task_fn.last_good {
                group.good_function(&named.record());
            }
        }
    }
}

impl Named {
    fn record(&self) -> FunctionRecord<'static> {
        FunctionRecord { path: self.task_fn.site.path, code: self.code.digest }
    }
}

/// Counts one more. Due are the first, then ever fewer, and from there on one in 1,024, so that the checks cost a function that
/// stores much next to nothing.
#[inline]
fn is_due(count: &AtomicU32) -> bool {
    // No read-modify-write: a count that is lost makes a check more or less.
    let now = count.load(Relaxed).wrapping_add(1);
    count.store(now, Relaxed);
    now.is_power_of_two() || now.is_multiple_of(1024)
}

/// A task function that is known from the start of the program, by what gets its descriptor.
pub struct Registered(pub(crate) fn() -> &'static RawTaskFn);

impl Registered {
    /// Names a function by what gets its descriptor.
    pub const fn new(task_fn: fn() -> &'static RawTaskFn) -> Self {
        Self(task_fn)
    }
}

inventory::collect!(Registered);
