//! Bodies that are run a second time, apart from their nodes (see `evaluate/apart.rs`), and their values.

use rustc_hash::FxHashMap;

use crate::base::sync::Mutex;
use crate::context::strand::Gathered;
use crate::graph::claim::Phase;
use crate::graph::node::NodeRef;

/// The runs apart of an engine.
#[derive(Default)]
pub(crate) struct Aparts(Mutex<All>);

#[derive(Default)]
struct All {
    /// Those since the gate was last held exclusively, by the nodes whose bodies they run.
    runs: FxHashMap<NodeRef, Runs>,
    /// By a function's index: how many of its runs apart, one after the other, have ended before the owner of the node did.
    needed: FxHashMap<u32, u32>,
}

#[derive(Default)]
struct Runs {
    under_way: u32,
    twin: Option<Twin>,
}

/// A value, and the reads that led to it.
struct Twin {
    holder: NodeRef,
    gathered: Gathered,
}

impl Aparts {
    /// How many runs of `node` are under way.
    pub(crate) fn under_way(&self, node: NodeRef) -> u32 {
        self.0.lock().runs.get(&node).map_or(0, |runs| runs.under_way)
    }

    pub(crate) fn has_twin(&self, node: NodeRef) -> bool {
        self.0.lock().runs.get(&node).is_some_and(|runs| runs.twin.is_some())
    }

    /// How many of the last runs of a function turned out to be needed.
    pub(crate) fn needed(&self, function: u32) -> u32 {
        self.0.lock().needed.get(&function).copied().unwrap_or(0)
    }

    /// The node that a twin stands for.
    pub(crate) fn original(&self, twin: NodeRef) -> Option<NodeRef> {
        let all = self.0.lock();
        let stands = |runs: &Runs| runs.twin.as_ref().is_some_and(|known| known.holder == twin);
        all.runs.iter().find(|(_, runs)| stands(runs)).map(|(node, _)| *node)
    }

    /// Forgets all twins. The caller holds the gate exclusively, so no run is under way.
    pub(crate) fn clear(&self) {
        self.0.lock().runs.clear();
    }

    /// The twin of `node`, with what it read.
    pub(crate) fn twin(&self, node: NodeRef) -> Option<(NodeRef, Gathered)> {
        let all = self.0.lock();
        let twin = all.runs.get(&node)?.twin.as_ref()?;
        Some((twin.holder, twin.gathered.reads_alone()))
    }

    pub(crate) fn begin(&self, node: NodeRef) {
        self.0.lock().runs.entry(node).or_default().under_way += 1;
    }

    /// Ends a run, with its twin if there is one. Threads that wait for the node are to be woken then.
    pub(crate) fn end(&self, node: NodeRef, twin: Option<(NodeRef, Gathered)>) {
        let all = &mut *self.0.lock();
        let needed = all.needed.entry(node.function).or_default();
        *needed = if node.state.phase() == Phase::Running { *needed + 1 } else { 0 };
        let runs = all.runs.entry(node).or_default();
        runs.under_way -= 1;
        if let (Some((holder, gathered)), None) = (twin, &runs.twin) {
            runs.twin = Some(Twin { holder, gathered });
        }
    }
}
