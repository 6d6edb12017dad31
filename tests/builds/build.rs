//! Which version of the program it is: `LARDER_VARIANT`.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

fn main() {
    println!("cargo::rerun-if-env-changed=LARDER_VARIANT");
    println!("cargo::rustc-check-cfg=cfg(variant, values(any()))");
    let variant = std::env::var("LARDER_VARIANT").unwrap_or_default();
    println!("cargo::rustc-cfg=variant=\"{variant}\"");
}
