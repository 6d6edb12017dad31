//! A store file that was damaged, cut off, or is something else: every answer is right.

use std::fs;
use std::sync::{Once, OnceLock};

use larder::Runtime;
use larder::storage::RedbStorage;
use tempfile::TempDir;

use super::program::{STATES, answer, expected, fill, open};

/// Damages a store file as `data` says, and uses it.
pub fn run(data: &[u8]) {
    quiet();
    let folder = fast_folder();
    let path = folder.path().join("store");
    fs::write(&path, damaged(data)).expect("the folder takes a file");
    let last = data.last().copied().unwrap_or_default();
    for state in [STATES[usize::from(last) % STATES.len()], STATES[1]] {
        let runtime = RedbStorage::open(&path).map_or_else(|_| Runtime::new(), open);
        assert_eq!(answer(&runtime, state), expected(state), "a wrong value");
        assert_eq!(answer(&runtime, STATES[0]), expected(STATES[0]), "a wrong value");
    }
}

fn damaged(data: &[u8]) -> Vec<u8> {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let sound = SOUND.get_or_init(sound);
    match data.split_first() {
        Some((0xff, rest)) => return rest.to_vec(),
        Some((0xfe, rest)) => {
            let at = rest.iter().fold(0_usize, |at, byte| at.wrapping_mul(256) + usize::from(*byte));
            return sound[..at % sound.len()].to_vec();
        }
        _ => {}
    }
    let mut file = sound.clone();
    for edit in data.as_chunks::<5>().0 {
        let [a, b, c, d, value] = *edit;
        let at = u32::from_le_bytes([a, b, c, d]) as usize % file.len();
        // Most of the file holds nothing: what is edited is the next byte that does.
        let at = file[at..].iter().position(|byte| *byte != 0).map_or(at, |next| at + next);
        file[at] ^= value;
    }
    file
}

fn sound() -> Vec<u8> {
    let folder = fast_folder();
    let path = folder.path().join("store");
    fill(|| open(RedbStorage::open(&path).expect("a new store can be opened")));
    fs::read(&path).expect("the store was written")
}

fn fast_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("some folder can be written")
}

/// Panics inside of redb are contained, and told to the hook nevertheless; libFuzzer's ends the process.
fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.location().is_some_and(|location| location.file().contains("redb-")) {
                before(info);
            }
        }));
    });
}

/// Some damages.
pub fn seeds() -> Vec<Vec<u8>> {
    let edits = (0..64_u32).map(|seed| {
        (0..=seed % 4)
            .flat_map(|at| [&(seed * 48_611 + at * 7919).to_le_bytes()[..], &[1 << (seed % 8)]].concat())
            .collect()
    });
    edits.chain([vec![0xff], vec![0xfe, 1, 2, 3], b"\xffredb\x1a\x0a\xa9\x0d\x0a".to_vec()]).collect()
}
