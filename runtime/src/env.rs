//! Environment variables as sources.

use std::ffi::{OsStr, OsString};

use larder_backend::args::ByRef;
use larder_backend::storage::record::SourceKind;
use larder_backend::storage::{Digest, Fingerprints};
use larder_backend::task_fn::{Describe, Site, TaskFn, type_id};
use larder_backend::{Leaf, Look, Observer, Seen, call};

struct VarId;

const VAR: &TaskFn<(OsString,), Option<OsString>> = &TaskFn::new(
    type_id::<VarId>(),
    Site { name: "env", path: "larder::env::var_os", file: file!(), line: line!() },
    |(name,): &(OsString,)| std::env::var_os(name),
)
.describe(Describe::<(OsString,)>::DEBUG)
.cutoff(Some(|left, right| left == right))
.source(|_, _| false)
.stored_leaf::<VarId>();

impl Leaf for VarId {
    type Key = (OsString,);
    type Output = Option<OsString>;
    const KIND: SourceKind = SourceKind::Environment;
    fn name((name,): &Self::Key) -> Option<Vec<u8>> {
        Some(name.as_encoded_bytes().to_owned())
    }
    fn seen(output: &Self::Output, fingerprints: Fingerprints) -> Seen {
        seen(output.as_deref(), fingerprints)
    }
    /// There is no way to tell that a variable has changed, and a program that sets its own should know what it does.
    fn changed(_: &Self::Key, _: Digest) -> Option<Self::Output> {
        None
    }
}

fn seen(value: Option<&OsStr>, fingerprints: Fingerprints) -> Seen {
    let content = match value {
        Some(value) => fingerprints.digest(&[b"=", value.as_encoded_bytes()].concat()),
        None => fingerprints.digest(b""),
    };
    Seen { content, stamp: None, racy: false }
}

/// How variables are looked at that a store knows.
pub(crate) const OBSERVER: Observer = Observer {
    kind: SourceKind::Environment,
    look: |from, name, _| {
        let found = match std::str::from_utf8(name) {
            // Compared as the system compares names, which is not everywhere by their bytes.
            Ok(name) => std::env::var_os(name),
            // A name that is not Unicode is found among all.
            Err(_) => {
                std::env::vars_os().find(|(key, _)| key.as_encoded_bytes() == name).map(|(_, value)| value)
            }
        };
        Look::Seen(seen(found.as_deref(), from.fingerprints))
    },
};

/// Returns the value of an environment variable, if it is set. The task that runs now depends on it; a refresh looks again.
///
/// # Panics
/// Outside of a session.
pub fn var_os(name: impl AsRef<OsStr>) -> Option<OsString> {
    call::<_, Option<OsString>>(VAR, (ByRef(name.as_ref()),))
}

/// Returns the value of an environment variable, if it is set and is Unicode.
///
/// # Panics
/// Outside of a session.
pub fn var(name: impl AsRef<OsStr>) -> Option<String> {
    var_os(name)?.into_string().ok()
}
