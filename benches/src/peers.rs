//! The peers, each in the form its users would write, at the strongest that it offers for the work.
//!
//! A file holds one peer; `enter` returns `None` for work that the peer cannot do (a map knows no dependencies).

pub mod maps;

pub mod bounded;
pub mod caches;
pub mod memoize;

pub mod salsa;
pub mod salsa_graph;
pub mod identity;

pub mod comemo;

pub mod dataflow;

pub mod disk;

pub mod crews;
pub mod floor;

/// Runs `work` on a thread with a stack deep enough for peers that recurse on it: a chain of 10,000 overflows the
/// usual one. Larder does not get this.
fn on_a_deep_stack<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(1 << 30).spawn_scoped(scope, work);
        thread.expect("a thread can be spawned").join().expect("a peer panicked")
    })
}
