//! A task under verification: which of its traces agree with all that has been looked at so far.
//!
//! The traces race. The most recent one leads: its next read is looked at, and those that have read something else there, or with
//! another fingerprint, are out. For example, of the traces `[a=1 b=2]` and `[a=1 b=3 c=4]` with `a = 1, b = 3` now, the first
//! one leads and is out at `b`; then the second one is let in, since it agrees with `a = 1, b = 3`, and goes on with `c`.
//!
//! A run may have made its reads in another order, on the same values: the rounds of a component go by the member that was asked first, and
//! threads that carried work runs on read when they come to it. For example, of `[a=1 b=2]` and `[b=3 a=1]` with `a = 1, b = 3` now, the
//! second one has another task in the first place. Such a trace leads in its turn, from its first read on.
//!
//! Wide traces are compared by chunks where memory knows that nothing in a chunk has changed ([`CleanChunks`]): a task of
//! 300,000 reads of which one has changed looks at one chunk.

use crate::evaluate::observed::Differs;
use crate::graph::read_filter::ReadFilter;
use crate::persist::Persistence;
use crate::persist::pending::{Known, load_older};
use crate::persist::stored_trace::{LoadedChunk, StoredTrace};
use crate::persist::wide::CleanChunks;
use larder_storage::record::{Chunk, Read, Trace, component_function};
use larder_storage::{Digest, TaskKey};

/// A task under verification.
pub(super) struct Frame {
    pub(super) task: TaskKey,
    pub(super) known: Known,
    /// Which traces agree with all that was looked at so far; the first one leads.
    racing: Vec<Racer>,
    /// All that was looked at so far, in order.
    agreed: Vec<Agreed>,
    /// The number of reads in `agreed`.
    at: usize,
    /// The read that was looked at last, if none of those that raced had read the same.
    differed: Option<Read>,
    /// Traces that would next read what cannot be had, or that are not whole any more.
    out: Vec<usize>,
    loaded: bool,
    /// All traces of it are at hand.
    has_all: bool,
    /// The current trace is known to hold.
    is_trusted: bool,
    /// Chunks whose reads memory knows to be unchanged.
    clean: Option<CleanChunks>,
    /// Where the first trace has dropped out, and what the read there is now.
    first_out: Option<(usize, Option<Digest>)>,
    /// Other machines have been asked for it.
    pub(super) has_asked: bool,
    /// Its turn to run here was waited for.
    pub(super) had_turn: bool,
    /// There is no way to a node of it.
    pub(super) is_unknown: bool,
    /// The member by which a component is entered.
    entry: Option<TaskKey>,
    /// The kinds of traces that have raced.
    tried: Vec<Option<Digest>>,
    /// Traces that have read another task in a place of what was looked at.
    in_another_order: Vec<usize>,
}

struct Racer {
    trace: usize,
    loaded: LoadedChunk,
}

enum Agreed {
    Read(Read),
    Chunk(Chunk),
}

/// How a frame goes on.
pub(super) enum Next {
    /// This is to be looked at.
    Read(Digest),
    /// The leader holds.
    Found,
    /// No trace holds.
    NotFound,
}

impl Frame {
    pub(super) fn new(task: TaskKey, known: Known) -> Self {
        Self {
            task,
            known,
            racing: vec![Racer::new(0)],
            agreed: Vec::new(),
            at: 0,
            differed: None,
            out: Vec::new(),
            loaded: false,
            has_all: false,
            is_trusted: false,
            clean: None,
            first_out: None,
            has_asked: false,
            had_turn: false,
            is_unknown: false,
            entry: None,
            tried: Vec::new(),
            in_another_order: Vec::new(),
        }
    }

    /// Begins with a task that another one has read. None if what it has read is lost.
    pub(super) fn read_by(
        persistence: &Persistence,
        reader: Option<TaskKey>,
        task: TaskKey,
        mut known: Known,
    ) -> Option<Self> {
        let entry = reader.filter(|_| known.origin.function == Some(component_function()));
        if let Some(entry) = entry {
            let traces = std::mem::take(&mut known.traces).into_iter();
            let enter = |trace: StoredTrace| trace.entered_at(&persistence.store, task, entry);
            known.traces = traces.map(enter).collect::<Option<_>>()?;
        }
        Some(Self { entry, ..Self::new(task, known) })
    }

    /// Begins with a task whose current trace is known to hold.
    pub(super) fn trusted(task: TaskKey, known: Known) -> Self {
        Self { is_trusted: true, ..Self::new(task, known) }
    }

    /// Begins with a task of which memory knows the reads.
    pub(super) fn with_clean(task: TaskKey, known: Known, clean: Option<CleanChunks>) -> Self {
        Self { clean, ..Self::new(task, known) }
    }

    pub(super) fn next(&mut self, persistence: &Persistence) -> Next {
        if self.is_trusted {
            return Next::Found;
        }
        loop {
            if self.skip_clean() {
                continue;
            }
            let Some(leader) = self.racing.first_mut() else {
                if self.load_others(persistence) || self.race_in_another_order() || self.race_others() {
                    continue;
                }
                return Next::NotFound;
            };
            let trace = &self.known.traces[leader.trace];
            match trace.read(self.at, &persistence.store, self.task, &mut leader.loaded) {
                Ok(Some(read)) => return Next::Read(read.key),
                Ok(None) => return Next::Found,
                Err(_) => self.out.push(self.racing.remove(0).trace),
            }
        }
    }

    /// Goes past the leader's next chunk, if memory knows that nothing in it has changed.
    fn skip_clean(&mut self) -> bool {
        let (Some(clean), Some(leader)) = (&self.clean, self.racing.first()) else { return false };
        let traces = &self.known.traces;
        let Some(next) = traces[leader.trace].chunk_at(self.at).map(|placed| placed.chunk) else {
            return false;
        };
        if !clean.contains(self.at, next) {
            return false;
        }
        let at = self.at;
        // A trace with another chunk here has read something else somewhere in it.
        self.racing
            .retain(|racer| traces[racer.trace].chunk_at(at).is_some_and(|placed| placed.chunk == next));
        self.agreed.push(Agreed::Chunk(next));
        self.at += next.len as usize;
        true
    }

    /// The read that was asked for has this fingerprint now; none if it cannot be had.
    pub(super) fn agree(&mut self, persistence: &Persistence, key: Digest, fingerprint: Option<Digest>) {
        let at = self.at;
        self.agree_here(persistence, key, fingerprint);
        if self.first_out.is_none() && self.racing.first().is_none_or(|leader| leader.trace != 0) {
            self.first_out = Some((at, fingerprint));
        }
    }

    fn agree_here(&mut self, persistence: &Persistence, key: Digest, fingerprint: Option<Digest>) {
        let Self { racing, known, task, at, out, in_another_order, .. } = self;
        let read = |racer: &mut Racer| {
            known.traces[racer.trace].read(*at, &persistence.store, *task, &mut racer.loaded).ok().flatten()
        };
        let Some(fingerprint) = fingerprint else {
            // No trace that goes on with it can hold. One of another build may go on otherwise.
            racing.retain_mut(|racer| {
                let goes_on = read(racer).is_some_and(|read| read.key == key);
                if goes_on {
                    out.push(racer.trace);
                }
                !goes_on
            });
            return;
        };
        let now = Read { key, fingerprint };
        racing.retain_mut(|racer| {
            let then = read(racer);
            note_order(in_another_order, racer.trace, then, now);
            then == Some(now)
        });
        if racing.is_empty() {
            self.differed = Some(now);
        } else {
            self.agreed.push(Agreed::Read(now));
            self.at += 1;
        }
    }

    /// Returns the read of the most recent trace that differs now.
    pub(super) fn differs(&self, persistence: &Persistence) -> Option<Differs> {
        let (at, now) = self.first_out?;
        let (trace, mut loaded) = (self.known.traces.first()?, LoadedChunk::default());
        let read = trace.read(at, &persistence.store, self.task, &mut loaded).ok()??;
        Some(Differs { key: read.key, before: read.fingerprint, now })
    }

    /// Returns what all traces have read, if that is known.
    pub(super) fn reads(&self) -> Option<ReadFilter> {
        let traces = || self.known.traces.iter().map(StoredTrace::trace);
        let is_plain = |trace: &Trace<'_>| !trace.is_wide() && trace.component().is_none();
        // Of a record that could not be read, the traces that are not committed are at hand, and no others.
        let is_read = self.known.traces.iter().any(|trace| !trace.is_pending);
        let mut reads = ReadFilter::NONE;
        (self.has_all && is_read && traces().all(|trace| is_plain(&trace))).then(|| {
            traces().for_each(|trace| reads.add(trace.reads()));
            reads
        })
    }

    /// Lets all traces race that agree with what was looked at so far; `false` if there are none.
    fn load_others(&mut self, persistence: &Persistence) -> bool {
        if std::mem::replace(&mut self.loaded, true) && self.differed.is_none() {
            return false;
        }
        if let Some(differed) = self.differed.take() {
            self.agreed.push(Agreed::Read(differed));
            self.at += 1;
        }
        self.load_older(persistence);
        let kind = self.kind();
        let racing = (0..self.known.traces.len())
            .filter(|trace| !self.out.contains(trace) && self.kind_of(*trace) == kind);
        self.race(persistence, racing.collect());
        !self.racing.is_empty()
    }

    /// Lets those of these traces race that agree with what was looked at so far.
    fn race(&mut self, persistence: &Persistence, traces: Vec<usize>) {
        let racing = traces.into_iter().map(Racer::new).filter_map(|racer| self.agrees(persistence, racer));
        self.racing = racing.collect();
    }

    /// Begins with a trace that has its reads in another order; `false` if there is none.
    fn race_in_another_order(&mut self) -> bool {
        let (kind, mut others) = (self.kind(), std::mem::take(&mut self.in_another_order));
        others.retain(|trace| !self.out.contains(trace) && self.kind_of(*trace) == kind);
        let next = others.pop();
        // Each leads once.
        self.out.extend(next);
        self.in_another_order = others;
        let Some(next) = next else { return false };
        self.agreed.clear();
        (self.at, self.differed) = (0, None);
        self.racing = vec![Racer::new(next)];
        true
    }

    /// Lets traces race that were merged since the task was looked up, and agree with what was looked at so far; `false` if there are none.
    pub(super) fn resume(&mut self, persistence: &Persistence) -> bool {
        let Some(now) = persistence.pending.known(&persistence.store, self.task, |_| true) else {
            return false;
        };
        let before = self.known.traces.len();
        let older = now.older.iter().filter_map(|older| {
            let is_new = !self.holds(older.digest);
            is_new.then(|| load_older(&persistence.store, self.task, older)).flatten()
        });
        let new: Vec<_> = now
            .traces
            .into_iter()
            .filter(|trace| !self.holds(trace.digest()))
            .chain(older)
            .filter_map(|trace| self.entered(persistence, trace))
            .collect();
        self.known.traces.extend(new);
        if self.kind().is_some() {
            // They are of tasks by themselves, and race anew.
            self.tried.push(None);
            self.agreed.clear();
            (self.at, self.differed) = (0, None);
        }
        let new = (before..self.known.traces.len()).filter(|trace| self.kind_of(*trace).is_none());
        self.race(persistence, new.collect());
        !self.racing.is_empty() || self.race_in_another_order()
    }

    /// Of which component a trace is. A task that has come to one component or another, or to none, has read what cannot be compared.
    fn kind_of(&self, trace: usize) -> Option<Digest> {
        self.known.traces[trace].trace().component().map(|read| read.key)
    }

    /// Whether a component is looked at.
    pub(super) fn is_component(&self) -> bool {
        self.known.origin.function == Some(component_function())
    }

    /// The kind of the traces that race.
    pub(super) fn kind(&self) -> Option<Digest> {
        self.tried.last().copied().unwrap_or_else(|| self.kind_of(0))
    }

    /// Begins with traces of another kind, if there are any.
    fn race_others(&mut self) -> bool {
        let kind = self.kind();
        if !self.tried.contains(&kind) {
            self.tried.push(kind);
        }
        let mut others = (0..self.known.traces.len()).map(|trace| self.kind_of(trace));
        let Some(next) = others.find(|kind| !self.tried.contains(kind)) else { return false };
        self.tried.push(next);
        self.agreed.clear();
        (self.at, self.differed) = (0, None);
        self.racing = (0..self.known.traces.len())
            .filter(|trace| !self.out.contains(trace) && self.kind_of(*trace) == next)
            .map(Racer::new)
            .collect();
        true
    }

    /// Loads the older traces.
    ///
    /// A trace that cannot be found may have moved: another thread has verified the same task meanwhile, and its record says since
    /// that this trace is the current one. For example, two readers of a task that is only stored are asked for at once, back in
    /// an earlier state; the second one would otherwise find that no trace holds, and run. So the record is read again.
    fn load_older(&mut self, persistence: &Persistence) {
        let mut older = std::mem::take(&mut self.known.older);
        for _ in 0..4 {
            let mut missing = false;
            for older in older {
                if !self.holds(older.digest) {
                    let loaded = load_older(&persistence.store, self.task, &older)
                        .and_then(|loaded| self.entered(persistence, loaded));
                    missing |= loaded.is_none();
                    self.known.traces.extend(loaded);
                }
            }
            if !missing {
                self.has_all = true;
                return;
            }
            let Some(now) = persistence.pending.known(&persistence.store, self.task, |_| true) else {
                return;
            };
            for trace in now.traces {
                if !self.holds(trace.digest()) {
                    let trace = self.entered(persistence, trace);
                    self.known.traces.extend(trace);
                }
            }
            older = now.older;
        }
    }

    /// A trace as it is seen by the member that a component is entered by.
    fn entered(&self, persistence: &Persistence, trace: StoredTrace) -> Option<StoredTrace> {
        match self.entry {
            Some(entry) => trace.entered_at(&persistence.store, self.task, entry),
            None => Some(trace),
        }
    }

    fn holds(&self, trace: Digest) -> bool {
        self.known.traces.iter().any(|known| known.digest() == trace)
    }

    /// Gives a trace back that agrees with all that was looked at so far.
    fn agrees(&mut self, persistence: &Persistence, mut racer: Racer) -> Option<Racer> {
        let trace = &self.known.traces[racer.trace];
        let mut at = 0;
        for agreed in &self.agreed {
            match agreed {
                Agreed::Read(agreed) => {
                    let read = trace.read(at, &persistence.store, self.task, &mut racer.loaded).ok()??;
                    if read != *agreed {
                        note_order(&mut self.in_another_order, racer.trace, Some(read), *agreed);
                        return None;
                    }
                    at += 1;
                }
                Agreed::Chunk(agreed) => {
                    trace.chunk_at(at).filter(|placed| placed.chunk == *agreed)?;
                    at += agreed.len as usize;
                }
            }
        }
        Some(racer)
    }

    /// Whether the leader, which holds, has come from elsewhere and is to be checked by a run.
    pub(super) fn is_checked(&self, persistence: &Persistence) -> bool {
        let Some(elsewhere) = &persistence.elsewhere else { return false };
        self.racing.first().is_some_and(|leader| elsewhere.is_checked(self.task, &self.known, leader.trace))
    }

    /// Notes the leader as what a run is to come to.
    pub(super) fn expect(&self, persistence: &Persistence) {
        if let (Some(elsewhere), Some(leader)) = (&persistence.elsewhere, self.racing.first()) {
            elsewhere.expect(self.task, &self.known, leader.trace);
        }
    }

    /// Tells the store that the leader holds.
    pub(super) fn confirm(mut self, persistence: &Persistence) -> (TaskKey, StoredTrace) {
        let leader = self.racing[0].trace;
        let trace = self.known.traces.swap_remove(leader);
        persistence.confirm(self.task, &trace, leader == 0, &self.known);
        (self.task, trace)
    }
}

/// Notes a trace that has read another task in the place of one that was looked at.
fn note_order(in_another_order: &mut Vec<usize>, trace: usize, then: Option<Read>, now: Read) {
    if then.is_some_and(|then| then.key != now.key) && !in_another_order.contains(&trace) {
        in_another_order.push(trace);
    }
}

impl Racer {
    fn new(trace: usize) -> Self {
        Self { trace, loaded: LoadedChunk::default() }
    }
}
