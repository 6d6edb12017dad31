//! Mentions: stored tasks whose arguments name something that goes.
//!
//! A task that takes an input as an argument cannot be called any more when the input is removed. In memory such a task is found by the handles in
//! its key (`session/reclaim/keyed.rs`). One that is only stored is found by its encoded key: a handle to an input is encoded as the
//! input's name, and one to a call as the call's key. Where these bytes stand for something else, the task goes as well: it depends on the
//! input in any case, so it is stale, and costs a run if it is asked for.

use rustc_hash::FxHashSet;

use larder_storage::record::members_of;
use larder_storage::{Digest, FunctionId, codec};

/// The names of what goes, as keys would have them.
#[derive(Default)]
pub(super) struct Mentions {
    names: FxHashSet<Box<[u8]>>,
    lengths: FxHashSet<usize>,
}

impl Mentions {
    /// An input goes. One without a name is named everywhere, so it is not looked for.
    pub(super) fn add_input(&mut self, name: &str) {
        if !name.is_empty() {
            self.add(name.as_bytes());
        }
    }

    /// A task goes that cannot be called any more.
    pub(super) fn add_task(&mut self, key: Digest) {
        self.add(&key.to_bytes());
    }

    fn add(&mut self, name: &[u8]) {
        self.lengths.insert(name.len());
        self.names.insert(name.into());
    }

    /// Whether the encoded key of a task names something that goes. A component names its members otherwise.
    pub(super) fn are_in(&self, encoded_key: &[u8]) -> bool {
        let arguments = encoded_key.get(size_of::<FunctionId>()..).unwrap_or_default();
        members_of(encoded_key).is_none()
            && codec::strings_in(arguments)
                .any(|name| self.lengths.contains(&name.len()) && self.names.contains(name))
    }
}
