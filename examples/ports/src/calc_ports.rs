//! Edits of a program of 60 functions and 20 prints.

use std::fmt::Write as _;

use larder::Runtime;
use salsa::Setter as _;

use crate::{Ran, Step, calc_in_salsa};

/// An edit: its name, what is looked for, and what stands there then.
type Edit = (&'static str, &'static str, &'static str);

const EDITS: [Edit; 11] = [
    ("first run", "", ""),
    ("a comment on top: everything moves", "# A program.\n", "# A program.\n# It is generated.\n"),
    ("one body changes", "fn f7(a: num) = f4(a) + 7", "fn f7(a: num) = f4(a) + 70"),
    ("one body changes back", "fn f7(a: num) = f4(a) + 70", "fn f7(a: num) = f4(a) + 7"),
    ("space in one body", "f6(a) + 9\n", "f6(a) +  9\n"),
    ("a function is put in on top", "fn f0(", "fn new(a: num) = a * 2\nfn f0("),
    ("and called", "f5(a) + 8\n", "f5(new(a)) + 8\n"),
    ("a result gets another type", "fn f12(a: num) =", "fn f12(a: num): bool ="),
    ("and the old one", "fn f12(a: num): bool =", "fn f12(a: num) ="),
    ("a function goes", "fn new(a: num) = a * 2\n", ""),
    (
        "an item is moved down",
        "fn f1(a: num) = a + 1\nfn f2(a: num) = a + 2\n",
        "fn f2(a: num) = a + 2\nfn f1(a: num) = a + 1\n",
    ),
];

/// `f0` to `f2` are plain, each other function calls the third one before it; each print calls one.
fn text() -> String {
    let mut text = "# A program.\n".to_owned();
    for n in 0..60 {
        let called = if n < 3 { "a".to_owned() } else { format!("f{}(a)", n - 3) };
        _ = writeln!(text, "fn f{n}(a: num) = {called} + {n}");
    }
    for n in 0..20 {
        _ = writeln!(text, "print f{}({n})", n * 3);
    }
    text
}

pub(crate) fn steps() -> Vec<Step> {
    let mut text = text();
    let runtime = Runtime::new();
    let source = runtime.input("source", text.clone());
    let mut db = calc_in_salsa::Db::default();
    let source_there = calc_in_salsa::Source::new(&db, text.clone());
    let step = |(edit, old, new): Edit| {
        assert!(text.contains(old), "the edit `{edit}` finds nothing");
        text = text.replacen(old, new, 1);
        let before = runtime.stats();
        runtime.update(|update| update.set(&source, text.clone())).expect("no session is open");
        source_there.set_text(&mut db).to(text.clone());
        let report = runtime.run(|| calc::program::report(&source));
        assert_eq!(*report, *calc_in_salsa::report(&db, source_there), "{edit}");
        let here = Ran::since(&before, &runtime);
        Step {
            program: "calc",
            peer: "salsa",
            edit,
            here,
            there: Ran { bodies: db.take_bodies(), selections: 0 },
        }
    };
    EDITS.into_iter().map(step).collect()
}
