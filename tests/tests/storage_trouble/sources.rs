//! Sources that misbehave.

use super::*;

#[task_fn]
fn text(path: &Path) -> Result<String, String> {
    RUNS.set(RUNS.get() + 1);
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn names(path: &Path) -> Vec<(PathBuf, bool)> {
    RUNS.set(RUNS.get() + 1);
    let entries = fs::read_dir(path).unwrap();
    entries.iter().map(|entry| (entry.path.clone(), entry.kind == fs::EntryKind::Symlink)).collect()
}

fn set_modified(path: &Path, time: SystemTime) {
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_clock_that_goes_backwards_or_is_far_ahead_hides_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let now = SystemTime::now();
    let (hour, years) = (Duration::from_secs(3600), Duration::from_secs(40 * 365 * 86_400));
    for time in [now + hour, now - hour, SystemTime::UNIX_EPOCH - hour, now + years, SystemTime::UNIX_EPOCH] {
        let store = MemoryStorage::new();
        std::fs::write(&path, "before").unwrap();
        set_modified(&path, time);
        let first = over(store.clone());
        assert_eq!(first.run(|| text(&path)).unwrap(), "before");
        // Equally long, and equally old by its own account.
        std::fs::write(&path, "behind").unwrap();
        set_modified(&path, time);
        first.refresh().unwrap();
        assert_eq!(first.run(|| text(&path)).unwrap(), "behind");
        drop(first);
        std::fs::write(&path, "beyond").unwrap();
        set_modified(&path, time);
        assert_eq!(over(store.clone()).run(|| text(&path)).unwrap(), "beyond", "{time:?}");
        // Older than before.
        std::fs::write(&path, "former").unwrap();
        set_modified(&path, time - hour);
        assert_eq!(over(store.clone()).run(|| text(&path)).unwrap(), "former", "{time:?}");
    }
}

#[cfg(unix)]
#[test]
fn loops_of_symbolic_links_are_errors_and_entries_and_noticed_when_they_end() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink(at("b"), at("a")).unwrap();
    symlink(at("a"), at("b")).unwrap();
    symlink(folder.path(), at("here")).unwrap();
    let store = MemoryStorage::new();
    for expected in [2, 0] {
        let runtime = over(store.clone());
        take_runs();
        assert!(runtime.run(|| text(&at("a"))).is_err());
        let found = runtime.run(|| names(folder.path()));
        assert!(found.len() == 3 && found.iter().all(|(_, is_link)| *is_link), "{found:?}");
        assert_eq!(take_runs(), expected);
        // A pattern ends, too.
        let pattern = format!("{}/**/a", folder.path().display());
        assert!(runtime.run(|| fs::glob(&pattern)).unwrap().len() <= 100);
    }
    std::fs::remove_file(at("b")).unwrap();
    std::fs::write(at("b"), "a file").unwrap();
    let runtime = over(store.clone());
    assert_eq!(runtime.run(|| text(&at("a"))).unwrap(), "a file");
    assert!(runtime.run(|| names(folder.path())).contains(&(at("b"), false)));
}

#[test]
fn files_that_change_while_they_are_read_are_never_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..4).map(|number| folder.path().join(format!("{number}"))).collect();
    let write = |path: &Path, letter: u8| {
        // Not atomic: a process that reads meanwhile may see part of it.
        std::fs::write(path, vec![letter; 20_000 + usize::from(letter)]).unwrap();
    };
    paths.iter().for_each(|path| write(path, b'a'));
    let store = MemoryStorage::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for letter in (b'a'..=b'z').cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                paths.iter().for_each(|path| write(path, letter));
            }
        });
        for _ in 0..40 {
            let runtime = over(store.clone());
            for _ in 0..5 {
                for path in &paths {
                    // Once in a session, a file is one thing.
                    let (first, second) = runtime.run(|| (text(path), text(path)));
                    assert_eq!(first, second);
                }
                runtime.refresh().unwrap();
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for _ in 0..2 {
        let runtime = over(store.clone());
        for path in &paths {
            assert_eq!(runtime.run(|| text(path)).unwrap(), std::fs::read_to_string(path).unwrap());
        }
    }
}
