//! The generated crates. Every function has the same signature but for what its system asks for, a body of its own
//! (so that the linker folds none), and is called once with an argument that the optimizer cannot know: by the body of
//! its module, of which `main` calls one after the other.

use super::Kind;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

/// How many functions stand in a module, and are called by one body. Nothing has a body that calls thousands, and the
/// compiler's time for one grows faster than its length, whatever it calls.
const PER_MODULE: u32 = 10;

/// Cargo.toml of a crate that stands alone.
pub(super) fn manifest(kind: Kind, name: &str, larder: &Path) -> String {
    let dependency = match kind {
        Kind::Plain => String::new(),
        Kind::Salsa | Kind::SalsaByHandle => {
            "salsa = { version = \"0.28.5\", default-features = false, features = [\"macros\", \"inventory\"] }".into()
        }
        Kind::Larder | Kind::LarderAsync => format!("larder = {{ path = {larder:?} }}"),
    };
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependency}\n\n\
         [profile.release]\ncodegen-units = 1\nincremental = false\ndebug = false\nstrip = true\n\n[workspace]\n"
    )
}

/// `main.rs` with so many functions.
pub(super) fn main(kind: Kind, functions: u32) -> String {
    let mut text = prelude(kind);
    let mut calls = String::new();
    for (number, first) in (0..functions).step_by(PER_MODULE as usize).enumerate() {
        text += &module(kind, number, first..functions.min(first + PER_MODULE));
        let _ = writeln!(calls, "    sum = sum.wrapping_add(m_{number}::calls({}));", passed(kind));
    }
    text + &program(kind, &calls)
}

/// A module with its functions, and the body that calls them: one of its own, as bodies are.
fn module(kind: Kind, number: usize, functions: Range<u32>) -> String {
    let mut text = format!("mod m_{number} {{\n    use super::*;\n\n");
    let mut sum = String::from("let mut sum = 0u64;\n");
    for number in functions {
        let _ = writeln!(text, "{}", function(kind, number));
        let _ = writeln!(sum, "    sum = sum.wrapping_add({});", call(kind, number));
    }
    sum += "    sum";
    if kind == Kind::LarderAsync {
        sum = format!("block_on(async {{\n{sum}\n}})");
    }
    let parameters = parameters(kind);
    text + &format!("#[inline(never)]\npub fn calls({parameters}) -> u64 {{\n    {sum}\n}}\n}}\n\n")
}

fn prelude(kind: Kind) -> String {
    let own = match kind {
        Kind::SalsaByHandle => KEY,
        Kind::LarderAsync => BLOCK_ON,
        _ => "",
    };
    format!("#![allow(unused, clippy::all)]\n\n{own}")
}

fn function(kind: Kind, number: u32) -> String {
    let body = format!("u64::from(a).wrapping_mul({}).wrapping_add(b)", u64::from(number) * 2 + 3);
    match kind {
        Kind::Plain => format!("#[inline(never)]\nfn f_{number}(a: u32, b: u64) -> u64 {{\n    {body}\n}}\n"),
        Kind::Salsa => format!(
            "#[salsa::tracked(returns(copy))]\nfn f_{number}(_db: &dyn salsa::Database, a: u32, b: u64) -> u64 {{\n    {body}\n}}\n"
        ),
        Kind::SalsaByHandle => format!(
            "#[salsa::tracked(returns(copy))]\nfn f_{number}(db: &dyn salsa::Database, key: Key) -> u64 {{\n    \
             let (a, b) = (key.a(db), key.b(db));\n    {body}\n}}\n"
        ),
        Kind::Larder => {
            format!(
                "#[larder::task_fn(transient)]\nfn f_{number}(a: u32, b: u64) -> u64 {{\n    {body}\n}}\n"
            )
        }
        Kind::LarderAsync => format!(
            "#[larder::task_fn(transient)]\nasync fn f_{number}(a: u32, b: u64) -> u64 {{\n    \
             std::future::ready({body}).await\n}}\n"
        ),
    }
}

fn call(kind: Kind, number: u32) -> String {
    match kind {
        Kind::Plain | Kind::Larder => format!("f_{number}(a, b)"),
        Kind::Salsa => format!("f_{number}(db, a, b)"),
        Kind::SalsaByHandle => format!("f_{number}(db, key)"),
        Kind::LarderAsync => format!("f_{number}(a, b).await"),
    }
}

/// The arguments of bodies that call.
fn parameters(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain | Kind::Larder | Kind::LarderAsync => "a: u32, b: u64",
        Kind::Salsa => "db: &dyn salsa::Database, a: u32, b: u64",
        Kind::SalsaByHandle => "db: &dyn salsa::Database, key: Key",
    }
}

/// How one hands it on to the next.
fn passed(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain | Kind::Larder | Kind::LarderAsync => "a, b",
        Kind::Salsa => "db, a, b",
        Kind::SalsaByHandle => "db, key",
    }
}

/// `main`, with `calls` where the system wants them. A crate without functions still starts the system, so that its
/// own code is in both binaries.
fn program(kind: Kind, calls: &str) -> String {
    let (before, run) = match kind {
        Kind::Plain => ("", "calls(a, b)"),
        Kind::Salsa => ("    let db = salsa::DatabaseImpl::default();\n", "calls(&db, a, b)"),
        Kind::SalsaByHandle => (
            "    let db = salsa::DatabaseImpl::default();\n    let key = Key::new(&db, a, b);\n",
            "calls(&db, key)",
        ),
        Kind::Larder => ("    let runtime = larder::Runtime::new();\n", "runtime.run(|| calls(a, b))"),
        Kind::LarderAsync => {
            ("    let runtime = larder::Runtime::new();\n", "runtime.run(|| block_on(async { calls(a, b) }))")
        }
    };
    let parameters = parameters(kind);
    format!(
        "fn calls({parameters}) -> u64 {{\n    let mut sum = 0u64;\n{calls}    sum\n}}\n\nfn main() {{\n    \
         let a = std::hint::black_box(7u32);\n    let b = std::hint::black_box(9u64);\n{before}    \
         let sum = {run};\n    std::process::exit((std::hint::black_box(sum) & 1) as i32)\n}}\n"
    )
}

/// The input whose handle salsa's functions take.
const KEY: &str = "#[salsa::input]
struct Key {
    #[returns(copy)]
    a: u32,
    #[returns(copy)]
    b: u64,
}

";

/// An executor for futures that are always ready when polled again.
const BLOCK_ON: &str = "fn block_on<F: std::future::Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

";
