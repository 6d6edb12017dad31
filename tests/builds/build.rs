//! Which version of the program it is: `LARDER_VARIANT`; and the functions that are moved about in the source.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo::rerun-if-env-changed=LARDER_VARIANT");
    println!("cargo::rustc-check-cfg=cfg(variant, values(any()))");
    let variant = std::env::var("LARDER_VARIANT").unwrap_or_default();
    // Copies of the functions, with lines and `impl` blocks further down.
    let moved = if variant == "moved" { "\n\nimpl super::Shape {}\n\n\n    " } else { "" };
    let functions = include_str!("src/moved.in");
    // Other tokens, which mean the same.
    let functions = if variant == "edited" {
        functions.replace("super::count();", "{ super::count(); }")
    } else {
        functions.into()
    };
    let folder = std::env::var("OUT_DIR").unwrap_or_default();
    let written =
        std::fs::write(std::path::Path::new(&folder).join("moved.rs"), format!("{moved}{functions}"));
    assert!(written.is_ok(), "{written:?}");
    println!("cargo::rustc-cfg=variant=\"{variant}\"");
}
