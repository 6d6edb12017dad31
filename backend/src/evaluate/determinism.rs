//! Determinism: a share of bodies is run a second time, beside the first, and what comes of the two is compared.
//!
//! The second run reads what the first one has read, which is fresh, so it costs one body and no more. It is made when the first one's value
//! is in place, before readers see it. Async bodies, volatile ones, sources, parts and tasks on cycles are not checked.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::stack::on_enough_stack;
use crate::context::event::{Event, Impure};
use crate::context::local::{Local, Naming};
use crate::evaluate::execute::run_beside;
use crate::evaluate::observed::Why;
use crate::graph::determinism::is_of_share;
use crate::graph::edges::Edge;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::task_name::{Fingerprint, TaskRef};
use larder_storage::Fingerprints;

/// Runs the body of a claimed node again if it is one of the share, and reports it if it has come to something else.
#[cold]
#[inline(never)]
pub(crate) fn check(local: &Local, node: NodeRef) {
    let task_fn = node.task_fn;
    let is_exempt =
        task_fn.volatile || task_fn.is_async() || task_fn.observe.is_some() || task_fn.part.is_some();
    if is_exempt || node.flag(Flags::RESOLVED | Flags::ON_CYCLE) || !is_due(local, node) {
        return;
    }
    // SAFETY: the claim is held.
    let reads = unsafe { node.deps() }.as_slice();
    let (outcome, gathered) = run_beside(local, node, reads, &Why::Check);
    let twin = match outcome {
        Ok(twin) => Some(twin),
        Err(stop) if stop.is_given_up() => return,
        Err(stop) => {
            on_enough_stack(|| drop(catch_unwind(AssertUnwindSafe(|| drop(stop)))));
            None
        }
    };
    let as_set = |edges: &[Edge]| edges.iter().copied().collect::<HashSet<_>>();
    let reads_differ = as_set(reads) != as_set(&gathered.reads);
    let fingerprints = local.engine().fingerprints();
    let second = twin.and_then(|twin| fingerprint_of(fingerprints, twin));
    let first = fingerprint_of(fingerprints, node);
    let is_equal = twin.is_some_and(|twin| same(node, twin).unwrap_or_else(|| first == second));
    if let Some(twin) = twin {
        local.engine().keep_twin(twin);
    }
    if !is_equal || reads_differ {
        let engine = local.engine();
        let _no_session = Naming::begin();
        let reads = reads.iter().map(|read| TaskRef::to(read.node())).collect();
        let impure = Impure { task: TaskRef::to(node), first, second, reads, reads_differ };
        engine.observers.note_impure(&impure);
        engine.observers.tell(&Event::Impure(impure));
    }
    on_enough_stack(|| drop(catch_unwind(AssertUnwindSafe(|| drop(gathered)))));
}

fn is_due(local: &Local, node: NodeRef) -> bool {
    let engine = local.engine();
    is_of_share(node.hash ^ engine.epoch().bits(), engine.observers.checks())
}

/// Whether two outputs are equal, if they can be compared.
fn same(node: NodeRef, twin: NodeRef) -> Option<bool> {
    node.task_fn.cutoff?;
    // SAFETY: this is the task function of both, both have an output, and no strand changes it meanwhile.
    let same = || unsafe { node.task_fn.same(node, twin) };
    on_enough_stack(|| catch_unwind(AssertUnwindSafe(same))).ok()
}

/// Returns the fingerprint of an output, if its type can be encoded.
pub(crate) fn fingerprint_of(fingerprints: Fingerprints, node: NodeRef) -> Option<Fingerprint> {
    let encode = node.task_fn.stored?.encode_value;
    let mut encoded = Vec::new();
    // SAFETY: the claim of the node is held and the value in place, or it is a twin of this function's own.
    let outcome =
        on_enough_stack(|| catch_unwind(AssertUnwindSafe(|| unsafe { encode(node, &mut encoded) })));
    matches!(outcome, Ok(Ok(()))).then(|| Fingerprint(fingerprints.digest(&encoded).0))
}
