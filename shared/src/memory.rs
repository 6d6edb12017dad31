//! An engine in memory, for tests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Holder, Lease, Put, SharedEngine, SharedError, SharedKey};

/// Keeps bytes in memory, for tests: what is kept can be looked at and changed, as by an attacker that can write to the engine.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    items: Mutex<HashMap<String, Vec<u8>>>,
    leases: Mutex<HashMap<String, (Holder, Instant)>>,
    trips: std::sync::atomic::AtomicUsize,
}

impl MemoryEngine {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many calls of [`SharedEngine::get`] were made: round trips, one after the other.
    #[must_use]
    pub fn trips(&self) -> usize {
        self.trips.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Runs `change` for each item, in the order of names; what is emptied is removed.
    pub fn tamper(&self, mut change: impl FnMut(&str, &mut Vec<u8>)) {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = items.keys().cloned().collect();
        names.sort();
        for name in names {
            if let Some(bytes) = items.get_mut(&name) {
                change(&name, bytes);
                if bytes.is_empty() {
                    items.remove(&name);
                }
            }
        }
    }
}

impl SharedEngine for MemoryEngine {
    fn get(&self, keys: &[SharedKey], _: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        self.trips.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().map(|key| items.get(&key.to_string()).cloned()).collect())
    }

    fn put(&self, new: &[(SharedKey, &[u8])], how: Put, _: Instant) -> Result<(), SharedError> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, bytes) in new {
            let place = items.entry(key.to_string());
            match how {
                Put::Replace => _ = place.insert_entry(bytes.to_vec()),
                Put::IfAbsent => _ = place.or_insert_with(|| bytes.to_vec()),
            }
        }
        Ok(())
    }

    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        _: Instant,
    ) -> Result<Lease, SharedError> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match leases.get(&key.to_string()) {
            Some((other, ends)) if other != holder && now < *ends => Ok(Lease::Held),
            _ => {
                leases.insert(key.to_string(), (*holder, now + lasts));
                Ok(Lease::Taken)
            }
        }
    }

    fn end_lease(&self, key: &SharedKey, holder: &Holder, _: Instant) -> Result<(), SharedError> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.get(&key.to_string()).is_some_and(|(other, _)| other == holder) {
            leases.remove(&key.to_string());
        }
        Ok(())
    }
}
