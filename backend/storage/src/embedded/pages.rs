//! The file as redb sees it: every page is checked when it comes from the file.
//!
//! redb reads without verifying a checksum. A page that is not what was written there last (a flipped bit, a page of another
//! place, an older version of the page after a lost write) would be believed, or make redb panic. [`Pages`] stands between redb
//! and the file, and knows of each page what it must be *before* redb can ask for it:
//!
//! ```text
//! header      the roots of the last commit, with their checksums; the header's own checksum covers them
//! page        is read: its checksum must be the one that stood beside the pointer to it;
//!             then the pointers in it are noted, with their checksums                                   (`merkle`)
//! own page    was written by this process: the hash of what was written is noted
//! ```
//! A page is reached through a pointer only, so the page with the pointer was read or written before. A page that does not agree is an
//! error of the file (`InvalidData`), and redb never sees it. The only state that an old page can bring back is that of a whole
//! older commit, by an older header; that is a state in which the store once was, like after a crash.
//!
//! # After a crash
//! redb's commits are one-phase: the header may say that a commit is the last one whose pages have not all been written. So
//! unless the header says that the last commit was written in two phases (every clean end is), the tree of the most recent commit
//! is walked and checked as a whole, and if it does not hold, that of the one before; redb is then given a header that takes the
//! one that holds. This costs one reading of the file, beside the three that redb itself makes then.
//!
//! # Cost
//! A hash of each page that is read from the file (about 0.4 us of 4 KiB) or written to it, and 9 bytes of memory per 4 KiB of file.
//!
//! # Which part may touch what
//! `sums` is locked for the look at one page at a time; it is taken last, after whatever redb holds.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use redb::{BackendError, StorageBackend};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::contain::Trouble;
use super::merkle::{self, HEADER, Header, PAGE, Pointer, Slot, Tree};
use super::place::StoreFile;

/// Checks the pages of a file.
pub(super) struct Pages {
    file: Arc<StoreFile>,
    header: Header,
    /// The commit that is taken.
    commit: Slot,
    sums: RwLock<Sums>,
    /// Of a file that is not to be written: what is written to it, in memory.
    question: Option<Mutex<Aside>>,
    found: OnceLock<Box<str>>,
}

struct Aside {
    length: u64,
    written: FxHashMap<u64, Box<[u8]>>,
}

/// The knowledge about the pages, by their number in the file.
struct Sums {
    sums: Vec<u64>,
    /// Nothing is known; the hash of the whole page as written; or the checksum of a page of the tree `kind - TREES`.
    kinds: Vec<u8>,
    trees: Vec<Tree>,
}

const UNKNOWN: u8 = 0;
const OWN: u8 = 1;
const TREES: u8 = 2;

impl Pages {
    /// Looks at the header of a file that begins as one of redb's, and at the whole tree of its last commit when `whole` says.
    pub(super) fn open(file: Arc<StoreFile>, whole: Whole) -> Result<Self, Trouble> {
        let length = file.length().map_err(Trouble::failed)?;
        let mut bytes = [0; HEADER];
        if length >= PAGE {
            file.read(0, &mut bytes).map_err(Trouble::failed)?;
        }
        let header = Header::read(bytes).ok_or_else(|| Trouble::damaged("the header cannot be read"))?;
        let question =
            (!file.is_writable()).then(|| Mutex::new(Aside { length, written: FxHashMap::default() }));
        let sums = RwLock::new(Sums::of(length));
        let nothing = Slot { transaction: 0, user: None, system: None };
        let mut pages = Self { file, header, commit: nothing, sums, question, found: OnceLock::new() };
        pages.commit = pages.settle(whole)?;
        Ok(pages)
    }

    /// Decides for a commit, and notes its roots.
    fn settle(&self, whole: Whole) -> Result<Slot, Trouble> {
        let commits = self.header.commits();
        let Some(first) = commits.first() else {
            return Err(Trouble::damaged("no commit of the file is sound"));
        };
        if self.header.is_two_phase() && whole == Whole::AfterCrash {
            self.begin(first.1);
            return Ok(first.1);
        }
        let candidates = commits.iter().enumerate();
        for (place, (number, slot)) in candidates {
            if self.walk(*slot)? {
                if place > 0 {
                    self.write(0, &self.header.taking(*number)).map_err(Trouble::failed)?;
                }
                return Ok(*slot);
            }
        }
        Err(Trouble::damaged("no commit of the file is whole"))
    }

    /// Notes the roots of a commit.
    fn begin(&self, slot: Slot) {
        let mut sums = self.sums.write();
        sums.kinds = vec![UNKNOWN; sums.kinds.len()];
        for root in [slot.user, slot.system].into_iter().flatten() {
            sums.note(&self.header, root, Tree::TABLES);
        }
    }

    /// Checks all pages of a commit.
    fn walk(&self, slot: Slot) -> Result<bool, Trouble> {
        self.begin(slot);
        let roots = [slot.user, slot.system].into_iter().flatten();
        let mut waiting: Vec<(Pointer, Tree)> = roots.map(|root| (root, Tree::TABLES)).collect();
        let mut page = Vec::new();
        let length = self.length().map_err(Trouble::failed)?;
        let mut bytes = 0;
        while let Some((pointer, tree)) = waiting.pop() {
            let place = self.header.place(pointer);
            let Some((offset, size)) = place.filter(|(offset, size)| offset + size <= length) else {
                return Ok(false);
            };
            bytes += size;
            page.resize(size as usize, 0);
            self.file.read(offset, &mut page).map_err(Trouble::failed)?;
            // No page has two pointers to it.
            if bytes > length || merkle::sum_of(&page, tree) != Some(pointer.sum) {
                return Ok(false);
            }
            merkle::pointers(&page, tree, |pointer, tree| waiting.push((pointer, tree)));
            self.note_pointers(&page, tree);
        }
        Ok(true)
    }

    /// Whether the tables of the commit are those of a store: at least one is, or there is none at all. `None` if they cannot
    /// be read.
    pub(super) fn holds_a_store(&self) -> Option<bool> {
        let Some(mut root) = self.commit.user else { return Some(true) };
        let mut page = Vec::new();
        // Down to the first leaf: the names of all our tables begin alike, and there are few.
        for _ in 0..16 {
            let (offset, size) = self.header.place(root)?;
            page.resize(usize::try_from(size).ok().filter(|size| *size <= 1 << 24)?, 0);
            self.file.read(offset, &mut page).ok()?;
            if merkle::sum_of(&page, Tree::TABLES) != Some(root.sum) {
                return None;
            }
            let mut names = merkle::definitions(&page).peekable();
            if names.peek().is_some() {
                return Some(names.any(|(name, _)| name.starts_with(b"larder.")));
            }
            let mut first = None;
            merkle::pointers(&page, Tree::TABLES, |pointer, _| first = first.or(Some(pointer)));
            root = first?;
        }
        None
    }

    /// The first page that was not what it must be, if there was one.
    pub(super) fn damage(&self) -> Option<&str> {
        self.found.get().map(|found| &**found)
    }

    fn length(&self) -> io::Result<u64> {
        match &self.question {
            Some(question) => Ok(question.lock().length),
            None => self.file.length(),
        }
    }

    fn check(&self, offset: u64, page: &[u8]) -> io::Result<()> {
        let (sum, kind, tree) = self.sums.read().get(offset);
        let holds = match (kind, tree) {
            (OWN, _) => xxh3_64(page) == sum,
            (_, Some(tree)) => merkle::sum_of(page, tree) == Some(sum),
            _ => false,
        };
        if !holds {
            let is =
                if kind == UNKNOWN { "belongs to no table" } else { "is not what was written there last" };
            let reason = format!("the page at byte {offset} {is}");
            let error = io::Error::new(io::ErrorKind::InvalidData, reason.clone());
            let _ = self.found.set(reason.into());
            return Err(error);
        }
        if let Some(tree) = tree {
            self.note_pointers(page, tree);
        }
        Ok(())
    }

    fn note_pointers(&self, page: &[u8], tree: Tree) {
        if merkle::has_pointers(page, tree) {
            let mut sums = self.sums.write();
            merkle::pointers(page, tree, |pointer, tree| sums.note(&self.header, pointer, tree));
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if let Some(question) = &self.question
            && let Some(written) = question.lock().written.get(&offset)
            && let Some(written) = written.get(..out.len())
        {
            out.copy_from_slice(written);
            return Ok(());
        }
        self.file.read(offset, out)?;
        // The header has checksums of its own, and redb looks at these.
        if offset < PAGE { Ok(()) } else { self.check(offset, out) }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &self.question {
            Some(question) => drop(question.lock().written.insert(offset, data.into())),
            None => self.file.write(offset, data)?,
        }
        if offset >= PAGE && self.question.is_none() {
            self.sums.write().own(offset, xxh3_64(data));
        }
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        match &self.question {
            Some(question) => question.lock().length = length,
            None => self.file.set_length(length)?,
        }
        self.sums.write().resize(length);
        Ok(())
    }
}

/// When all pages are looked at before redb sees the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// If the last commit may be incomplete.
    AfterCrash,
    /// Always: the file is a copy, which may have been made in the middle of a commit.
    Always,
}

impl Sums {
    /// Nothing is known of a file of this length. Memory that is not used is not touched.
    fn of(length: u64) -> Self {
        let pages = usize::try_from(length.div_ceil(PAGE)).unwrap_or(usize::MAX >> 5);
        Self { sums: vec![0; pages], kinds: vec![UNKNOWN; pages], trees: Vec::new() }
    }

    fn resize(&mut self, length: u64) {
        let pages = usize::try_from(length.div_ceil(PAGE)).unwrap_or(usize::MAX >> 5);
        self.sums.resize(pages, 0);
        self.kinds.resize(pages, UNKNOWN);
    }

    /// Notes what a page must be.
    fn note(&mut self, header: &Header, pointer: Pointer, tree: Tree) {
        let Some((offset, _)) = header.place(pointer) else { return };
        let page = usize::try_from(offset / PAGE).unwrap_or(usize::MAX);
        // A page that this process has written is known better: a page above it may name it by a checksum that is still to be made.
        if self.kinds.get(page).is_none_or(|kind| *kind == OWN) {
            return;
        }
        let known = self.trees.iter().position(|known| *known == tree);
        let number = known.unwrap_or_else(|| {
            self.trees.push(tree);
            self.trees.len() - 1
        });
        let Some(kind) = u8::try_from(number).ok().and_then(|number| number.checked_add(TREES)) else {
            return;
        };
        (self.sums[page], self.kinds[page]) = (pointer.sum, kind);
    }

    fn own(&mut self, offset: u64, hash: u64) {
        let page = usize::try_from(offset / PAGE).unwrap_or(usize::MAX);
        if page < self.kinds.len() {
            (self.sums[page], self.kinds[page]) = (hash, OWN);
        }
    }

    fn get(&self, offset: u64) -> (u64, u8, Option<Tree>) {
        let page = usize::try_from(offset / PAGE).unwrap_or(usize::MAX);
        match (self.sums.get(page), self.kinds.get(page)) {
            (Some(sum), Some(kind)) => {
                let tree = kind.checked_sub(TREES).and_then(|tree| self.trees.get(usize::from(tree)));
                (*sum, *kind, tree.copied())
            }
            _ => (0, UNKNOWN, None),
        }
    }
}

/// The file that redb is given.
pub(super) struct Handed(pub(super) Arc<Pages>);

impl StorageBackend for Handed {
    fn len(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.question.is_some() { Ok(()) } else { self.0.file.sync() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    // The file was locked before redb was given it, and stays locked when redb closes it.

    fn try_lock_range(&self, _: Edge, _: Edge) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Edge, _: Edge) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Edge, _: Edge) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Edge, _: Edge) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Edge, _: Edge) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Edge, _: Edge) -> Result<bool, BackendError> {
        Ok(false)
    }
}

type Edge = std::ops::Bound<u64>;

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("file", &self.0.file.path()).finish_non_exhaustive()
    }
}
