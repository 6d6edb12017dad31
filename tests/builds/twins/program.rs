//! A program with two versions of a package. It asks for one thing, as a process does that meets nothing else.

use larder::storage::RedbStorage;
use larder::{Runtime, task_fn};

trait Told: 'static {
    const VALUE: u32;
    fn told(&self) -> u32;
}

impl Told for twin_one::Kind {
    const VALUE: u32 = Self::VALUE;
    #[task_fn(version = 1)]
    fn told(&self) -> u32 {
        Self::VALUE
    }
}

impl Told for twin_two::Kind {
    const VALUE: u32 = Self::VALUE;
    #[task_fn(version = 1)]
    fn told(&self) -> u32 {
        Self::VALUE
    }
}

#[task_fn]
fn generic<T: Told>(x: u32) -> u32 {
    x + T::VALUE
}

#[task_fn(version = 1)]
fn generic_by_version<T: Told>(x: u32) -> u32 {
    x + T::VALUE
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [_, store, what] = &std::env::args().collect::<Vec<_>>()[..] else { return Err("a store and a name".into()) };
    let runtime = Runtime::builder().storage(RedbStorage::open(store)?).try_build()?;
    let value = runtime.run(|| match &what[..] {
        "plain one" => twin_one::plain(0),
        "plain two" => twin_two::plain(0),
        "declared one" => twin_one::declared(0),
        "declared two" => twin_two::declared(0),
        "method one" => twin_one::Kind.method(),
        "method two" => twin_two::Kind.method(),
        "told one" => Told::told(&twin_one::Kind),
        "told two" => Told::told(&twin_two::Kind),
        "generic one" => generic::<twin_one::Kind>(0),
        "generic two" => generic::<twin_two::Kind>(0),
        "generic by version one" => generic_by_version::<twin_one::Kind>(0),
        "generic by version two" => generic_by_version::<twin_two::Kind>(0),
        _ => 0,
    });
    println!("{value} {}", runtime.stats().runs());
    Ok(())
}
