//! A runtime that reads a tree of sources must not come to hold the tree.
//!
//! It once did: beside the digest of a file it kept a `Weak` to the bytes, for readers to share, and a `Weak` keeps the
//! allocation of an `Arc<[u8]>` whole. So did a refresh that found a file touched and the same: it put the bytes by
//! for a reader that never came. This is a program of its own, because what it measures is the process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::fs::File;
use std::time::SystemTime;

use larder::Runtime;

const MIB: usize = 1 << 20;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn the_content_of_a_file_goes_when_its_readers_have_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large");
    std::fs::write(&path, vec![7; 64 * MIB]).unwrap();
    let runtime = Runtime::new();
    let before = resident();
    let check = |when: &str| {
        let more = resident().saturating_sub(before) / MIB;
        assert!(more < 16, "{more} MiB more than before, {when}");
    };

    assert_eq!(runtime.run(|| larder::fs::read(&path).unwrap().len()), 64 * MIB);
    check("after a read");
    assert_eq!(runtime.run(|| larder::fs::read(&path).unwrap()[0]), 7);
    check("after a read of what has gone");

    File::options().append(true).open(&path).unwrap().set_modified(SystemTime::now()).unwrap();
    let refreshed = runtime.refresh().unwrap();
    assert_eq!((refreshed.observed, refreshed.changed), (1, 0));
    check("after a refresh that found the file touched");
}
