//! Deadlines: how a stored result that expires (`ttl`, `expires`) does so in every process.
//!
//! A run of such a task ends with one more read. That read is of a source of its own, whose name is the task and the moment at which the
//! result expires, and whose value is whether that moment has passed. So all that holds for files holds here: the moment is looked at when
//! the store is opened and by a refresh, what depends on it is then stale, in memory and in the store, and a record that has read "not yet"
//! is not found to hold any more. For example, `price("tea")` is kept for an hour and stored at 9:00. A process that starts at 9:30 restores it, and
//! lets it expire at 10:00; one that starts at 11:00 marks it, and all that has read it, before the first call.
//!
//! While a process runs, the clock of `Expiries` tells when a moment has passed, which is judged when a session opens alone. Then the source
//! goes, from memory and from the store: each run has one of its own, and whatever has read one that is not there does not hold.

use std::time::Duration;

use crate::call::args::ByVal;
use crate::context::local::Local;
use crate::evaluate::lookup::find;
use crate::graph::edges::Edge;
use crate::graph::flags::{Flags, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::task_fn::{Leaf, Seen, Site, TaskFn, type_id};
use crate::persist::{Persistence, deadline};
use larder_storage::record::{Read, SourceKind};
use larder_storage::{Digest, Fingerprints, TaskKey};

/// A task's key, and the milliseconds from 1970 to the moment.
type Name = (u128, u64);

struct Deadline;

/// Whether a moment has passed.
const DEADLINE: &TaskFn<Name, bool> = &TaskFn::new(
    type_id::<Deadline>(),
    Site { name: "deadline", path: "larder::deadline", file: file!(), line: line!() },
    |(_, at): &Name| has_passed(*at),
)
.cutoff(Some(|left, right| left == right))
.source(|(_, at), passed| *passed || !has_passed(*at))
.stored_leaf::<Deadline>();

impl Leaf for Deadline {
    type Key = Name;
    type Output = bool;
    const KIND: SourceKind = SourceKind::Deadline;
    fn name((task, at): &Name) -> Option<Vec<u8>> {
        Some(deadline::name(TaskKey(Digest(*task)), *at))
    }
    fn seen(passed: &bool, _: Fingerprints) -> Seen {
        deadline::seen(*passed)
    }
    fn changed(_: &Name, _: Digest) -> Option<bool> {
        None
    }
}

/// The body of a claimed node has come to a value that may be used for `lifetime`, and its frame is still open: reads the moment at which
/// that is over, if the run may be stored.
pub(crate) fn read_deadline(local: &Local, node: NodeRef, lifetime: Duration) {
    let Some(persistence) = local.engine().persistence().filter(|_| node.task_fn.stored.is_some()) else {
        return;
    };
    let (Some(task), Some(own)) = (persistence.key_of(node), Local::current()) else { return };
    let task = TaskKey(task);
    let at = deadline::after(local.engine().expiries.clock(), lifetime);
    // A session that is cancelled may end here, with the output in place.
    let before = node.flag(Flags::FAILED);
    node.set_flag(Flags::FAILED);
    let source = find::<_, bool>(own, DEADLINE, (ByVal(task.0.0), ByVal(at)));
    if !before {
        node.clear_flag(Flags::FAILED);
    }
    local.engine().expiries.set_deadline(deadline::key(local.engine().fingerprints(), task, at), lifetime);
    // The next run reads another one, and nothing else asks for it.
    source.put_on(Leaving::UNREACHABLE);
}

impl Persistence {
    /// Whether the last read is that of a deadline that lies ahead.
    pub(super) fn ends_with_deadline(&self, edges: &[Edge]) -> bool {
        let last = edges.last().map(|edge| edge.node()).filter(|node| node.task_fn.is(DEADLINE.raw()));
        let key = last.and_then(Persisted::of).and_then(|persisted| persisted.key);
        key.is_some_and(|key| self.leaves.is_ahead(key))
    }

    /// A claimed node has got a value out of the store, of which `last` is the last read: it expires when it would have done in the
    /// process that stored it.
    pub(super) fn restore_deadline(&self, local: &Local, node: NodeRef, last: impl FnOnce() -> Option<Read>) {
        if node.task_fn.may_expire() {
            let at = last().and_then(|read| self.leaves.deadline(read.key));
            let expiries = &local.engine().expiries;
            expiries.set(node, at.map(|at| deadline::left(at, expiries.clock())));
        }
    }
}

/// Whether a moment has passed by the clock of the session that is open on this thread.
fn has_passed(at: u64) -> bool {
    let ahead = Local::current().map_or(Duration::ZERO, |local| local.engine().clock.ahead());
    deadline::has_passed(at, ahead)
}
