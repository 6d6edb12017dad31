//! Sweep: what removed tasks and leaves leave behind in table `Dependents`.
//!
//! A target that is dropped keeps its list of dependents as long as one of them is stored: what read it must still be found from what
//! it read. And a dependent that is dropped stays in the lists of what it read, since to take it out of each would rewrite these. So
//! the writer's thread notes what goes, and looks at it after the batch, in slices:
//! ```text
//!   a target is gone     its list is read; are all dependents gone, with lists of their own?   no: it stays, and is known to be gone
//!                        yes: the list is deleted, and each read of the target has one dependent less
//!   a read has so many   half of its list: those that are gone are taken out. If it is gone itself, and none are left, it goes in
//!   dependents less      turn
//! ```
//! A target that will never be there again (a deadline that has passed) has no use for its list, whatever is stored of its dependents; and
//! the traces that these have stored on it do not hold again (`record/merge/expired.rs`).
//!
//! For example: `a` reads `b` reads the input `i`; all three are removed. `a` has no dependents, so its list goes; `b` has one less,
//! which is all of them, so its list goes, and then that of `i`.
//!
//! Notes are in memory only, and bounded. A list that stays for nothing (after a crash, or beyond the bound) costs its bytes,
//! and a few marks in vain.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::record::{
    Swept, dependents_count, drop_expired, is_target_stored, read_dependents, sweep_dependents,
};
use crate::{Batch, Digest, Guarded, ReadFailure, Table, TaskKey};

/// How many targets a slice looks at.
const TARGETS: usize = 512;
/// The most that is noted.
const MOST: usize = 1 << 18;

#[derive(Default)]
pub(crate) struct Sweeper {
    /// Targets that have gone, each with what it read, to be looked at.
    gone: VecDeque<(Digest, Box<[Digest]>)>,
    /// Targets that will never be there again, whose lists go in any case.
    ended: Vec<Digest>,
    /// Tasks that have gone with such targets, each with what it read: to be looked at in the next slice.
    expired: Vec<(Digest, Box<[Digest]>)>,
    /// Targets of which dependents have gone, to be looked at.
    lessened: VecDeque<Digest>,
    /// How many dependents have gone of a target since its list was last swept.
    less: FxHashMap<Digest, u64>,
    /// Targets that have gone, but for their lists, each with what it read.
    waiting: FxHashMap<Digest, Box<[Digest]>>,
}

impl Sweeper {
    /// A target has gone, which had read these.
    pub(crate) fn note(&mut self, target: Digest, reads: Box<[Digest]>) {
        if self.gone.len() + self.waiting.len() < MOST {
            self.gone.push_back((target, reads));
        }
    }

    /// A target has gone that will never be there again.
    pub(crate) fn note_end(&mut self, target: Digest) {
        if self.ended.len() < MOST {
            self.ended.push(target);
        }
    }

    /// Whether there is something to look at.
    pub(crate) fn has_work(&self) -> bool {
        !self.gone.is_empty()
            || !self.ended.is_empty()
            || !self.expired.is_empty()
            || !self.lessened.is_empty()
    }

    /// Looks at some targets, and appends to `batch` what goes. A record that could not be read is left as it is.
    pub(crate) fn slice(&mut self, store: &Guarded, batch: &mut Batch) {
        let mut deleted = FxHashSet::default();
        for (task, reads) in std::mem::take(&mut self.expired) {
            self.note(task, reads);
        }
        let ended = self.ended.len().min(TARGETS);
        self.end(store, ended, batch);
        for _ in ended..TARGETS {
            // First those of which lists may go: then fewer are left for the others to look at.
            if let Some((target, reads)) = self.gone.pop_front() {
                self.look_at_gone(store, target, reads, batch, &mut deleted);
            } else if let Some(target) = self.lessened.pop_front() {
                self.look_at_lessened(store, target, batch, &mut deleted);
            } else {
                break;
            }
        }
    }

    /// Drops the lists of targets that will not be there again, and the traces that their dependents have stored on them. Records that cannot be read stay.
    fn end(&mut self, store: &Guarded, targets: usize, batch: &mut Batch) {
        let mut dependents: FxHashMap<TaskKey, Vec<Digest>> = FxHashMap::default();
        let mut listed = Vec::new();
        for target in self.ended.split_off(self.ended.len() - targets) {
            listed.clear();
            // Those that are listed in part have what they have.
            let _ = read_dependents(store, target, &mut listed);
            for dependent in &listed {
                let ended = dependents.entry(*dependent).or_default();
                if ended.last() != Some(&target) {
                    ended.push(target);
                }
            }
            let _ = sweep_dependents(store, target, batch, |_| Ok(true));
        }
        for (dependent, ended) in dependents {
            if let Ok(Some(reads)) = drop_expired(store, dependent, &ended, batch) {
                self.expired.push((dependent.0, reads));
            }
        }
    }

    fn look_at_gone(
        &mut self,
        store: &Guarded,
        target: Digest,
        reads: Box<[Digest]>,
        batch: &mut Batch,
        deleted: &mut FxHashSet<Digest>,
    ) {
        match is_target_stored(store, target) {
            Ok(false) => {}
            // It has been stored again, or cannot be read.
            Ok(true) | Err(_) => return,
        }
        match sweep(store, target, batch, deleted) {
            Ok(Swept::All) => self.has_gone(target, &reads, deleted),
            Ok(Swept::Some | Swept::Nothing) | Err(_) => {
                self.less.remove(&target);
                self.waiting.insert(target, reads);
            }
        }
    }

    fn has_gone(&mut self, target: Digest, reads: &[Digest], deleted: &mut FxHashSet<Digest>) {
        deleted.insert(target);
        self.less.remove(&target);
        for read in reads {
            let less = self.less.entry(*read).or_default();
            *less += 1;
            if *less == 1 || less.is_power_of_two() {
                self.lessened.push_back(*read);
            }
        }
        if self.less.len() > MOST {
            // Lists of many dependents of which few have gone. They stay as they are.
            self.less.clear();
        }
    }

    fn look_at_lessened(
        &mut self,
        store: &Guarded,
        target: Digest,
        batch: &mut Batch,
        deleted: &mut FxHashSet<Digest>,
    ) {
        let Some(less) = self.less.get(&target).copied() else { return };
        let Ok(count) = dependents_count(store, target) else { return };
        if less * 2 < count {
            return;
        }
        if let Some(reads) = self.waiting.remove(&target) {
            self.gone.push_back((target, reads));
        } else if matches!(is_target_stored(store, target), Ok(true)) {
            self.less.remove(&target);
            let _ = sweep(store, target, batch, deleted);
        } else {
            self.less.remove(&target);
            if matches!(sweep(store, target, batch, deleted), Ok(Swept::All)) {
                deleted.insert(target);
            }
        }
    }
}

fn sweep(
    store: &Guarded,
    target: Digest,
    batch: &mut Batch,
    deleted: &FxHashSet<Digest>,
) -> Result<Swept, ReadFailure> {
    sweep_dependents(store, target, batch, |dependent| {
        let mut buffer = Vec::new();
        match store.read(Table::Tasks, &dependent.to_bytes(), &mut buffer) {
            Ok(None) => {}
            Ok(Some(_)) | Err(ReadFailure::Rejected(_)) => return Ok(false),
            Err(failure) => return Err(failure),
        }
        Ok(deleted.contains(&dependent) || dependents_count(store, dependent)? == 0)
    })
}
