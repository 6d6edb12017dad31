//! Places that a store is pointed at: links, folders, devices, pipes, other people's files; files that go away, and disks that are full.
#![cfg(all(feature = "redb", unix))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_storage::{
    BackingStorage, Batch, Fingerprints, Group, Opening, RedbOptions, RedbStorage, StorageError, Table,
    WriteBehind, WriteBehindOptions, verify_store,
};
use support::*;

/// Held by tests that open snapshots: one of them looks at all that this process has open.
static SNAPSHOTS: Mutex<()> = Mutex::new(());

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Damages a store beyond use.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[64..320].fill(0x77);
    fs::write(path, bytes).unwrap();
}

fn put(storage: &RedbStorage, value: &[u8]) -> Result<(), StorageError> {
    let mut batch = Batch::new();
    batch.put(Table::Uses, b"key", value);
    storage.commit(batch.writes())
}

/// `open` renamed whatever was there: a pipe, a device, a folder's link.
#[test]
fn what_is_no_regular_file_is_an_error_and_is_not_touched() {
    let _alone = SNAPSHOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let link = folder.path().join("link");
    symlink("/dev/null", &link).unwrap();
    let round = folder.path().join("round");
    symlink(&round, &round).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let before = names(folder.path());
    for path in [
        &pipe,
        &socket,
        &link,
        &round,
        &folder.path().join("folder"),
        Path::new("/dev/null"),
        Path::new("/dev/zero"),
    ] {
        for opened in
            [RedbStorage::open(path), RedbStorage::open_read_only(path), RedbStorage::open_snapshot(path)]
        {
            assert!(opened.is_err(), "{}", path.display());
        }
    }
    let missing = RedbStorage::open(folder.path().join("absent/store.redb")).unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
    assert_eq!(names(folder.path()), before);
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn through_a_link_the_target_is_created_used_and_set_aside() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (link, target) = (folder.path().join("link"), elsewhere.path().join("store.redb"));
    // By way of another link, which is relative, to where nothing is yet.
    symlink("store.redb", elsewhere.path().join("relative")).unwrap();
    symlink(elsewhere.path().join("relative"), &link).unwrap();
    fill(&open(RedbStorage::open(&link).unwrap()).0, 5, 1);
    assert!(fs::symlink_metadata(&target).unwrap().is_file());
    assert!(matches!(open(RedbStorage::open(&target).unwrap()).1, Opening::Warm { .. }));
    damage(&target);
    let storage = RedbStorage::open(&link).unwrap();
    assert_eq!(storage.set_aside().unwrap().path, elsewhere.path().join("store.redb.damaged-1"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(names(folder.path()), ["link"]);
    assert_eq!(names(elsewhere.path()), ["relative", "store.redb", "store.redb.damaged-1"]);
}

/// The eighth damaged file replaced what was there, whatever it was.
#[test]
fn a_damaged_file_never_replaces_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let question = |number: u32| folder.path().join(format!("store.redb.damaged-{number}"));
    fs::write(question(1), "mine").unwrap();
    symlink("/nowhere", question(3)).unwrap();
    fs::create_dir(question(5)).unwrap();
    for expected in [2, 4, 6, 7, 8] {
        fill(&open(RedbStorage::open(&path).unwrap()).0, 5, expected);
        damage(&path);
        assert_eq!(RedbStorage::open(&path).unwrap().set_aside().unwrap().path, question(expected));
    }
    damage(&path);
    let before = fs::read(&path).unwrap();
    let error = RedbStorage::open(&path).unwrap_err();
    assert!(error.to_string().contains("remove some"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_to_string(question(1)).unwrap(), "mine");
    assert!(question(5).is_dir() && fs::read_link(question(3)).unwrap() == Path::new("/nowhere"));
}

#[test]
fn files_are_their_users_own_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (path, shared) = (folder.path().join("store.redb"), folder.path().join("shared.redb"));
    drop(RedbStorage::open(&path).unwrap());
    assert_eq!(mode_of(&path), 0o600);
    drop(RedbOptions::new().mode(0o640).open(&shared).unwrap());
    assert_eq!(mode_of(&shared), 0o640);
    // A new file in place of a damaged one, too; and the damaged one stays as private as it was.
    damage(&path);
    let storage = RedbStorage::open(&path).unwrap();
    assert_eq!((mode_of(&path), mode_of(&storage.set_aside().unwrap().path)), (0o600, 0o600));
}

/// A snapshot copied a private store to a file that all users could read.
#[test]
fn a_snapshot_is_as_private_as_can_be() {
    let _alone = SNAPSHOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let storage = RedbStorage::open(&path).unwrap();
    put(&storage, b"value").unwrap();
    let snapshot = RedbStorage::open_snapshot(&path).unwrap();
    let mut value = Vec::new();
    assert!(snapshot.get(Table::Uses, b"key", &mut value).unwrap() && value == b"value");
    // It has no name any more; what this process has open tells.
    let ours = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        let name = target.file_name()?.to_string_lossy().into_owned();
        name.starts_with("larder-").then(|| fs::metadata(entry.path()).unwrap())
    });
    let ours: Vec<fs::Metadata> = ours.collect();
    if cfg!(target_os = "linux") {
        assert!(!ours.is_empty());
    }
    assert!(ours.iter().all(|copy| copy.mode() & 0o777 == 0o600 && copy.nlink() == 0));
}

/// A copy that is made in the middle of commits is a state that the store was in, or refused.
#[test]
fn a_snapshot_of_a_store_that_is_written_is_one_state() {
    let _alone = SNAPSHOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("store.redb");
    let storage = RedbStorage::open(&path).unwrap();
    let write = |state: u8| {
        let mut batch = Batch::new();
        (0..60_u8).for_each(|key| batch.put(Table::Uses, &[key], &[state; 900]));
        storage.commit(batch.writes()).unwrap();
    };
    let look = || {
        let snapshot = match RedbStorage::open_snapshot(&path) {
            Ok(snapshot) => snapshot,
            Err(StorageError::Damaged { .. }) => return None,
            Err(error) => panic!("{error}"),
        };
        let mut value = Vec::new();
        let states: Vec<u8> = (0..60)
            .map(|key| {
                assert!(snapshot.get(Table::Uses, &[key], &mut value).unwrap());
                value[0]
            })
            .collect();
        assert!(states.iter().all(|state| *state == states[0]), "two states in one: {states:?}");
        Some(states[0])
    };
    write(1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for state in (1..=250).cycle() {
                write(state);
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..count("LARDER_SNAPSHOTS", 20) {
            look();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    write(251);
    assert_eq!(look(), Some(251));
}

/// `flush` said that all was durable, in a file that no process would ever find again.
#[test]
fn a_store_that_is_deleted_or_replaced_while_open_is_noticed_at_the_next_commit() {
    let replace: [fn(&Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| {
            let other = path.with_extension("other");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        },
        |path| fs::rename(path, path.with_extension("moved")).unwrap(),
        |path| fs::rename(path.parent().unwrap(), path.parent().unwrap().with_extension("moved")).unwrap(),
    ];
    for replace in replace {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/store.redb");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let storage = Arc::new(RedbStorage::open(&path).unwrap());
        put(&storage, b"value").unwrap();
        let (store, _) = open(storage.clone());
        let writer = WriteBehind::start(store, WriteBehindOptions::default()).unwrap();
        writer.flush().unwrap();
        replace(&path);
        // Also when there is nothing to commit: what was stored before is lost as well.
        let error = writer.flush().unwrap_err();
        assert!(
            std::error::Error::source(&error).unwrap().to_string().contains("deleted or replaced"),
            "{error:?}"
        );
        let mut group = Group::new(Fingerprints::Xxh3);
        ran(&mut group, 1, 1);
        accepted(writer.push(&mut group));
        assert!(writer.flush().is_err());
        assert!(writer.stats().gave_up, "{:?}", writer.stats());
        assert!(matches!(put(&storage, b"more"), Err(StorageError::Replaced { .. })));
    }
}

#[test]
fn a_link_that_leads_elsewhere_while_the_store_is_open_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["one", "other"] {
        drop(RedbStorage::open(at(name)).unwrap());
    }
    symlink(at("one"), at("link")).unwrap();
    let storage = RedbStorage::open(at("link")).unwrap();
    put(&storage, b"value").unwrap();
    fs::remove_file(at("link")).unwrap();
    symlink(at("other"), at("link")).unwrap();
    assert!(matches!(put(&storage, b"more"), Err(StorageError::Replaced { .. })));
}

// ---- processes ----

const STORE: &str = "LARDER_TEST_STORE";

fn child(name: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn child_that_creates_a_store() {
    let Some(path) = std::env::var_os(STORE).map(PathBuf::from) else { return };
    loop {
        let storage = RedbStorage::open(&path).unwrap();
        put(&storage, b"value").unwrap();
        drop(storage);
        fs::remove_file(&path).unwrap();
    }
}

/// A store whose creation was interrupted was set aside by the next process, as damaged.
#[test]
fn a_kill_while_a_store_is_created_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut random = Random(0xc4ea7e);
    for round in 0..count("LARDER_KILLS", 20) {
        let mut child = child("child_that_creates_a_store", &path);
        while !path.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(50));
        }
        std::thread::sleep(Duration::from_micros(random.below(10_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let storage = RedbStorage::open(&path).unwrap();
        assert_eq!(storage.set_aside(), None, "round {round}");
        put(&storage, b"value").unwrap();
        assert_eq!(names(folder.path()), ["store.redb"]);
        drop(storage);
        fs::remove_file(&path).unwrap();
    }
}

/// Each state that a file has on its way, and each length that it may be cut to.
#[test]
fn a_store_that_was_not_completed_is_begun_again_in_place() {
    let _alone = SNAPSHOTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(RedbStorage::open(&path).unwrap());
    let complete = fs::read(&path).unwrap();
    let begun = b"larder store, not complete yet\n";
    let mut states =
        vec![Vec::new(), begun.to_vec(), [&begun[..], &vec![0; complete.len() - begun.len()]].concat()];
    let mut without_header = complete.clone();
    without_header[..4096].fill(0);
    without_header[..begun.len()].copy_from_slice(begun);
    states.push(without_header.clone());
    without_header[8192..].fill(0);
    states.push(without_header);
    for state in states {
        fs::write(&path, &state).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(RedbStorage::open_read_only(&path).is_err() && RedbStorage::open_snapshot(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), state, "looking changes nothing");
        let (store, opening) = open(RedbStorage::open(&path).unwrap());
        assert!(matches!(opening, Opening::Fresh));
        fill(&store, 10, 1);
        assert!(verify_store(&store).unwrap().is_sound());
        assert_eq!(names(folder.path()), ["store.redb"]);
    }
}

#[test]
fn child_that_opens_a_store() {
    let Some(path) = std::env::var_os(STORE).map(PathBuf::from) else { return };
    for _ in 0..40 {
        match RedbStorage::open(&path) {
            Ok(storage) => {
                assert_eq!(storage.set_aside(), None);
                put(&storage, b"value").unwrap();
            }
            Err(error) => assert!(error.is_held(), "{error}"),
        }
    }
}

#[test]
fn processes_that_create_a_store_at_once_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let path = folder.path().join(format!("store-{round}.redb"));
        let children: Vec<Child> = (0..4).map(|_| child("child_that_opens_a_store", &path)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        assert!(verify_store(&guard(RedbStorage::open(&path).unwrap())).is_ok());
    }
    assert_eq!(names(folder.path()), ["store-0.redb", "store-1.redb", "store-2.redb"]);
}

/// A disk that was full for a moment switched the store off for the life of the process.
#[test]
fn a_disk_that_has_space_again_gets_all_that_waited() {
    let folder = tempfile::tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        return; // Only the super-user may mount.
    }
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }
    let mounted = Mounted(folder.path());
    let path = folder.path().join("store.redb");
    let (store, _) = open(RedbStorage::open(&path).unwrap());
    let options = WriteBehindOptions { attempts: 1, pause: Duration::from_secs(3600), ..Default::default() };
    let writer = WriteBehind::start(store.clone(), options).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    sources(&mut group, 1);
    ran(&mut group, 0, 1);
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    // Fills what is left.
    let filler = folder.path().join("filler");
    let _ = fs::write(&filler, vec![1; 4 << 20]);
    for number in 1..3000 {
        ran(&mut group, number, 1);
        accepted(writer.push(&mut group));
    }
    assert!(writer.flush().is_err() && writer.flush().is_err());
    assert!(writer.stats().failing_since.is_some() && !writer.stats().gave_up);
    assert_eq!(
        stored_output(&store, 0),
        Some(output_of(0, 1)),
        "what is stored is served while the disk is full"
    );
    fs::remove_file(&filler).unwrap();
    writer.flush().unwrap();
    assert_eq!(writer.stats().failing_since, None);
    drop((writer, store));
    let storage = RedbStorage::open(&path).unwrap();
    assert_eq!(storage.set_aside(), None);
    let (store, _) = open(storage);
    assert!((0..3000).all(|number| stored_output(&store, number) == Some(output_of(number, 1))));
    assert!(verify_store(&store).unwrap().is_sound());
    drop(store);
    drop(mounted);
}
