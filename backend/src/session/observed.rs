//! Observed: sessions and updates as observers are told of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use crate::base::stack::on_enough_stack;
use crate::context::engine::Engine;
use crate::context::event::{Changed, Event, SessionClosed, SessionOpened, Updated};
use crate::context::spans::{Begins, Ends, OpenSpans};
use crate::graph::cause::{Happening, Outcome};
use crate::graph::epoch::Epoch;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::task_name::{Fingerprint, TaskRef};
use crate::graph::trail::{Record, Trail};
use larder_storage::Fingerprints;

/// An observed update that is being put in place. The gate is held exclusively.
pub(crate) struct Applying {
    start: Instant,
    changed: Vec<Changed<TaskRef<'static>>>,
    spans: OpenSpans,
}

impl Applying {
    #[cold]
    pub(crate) fn begin(engine: &Engine) -> Self {
        let mut spans = engine.observers.openers.open(|| Begins::Update);
        spans.enter();
        Self { start: Instant::now(), changed: Vec::new(), spans }
    }

    /// The leaf that was about to change has its new value.
    #[cold]
    pub(crate) fn has_changed(&mut self, engine: &Engine, number: u64, epoch: Epoch) {
        let Some(changed) = self.changed.last_mut() else { return };
        let leaf = changed.leaf.node();
        changed.after = fingerprint_of(engine.fingerprints(), leaf);
        if engine.observers.records() {
            let happened = if changed.removed { Happening::Removed } else { Happening::Set };
            let mut record = Record::new(happened, Outcome::Changed, number, epoch);
            (record.before, record.after) = (changed.before, changed.after);
            Trail::add(leaf, record);
        }
    }

    /// A leaf differs, and is about to get its new value.
    #[cold]
    pub(crate) fn about_to_change(&mut self, engine: &Engine, leaf: NodeRef, removed: bool) {
        let before = fingerprint_of(engine.fingerprints(), leaf);
        self.changed.push(Changed { leaf: TaskRef::to(leaf), removed, before, after: None });
    }

    /// All values are in place, and so many tasks are marked.
    #[cold]
    pub(crate) fn tell(self, engine: &Engine, number: u64, marked: usize) {
        let event = Event::Updated(Updated {
            number,
            changed: self.changed,
            marked,
            thread: thread::current().id(),
            start: self.start,
            end: Instant::now(),
        });
        engine.observers.tell(&event);
        self.spans.end(Ends::Told(&event));
    }
}

/// Returns the fingerprint of a leaf's value, if there is one that can be encoded. Runs the user's `Serialize`; a panic in it is no
/// fingerprint. The gate is held exclusively.
fn fingerprint_of(fingerprints: Fingerprints, leaf: NodeRef) -> Option<Fingerprint> {
    if !leaf.flag(Flags::HAS_VALUE) {
        return None;
    }
    let task_fn = leaf.task_fn;
    let digest = || {
        if let Some(source) = task_fn.leaf {
            // SAFETY: the gate is held exclusively, and there is a value.
            return Some(unsafe { (source.seen)(leaf, fingerprints) }.content);
        }
        let mut encoded = Vec::new();
        // SAFETY: as above; the descriptor is the node's.
        unsafe { (task_fn.stored?.encode_value)(leaf, &mut encoded) }.ok()?;
        Some(fingerprints.digest(&encoded))
    };
    let digest = on_enough_stack(|| catch_unwind(AssertUnwindSafe(digest)));
    digest.ok().flatten().and_then(Fingerprint::of)
}

/// Tells of a session that has been opened on this thread, if that is observed. Returns when.
#[inline]
pub(crate) fn opened(engine: &Engine) -> Option<Instant> {
    engine.observers.any().then(|| tell_opened(engine))
}

#[cold]
fn tell_opened(engine: &Engine) -> Instant {
    let at = Instant::now();
    engine.observers.tell(&Event::SessionOpened(SessionOpened { thread: thread::current().id(), at }));
    at
}

/// Tells of a session that ends on this thread, and was opened then.
#[cold]
pub(crate) fn closed(engine: &Engine, start: Instant) {
    let (thread, end) = (thread::current().id(), Instant::now());
    engine.observers.tell(&Event::SessionClosed(SessionClosed { thread, start, end }));
}
