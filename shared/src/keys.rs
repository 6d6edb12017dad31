//! Keys: one that signs, and those whose signatures are accepted.

use std::fmt;
use std::time::SystemTime;

use ed25519_dalek::{Signature, Signer, VerifyingKey};

/// Signs results that are pushed. With it, results can be given to all machines that trust it, so it belongs to jobs of protected branches.
///
/// Its text is `NAME:` and 64 hexadecimal digits.
#[derive(Clone)]
pub struct SigningKey {
    name: Box<str>,
    key: ed25519_dalek::SigningKey,
}

/// A text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not a name, a colon and 64 hexadecimal digits.
    Form,
    /// The digits are no public key.
    NotAKey,
    /// The system gives no random bytes.
    NoRandom,
    /// The environment variable is not set.
    NotSet,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a key is written as its name, a colon and 64 hexadecimal digits",
            Self::NotAKey => "these digits are no public key",
            Self::NoRandom => "the system gives no random bytes",
            Self::NotSet => "the environment variable is not set",
        })
    }
}

impl std::error::Error for KeyError {}

fn parse(text: &str) -> Result<(&str, [u8; 32]), KeyError> {
    let (name, digits) = text.trim().split_once(':').ok_or(KeyError::Form)?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 100 || !name.chars().all(is_fine) {
        return Err(KeyError::Form);
    }
    let digest = blake3::Hash::from_hex(digits).map_err(|_| KeyError::Form)?;
    Ok((name, *digest.as_bytes()))
}

fn hex(bytes: [u8; 32]) -> String {
    blake3::Hash::from_bytes(bytes).to_hex().to_string()
}

impl SigningKey {
    /// Makes a new key of random bytes from the system.
    ///
    /// # Errors
    /// If there are none, or the name is none.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| KeyError::NoRandom)?;
        Self::parse(&format!("{name}:{}", hex(secret)))
    }

    /// Reads a key from its text.
    ///
    /// # Errors
    /// If the text is none. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, secret) = parse(text)?;
        Ok(Self { name: name.into(), key: ed25519_dalek::SigningKey::from_bytes(&secret) })
    }

    /// Reads a key from an environment variable.
    ///
    /// # Errors
    /// If it is not set, or holds no key.
    pub fn from_env(variable: &str) -> Result<Self, KeyError> {
        Self::parse(&std::env::var(variable).map_err(|_| KeyError::NotSet)?)
    }

    /// Returns the text of the secret. Keep it as you keep a password.
    #[must_use]
    pub fn secret_text(&self) -> String {
        format!("{}:{}", self.name, hex(self.key.to_bytes()))
    }

    /// Returns the public key, for those that are to trust this one.
    #[must_use]
    pub fn public(&self) -> TrustedKey {
        TrustedKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}:***)", self.name)
    }
}

/// A public key: results that were signed with its secret are used.
///
/// Its text is `NAME:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    name: Box<str>,
    key: VerifyingKey,
}

impl TrustedKey {
    /// Reads a key from its text.
    ///
    /// # Errors
    /// If the text is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, bytes) = parse(text)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAKey)?;
        // One of small order would be the key of many.
        if key.is_weak() { Err(KeyError::NotAKey) } else { Ok(Self { name: name.into(), key }) }
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> [u8; 8] {
        let digest = *blake3::hash(self.key.as_bytes()).as_bytes();
        let (id, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        *id
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, hex(self.key.to_bytes()))
    }
}

/// The keys whose results are used, and from when on. By default none.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: Vec<TrustedKey>,
    not_before: Option<SystemTime>,
}

impl Trust {
    /// Trusts no key.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts a key, too. While a key is replaced, both are trusted.
    #[must_use]
    pub fn key(mut self, key: TrustedKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Uses nothing that was signed before this moment. For example, after a day on which wrong results were pushed.
    #[must_use]
    pub fn not_before(mut self, moment: SystemTime) -> Self {
        self.not_before = Some(moment);
        self
    }

    pub(crate) fn find(&self, id: [u8; 8]) -> Option<&TrustedKey> {
        self.keys.iter().find(|key| key.id() == id)
    }

    pub(crate) fn accepts(&self, signed_at: SystemTime) -> bool {
        self.not_before.is_none_or(|moment| signed_at >= moment)
    }
}
