//! The engines that ship keep to the trait. Engines over servers are tried where the servers are installed (`ci/shared-servers.sh`).

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[cfg(any(feature = "s3", feature = "http"))]
mod fake;
#[cfg(any(feature = "s3", feature = "http"))]
mod faults;
#[cfg(feature = "http")]
mod http;
#[cfg(any(feature = "s3", feature = "http"))]
mod proxy;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis-tls")]
mod redis_tls;
#[cfg(feature = "s3")]
mod s3;
#[cfg(any(feature = "redis", feature = "s3", feature = "http"))]
mod server;

use larder_shared::{FolderEngine, MemoryEngine, conformance, engine_at};

#[test]
fn a_folder_and_memory_conform() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(&MemoryEngine::new(), "memory").unwrap();
    conformance::check(&FolderEngine::new(folder.path()), "folder").unwrap();
    assert_eq!(conformance::check_leases(&MemoryEngine::new(), "memory"), Ok(true));
    assert_eq!(conformance::check_leases(&FolderEngine::new(folder.path()), "folder"), Ok(true));
}

#[test]
fn places_that_are_none_are_refused_without_repeating_them() {
    for place in
        ["ftp://me:hunter2@host", "redis://me:hunter2@cache.example.org", "redis://x?password=hunter2"]
    {
        let rule = engine_at(place).err().unwrap();
        assert!(!rule.contains("hunter2"), "{rule}");
    }
    assert!(engine_at("some/folder").is_ok() && engine_at("file:///some/folder").is_ok());
}
