//! Resolved components. Their members are claimed, verified and given up together: what one of them came to depends on what
//! each of them read, in whichever round.
//!
//! * All members are FRESH, or all are STALE, or one strand has claimed them all: edges lead from each member to each other, so a
//!   mark that reaches one reaches all. Outside of the gate only the holder of the first member's claim claims another one.
//! * The component is current if nothing has changed that its members have read of others. They are looked at in the order in which
//!   they were read. If one has changed, the component is *dissolved*: its members become EMPTY, each runs again when it is
//!   asked for, and if they still depend on each other they are resolved anew, from the initial values.
//! * A component breaks the waves of which its members are origins (`invalidate.rs`), when it is resolved and when it is dissolved: the others
//!   need not be what they were if one of them is. For example, `a` falls back to 1 as it reads `b`, which reads `a`, and `top` reads `a`. If `b` reads something else now,
//!   and its value is equal, `a` has what its body returns, and `top` runs.
//! * The first member is released last: a strand that finds it FRESH finds all others so.

use std::sync::Arc;

use super::make_way;
use super::read::is_own;
use crate::base::stack::on_enough_stack;
use crate::context::local::Local;
use crate::evaluate::demand::{Waited, claim, demand, end_restored, release, wait_for};
use crate::evaluate::observed::{self, is_observed};
use crate::evaluate::stored::{Progress, consult};
use crate::graph::claim::Phase;
use crate::graph::depth::Depth;
use crate::graph::edges::Edge;
use crate::graph::epoch::Epoch;
use crate::graph::flags::{Flags, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::resolved::Resolved;
use crate::graph::stale_reads::StaleReads;
use crate::graph::stop::Stop;
use crate::persist::StoredTrace;

/// The reads that the members of a component made of others, in the order in which they come to it when `asked` is asked first: in
/// round 1 depth first, as bodies call each other, then what later rounds have read. All members are claimed meanwhile.
///
/// For example `asked` reads a fixpoint task `f` and then an input, and `f` reads `asked` and then `other`. Its reader `f` is on the
/// way to the value of `asked`, so the body of `asked` runs once more, on the initial value of `f` (`read.rs`, `nested`): the
/// input comes before `other`, and if it has changed it is not known whether `f` would still read that.
struct Externals<'a> {
    resolved: &'a Resolved,
    entered: Vec<Entered>,
    /// The runs on the way.
    path: Vec<Reading<'a>>,
    later: std::slice::Iter<'a, Edge>,
}

/// A run of a member in round 1, or the making of its value of round 0, with the reads of it that are done.
enum Reading<'a> {
    Body {
        member: NodeRef,
        done: usize,
    },
    /// Its value of round 0.
    Initial(std::slice::Iter<'a, Edge>),
}

/// How far the body of a member has come in round 1.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entered {
    body: Body,
    /// Its value of round 0 is known.
    has_initial: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    NotBegun,
    /// It waits for those above it on the way.
    Begun,
    /// It has ended, or has been begun once more above that, for one that needs its value: there is nothing more to begin.
    Ended,
}

impl<'a> Externals<'a> {
    fn of(resolved: &'a Resolved, asked: NodeRef) -> Self {
        let entered = vec![Entered { body: Body::NotBegun, has_initial: false }; resolved.members.len()];
        let mut externals = Self { resolved, entered, path: Vec::new(), later: resolved.later.iter() };
        externals.begin(asked, Body::Begun);
        externals
    }

    fn begin(&mut self, member: NodeRef, body: Body) {
        self.path.push(Reading::Body { member, done: 0 });
        self.entered[self.resolved.index[&member].0].body = body;
    }

    /// A member is read by another one.
    fn enter(&mut self, node: NodeRef) {
        let entered = &mut self.entered[self.resolved.index[&node].0];
        let is_fixpoint = node.task_fn.has_initial();
        // A fixpoint task tells its value of round 0, when its body has ended or is on the way.
        if is_fixpoint && !std::mem::replace(&mut entered.has_initial, true) {
            let reads = self.resolved.initial_reads.get(&node);
            self.path.extend(reads.map(|reads| Reading::Initial(reads.iter())));
        }
        match self.entered[self.resolved.index[&node].0].body {
            Body::NotBegun => self.begin(node, Body::Begun),
            Body::Begun if !is_fixpoint => self.begin(node, Body::Ended),
            Body::Begun | Body::Ended => {}
        }
    }

    fn next_read(&mut self) -> Option<Edge> {
        while let Some(way) = self.path.last_mut() {
            let read = match way {
                Reading::Initial(reads) => reads.next().copied(),
                Reading::Body { member, done } => {
                    let first_reads = self.resolved.index[member].1;
                    // SAFETY: the claim is held.
                    let read = unsafe { member.deps() }.as_slice()[..first_reads].get(*done).copied();
                    *done += 1;
                    read
                }
            };
            if read.is_some() {
                return read;
            }
            if let Reading::Body { member, .. } = way {
                self.entered[self.resolved.index[member].0].body = Body::Ended;
            }
            self.path.pop();
        }
        self.later.next().copied()
    }
}

impl Iterator for Externals<'_> {
    type Item = Edge;

    fn next(&mut self) -> Option<Edge> {
        loop {
            let read = self.next_read()?;
            if !self.resolved.index.contains_key(&read.node()) {
                return Some(read);
            }
            self.enter(read.node());
        }
    }
}

// SAFETY: nodes and edges may be used from any thread of a session (see `NodeRef`); members are never freed before the engine,
// as each is read by another or by itself.
unsafe impl Send for Resolved {}
// SAFETY: as above.
unsafe impl Sync for Resolved {}

/// Returns the component that a node has its value in, as long as that stands.
pub(crate) fn of(node: NodeRef) -> Option<Arc<Resolved>> {
    node.extra().and_then(|extra| extra.resolved.lock().clone())
}

/// Returns the reads of a component's members that lead to other tasks, in the order in which they come to it when `asked` is asked first. The members
/// are claimed, or FRESH.
pub(crate) fn outer_reads(resolved: &Resolved, asked: NodeRef) -> impl Iterator<Item = Edge> {
    Externals::of(resolved, asked)
}

/// Verifies the component of a member that is STALE. Afterwards the member is FRESH, or belongs to no component, or it is worth
/// another look.
///
/// # Errors
/// The cancellation, or the way to be made, that kept it from being verified.
#[cold]
pub(crate) fn verify_resolved(local: &Local, node: NodeRef) -> Result<Waited, Stop> {
    let Some(resolved) = of(node) else { return Ok(Waited::Over) };
    let first = resolved.members[0];
    match first.state.phase() {
        Phase::Fresh => Ok(Waited::Over),
        Phase::Running if is_own(local, first) => {
            let depth = Depth::of(&local.claimed.borrow(), first);
            // All members are claimed with the first, so this one has been released since it was looked at.
            Err(make_way::clear(local, depth.unwrap_or_default()))
        }
        Phase::Running => wait_for(local, first),
        phase => {
            if let Some(marks) = claim(local, first, phase) {
                on_enough_stack(|| Verification::of(local, &resolved, phase, marks).go_through(node))?;
            }
            Ok(Waited::Over)
        }
    }
}

/// A component all of whose members are claimed, or are being claimed.
struct Verification<'a> {
    local: &'a Local,
    resolved: &'a Arc<Resolved>,
    /// The depth of the first member.
    depth: Depth,
    /// The state of the claimed members before.
    before: Vec<(Phase, StaleReads)>,
    /// A read of others than the members that has changed, if one was found.
    changed: Option<NodeRef>,
}

impl<'a> Verification<'a> {
    fn of(local: &'a Local, resolved: &'a Arc<Resolved>, phase: Phase, marks: StaleReads) -> Self {
        let depth = local.depth();
        Self { local, resolved, depth, before: vec![(phase, marks)], changed: None }
    }

    fn go_through(mut self, asked: NodeRef) -> Result<(), Stop> {
        if !of(self.resolved.members[0]).is_some_and(|now| Arc::ptr_eq(&now, self.resolved)) {
            // It has been dissolved meanwhile.
            self.put_back();
            return Ok(());
        }
        for member in &self.resolved.members[1..] {
            let phase = member.state.phase();
            let claimed =
                matches!(phase, Phase::Empty | Phase::Stale).then(|| claim(self.local, *member, phase));
            match claimed.flatten() {
                Some(marks) => self.before.push((phase, marks)),
                None => unreachable!("the members of a component are claimed by who has the first"),
            }
        }
        match self.is_current(asked) {
            Ok(true) if !self.is_live_elsewhere() => {
                self.confirm();
                return Ok(());
            }
            Ok(_) => {}
            Err(stop) => return self.stopped(stop),
        }
        match self.earlier_run(asked) {
            Ok(found) => self.dissolve(asked, found.as_ref()),
            Err(stop) => return self.stopped(stop),
        }
        Ok(())
    }

    fn stopped(self, stop: Stop) -> Result<(), Stop> {
        if stop.is_given_up() && make_way::is_cleared_from(self.local, self.depth) {
            // One of its reads has come to depend on it.
            drop(stop);
            let first = self.resolved.members[0];
            self.dissolve(first, None);
            return Ok(());
        }
        self.put_back();
        Err(stop)
    }

    /// Returns a run of a member that the store has, and that holds now: back in an earlier state no body runs.
    fn earlier_run(&self, asked: NodeRef) -> Result<Option<StoredTrace>, Stop> {
        let must_run = |member: &NodeRef| member.flag(Flags::MUST_RUN | Flags::FORGOTTEN);
        if self.resolved.members.iter().any(must_run) {
            return Ok(None);
        }
        let Some(mut check) = consult(self.local, asked, Phase::Stale, None) else { return Ok(None) };
        let Some(persistence) = self.local.engine().persistence() else { return Ok(None) };
        loop {
            let node = match check.advance(self.local, persistence) {
                Progress::Found(trace) => return Ok(Some(trace)),
                Progress::NotFound => return Ok(None),
                // Of the members by themselves, each is verified when it is asked for.
                Progress::Needs(node) | Progress::Leaps(node) if self.resolved.index.contains_key(&node) => {
                    return Ok(None);
                }
                Progress::Needs(node) | Progress::Leaps(node) => node,
            };
            match demand(self.local, node) {
                Ok(holder) if holder == node => {}
                Err(stop) if stop.is_given_up() => return Err(stop),
                // It has come to depend on a member.
                Err(_) if self.resolved.members.iter().any(|member| member.flag(Flags::ON_CYCLE)) => {
                    return Ok(None);
                }
                Ok(_) | Err(_) => check.failed(node),
            }
        }
    }

    /// Whether nothing has changed that the members have read of others.
    fn is_current(&mut self, asked: NodeRef) -> Result<bool, Stop> {
        let members = &self.resolved.members;
        if members.iter().any(|member| member.flag(Flags::MUST_RUN))
            || self.before.iter().any(|(phase, _)| *phase == Phase::Empty)
        {
            return Ok(false);
        }
        let verified_at = members[0].verified_at.get();
        for read in Externals::of(self.resolved, asked) {
            let node = read.node();
            if !node.state.is_fresh() {
                match demand(self.local, node) {
                    Ok(holder) if holder == node => {}
                    Err(stop) if stop.is_given_up() => return Err(stop),
                    // The bodies run, and meet it themselves.
                    Ok(_) | Err(_) => {
                        self.changed = Some(node);
                        return Ok(false);
                    }
                }
            }
            let changed = if read.reads_effects() { &node.effects_at } else { &node.changed_at };
            if changed.get() > verified_at {
                self.changed = Some(node);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a member belongs to a component that has been restored: what it has come to by itself does not count then.
    fn is_live_elsewhere(&self) -> bool {
        let Some(persistence) = self.local.engine().persistence() else { return false };
        let key = |member: &NodeRef| Persisted::of(*member).and_then(|persisted| persisted.key);
        self.resolved.members.iter().filter_map(key).any(|key| persistence.components.has(key))
    }

    fn confirm(self) {
        if let Some(persistence) = self.local.engine().persistence() {
            persistence.component_verified(self.resolved);
        }
        let epoch = self.local.engine().epoch();
        for member in self.resolved.members.iter().rev() {
            member.verified_at.set(epoch);
            self.local.counters.of(member.function).verified.add(1);
            if is_observed(self.local) {
                observed::verified_at_once(self.local, *member, None);
            }
            release(self.local, *member, Phase::Fresh, StaleReads::None);
        }
    }

    /// The members are tasks by themselves again: those that an earlier run of the one that is asked for gives a value have it.
    fn dissolve(self, asked: NodeRef, found: Option<&StoredTrace>) {
        let persistence = self.local.engine().persistence();
        let of_asked = found.and_then(|found| persistence?.put(self.local, asked, found));
        let mut dropped = Vec::new();
        if let Some(changed) = self.changed.filter(|_| is_observed(self.local)) {
            observed::dissolved(self.local, &self.resolved.members, changed);
        }
        for member in self.resolved.members.iter().rev() {
            leave(*member);
            // A member that stays equal does not say anything about the others, as whose origin it may stand.
            member.set_flag(Flags::BROKEN);
            let is_asked = *member == asked && of_asked.is_some();
            let restored = persistence
                .filter(|_| !is_asked)
                .and_then(|persistence| persistence.by_component(self.local, *member));
            if is_asked || restored.is_some() {
                end_restored(self.local, *member);
                dropped.extend(restored);
            } else {
                must_run(self.local, *member);
                release(self.local, *member, Phase::Empty, StaleReads::None);
            }
        }
        // Outputs are dropped when no claim is held.
        drop((of_asked, dropped));
    }

    fn put_back(self) {
        for (member, (phase, marks)) in self.resolved.members.iter().zip(self.before).rev() {
            release(self.local, *member, phase, marks);
        }
    }
}

/// The body of a former member has to run, unless the inputs go back to what they were (`stored/restore.rs`).
fn must_run(local: &Local, member: NodeRef) {
    let had_to = member.flag(Flags::MUST_RUN);
    let dissolved = if had_to { Epoch::NEVER } else { local.engine().epoch() };
    member.extra_or_insert().dissolved.set(dissolved);
    member.set_flag(Flags::MUST_RUN);
}

fn leave(node: NodeRef) {
    node.clear_flag(Flags::RESOLVED);
    if let Some(extra) = node.extra() {
        extra.resolved.lock().take();
    }
}

/// The nodes, and all members of the components that they belong to, which are dissolved: none of them can be computed again
/// without the others. The caller holds the gate exclusively.
pub(crate) fn whole_components(nodes: &mut Vec<NodeRef>) {
    let mut next = 0;
    while let Some(node) = nodes.get(next).copied() {
        next += 1;
        let Some(resolved) = of(node) else { continue };
        for member in &resolved.members {
            leave(*member);
            member.put_on(Leaving::MEMBER);
        }
        // Some may stand here twice now.
        nodes.extend(resolved.members.iter().copied());
    }
}
