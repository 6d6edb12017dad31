//! Strands: sequential threads of control, and how a thread goes from one to another.
//!
//! A strand is a thread's stack inside a session, a helper's share of a scope, work carried to another thread, or an
//! async execution. State that belongs to a strand, and not to the thread that runs it, is a [`Strand`]; the current one stands
//! in the `Local`, and [`Local::switch`] swaps it with another. Frames (which record reads) are separate: see `local.rs`.
//!
//! A strand that another one waits for by construction (a scope's helper, carried work) knows its [`Lineage`]: the strands that
//! wait for it. That is how the wait graph sees a helper that asks for a task which its own scope is part of.

use std::sync::Arc;

use crate::context::component::{Cycles, all_claims};
use crate::context::local::{Local, Poisoned};
use crate::context::session_data::SessionData;
use crate::context::token::CancelToken;
use crate::graph::edges::Edge;
use crate::graph::emitted::EmittedValue;
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::node::NodeRef;
use crate::graph::strand_id::{DemandId, StrandId};

/// A strand that waits for others which it has started, as it was when it started them.
pub(crate) struct Lineage {
    pub(crate) strand: StrandId,
    /// The nodes that it has claimed, outermost first.
    pub(crate) claimed: Vec<NodeRef>,
    /// The strands that wait for that strand in turn.
    pub(crate) parent: Option<Arc<Self>>,
    /// Whose stack that strand's work stands on, without being part of it.
    pub(crate) beneath: Option<Arc<Self>>,
    /// The number of its demand, if one is under way.
    pub(crate) demand: Option<DemandId>,
    /// The token that may cancel it.
    pub(crate) token: Option<CancelToken>,
    /// The data of its session.
    pub(crate) data: Option<SessionData>,
    /// Whether frames of other tasks may stand below its work (`stall.rs`).
    pub(crate) foreign: bool,
}

/// A strand's lineage and those above it, innermost first.
pub(crate) fn ancestors(lineage: Option<&Arc<Lineage>>) -> impl Iterator<Item = &Lineage> {
    std::iter::successors(lineage.map(|lineage| &**lineage), |lineage| lineage.parent.as_deref())
}

/// How a strand comes to wait for another one without naming a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It has started it, as a part of its own work.
    Part,
    /// The other stands above it on its stack.
    Stack,
}

impl Lineage {
    /// Whether `node` is one of the claims of the strand `owner` that wait here.
    pub(crate) fn waits(&self, owner: StrandId, node: NodeRef) -> bool {
        self.strand == owner && self.claimed.contains(&node)
    }

    /// This one and those above it, innermost first.
    fn and_above(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |lineage| lineage.parent.as_deref())
    }

    /// Whether all that `below` has claimed waits for this one's work as a part of its own.
    pub(crate) fn covers(&self, below: &Self) -> bool {
        self.and_above()
            .any(|above| above.strand == below.strand && above.claimed.starts_with(&below.claimed))
    }

    /// Whether this one and `other` work for each other, or the one for the other.
    pub(crate) fn is_akin_to(&self, other: &Self) -> bool {
        self.covers(other)
            || self.strand != other.strand && other.and_above().any(|above| above.strand == self.strand)
    }

    /// All that wait for whom `parts` and `beneath` tell of, each with the weakest link on the way to it.
    pub(crate) fn waiting<'a>(
        parts: Option<&'a Arc<Self>>,
        beneath: Option<&'a Arc<Self>>,
    ) -> Vec<(&'a Self, Link)> {
        let mut found = Vec::new();
        // Where to go on when the way up from one of them has come to its end: such ways are long, and do not recurse.
        let mut forks: Vec<&'a Arc<Self>> = beneath.into_iter().collect();
        let (mut next, mut link) = (parts, Link::Part);
        loop {
            if next.is_none() {
                (next, link) = (forks.pop(), Link::Stack);
            }
            let Some(lineage) = next else { return found };
            found.push((&**lineage, link));
            forks.extend(&lineage.beneath);
            next = lineage.parent.as_ref();
        }
    }
}

impl Drop for Lineage {
    /// Without recursion: work that is carried on and on makes a long chain.
    fn drop(&mut self) {
        let mut forks: Vec<Arc<Self>> = self.beneath.take().into_iter().collect();
        let mut next = self.parent.take();
        while let Some(lineage) = next.or_else(|| forks.pop()) {
            next = Arc::into_inner(lineage).and_then(|mut alone| {
                forks.extend(alone.beneath.take());
                alone.parent.take()
            });
        }
    }
}

/// The state of a thread of control, whichever thread runs it.
pub(crate) struct Strand {
    pub(crate) id: StrandId,
    pub(crate) lineage: Option<Arc<Lineage>>,
    /// The strand on whose stack this one runs without being part of its work.
    pub(crate) beneath: Option<Arc<Lineage>>,
    pub(crate) claimed: Vec<NodeRef>,
    pub(crate) demand: DemandId,
    /// The token that may cancel its session.
    pub(crate) token: Option<CancelToken>,
    /// The data of the session that began it.
    pub(crate) data: Option<SessionData>,
    pub(crate) cancelled: bool,
    pub(crate) poisoned: Vec<Poisoned>,
    pub(crate) last_panic: Option<(usize, TaskError)>,
    /// Cycles that go through tasks of the lineage: a waiter there must not swallow them.
    pub(crate) escaped: Vec<Arc<CycleError>>,
    /// The cycles that it is resolving.
    pub(crate) cycles: Cycles,
    /// Whether frames of other tasks may stand below its work (`stall.rs`).
    pub(crate) foreign: bool,
}

impl Strand {
    /// Makes a strand that no other waits for by construction.
    pub(crate) fn new() -> Self {
        Self {
            id: StrandId::new(),
            lineage: None,
            beneath: None,
            claimed: Vec::new(),
            demand: DemandId::default(),
            token: None,
            data: None,
            cancelled: false,
            poisoned: Vec::new(),
            last_panic: None,
            escaped: Vec::new(),
            cycles: Cycles::default(),
            foreign: false,
        }
    }

    /// A strand that works for `lineage`, as part of its demand.
    pub(crate) fn under(lineage: &Arc<Lineage>) -> Self {
        Self {
            lineage: Some(lineage.clone()),
            demand: lineage.demand.unwrap_or_default(),
            token: lineage.token.clone(),
            data: lineage.data.clone(),
            foreign: lineage.foreign,
            ..Self::new()
        }
    }
}

/// Takes the reads and the emitted values of a stretch of work out of its frame.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) reads: Vec<Edge>,
    pub(crate) emitted: Vec<EmittedValue>,
}

// SAFETY: an edge is a pointer to a node, which may be used from any thread of the session (see `NodeRef`); emitted values
// are `Send + Sync`.
unsafe impl Send for Gathered {}

impl Gathered {
    pub(crate) fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.emitted.is_empty()
    }

    /// The reads, without what was emitted.
    pub(crate) fn reads_alone(&self) -> Self {
        Self { reads: self.reads.clone(), emitted: Vec::new() }
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.reads.append(&mut other.reads);
        self.emitted.append(&mut other.emitted);
    }
}

impl Local {
    /// The current strand, as one that waits for what it starts now.
    pub(crate) fn lineage(&self) -> Arc<Lineage> {
        let claimed = all_claims(self);
        let demand = (!self.begins_demand()).then(|| self.demand.get());
        let (parent, beneath) = (self.lineage.borrow().clone(), self.beneath.borrow().clone());
        let (token, data) = (self.token.borrow().clone(), self.data.borrow().clone());
        let foreign = self.is_foreign();
        let strand = self.strand.get();
        Arc::new(Lineage { strand, claimed, parent, beneath, demand, token, data, foreign })
    }

    /// Whether a call made now is the outermost demand of its strand, and of all that wait for the strand.
    pub(crate) fn begins_demand(&self) -> bool {
        self.claimed.borrow().is_empty()
            && self.lineage.borrow().as_ref().is_none_or(|lineage| lineage.demand.is_none())
    }

    /// Swaps the current strand with `strand`.
    pub(crate) fn switch(&self, strand: &mut Strand) {
        strand.id = self.strand.replace(strand.id);
        strand.demand = self.demand.replace(strand.demand);
        strand.cancelled = self.cancelled.replace(strand.cancelled);
        strand.foreign = self.foreign.replace(strand.foreign);
        std::mem::swap(&mut *self.lineage.borrow_mut(), &mut strand.lineage);
        std::mem::swap(&mut *self.beneath.borrow_mut(), &mut strand.beneath);
        std::mem::swap(&mut *self.claimed.borrow_mut(), &mut strand.claimed);
        std::mem::swap(&mut *self.token.borrow_mut(), &mut strand.token);
        std::mem::swap(&mut *self.data.borrow_mut(), &mut strand.data);
        std::mem::swap(&mut *self.poisoned.borrow_mut(), &mut strand.poisoned);
        std::mem::swap(&mut *self.last_panic.borrow_mut(), &mut strand.last_panic);
        std::mem::swap(&mut *self.escaped.borrow_mut(), &mut strand.escaped);
        std::mem::swap(&mut *self.cycles.borrow_mut(), &mut strand.cycles);
    }

    /// Takes on what befell a strand that worked for the current one.
    pub(crate) fn inherit(&self, cancelled: bool, escaped: &[Arc<CycleError>]) {
        for cycle in escaped {
            self.poison_cycle(cycle);
        }
        if cancelled {
            self.poison_all();
        }
    }
}
