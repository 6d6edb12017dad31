//! Call: the arguments of a call, borrowed on the caller's stack or owned in a node.
//!
//! - Borrowed and owned arguments have one hash, one equality and one encoding. For example, `&"a"` finds the node that keeps
//!   `"a".to_string()`.
//! - Arguments move to the heap on a true miss only; until then they wait in a `StackMagicAnySlot`.
//! - It imports `base` alone.

/// Calls a macro with the names and positions of the parts of each tuple that arguments can be: of none, and of up to thirteen.
macro_rules! for_each_tuple {
    ($tuples:ident) => {
        $tuples!();
        $tuples!(A 0);
        $tuples!(A 0, B 1);
        $tuples!(A 0, B 1, C 2);
        $tuples!(A 0, B 1, C 2, D 3);
        $tuples!(A 0, B 1, C 2, D 3, E 4);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, I 7);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, I 7, J 8);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, I 7, J 8, K 9);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, I 7, J 8, K 9, L 10);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, I 7, J 8, K 9, L 10, M 11);
        $tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, I 7, J 8, K 9, L 10, M 11, N 12);
    };
}

pub mod args;
pub mod slot;
pub(crate) mod digested;
pub(crate) mod exact;
pub(crate) mod print;
pub(crate) mod weigh;
pub(crate) mod storable;
