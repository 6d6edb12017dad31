//! What the store costs and promises. Larder's side comes with the storage; until then every line says `not built`.

use crate::verdict::{Check, Verdict};

pub(super) fn probe() -> Verdict {
    awaited("probe", &[Check::at_most("a warm hit against the store's get and decode", None, 1.5, "x")])
}

pub(super) fn reopen() -> Verdict {
    awaited("reopen", &[Check::at_most("reopening 100,000 tasks and a hit of the root", None, 20.0, "ms")])
}

pub(super) fn store() -> Verdict {
    awaited(
        "store",
        &[
            Check::at_most("100,000 tasks, durable", None, 0.5, "s"),
            Check::at_most("bytes on disk against encoded bytes", None, 3.0, "x"),
        ],
    )
}

pub(super) fn store_overhead() -> Verdict {
    awaited("store-overhead", &[Check::at_most("bodies of 10 us, with against without", None, 1.15, "x")])
}

pub(super) fn revert() -> Verdict {
    awaited("revert", &[Check::at_most("back to an earlier state", None, 0.0, "bodies")])
}

pub(super) fn bitflips() -> Verdict {
    awaited(
        "bitflips",
        &[
            Check::at_most("wrong values of 10,000 flips", None, 0.0, "values"),
            Check::at_most("panics of 10,000 flips", None, 0.0, "panics"),
        ],
    )
}

fn awaited(name: &'static str, checks: &[Check]) -> Verdict {
    let mut verdict = Verdict::on(name);
    checks.iter().for_each(|check| verdict.check(check.clone()));
    verdict
}
