//! Raw: the type-erased descriptor, and what it does with a node of its function.

use std::any::{Any, TypeId};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::part::PartOps;
use super::stored::{RawLeaf, RawStored, RecallKey};
use super::{Definition, Site, Written};
use crate::base::stack::on_enough_stack;
use crate::call::args::Key;
use crate::graph::node::{NodeRef, Ops};

/// A function pointer whose type the descriptor's constructor has forgotten and its shims remember.
#[derive(Clone, Copy)]
pub(crate) struct Erased(pub(crate) unsafe fn());

/// The type-erased descriptor of a task function.
pub struct RawTaskFn {
    pub(crate) id: TypeId,
    pub(crate) site: Site,
    pub(crate) ops: &'static Ops,
    pub(crate) run: unsafe fn(&RawTaskFn, NodeRef, &mut dyn FnMut(Ran)),
    pub(crate) run_into_twin: unsafe fn(&RawTaskFn, NodeRef) -> NodeRef,
    pub(crate) body: Option<Erased>,
    pub(crate) cutoff: Option<Erased>,
    pub(crate) describe: Option<Erased>,
    pub(crate) describe_shim: unsafe fn(Erased, NodeRef, &mut fmt::Formatter<'_>) -> fmt::Result,
    pub(crate) resolve: Option<Erased>,
    pub(crate) uncached_if: Option<Erased>,
    pub(crate) uncached_shim: unsafe fn(Erased, NodeRef) -> bool,
    pub(crate) key_returns: Option<Erased>,
    pub(crate) key_shim: unsafe fn(Erased, NodeRef) -> bool,
    pub(crate) returns: Option<Erased>,
    pub(crate) cycle: Option<Cycle>,
    pub(crate) initial_shim: unsafe fn(Erased, NodeRef) -> NodeRef,
    pub(crate) same_shim: unsafe fn(Erased, NodeRef, NodeRef) -> bool,
    pub(crate) same_stamp: Option<Erased>,
    /// For a source: looks again.
    pub(crate) observe: Option<Observe>,
    /// For an async function: makes the box of a call, with its execution (`evaluate/call_box.rs` knows its type).
    pub(crate) book: Option<Erased>,
    pub(crate) full_name: Option<fn() -> &'static str>,
    /// How results are stored, if they are.
    pub(crate) stored: Option<RawStored>,
    /// How a task is made from its encoded arguments, if that is possible.
    pub(crate) recall: Option<RecallKey>,
    /// For a source: how it appears to a store.
    pub(crate) leaf: Option<RawLeaf>,
    pub(crate) volatile: bool,
    pub(crate) heavy: bool,
    pub(crate) definition: Option<Definition>,
    pub(crate) version: Option<u32>,
    pub(crate) written: Option<Written>,
    /// Which other machines are given its results.
    pub(crate) sharing: Sharing,
    /// Whether an output that is not to be kept leaves one in place that was.
    pub(crate) last_good: bool,
    /// How long an output may be used.
    pub(crate) ttl: Option<fn() -> Duration>,
    /// The same, said by the output.
    pub(crate) expires: Option<Erased>,
    pub(crate) expires_shim: unsafe fn(Erased, NodeRef) -> Option<Duration>,
    /// How much hangs on an output.
    pub(crate) weight: Option<Erased>,
    pub(crate) weight_shim: unsafe fn(Erased, NodeRef) -> usize,
    /// Whether outputs stay in memory whatever its cap is.
    pub(crate) stays: bool,
    /// How many outputs stay in memory.
    pub(crate) most: Option<usize>,
    /// Whether outputs are weighed or counted.
    pub(crate) is_bounded: bool,
    /// For a part: how it is taken from its source.
    pub(crate) part: Option<PartOps>,
}

/// Looks at a source again: `session::source::observe` for its types.
type Observe = unsafe fn(&RawTaskFn, NodeRef) -> Option<Box<dyn LeafChange>>;

/// How a function on a cycle is resolved.
pub(crate) struct Cycle {
    /// The value of round 0.
    pub(super) initial: Erased,
    /// In how many rounds the value may change; none if it is that of round 0 in each.
    pub(super) rounds: Option<u32>,
    pub(super) step: Option<Step>,
    pub(super) show: Option<Show>,
}

/// How outputs are printed.
#[derive(Clone, Copy)]
pub(super) struct Show {
    pub(super) show: Erased,
    pub(super) shim: unsafe fn(Erased, NodeRef, &mut fmt::Formatter<'_>) -> fmt::Result,
}

/// How the value of a round is made from the one before and what the body returns.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) step: Erased,
    /// Runs the body and makes the value; the node holds the key.
    pub(super) run: unsafe fn(&RawTaskFn, Erased, NodeRef, Stepped) -> NodeRef,
    /// Makes the value, given a twin that holds what the body has returned.
    pub(super) first: unsafe fn(Erased, NodeRef, Stepped, NodeRef) -> NodeRef,
}

/// The place of a step among the rounds.
#[derive(Clone, Copy)]
pub(crate) struct Stepped {
    /// A twin that holds the value of the round before.
    pub(crate) previous: NodeRef,
    pub(crate) round: u32,
}

/// Which other machines are given the results of a function, if there is a shared cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Those with this build.
    Build,
    /// Those with the same version and tokens of the function, too.
    Builds,
    /// None.
    Local,
}

/// The effect of a run on the node's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// There was no value before.
    First,
    /// The value differs from the one before.
    Changed,
    /// The value equals the one before, which was kept.
    Equal,
    /// The one in place stays: what the body has come to is not to be kept, and that one was (`last_good`).
    Held,
    /// Nothing: the node lies on a cycle that is being resolved, and this twin holds the value for now.
    Provisional(NodeRef),
}

impl RawTaskFn {
    /// Returns where the function stands in the source.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Whether both describe the same function.
    #[inline(always)]
    pub(crate) fn is(&'static self, other: &'static Self) -> bool {
        std::ptr::eq(self, other) || self.id == other.id
    }

    /// The bytes that hang on the output of a claimed node, which has one. A weight that panics is none.
    pub(crate) fn weigh(&self, node: NodeRef) -> usize {
        let Some(weight) = self.weight else { return 0 };
        // SAFETY: this is the node's task function, whose types the shim was made for; the callers hold the claim.
        let weigh = || unsafe { (self.weight_shim)(weight, node) };
        on_enough_stack(|| catch_unwind(AssertUnwindSafe(weigh))).unwrap_or(0)
    }

    /// Whether other machines are given single results. Any build finds the results of a version, so the function has to say that it wants this.
    pub(crate) fn has_records(&self) -> bool {
        match self.sharing {
            Sharing::Build => self.version.is_none(),
            Sharing::Builds => true,
            Sharing::Local => false,
        }
    }

    /// Whether outputs may expire.
    pub(crate) fn may_expire(&self) -> bool {
        self.ttl.is_some() || self.expires.is_some()
    }

    /// Returns how long the output of a claimed node may be used. If what says so panics, not beyond this session.
    pub(crate) fn lifetime(&self, node: NodeRef) -> Option<Duration> {
        let lifetime = || {
            let ttl = self.ttl.map(|ttl| ttl());
            // SAFETY: this is the node's task function, whose types the shim was made for; the callers hold the claim.
            let own = self.expires.and_then(|expires| unsafe { (self.expires_shim)(expires, node) });
            ttl.into_iter().chain(own).min()
        };
        let judged = on_enough_stack(|| catch_unwind(AssertUnwindSafe(lifetime)));
        judged.unwrap_or(Some(Duration::ZERO))
    }

    /// Whether it depends on an output if that is kept beyond its session.
    pub(crate) fn judges(&self) -> bool {
        self.uncached_if.is_some()
    }

    /// Whether the output of a node may be used in later sessions.
    ///
    /// # Safety
    /// This is the node's task function, the claim of the node is held, and it has an output.
    pub(crate) unsafe fn keeps(&self, node: NodeRef) -> bool {
        match self.uncached_if {
            // SAFETY: passed on to the caller; the shim was made for the types that `uncached_if` was erased from.
            Some(uncached_if) => !unsafe { (self.uncached_shim)(uncached_if, node) },
            None => true,
        }
    }

    /// Whether the key of a node, encoded and decoded again, is not known to be another key. Runs code of the user's.
    ///
    /// # Safety
    /// `node` is alive, and this is its task function.
    pub(crate) unsafe fn key_returns(&self, node: NodeRef) -> bool {
        // SAFETY: passed on to the caller; the shim was made for the types that `key_returns` was erased from.
        self.key_returns.is_none_or(|returns| unsafe { (self.key_shim)(returns, node) })
    }

    /// How outputs are compared with what their encoding decodes to, if they can be.
    ///
    /// # Safety
    /// `O` is the type of the outputs.
    pub(crate) unsafe fn comparison_of_returns<O>(&self) -> Option<fn(&O, &O) -> bool> {
        // SAFETY: erased from this type in `returns`.
        self.returns
            .map(|Erased(equal)| unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(equal) })
    }

    /// Whether two values of the leaf's type are the same.
    ///
    /// # Safety
    /// `O` is the type of the leaf's values.
    pub(crate) unsafe fn same_values<O>(&self, one: &O, other: &O) -> bool {
        self.cutoff.is_some_and(|Erased(cutoff)| {
            // SAFETY: erased from this type in `cutoff`.
            unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff)(one, other) }
        })
    }

    /// Whether the body runs in pieces.
    pub(crate) fn is_async(&self) -> bool {
        self.book.is_some()
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.body.is_none()
    }

    /// Whether what it emits counts: leaves emit nothing, and neither do sources, which have a body.
    pub(crate) fn emits(&self) -> bool {
        !self.is_leaf() && self.observe.is_none()
    }

    /// Whether a cycle through this function has a value to begin with.
    pub(crate) fn has_initial(&self) -> bool {
        self.cycle.is_some()
    }

    /// In how many rounds the value of a task on a cycle may change; none if it does not change in any.
    pub(crate) fn rounds(&self) -> Option<u32> {
        self.cycle.as_ref().and_then(|cycle| cycle.rounds)
    }

    /// Whether a task on a cycle has its value of round 0 in each round.
    pub(crate) fn falls_back(&self) -> bool {
        self.cycle.as_ref().is_some_and(|cycle| cycle.rounds.is_none())
    }

    /// Whether the value of a round depends on the value of the round before, whatever the body reads.
    pub(crate) fn has_step(&self) -> bool {
        self.step().is_some()
    }

    fn step(&self) -> Option<Step> {
        self.cycle.as_ref().and_then(|cycle| cycle.step)
    }

    /// Runs the body on the key of a node in a round after the first one. Returns a twin that holds the value of the round.
    ///
    /// # Safety
    /// `node` is alive, this is its task function, and it is not a leaf; the previous value is in a twin of it, which no strand
    /// changes or frees meanwhile.
    pub(crate) unsafe fn run_stepped(&self, node: NodeRef, stepped: Stepped) -> NodeRef {
        match self.step() {
            // SAFETY: passed on to the caller; the shim was made for the types that `step` was erased from.
            Some(step) => unsafe { (step.run)(self, step.step, node, stepped) },
            // SAFETY: passed on to the caller.
            None => unsafe { self.run_into_twin(node) },
        }
    }

    /// Returns a twin of a node that holds the value of round 1, if that is not what the body has returned, which `new` holds.
    ///
    /// # Safety
    /// See [`run_stepped`](Self::run_stepped). The new value, too, is in a twin that no strand changes or frees meanwhile.
    pub(crate) unsafe fn first_step(&self, node: NodeRef, stepped: Stepped, new: NodeRef) -> Option<NodeRef> {
        // SAFETY: passed on to the caller; the shim was made for the types that `step` was erased from.
        self.step().map(|step| unsafe { (step.first)(step.step, node, stepped, new) })
    }

    /// A twin of a node that holds its initial value, if it has one. Runs code of the user's.
    ///
    /// # Safety
    /// `node` is alive, and this is its task function.
    pub(crate) unsafe fn initial(&self, node: NodeRef) -> Option<NodeRef> {
        // SAFETY: passed on to the caller; the shim was made for the types that `initial` was erased from.
        self.cycle.as_ref().map(|cycle| unsafe { (self.initial_shim)(cycle.initial, node) })
    }

    /// Whether outputs of tasks on a cycle can be printed.
    pub(crate) fn shows(&self) -> bool {
        self.cycle.as_ref().is_some_and(|cycle| cycle.show.is_some())
    }

    /// Writes the output of a node, or of its twin, if the function [`shows`](Self::shows) any. Runs code of the user's.
    ///
    /// # Safety
    /// This is the task function of the node, which has an output that no strand changes meanwhile.
    pub(crate) unsafe fn show(&self, node: NodeRef, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cycle.as_ref().and_then(|cycle| cycle.show) {
            // SAFETY: passed on to the caller; the shim was made for the types that `show` was erased from.
            Some(show) => unsafe { (show.shim)(show.show, node, f) },
            None => Ok(()),
        }
    }

    /// Whether the outputs of two nodes, or of their twins, are equal. Runs code of the user's.
    ///
    /// # Safety
    /// This is the task function of both, both have an output, and no strand changes it meanwhile.
    pub(crate) unsafe fn same(&self, one: NodeRef, other: NodeRef) -> bool {
        // SAFETY: passed on to the caller; the shim was made for the types that `cutoff` was erased from.
        self.cutoff.is_some_and(|cutoff| unsafe { (self.same_shim)(cutoff, one, other) })
    }

    /// Whether a value equals one that was computed earlier. Runs code of the user's.
    ///
    /// # Safety
    /// `O` is the output of this task function.
    pub(crate) unsafe fn is_equal<O>(&self, earlier: &O, now: &O) -> bool {
        self.cutoff.is_some_and(|Erased(cutoff)| {
            // SAFETY: erased from this type in `cutoff`, for the output that the caller vouches for.
            unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff)(earlier, now) }
        })
    }

    /// Runs the body of a claimed node and puts the output in place; calls `done` before the replaced output is dropped.
    ///
    /// # Safety
    /// The caller holds the claim of `node`, whose task function this is, and it is not a leaf.
    pub(crate) unsafe fn run(&self, node: NodeRef, done: &mut dyn FnMut(Ran)) {
        // SAFETY: passed on to the caller.
        unsafe { (self.run)(self, node, done) }
    }

    /// Runs the body on the key of a node and returns a twin of the node that holds the output.
    ///
    /// # Safety
    /// `node` is alive, this is its task function, and it is not a leaf.
    pub(crate) unsafe fn run_into_twin(&self, node: NodeRef) -> NodeRef {
        // SAFETY: passed on to the caller.
        unsafe { (self.run_into_twin)(self, node) }
    }

    /// Observes a source again, whatever its stamp says. The new value counts as another one.
    pub(crate) fn observe_anew<K: Key, O: Send + Sync + 'static>(&self, key: &K) -> Option<(O, bool)> {
        // SAFETY: erased from this type in `new`.
        let body = unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> O>(self.body?.0) };
        Some((body(key), true))
    }

    /// Observes a source again, unless its stamp is the same. Returns the new value and whether it differs.
    pub(crate) fn observe_again<K: Key, O: Send + Sync + 'static>(
        &self,
        key: &K,
        value: &O,
    ) -> Option<(O, bool)> {
        let (Some(Erased(same_stamp)), Some(Erased(body))) = (self.same_stamp, self.body) else {
            return None;
        };
        // SAFETY: erased from these types in `source` and `new`; `observe` is made together with `same_stamp`.
        let (same_stamp, body) = unsafe {
            (
                std::mem::transmute::<unsafe fn(), fn(&K, &O) -> bool>(same_stamp),
                std::mem::transmute::<unsafe fn(), fn(&K) -> O>(body),
            )
        };
        if same_stamp(key, value) {
            return None;
        }
        let new = body(key);
        let differs = self.cutoff.is_none_or(|Erased(cutoff)| {
            // SAFETY: erased from this type in `cutoff`.
            let equal = unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff) };
            !equal(value, &new)
        });
        Some((new, differs))
    }

    /// Writes the task as a call: `name(arguments)`.
    pub(crate) fn describe(&self, node: NodeRef, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.site.name)?;
        match self.describe {
            // SAFETY: `describe_shim` was made for the types that `describe` was erased from.
            Some(describe) => unsafe { (self.describe_shim)(describe, node, f) },
            None => f.write_str("(..)"),
        }
    }
}

/// A new value for a leaf, not in place yet.
pub(crate) trait LeafChange: Send {
    fn node(&self) -> NodeRef;
    /// Whether the leaf is to go.
    fn removes(&self) -> bool {
        false
    }
    /// The new value; none if the leaf is to go, or is no input.
    fn value(&mut self) -> Option<&mut dyn Any> {
        None
    }
    /// Whether the new value is unequal to the one in place. Runs the user's `PartialEq`.
    fn differs(&self) -> bool;
    /// Puts the new value in place and returns the old one. Runs no code of the user's.
    fn put(self: Box<Self>) -> Option<Box<dyn Any + Send>>;
}
