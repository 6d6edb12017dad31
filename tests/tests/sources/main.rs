//! Files and directories as they are found on real machines: coarse clocks, odd spellings, links in circles, and things that are no
//! files. The sources' share in persistence is in `persistence/sources.rs`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]
#![expect(clippy::print_stderr, reason = "a test that is not possible here says so")]

mod base;
mod clocks;
mod facts;
mod patterns;
mod random;
mod special;
mod spelling;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use larder::storage::MemoryStorage;
use larder::{Runtime, fs, task_fn};
use tempfile::TempDir;

/// A file system that keeps times in ticks of the kernel's clock, if this machine lets one be mounted.
struct Ramfs(TempDir);

impl Ramfs {
    fn mount() -> Option<Ramfs> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "ramfs", "none"]).arg(dir.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Ramfs(dir))
    }
}

impl Drop for Ramfs {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().unwrap();
    }
}

/// Runs a test in a directory of the default file system, and in one of a file system with a coarse clock.
fn on_each_file_system(test: impl Fn(&Path)) {
    test(tempfile::tempdir().unwrap().path());
    match Ramfs::mount() {
        Some(ramfs) => test(ramfs.0.path()),
        None => eprintln!("no ramfs can be mounted here: coarse clocks were not tested"),
    }
}

/// The result of a piece of work that must end. A watchdog, not a measurement.
#[track_caller]
fn that_ends<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(100)).expect("it ends")
}

/// Long ago, so that nothing but the time of change tells that something has just been written.
fn long_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(100_000)
}

fn set_modified(path: &Path, time: SystemTime) {
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn over(store: &MemoryStorage) -> Runtime {
    Runtime::builder().storage(store.clone()).code_identity("sources").build()
}

#[task_fn]
fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn names(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().iter().map(|entry| entry.file_name().into()).collect()
}
