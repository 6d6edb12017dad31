//! A change is noticed although size and time of modification are as before.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use larder::testing::{Clock, with_clock};

use super::*;

const ROUNDS: usize = 50;

/// A file was rewritten with as many bytes and its time of modification put back, within one tick of the clock that makes the time of
/// change: stamps were equal and trusted, as only the time of modification was asked whether it is young. On a ramfs 49 of 50 changes
/// were missed.
#[test]
fn a_file_whose_time_is_put_back_is_read_again() {
    on_each_file_system(|dir| {
        let path = dir.join("file");
        let (runtime, time) = (Runtime::new(), long_ago());
        for round in 0..ROUNDS {
            for expected in [format!("{round:04}"), format!("{round:04x}+")] {
                std::fs::write(&path, &expected).unwrap();
                set_modified(&path, time);
                runtime.refresh().unwrap();
                assert_eq!(runtime.run(|| text(&path)).unwrap(), expected);
            }
            let again = format!("{:04}+", ROUNDS + round);
            std::fs::write(&path, &again).unwrap();
            set_modified(&path, time);
            runtime.refresh().unwrap();
            assert_eq!(runtime.run(|| text(&path)).unwrap(), again);
        }
    });
}

/// Like the test above, for the entries of a directory.
#[test]
fn a_directory_whose_time_is_put_back_is_listed_again() {
    on_each_file_system(|dir| {
        let dir = dir.join("dir");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("name-0"), "").unwrap();
        let (runtime, time) = (Runtime::new(), long_ago());
        for round in 0..ROUNDS {
            set_modified(&dir, time);
            runtime.refresh().unwrap();
            let name = |round: usize| PathBuf::from(format!("name-{round}"));
            assert_eq!(runtime.run(|| names(&dir)), [name(round)]);
            std::fs::rename(dir.join(name(round)), dir.join(name(round + 1))).unwrap();
        }
    });
}

/// Like the test above; each change is seen by the next process at its opening.
#[test]
fn a_restart_notices_files_and_directories_whose_times_are_put_back() {
    on_each_file_system(|dir| {
        let dir = dir.join("dir");
        std::fs::create_dir(&dir).unwrap();
        let (store, path, time) = (MemoryStorage::new(), dir.join("file"), long_ago());
        for round in 0..ROUNDS {
            let other = dir.join(format!("other-{round:02}"));
            std::fs::write(&other, "").unwrap();
            std::fs::write(&path, format!("{round:02}")).unwrap();
            set_modified(&path, time);
            set_modified(&dir, time);
            let runtime = over(&store);
            assert_eq!(runtime.run(|| text(&path)).unwrap(), format!("{round:02}"));
            assert_eq!(runtime.run(|| names(&dir))[1..], [PathBuf::from(other.file_name().unwrap())]);
            drop(runtime);
            std::fs::remove_file(&other).unwrap();
        }
    });
}

/// The kernel's tables say that they are empty, and their times are those of the first look at them: they were never read again.
#[cfg(target_os = "linux")]
#[test]
fn a_table_of_the_kernel_is_read_again_though_its_stamp_stays() {
    let clock = Clock::new();
    let runtime = with_clock(Runtime::builder(), &clock).build();
    let mut before = String::new();
    for _ in 0..4 {
        runtime.refresh().unwrap();
        let uptime = runtime.run(|| text(Path::new("/proc/uptime"))).unwrap();
        assert_ne!(uptime, before);
        before = uptime;
        // At the end the stamp is older than any step of a clock. The table counts hundredths of a second.
        clock.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A write through a hard link changes the file under its other names.
#[test]
fn a_write_through_another_name_is_noticed() {
    on_each_file_system(|dir| {
        let (path, link) = (dir.join("file"), dir.join("link"));
        std::fs::write(&path, "before").unwrap();
        std::fs::hard_link(&path, &link).unwrap();
        let (runtime, time) = (Runtime::new(), long_ago());
        set_modified(&path, time);
        assert_eq!(runtime.run(|| text(&path)).unwrap(), "before");
        std::fs::write(&link, "behind").unwrap();
        set_modified(&link, time);
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| text(&path)).unwrap(), "behind");
        // Another file in its place, which is as long and as old.
        std::fs::write(&link, "beyond").unwrap();
        std::fs::write(dir.join("third"), "former").unwrap();
        set_modified(&dir.join("third"), time);
        std::fs::rename(dir.join("third"), &path).unwrap();
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| text(&path)).unwrap(), "former");
    });
}

/// A writer that never rests, and puts the time back each time: in one session a file is one thing, and in the end it is what was
/// written last.
#[test]
fn a_file_that_is_written_all_the_time_is_one_thing_in_a_session_and_right_in_the_end() {
    const WRITES: usize = 3_000;
    on_each_file_system(|dir| {
        let (path, time, store) = (dir.join("file"), long_ago(), MemoryStorage::new());
        let write = |number: usize| {
            std::fs::write(&path, format!("{number:08}")).unwrap();
            set_modified(&path, time);
        };
        write(0);
        let is_over = AtomicBool::new(false);
        let runtime = over(&store);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (1..=WRITES).for_each(write);
                is_over.store(true, Relaxed);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Relaxed) {
                        let seen = runtime.run(|| [text(&path), other_text(&path), text(&path)]);
                        assert_eq!(seen[0], seen[2]);
                        // One that comes later may be told that the file has changed, and nothing else.
                        if let (Ok(one), Ok(other)) = (&seen[0], &seen[1]) {
                            assert_eq!(one, other);
                        }
                    }
                });
            }
            while !is_over.load(Relaxed) {
                runtime.refresh().unwrap();
            }
        });
        runtime.refresh().unwrap();
        let last = format!("{WRITES:08}");
        assert_eq!(runtime.run(|| (text(&path), other_text(&path))), (Ok(last.clone()), Ok(last.clone())));
        drop(runtime);
        assert_eq!(over(&store).run(|| text(&path)), Ok(last));
    });
}

#[task_fn]
fn other_text(path: &Path) -> Result<String, String> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|error| error.to_string())
}

/// A stamp proves something when it is old enough by the clock of the runtime, which is asked in this process and in the next.
#[test]
fn stamps_grow_old_by_the_clock() {
    on_each_file_system(|dir| {
        let (path, clock) = (dir.join("file"), Clock::new());
        std::fs::write(&path, "text").unwrap();
        let store = MemoryStorage::new();
        let open = || {
            let builder = with_clock(Runtime::builder(), &clock).storage(store.clone());
            builder.code_identity("sources").build()
        };
        let ask = |runtime: &Runtime| runtime.run(|| text(&path)).unwrap();
        let runtime = open();
        assert_eq!(ask(&runtime), "text");
        assert_eq!(runtime.refresh().unwrap().observed, 1, "it is too young");
        clock.advance(Duration::from_secs(60));
        assert_eq!(runtime.refresh().unwrap().observed, 1, "what was seen of it was too young");
        assert_eq!(runtime.refresh().unwrap().observed, 0);
        drop(runtime);
        let runtime = open();
        assert_eq!(runtime.refresh().unwrap().observed, 0);
        std::fs::write(&path, "another text").unwrap();
        assert_eq!(runtime.refresh().unwrap().observed, 1);
        assert_eq!(ask(&runtime), "another text");
    });
}
