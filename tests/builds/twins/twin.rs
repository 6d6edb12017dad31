//! A package of which a program has two versions: `tests/tests/builds.rs` compiles it twice.

use larder::task_fn;

#[cfg(not(second))]
const BY: u32 = 10;
#[cfg(second)]
const BY: u32 = 20;

#[task_fn]
pub fn plain(x: u32) -> u32 {
    x + BY
}

#[task_fn(version = 1)]
pub fn declared(x: u32) -> u32 {
    x + BY
}

/// The argument of a method, and a type argument.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Kind;

impl Kind {
    pub const VALUE: u32 = BY;

    /// By the build; its body may be compiled into whatever calls it, and what it calls is not.
    #[task_fn]
    pub fn told(&self) -> u32 {
        by()
    }

    #[task_fn(version = 1)]
    pub fn method(&self) -> u32 {
        BY
    }
}

#[inline(never)]
fn by() -> u32 {
    BY
}
