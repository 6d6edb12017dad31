//! Components that go: tasks that read each other, whose values have come about together.
//!
//! None of them is ever without a reader, and one of them cannot be computed again without the others. So they go together: if nothing else reads
//! any of them, the program holds none, and none was used lately. Their outputs are dropped, as those of a component whose members were all
//! forgotten, and they wait as a ring (`rings.rs`), which is freed in the same slice unless marks name one of them.
//!
//! For example, `types(module)` of two modules that import each other. Other modules were asked for since, and memory is short: both go in the
//! same slice. If a third module imports one of them, both stay.

use super::super::lists::{Lists, is_held, is_read};
use super::{has_committed, is_asked_for};
use crate::context::engine::Engine;
use crate::context::memory::Due;
use crate::evaluate::cycle;
use crate::graph::claim::Phase;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::resolved::Resolved;
use crate::session::reclaim::Garbage;

/// The most readers of a member that are looked at. One with more than these is read from outside, as far as it is known.
const READERS: usize = 1024;

impl Lists {
    /// Lets the component of a resolved node go if nothing else reads its members, or holds them, and they were not used. It is looked at
    /// when the hand comes to its first member.
    pub(super) fn look_at_component(&mut self, engine: &Engine, node: NodeRef, garbage: &mut Garbage) {
        let Some(component) = cycle::component_of(node) else { return };
        let Some(due) = self.sweep.round.as_ref().map(|round| round.due) else { return };
        if component.members.first() != Some(&node)
            || !component.members.iter().all(|member| may_go(*member, due))
        {
            return;
        }
        // All of them are looked at: each loses a use.
        let is_used = |member: &&NodeRef| match due {
            Due::Cap | Due::Call => member.take_use(),
            Due::Collection => is_asked_for(**member),
        };
        if component.members.iter().filter(is_used).count() > 0 {
            self.sweep.note_done();
            return;
        }
        if component
            .members
            .iter()
            .any(|member| is_held(*member) || is_read_from_outside(*member, &component))
        {
            return;
        }
        if !component.members.iter().all(|member| has_committed(engine, *member)) {
            self.sweep.note_pending();
            return;
        }
        self.sweep.note_done();
        self.sweep.gone.1 += component.members.len() as u64;
        cycle::whole_components(&mut component.members.to_vec());
        component.members.iter().for_each(|member| self.drop_output(engine, *member, garbage));
    }
}

/// Whether a member may go as far as its own state tells.
fn may_go(member: NodeRef, due: Due) -> bool {
    let is_spared = member.keeping().contains(Keeping::ON_PROBATION) && due == Due::Cap;
    !member.task_fn.stays
        && !member.has(Leaving::LIMBO)
        && !member.flag(Flags::DROP_QUEUED)
        && !is_spared
        && matches!(member.state.phase(), Phase::Fresh | Phase::Stale)
}

/// Whether a node reads a member that is no member itself.
fn is_read_from_outside(member: NodeRef, component: &Resolved) -> bool {
    is_read(member)
        && member.with_dependents(|readers| {
            let readers = readers.as_slice();
            readers.len() > READERS
                || readers.iter().any(|edge| !component.index.contains_key(&edge.reader()))
        })
}
