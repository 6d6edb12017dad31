//! The counts, compared with numbers counted by hand.

use serde_json::{Value, json};

use crate::{MANIFEST, Tree, check};

/// Counts one file; `expected` are pairs of a JSON pointer into the totals and a number.
#[track_caller]
fn check_counts(source: &str, expected: &[(&str, u64)]) {
    let report = Tree::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", source)]).census();
    let start: String = source.chars().take(300).collect();
    for &(pointer, count) in expected {
        let found = report.pointer(&format!("/totals/{pointer}")).and_then(Value::as_u64).unwrap_or(0);
        assert_eq!(found, count, "{pointer} of {start}");
    }
    assert_eq!(report["diagnostics"], json!([]), "{start}");
}

#[test]
fn lines_are_code_comment_or_blank() {
    let check_lines = |source: &str, code, comment, blank| {
        check_counts(source, &[("lines/code", code), ("lines/comment", comment), ("lines/blank", blank)]);
    };
    check_lines("", 0, 0, 0);
    check_lines("\n", 0, 0, 1);
    check_lines("fn f() {}", 1, 0, 0);
    check_lines("fn f() {} // why\n// why\n\n", 1, 1, 1);
    check_lines("/* one\n\n /* two */\n*/ fn f() {}\n", 1, 2, 1);
    check_lines("const A: &str = \"\n\n// no comment\n\";\n", 4, 0, 0);
    check_lines("const A: &str = r#\"\n\"\n/*\"#;\n// b\n", 3, 1, 0);
    check_lines("const A: char = '\"';\n// b\nconst B: char = '\\'';\n// c\n", 2, 2, 0);
    check_lines("fn f<'a>(_: &'a str) {}\n// b '\n", 1, 1, 0);
    check_lines("const A: char = 'ä';\nconst B: u8 = b'\\\\';\n// \"\n", 2, 1, 0);
    check_lines("const A: char = '\\u{1F980}';\n// \"\n", 1, 1, 0);
    check_lines("\u{feff}#!/usr/bin/env run\n//! a\r\n\r\nfn f() {}\r\n", 1, 2, 1);
    check_lines("#![allow(unused)]\n", 1, 0, 0);
}

#[test]
fn every_kind_of_unsafe_is_counted_once() {
    let source = "
        unsafe fn f() { unsafe { g() } }
        unsafe trait T { unsafe fn m(); }
        unsafe impl T for u8 { unsafe fn m() { unsafe { unsafe {} } } }
        unsafe extern \"C\" { safe fn c(); }
        fn s() { let _ = \"unsafe { }\"; /* unsafe {} */ m!(unsafe {}); }
    ";
    let expected = [
        ("unsafe_uses/blocks", 3),
        ("unsafe_uses/functions", 3),
        ("unsafe_uses/impls", 1),
        ("unsafe_uses/traits", 1),
        ("unsafe_uses/externs", 1),
    ];
    check_counts(source, &expected);
}

#[test]
fn items_are_counted_by_kind() {
    let source = "
        use std::fmt; use std::{io, mem};
        struct S { a: u8, b: u8 }
        enum E { A, B(u8) }
        const C: u8 = 0;
        macro_rules! m { () => {} }
        m!();
        impl S { fn a(&self) { fn inner() {} } fn b() {} }
        mod inner { static S: u8 = 0; type T = u8; }
    ";
    let expected = [
        ("items/use", 2),
        ("items/struct", 1),
        ("items/field", 3),
        ("items/enum", 1),
        ("items/variant", 2),
        ("items/const", 1),
        ("items/macro_definition", 1),
        ("items/macro_call", 1),
        ("items/impl", 1),
        ("items/method", 2),
        ("items/function", 1),
        ("items/module", 1),
        ("items/static", 1),
        ("items/type", 1),
        ("functions", 3),
    ];
    check_counts(source, &expected);
}

#[test]
fn the_largest_functions_come_first_with_their_place() {
    let source = "mod m {\n impl<T> S<T> {\n  /// D\n  pub fn big(\n  ) {\n  }\n }\n}\nfn small() {}\n";
    let report = Tree::new(&[("a.rs", source)]).census();
    check(&report, "/largest/0/what", json!({ "name": "m::S::big", "line": 4, "lines": 3 }));
    check(&report, "/largest/1/what", json!({ "name": "small", "line": 9, "lines": 1 }));
}

#[test]
fn public_items_want_documentation() {
    let check_undocumented = |source: &str, count| check_counts(source, &[("undocumented", count)]);
    check_undocumented("pub fn f() {} fn g() {} pub(crate) fn h() {}", 1);
    check_undocumented("/// Does.\npub fn f() {}\n#[doc(hidden)] pub fn g() {}", 0);
    check_undocumented("#[doc(alias = \"x\")] pub fn f() {}", 1);
    check_undocumented(
        "/// A.\npub struct S { pub a: u8, b: u8 } impl S { pub fn m(&self) {} fn p() {} }",
        2,
    );
    check_undocumented("struct S { pub a: u8 } ", 0);
    check_undocumented("/// A.\npub enum E { A, B { c: u8 } }", 3);
    check_undocumented("/// A.\npub trait T { fn m(); type A; } impl T for u8 { fn m() {} type A = u8; }", 2);
    check_undocumented("mod private { pub fn f() {} } #[cfg(test)] pub mod tests { pub fn f() {} }", 0);
    check_undocumented("pub mod public { pub fn f() {} }", 2);
    check_undocumented("#[macro_export] macro_rules! a { () => {} } macro_rules! b { () => {} }", 1);
}

#[test]
fn modules_are_found_along_mod_and_imports_make_edges() {
    let root =
        "pub mod a;\nmod b;\n#[path = \"elsewhere.rs\"] mod c;\nuse std::collections::{HashMap, BTreeMap};";
    let report = Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", root),
        ("src/a.rs", "//! D.\nmod deep;\nuse crate::b::B;\nuse super::c::*;\n/// D.\npub struct A;"),
        ("src/a/deep.rs", "use super::A;\nuse std::fmt;"),
        ("src/b/mod.rs", "pub struct B;"),
        ("src/elsewhere.rs", "use std::fmt::Write;"),
        ("src/lonely.rs", ""),
        ("tests/it.rs", "use a_crate::a::A;"),
    ])
    .census();
    let graph = report.pointer("/crates/0/graph").unwrap();
    let modules = graph["modules"].as_array().unwrap();
    let paths: Vec<&str> = modules.iter().map(|module| module["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["a_crate", "a_crate::a", "a_crate::b", "a_crate::c", "a_crate::a::deep", "tests/it"]);
    assert_eq!(graph["edges"], json!([[1, 2], [1, 3], [4, 1], [5, 1]]));
    let orphans = graph["orphans"].as_array().unwrap();
    assert!(orphans.len() == 1 && orphans[0].as_str().unwrap().ends_with("lonely.rs"), "{orphans:?}");
    check(&report, "/crates/0/imported/std::collections", 1);
    check(&report, "/crates/0/imported/std::fmt", 2);
    check(&report, "/crates/0/imported/a_crate::a", 2);
    // `b` is private, and no `pub use` opens it.
    check(&report, "/totals/undocumented", 0);
}

#[test]
fn a_pub_use_opens_a_private_module() {
    let report = Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "mod a;\nmod b;\npub use a::A;\nuse b::B;"),
        ("src/a.rs", "pub struct A;"),
        ("src/b.rs", "pub struct B;"),
    ])
    .census();
    check(&report, "/totals/undocumented", 1);
    check(&report, "/crates/0/undocumented/0/what/name", "A");
}

/// `syn` recurses for each of these; unguarded, they overflow the stack and take the process down.
#[test]
fn nesting_never_overflows_the_stack() {
    const LEVELS: usize = 2_000;
    let expressions =
        [("(", ")"), ("{", "}"), ("!", ""), ("|a, b| ", ""), ("1 + ", ""), ("a(", ")"), ("return ", "")];
    let types = [("A<u8, ", ">"), ("A<", ">"), ("&", ""), ("(", ",)"), ("fn() -> ", ""), ("fn(", ")")];
    let nested = |(open, close): (&str, &str), before: &str| {
        format!("{before}{}u8{};", open.repeat(LEVELS), close.repeat(LEVELS))
    };
    let mut cases: Vec<String> = expressions.map(|pair| nested(pair, "const X: u8 = ")).into();
    cases.extend(types.map(|pair| nested(pair, "type X = ")));
    cases.push(format!("fn f() {{ {} {{}} }}", "if a {} else ".repeat(LEVELS)));
    cases.push(format!("{}{}", "mod a {".repeat(LEVELS), "}".repeat(LEVELS)));
    for case in &cases {
        check_counts(case, &[("files", 1), ("broken_files", 0)]);
    }
    let hopeless = format!("const X: u8 = {}1{};", "(".repeat(200_000), ")".repeat(200_000));
    check(&Tree::new(&[("a.rs", &hopeless)]).census(), "/diagnostics/0/problem", "too_deep");
}

#[test]
fn size_is_not_taken_for_depth() {
    let table = format!("const X: &[(u8, u8)] = &[{}];\n", "(1, 2),\n".repeat(50_000));
    let functions = "fn f() { if a { b } else { c } match d { e => {} f => {} } }\n".repeat(10_000);
    check_counts(&(table + &functions), &[("functions", 10_000), ("broken_files", 0)]);
}

#[test]
fn a_file_too_large_to_parse_has_its_lines_counted() {
    let report =
        Tree::new(&[("a.rs", &"fn f() {} // and so on, and so on, and so on\n".repeat(400_000))]).census();
    check(&report, "/diagnostics/0/problem", "too_large");
    check(&report, "/totals/lines/code", 400_000);
}
