//! Files that are no stores, damaged stores, and names that would do something to a terminal.

use larder_storage::{BackingStorage, Batch, Table};

use super::*;

const COMMANDS: [&str; 9] = ["stats", "ls", "show", "explain", "graph", "verify", "diff", "gc", "compact"];

/// Runs all commands on what is no store, and looks that nothing of it is touched.
#[track_caller]
fn refused(path: &Path, folder: &Path) {
    let listing = || {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = (listing(), path.is_file().then(|| std::fs::read(path).unwrap()));
    for command in COMMANDS {
        let ran = on(command, path);
        assert_eq!(ran.code, 3, "{command}: {} {}", ran.out, ran.err);
        assert!(ran.err.contains(path.file_name().unwrap().to_str().unwrap()), "{command}: {}", ran.err);
    }
    assert_eq!((listing(), path.is_file().then(|| std::fs::read(path).unwrap())), before);
}

#[test]
fn what_is_no_store_is_refused_and_not_touched() {
    let scene = Scene::new();
    let folder = scene.folder.path();
    refused(&scene.path("missing.redb"), folder);
    let missing = on("stats", &scene.path("missing.redb")).err;
    assert_eq!(missing.matches("open").count(), 1, "it is said once that it could not be opened: {missing}");
    std::fs::create_dir(scene.path("folder.redb")).unwrap();
    refused(&scene.path("folder.redb"), folder);
    let no_store = on("stats", &scene.path("folder.redb")).err;
    assert_eq!(no_store.matches("folder.redb").count(), 1, "it is named once: {no_store}");
    std::fs::write(scene.path("empty.redb"), "").unwrap();
    refused(&scene.path("empty.redb"), folder);
    std::fs::write(scene.path("text.redb"), "no store ".repeat(10_000)).unwrap();
    refused(&scene.path("text.redb"), folder);
    let store = std::fs::read(scene.store()).unwrap();
    std::fs::write(scene.path("cut.redb"), &store[..store.len() / 2]).unwrap();
    refused(&scene.path("cut.redb"), folder);
    // A store in which nothing was ever stored.
    drop(RedbStorage::open(scene.path("blank.redb")).unwrap());
    refused(&scene.path("blank.redb"), folder);
}

/// Puts a record with a sound checksum into a store.
fn put(store: &Path, table: Table, key: &[u8], payload: &[u8]) {
    let mut batch = Batch::new();
    batch.seal(table, key, |out| out.extend_from_slice(payload));
    RedbStorage::open(store).unwrap().commit(batch.writes()).unwrap();
}

#[test]
fn a_store_of_another_format_is_refused_and_not_touched() {
    let scene = Scene::new();
    let head = |format: u16| {
        let mut head = 0x0102_0304_u32.to_ne_bytes().to_vec();
        head.extend_from_slice(&format.to_le_bytes());
        head.extend_from_slice(&[1, 0, 8]);
        head.extend_from_slice(&[0; 28]);
        head
    };
    put(&scene.store(), Table::Meta, b"store", &head(4));
    refused(&scene.store(), scene.folder.path());
    assert!(on("stats", &scene.store()).err.contains("format 4"));
    // It is the format alone that is refused.
    put(&scene.store(), Table::Meta, b"store", &head(3));
    assert_eq!(on("stats", &scene.store()).code, 0);
}

#[test]
fn a_damaged_record_is_told_and_keeps_commands_from_writing() {
    let scene = Scene::new();
    put(&scene.store(), Table::Tasks, &[7; 16], b"no task");
    let before = std::fs::read(scene.store()).unwrap();
    assert_eq!(scene.larder("verify", &["--json"]).json()["sound"], false);
    assert_eq!(on("verify", &scene.store()).code, 1);
    assert!(on("stats", &scene.store()).fine().contains("1 damaged record"));
    for command in ["gc", "compact"] {
        let ran = on(command, &scene.store());
        assert!(ran.code == 3 && ran.err.contains("store.redb"), "{command}: {}", ran.err);
    }
    assert_eq!(std::fs::read(scene.store()).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_at_once() {
    let scene = Scene::new();
    let pipe = scene.path("pipe.redb");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&pipe, scene.folder.path());
}

/// Each command, on 300 copies of which some bytes were changed: an end with one of the documented codes, and for what writes, nothing
/// but the copy.
#[test]
fn damaged_copies_never_panic() {
    let scene = Scene::new();
    let sound = std::fs::read(scene.store()).unwrap();
    let copy = scene.path("copy.redb");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 33).unwrap()
    };
    let used: Vec<usize> = (0..sound.len()).filter(|at| sound[*at] != 0).collect();
    let mut refused = 0;
    for case in 0..300 {
        let mut bytes = sound.clone();
        for _ in 0..=next() % 4 {
            let at = used[next() % used.len()];
            bytes[at] ^= 1 << (next() % 8);
        }
        for command in [COMMANDS[case % 9], COMMANDS[(case + 4) % 9]] {
            std::fs::write(&copy, &bytes).unwrap();
            let ran = on(command, &copy);
            assert!((0..=4).contains(&ran.code), "{case} {command}: {}", ran.err);
            refused += u32::from(ran.code == 3);
        }
        assert!(!scene.path("copy.redb.damaged-1").exists(), "{case}");
    }
    assert!(refused > 100, "most damage is found: {refused}");
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let scene = Scene::new();
    let evil = "\u{1b}]0;evil\u{7}\u{9b}31m\u{202e}\nx";
    scene.runs(&[evil, "C:\\temp\\new.txt"]);
    for command in ["ls", "graph"] {
        for args in [&[][..], &["--json"]] {
            let text = scene.larder(command, args).fine();
            let bad =
                |character: &char| (character.is_control() && *character != '\n') || *character == '\u{202e}';
            assert_eq!(text.chars().find(bad), None, "{command} {args:?}");
        }
    }
    let text = scene.larder("show", &["count_words", "evil"]).fine();
    assert!(text.contains("file \\u{1b}]0;evil\\u{7}\\u{9b}31m\\u{202e}\\u{a}x"), "{text}");
    let shown = scene.larder("show", &["count_words", "evil", "--json"]).json();
    assert_eq!(shown["reads"][0]["leaf"]["name"], evil);
    let text = scene.larder("show", &["count_words", "new.txt"]).fine();
    assert!(text.contains("file C:\\temp\\new.txt"), "{text}");
    assert_eq!(
        scene.larder("ls", &["--path", "new.txt", "--json"]).json()["tasks"].as_array().unwrap().len(),
        1
    );
    // And in messages.
    let ran = run(Command::new(LARDER).arg("stats").arg(evil));
    assert!(!ran.err.contains('\u{1b}') && ran.code == 3, "{:?}", ran.err);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_unicode_are_shown_by_their_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let scene = Scene::new();
    #[task_fn]
    fn sizes(folder: &str) -> usize {
        let entries = fs::read_dir(folder).unwrap();
        entries.iter().map(|entry| fs::read(&entry.path).map_or(0, |bytes| bytes.len())).sum()
    }
    std::fs::create_dir(scene.path("odd")).unwrap();
    std::fs::write(scene.path("odd").join(OsStr::from_bytes(b"n\xffme")), "12").unwrap();
    assert_eq!(scene.runtime_of("store.redb", "code").run(|| sizes("odd")), 2);
    let text = scene.larder("show", &["sizes"]).fine();
    assert!(text.contains("file odd/n\\xffme"), "{text}");
    let shown = scene.larder("show", &["sizes", "--json"]).json();
    let reads = shown["reads"].as_array().unwrap();
    assert!(reads.iter().any(|read| read["leaf"]["name_hex"] == "6f64642f6eff6d65"), "{shown}");
}
