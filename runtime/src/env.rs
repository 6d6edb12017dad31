//! Environment variables as sources.

use std::ffi::{OsStr, OsString};

use larder_backend::args::ByRef;
use larder_backend::call;
use larder_backend::task_fn::{Describe, Site, TaskFn, type_id};

struct VarId;

const VAR: &TaskFn<(OsString,), Option<OsString>> = &TaskFn::new(
    type_id::<VarId>(),
    Site { name: "env", path: "larder::env::var_os", file: file!(), line: line!() },
    |(name,): &(OsString,)| std::env::var_os(name),
)
.describe(Describe::<(OsString,)>::DEBUG)
.cutoff(Some(|left, right| left == right))
.source(|_, _| false);

/// The value of an environment variable, if it is set. The task that runs now depends on it; a refresh looks again.
///
/// # Panics
/// Outside of a session.
pub fn var_os(name: impl AsRef<OsStr>) -> Option<OsString> {
    call::<_, Option<OsString>>(VAR, (ByRef(name.as_ref()),))
}

/// The value of an environment variable, if it is set and is Unicode.
///
/// # Panics
/// Outside of a session.
pub fn var(name: impl AsRef<OsStr>) -> Option<String> {
    var_os(name)?.into_string().ok()
}
