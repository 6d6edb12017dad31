//! Lossy: values and arguments whose encoding leaves something out, as a field under `#[serde(skip)]`, so that what is decoded is something
//! else.
//!
//! Serde does not tell. So some of what each function stores is decoded again and compared, as far as its type can be: the first
//! run, the second, the fourth and so on, from the 1,024th on one in as many; and each value that differs from the one before and does not
//! encode otherwise. Of what is restored the arguments are looked at, as often. A function that is found out is neither stored
//! nor restored any more: by this process, and by a note in the store by all later ones, whose first call would otherwise be
//! answered by what was stored before that.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Persistence;
use crate::base::stack::on_enough_stack;
use crate::graph::node::NodeRef;
use crate::graph::reason::Reason;

impl Persistence {
    /// Checks that the encoded output of a claimed node, and its arguments, decode to what they are. Runs code of the user's; a
    /// panic in it is a reason not to store.
    #[cold]
    pub(crate) fn check_return(&self, node: NodeRef, output: &[u8]) -> Result<(), Reason> {
        let Some(stored) = node.task_fn.stored else { return Err(Reason::NotEncoded) };
        // SAFETY: the claim is held and the value in place; the descriptor is the node's.
        let check =
            || unsafe { (stored.check_value)(node, output).is_ok() && node.task_fn.key_returns(node) };
        if matches!(catch_unwind(AssertUnwindSafe(|| on_enough_stack(check))), Ok(true)) {
            return Ok(());
        }
        self.refuse(node.function);
        Err(Reason::NoRoundTrip)
    }

    /// Whether a record that was found by the encoded arguments of a node may be that of this node: arguments that differ only in what
    /// their encoding leaves out have one record.
    #[cold]
    pub(crate) fn check_key(&self, node: NodeRef) -> bool {
        // SAFETY: a key may be read at any time; the descriptor is the node's.
        let check = || unsafe { node.task_fn.key_returns(node) };
        let returns = matches!(catch_unwind(AssertUnwindSafe(|| on_enough_stack(check))), Ok(true));
        if !returns {
            self.refuse(node.function);
        }
        returns
    }

    /// From now on nothing of a function is stored or restored.
    fn refuse(&self, function: u32) {
        let mut group = self.group();
        if self.functions.refuse(function, &mut group) {
            self.hand_over(&mut group, []);
        }
    }
}
