//! The trait of an engine: what keeps the bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Holder, Lease, SharedError, SharedKey};

/// Keeps bytes by name, where others can write as well. Nothing that it returns is believed.
///
/// Calls block. They are made from the thread that pushes or pulls, never under a lock of a runtime.
pub trait SharedEngine: Send + Sync + 'static {
    /// Returns what is kept at these names, in their order; `None`: not there. One round trip, where the engine has one for many names.
    ///
    /// # Errors
    /// If it cannot tell until the moment `until`.
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError>;

    /// Keeps items, each of them atomically, in any order.
    ///
    /// # Errors
    /// If that cannot be done until the moment `until`. Some of the items may be kept then.
    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError>;

    /// Takes a lease: a name that one holder has for some time. One that has it may take it again, from now on.
    ///
    /// A lease is advice, so that work is done once. Two may have it, where clocks differ or the server cannot tell; nothing but time is lost then.
    ///
    /// # Errors
    /// If it cannot tell until the moment `until`.
    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        _ = (key, holder, lasts, until);
        Ok(Lease::NotSupported)
    }

    /// Ends a lease before its time, if this holder has it.
    ///
    /// # Errors
    /// If that cannot be done until the moment `until`. It ends by time then.
    fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
        _ = (key, holder, until);
        Ok(())
    }

    /// Returns what it can take at a time.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// Makes pointers to an engine engines.
macro_rules! through {
    ($($pointer:ident)*) => {$(
        impl<E: SharedEngine + ?Sized> SharedEngine for $pointer<E> {
            fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
                (**self).get(keys, until)
            }
            fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
                (**self).put(items, how, until)
            }
            fn lease(
                &self,
                key: &SharedKey,
                holder: &Holder,
                lasts: Duration,
                until: Instant,
            ) -> Result<Lease, SharedError> {
                (**self).lease(key, holder, lasts, until)
            }
            fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
                (**self).end_lease(key, holder, until)
            }
            fn limits(&self) -> Limits {
                (**self).limits()
            }
        }
    )*};
}

through!(Box Arc);

/// The fate of an item that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Put {
    /// It is replaced.
    Replace,
    /// It may stay: the name tells the content. An engine that cannot tell replaces it.
    IfAbsent,
}

/// The most that an engine can take at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest item, in bytes.
    pub item_bytes: usize,
    /// The most names in one [`SharedEngine::get`].
    pub keys: usize,
    /// The time that one call may take while the body of a task waits for it, unless its user says otherwise.
    pub patience: Duration,
}

impl Default for Limits {
    /// Any item, 64 names, and a quarter of a second.
    fn default() -> Self {
        Self { item_bytes: usize::MAX, keys: 64, patience: Duration::from_millis(250) }
    }
}

impl Limits {
    /// Sets the largest item.
    #[must_use]
    pub fn item_bytes(mut self, bytes: usize) -> Self {
        self.item_bytes = bytes;
        self
    }

    /// Sets the most names in one call.
    #[must_use]
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys.max(1);
        self
    }

    /// Sets the time for one call.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}
