//! The census' results are stored in a binary format later on, which asks more of a type than JSON does.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{FilePath, Report};
use crate::{MANIFEST, Tree};

fn stored<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(value, config).unwrap();
    bincode::serde::decode_from_slice(&bytes, config).unwrap().0
}

#[test]
fn a_report_comes_back_equal() {
    let tree = Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "pub mod a;\nuse a::f;\npub unsafe fn g() { unsafe { f() } }\n"),
        ("src/a.rs", "pub fn f() {}\n"),
        ("src/orphan.rs", "struct S { a: u8 }\n"),
    ]);
    let report: Report = serde_json::from_value(tree.census()).unwrap();
    assert_eq!((report.totals.files, report.totals.undocumented), (3, 3));
    assert_eq!(stored(&report), report);
}

#[cfg(unix)]
#[test]
fn a_path_comes_back_equal_whatever_its_bytes() {
    use std::os::unix::ffi::OsStrExt;
    for bytes in [&b"/a/b.rs"[..], b"", b"/\xff/\xf0\x9f.rs"] {
        let path = FilePath::from(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)));
        assert_eq!(stored(&path), path);
    }
}
