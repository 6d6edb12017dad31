//! Paths that are no files are errors, and nothing waits for them.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A FIFO was opened like a file, which waits for a writer: the task, and everything that asked for it, hung.
#[test]
fn a_fifo_a_socket_and_a_device_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    make_fifo(&at("fifo"));
    let _listener = UnixListener::bind(at("socket")).unwrap();
    symlink("fifo", at("link")).unwrap();
    let paths = [at("fifo"), at("socket"), at("link"), "/dev/zero".into(), "/dev/tty".into()];
    let store = MemoryStorage::new();
    for path in paths {
        let given = path.clone();
        let store = store.clone();
        let (error, text, listed) = that_ends(move || {
            let runtime = over(&store);
            runtime.run(|| (fs::read(&given).unwrap_err(), text(&given), fs::read_dir(&given)))
        });
        assert!(error.is_special() && error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(text.unwrap_err().contains("is not a file but a") && listed.is_err());
    }
    // A store that knows it does not wait for it either; and a file in its place is read.
    std::fs::remove_file(at("fifo")).unwrap();
    std::fs::write(at("fifo"), "a file").unwrap();
    let path = at("fifo");
    assert_eq!(that_ends(move || over(&store).run(|| text(&path))).unwrap(), "a file");
}

/// Something else may come into a file's place between the look at it and its opening.
#[test]
fn a_fifo_that_takes_turns_with_a_file_is_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &'static str| folder.path().join(name);
    std::fs::write(at("file"), "text").unwrap();
    make_fifo(&at("fifo"));
    symlink("file", at("path")).unwrap();
    let (path, over) = (at("path"), std::sync::Arc::new(AtomicBool::new(false)));
    let swaps = std::thread::spawn({
        let (next, path, over) = (at("next"), path.clone(), over.clone());
        move || {
            while !over.load(Relaxed) {
                for target in ["fifo", "file"] {
                    symlink(target, &next).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                }
            }
        }
    });
    let read = that_ends(move || {
        let runtime = Runtime::new();
        let mut read = [0; 2];
        // Work is counted, not time.
        for _ in 0..5_000 {
            match runtime.run(|| fs::read(&path)) {
                Ok(bytes) => {
                    assert_eq!(*bytes, *b"text");
                    read[0] += 1;
                }
                Err(error) => {
                    assert!(error.is_special() || error.is_changed(), "{error}");
                    read[1] += 1;
                }
            }
            runtime.refresh().unwrap();
        }
        read
    });
    over.store(true, Relaxed);
    swaps.join().unwrap();
    assert_eq!(read[0] + read[1], 5_000);
}

/// A file of 3 GiB, all of it a hole, was read to memory twice over, which aborted the process on a small machine.
#[test]
fn a_huge_file_is_an_error_that_is_given_without_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge");
    std::fs::File::create(&path).unwrap().set_len(3 << 30).unwrap();
    let runtime = Runtime::new();
    let error = runtime.run(|| fs::read(&path)).unwrap_err();
    assert!(error.is_too_large(), "{error}");
    assert!(runtime.run(|| text(&path)).is_err());
    std::fs::File::create(&path).unwrap().set_len(3).unwrap();
    runtime.refresh().unwrap();
    assert_eq!(*runtime.run(|| fs::read(&path)).unwrap(), [0, 0, 0]);
}

/// Tables of the kernel that have no end, and queues that call themselves files.
#[cfg(target_os = "linux")]
#[test]
fn a_file_without_an_end_is_an_error() {
    for path in ["/proc/self/pagemap", "/proc/kmsg", "/proc/kcore", "/proc/self/mem"] {
        // Some are for the superuser, and answer others by an error of another kind.
        let read = that_ends(move || Runtime::new().run(|| fs::read(path)));
        let error = read.err();
        // The kernel's messages are a queue, which had something to say.
        assert!(error.is_some() || path == "/proc/kmsg", "{path}");
    }
}

/// Directories become files and files directories; each is told apart at the next refresh.
#[test]
fn a_path_that_changes_its_kind_is_what_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("path");
    let runtime = Runtime::new();
    for _ in 0..3 {
        std::fs::write(&path, "text").unwrap();
        runtime.refresh().unwrap();
        assert!(runtime.run(|| text(&path).is_ok() && fs::read_dir(&path).is_err()));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        runtime.refresh().unwrap();
        let error = runtime.run(|| fs::read(&path)).unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::IsADirectory));
        assert!(runtime.run(|| fs::read_dir(&path)).is_ok());
        std::fs::remove_dir(&path).unwrap();
        symlink("path", &path).unwrap();
        runtime.refresh().unwrap();
        assert!(runtime.run(|| fs::read(&path).is_err() && fs::read_dir(&path).is_err()));
        std::fs::remove_file(&path).unwrap();
    }
}

/// A file that is written to while it is read is never taken for what it was in the middle.
#[test]
fn a_file_that_grows_while_it_is_read_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "").unwrap();
    let writes = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut file = std::fs::File::options().append(true).open(path).unwrap();
            for _ in 0..2_000 {
                std::io::Write::write_all(&mut file, &[b'x'; 1000]).unwrap();
            }
        }
    });
    let runtime = Runtime::new();
    while !writes.is_finished() {
        match runtime.run(|| fs::read(&path)) {
            Ok(bytes) => assert!(bytes.iter().all(|&byte| byte == b'x')),
            // It was the same at the refresh, so its bytes were not kept, and it has grown since.
            Err(error) => assert!(error.is_changed(), "{error}"),
        }
        runtime.refresh().unwrap();
    }
    writes.join().unwrap();
    runtime.refresh().unwrap();
    assert_eq!(runtime.run(|| fs::read(&path)).unwrap().len(), 2_000_000);
}
