//! The generated crates. Every function has the same signature but for what its system asks for, a body of its own
//! (so that the linker folds none), and is called once from `main` with an argument that the optimizer cannot know.

use super::Kind;
use std::fmt::Write as _;
use std::path::Path;

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
    let mut text = String::from(prelude(kind));
    for number in 0..functions {
        let _ = writeln!(text, "{}", function(kind, number));
    }
    let calls: String = (0..functions).fold(String::new(), |mut calls, number| {
        let _ = writeln!(calls, "    sum = sum.wrapping_add({});", call(kind, number));
        calls
    });
    let calls = format!("    let mut sum = 0u64;\n{calls}    sum\n");
    let _ = writeln!(text, "{}", program(kind, &calls));
    text
}

fn prelude(kind: Kind) -> &'static str {
    match kind {
        Kind::SalsaByHandle => {
            "#[salsa::input]\nstruct Key {\n    #[returns(copy)]\n    a: u32,\n    #[returns(copy)]\n    b: u64,\n}\n\n"
        }
        _ => "",
    }
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

/// `main`, with `calls` where the system wants them. A crate without functions still starts the system, so that its
/// own code is in both binaries.
fn program(kind: Kind, calls: &str) -> String {
    let arguments = "    let a = std::hint::black_box(7u32);\n    let b = std::hint::black_box(9u64);\n";
    let end = "    std::process::exit((std::hint::black_box(sum) & 1) as i32)\n";
    let allow = "#[allow(unused, clippy::all)]";
    let (before, after, parameters, passed) = match kind {
        Kind::Plain => ("", "let sum = calls(a, b);", "a: u32, b: u64", ""),
        Kind::Salsa => (
            "    let db = salsa::DatabaseImpl::default();\n",
            "let sum = calls(&db, a, b);",
            "db: &dyn salsa::Database, a: u32, b: u64",
            "",
        ),
        Kind::SalsaByHandle => (
            "    let db = salsa::DatabaseImpl::default();\n    let key = Key::new(&db, a, b);\n",
            "let sum = calls(&db, key);",
            "db: &dyn salsa::Database, key: Key",
            "",
        ),
        Kind::Larder => (
            "    let runtime = larder::Runtime::new();\n",
            "let sum = runtime.run(|| calls(a, b));",
            "a: u32, b: u64",
            "",
        ),
        Kind::LarderAsync => (
            "    let runtime = larder::Runtime::new();\n",
            "let sum = runtime.run(|| block_on(calls(a, b)));",
            "a: u32, b: u64",
            BLOCK_ON,
        ),
    };
    let asynchronous = if kind == Kind::LarderAsync { "async " } else { "" };
    format!(
        "{passed}{allow}\n{asynchronous}fn calls({parameters}) -> u64 {{\n{calls}}}\n\n{allow}\nfn main() {{\n\
         {arguments}{before}    {after}\n{end}}}\n"
    )
}

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
