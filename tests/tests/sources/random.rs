//! Random deeds in a folder, each of which must show: against the file system itself, and against a runtime that knows nothing yet.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use larder::testing::with_clock_ahead;

use super::*;

#[task_fn]
fn found(pattern: &str) -> Vec<PathBuf> {
    fs::glob(pattern).unwrap().to_vec()
}

/// The state of a path: its text, and its entries if it is a directory.
type Known = (Option<Vec<u8>>, Option<Vec<PathBuf>>);

#[task_fn]
fn known(path: &Path) -> Known {
    let entries = fs::read_dir(path).ok();
    let names = entries.map(|entries| entries.iter().map(|entry| entry.file_name().into()).collect());
    (fs::read(path).ok().map(|bytes| bytes.to_vec()), names)
}

/// Returns what the system says of a path.
fn told(path: &Path) -> Known {
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let entries = std::fs::read_dir(path).ok().map(|entries| {
        let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().file_name().into()).collect();
        names.sort();
        names
    });
    (is_file.then(|| std::fs::read(path).ok()).flatten(), entries)
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }
}

/// Does something in a folder. Much of it fails, as what it takes is not there.
fn deed(random: &mut Random, dir: &Path, names: &[PathBuf]) -> String {
    let (one, other) = (dir.join(random.of(names)), dir.join(random.of(names)));
    let kind = random.below(12);
    // The deeds themselves must not wait for a FIFO's reader.
    let may_be_written = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.is_file());
    let is_new = one.symlink_metadata().is_err();
    let outcome = match kind {
        0..=4 if !is_new && !may_be_written(&one) => Ok(()),
        // Most of all what is hardest to see: as many bytes as before.
        0..=3 => std::fs::write(&one, format!("{:04}", random.below(10_000))),
        4 => std::fs::write(&one, "x".repeat(random.below(3))),
        5 => std::fs::remove_file(&one).or_else(|_| std::fs::remove_dir_all(&one)),
        6 => std::fs::rename(&one, &other),
        7 => std::fs::create_dir(&one),
        8 => symlink(random.of(&["a", "b", "..", ".", "nowhere", "dir/c", "link"]), &one),
        9 => std::fs::hard_link(&one, &other),
        10 => Command::new("mkfifo").arg(&one).stderr(std::process::Stdio::null()).status().map(drop),
        _ => std::fs::File::create_new(dir.join("dir").join(other.file_name().unwrap())).map(drop),
    };
    let epoch = SystemTime::UNIX_EPOCH;
    let day = Duration::from_secs(86_400);
    let time =
        random.of(&[None, Some(epoch), Some(epoch + day), Some(epoch - day), Some(SystemTime::now() + day)]);
    for touched in [&one, &dir.join("dir")] {
        let is_one = touched.metadata().is_ok_and(|metadata| metadata.is_file() || metadata.is_dir());
        if let Some(time) = time.filter(|_| is_one) {
            set_modified(touched, time);
        }
    }
    format!("{kind} {one:?} {other:?} {time:?}: {outcome:?}")
}

fn run(dir: &Path, seed: u64, deeds: usize) {
    let dir = dir.join(seed.to_string()).join("in");
    std::fs::create_dir_all(dir.join("dir")).unwrap();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"\xfe"));
    let names = ["a".into(), "b".into(), "dir".into(), "link".into(), "dir/c".into(), odd.clone()];
    let odd = dir.join(odd);
    let spelled = [
        "", "/", "/a", "/a/", "/b", "/b/.", "/dir", "/dir/", "/dir/.", "/dir/c", "/link", "/link/",
        "/link/..", "//a",
    ];
    let mut paths: Vec<PathBuf> =
        spelled.iter().map(|end| format!("{}{end}", dir.display()).into()).collect();
    paths.push(odd);
    let patterns =
        ["**", "**/c", "*/*", "link/**", "**/a"].map(|pattern| format!("{}/{pattern}", dir.display()));
    let store = MemoryStorage::new();
    let mut runtime = over(&store);
    let mut done = Vec::new();
    for number in 0..deeds {
        if number == deeds / 2 && seed % 4 == 1 {
            // From here on some stamps are trusted: those of another time than what is done from here on has.
            std::thread::sleep(Duration::from_millis(50));
            drop(runtime);
            with_clock_ahead(Runtime::builder(), Duration::from_secs(60))
                .storage(store.clone())
                .code_identity("sources")
                .build()
                .refresh()
                .unwrap();
            std::thread::sleep(Duration::from_millis(50));
            runtime = over(&store);
        }
        for _ in 0..=random.below(3) {
            done.push(deed(&mut random, &dir, &names));
        }
        match random.below(6) {
            0 => {
                drop(runtime);
                runtime = over(&store);
            }
            _ => drop(runtime.refresh().unwrap()),
        }
        let fresh = Runtime::new();
        // Not all of them each time: what was not asked for must be as right later.
        for path in &paths {
            if random.below(3) > 0 {
                assert_eq!(runtime.run(|| known(path)), told(path), "seed {seed}, {path:?} after {done:#?}");
            }
        }
        for pattern in &patterns {
            if random.below(3) > 0 {
                let expected = fresh.run(|| found(pattern));
                assert_eq!(
                    runtime.run(|| found(pattern)),
                    expected,
                    "seed {seed}, {pattern} after {done:#?}"
                );
            }
        }
    }
}

/// LARDER_ROUNDS makes it longer, LARDER_SEED starts elsewhere.
#[test]
fn whatever_is_done_to_a_folder_shows() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let (rounds, seed): (u64, u64) =
        (number("LARDER_ROUNDS").unwrap_or(1), number("LARDER_SEED").unwrap_or(1));
    on_each_file_system(|dir| {
        for seed in seed..seed + 4 * rounds {
            run(dir, seed, 60);
        }
    });
}
