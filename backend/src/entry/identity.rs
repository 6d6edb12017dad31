//! The identity of results: all that has to agree before what one runtime has stored can be used by another one.

use std::fmt;
use std::path::PathBuf;

use crate::context::engine::Engine;
use crate::persist::identity::Build;
use larder_storage::{Digest, ENVELOPE_VERSION};

/// All that has to agree before results that one runtime has stored can be used by another one, on another machine or from another
/// checkout. Made by `Runtime::identity`.
///
/// Printed, it is a line for each part, so that two of them can be compared by `diff`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The processor, the system, the bytes of a pointer, and the order of bytes.
    pub platform: String,
    /// The format of what is stored.
    pub format: u16,
    /// The digest by which values are compared across processes.
    pub fingerprints: &'static str,
    /// The code of functions that declare no version.
    pub code: CodeIdentity,
    /// Where relative paths of sources start. It may differ: that is what it is for. Without one, paths have to agree.
    pub base: Option<PathBuf>,
}

/// The identity of the code of functions that declare no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodeIdentity {
    /// The digest of the program's file. A program that is built anew, or stripped, or built below another folder, has another one.
    Program(u128),
    /// The digest of what the program gave as its identity (`code_identity`).
    Given(u128),
}

impl Identity {
    /// Returns the names of the parts for which results of the one are of no use to the other. Empty if there are none.
    ///
    /// Functions that declare a version do not mind another `code`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("platform", self.platform == other.platform),
            ("format", self.format == other.format),
            ("fingerprints", self.fingerprints == other.fingerprints),
            ("code", self.code == other.code),
            ("base", self.base.is_some() == other.base.is_some()),
        ];
        parts.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "platform: {}", self.platform)?;
        writeln!(f, "format: {}", self.format)?;
        writeln!(f, "fingerprints: {}", self.fingerprints)?;
        match self.code {
            CodeIdentity::Program(digest) => writeln!(f, "code: program {digest:032x}")?,
            CodeIdentity::Given(digest) => writeln!(f, "code: given {digest:032x}")?,
        }
        match &self.base {
            Some(base) => write!(f, "base: {}", base.display()),
            None => f.write_str("base: none, relative paths start at the current directory"),
        }
    }
}

impl Engine {
    /// Returns the identity of the results that this engine stores; none without a store.
    pub fn identity(&self) -> Option<Identity> {
        let code = match self.persistence()?.functions.code() {
            Build::OfProgram(Digest(digest)) => CodeIdentity::Program(digest),
            Build::Given(Digest(digest)) => CodeIdentity::Given(digest),
        };
        let order = if cfg!(target_endian = "little") { "little-endian" } else { "big-endian" };
        let (processor, system) = (std::env::consts::ARCH, std::env::consts::OS);
        Some(Identity {
            platform: format!("{processor}-{system}, {} bytes a pointer, {order}", size_of::<usize>()),
            format: u16::from(ENVELOPE_VERSION),
            fingerprints: self.fingerprints().name(),
            code,
            base: self.base_dir().map(|dir| dir.to_path_buf()),
        })
    }
}
