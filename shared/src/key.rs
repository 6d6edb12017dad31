//! The names under which engines keep bytes.

use std::fmt;

use larder_storage::Fingerprints;

/// The program and the platform that results are of: a text of the user, and a digest of the platform. Results of one platform are of no use on
/// another, and those of one kind of [`Fingerprints`] are of no use to a store of the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    name: Box<str>,
    fingerprints: Fingerprints,
    /// The name and the digest of the platform.
    text: Box<str>,
}

/// A namespace is made of letters, digits, `.`, `_`, `-` and single slashes between these.
const RULE: &str = "a namespace is made of letters, digits, `.`, `_` and `-`, with `/` between parts";

/// Returns the platform that results are of, as a line: they are of use on machines with the same one.
#[must_use]
pub fn platform() -> String {
    let head = larder_storage::record::MetaRecord::own(
        larder_storage::Digest(0),
        larder_storage::RunNumber::BEFORE_ALL,
        Fingerprints::default(),
    );
    format!(
        "larder shared platform 1: {:?} {} {} {} {} {}",
        head.order,
        head.pointer,
        head.format,
        head.codec,
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

impl Namespace {
    /// Makes a namespace of a text such as `acme/census`, for results whose contents are told apart by BLAKE3.
    ///
    /// # Errors
    /// The rule, if the text has something else than letters, digits, `.`, `_`, `-` and `/`, or a part that is empty or all dots.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let is_fine = |part: &str| {
            !part.is_empty()
                && part.chars().any(|c| c != '.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        if text.len() > 200 || !text.split('/').all(is_fine) {
            return Err(RULE);
        }
        Ok(Self::with(text, Fingerprints::Blake3))
    }

    fn with(name: &str, fingerprints: Fingerprints) -> Self {
        let digest = blake3::hash(format!("{} {fingerprints}", platform()).as_bytes()).to_hex();
        Self { name: name.into(), fingerprints, text: format!("{name}/{}", &digest[..16]).into() }
    }

    /// Returns the namespace of the same text for results whose contents are told apart by these fingerprints.
    #[must_use]
    pub fn of_kind(&self, fingerprints: Fingerprints) -> Self {
        Self::with(&self.name, fingerprints)
    }

    /// Returns the kind of fingerprints of the results in it.
    #[must_use]
    pub fn fingerprints(&self) -> Fingerprints {
        self.fingerprints
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kind of item that is kept at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Tasks with their traces.
    Pack,
    /// A list of packs.
    Manifest,
    /// The newest manifest of a name.
    Ref,
    /// The traces of one task.
    Trace,
    /// A lease on a task, as far as an engine keeps it as an item.
    Lease,
}

impl Kind {
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Pack => 'p',
            Self::Manifest => 'm',
            Self::Ref => 'r',
            Self::Trace => 't',
            Self::Lease => 'l',
        }
    }
}

/// A name. It is printed as engines use it: `NAMESPACE/f1/p/HH/HEX`, with 64 digits, or `NAMESPACE/f1/r/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedKey {
    namespace: Namespace,
    kind: Kind,
    name: Box<str>,
}

impl SharedKey {
    /// Names bytes by their content.
    pub(crate) fn of(namespace: &Namespace, kind: Kind, digest: &[u8; 32]) -> Self {
        let hex = blake3::Hash::from_bytes(*digest).to_hex();
        Self { namespace: namespace.clone(), kind, name: format!("{}/{hex}", &hex[..2]).into() }
    }

    /// Names the record of a task.
    #[must_use]
    pub fn task(namespace: &Namespace, task: larder_storage::TaskKey) -> Self {
        let mut bytes = b"larder shared task\0".to_vec();
        bytes.extend_from_slice(&task.to_bytes());
        Self::of(namespace, Kind::Trace, blake3::hash(&bytes).as_bytes())
    }

    /// Names the lease on a task.
    #[must_use]
    pub fn lease(namespace: &Namespace, task: larder_storage::TaskKey) -> Self {
        Self { kind: Kind::Lease, ..Self::task(namespace, task) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Names a ref.
    ///
    /// # Errors
    /// The rule, if the name has something else than letters, digits, `.`, `_` and `-`.
    pub fn reference(namespace: &Namespace, name: &str) -> Result<Self, &'static str> {
        let is_fine = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if name.is_empty() || name.len() > 100 || !is_fine || name.starts_with('.') {
            return Err("a ref is named by letters, digits, `.`, `_` and `-`");
        }
        Ok(Self { namespace: namespace.clone(), kind: Kind::Ref, name: name.into() })
    }

    /// Returns what is kept there.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/f1/{}/{}", self.namespace, self.kind.letter(), self.name)
    }
}
