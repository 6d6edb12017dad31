//! The small examples print what their comments say.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::process::Command;

fn output_of(example: &str) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--example", example, "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn quickstart_runs_what_a_change_affects() {
    let output = output_of("quickstart");
    let runs: Vec<_> = output.lines().map(|line| line.split_once("words, ").unwrap().1).collect();
    assert_eq!(runs, ["4 bodies run", "0 bodies run", "1 bodies run", "2 bodies run"]);
}

#[test]
fn spreadsheet_computes_what_changes_and_names_a_cycle() {
    let output = output_of("spreadsheet");
    let computed: Vec<_> = output.lines().filter(|line| line.ends_with(" computed)")).collect();
    // In the fourth sheet the two cells of a cycle are tried by each of them: a failure is not kept.
    assert_eq!(computed, [4, 1, 3, 5, 6].map(|runs| format!("  ({runs} computed)")));
    let call = |cell: &str| format!("value(input(\"cells\"), {cell:?})");
    let cycle = format!("C1 : a task depends on itself: {} -> {} -> {}", call("C1"), call("C2"), call("C1"));
    for line in
        ["B1 = 83.5     =A3 * 2 - (1 + 1) / 4", "B2 : divides by zero", &cycle, "C1 = 5        =C2 + 1"]
    {
        assert!(output.contains(line), "{line} in {output}");
    }
}
