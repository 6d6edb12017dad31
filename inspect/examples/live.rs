//! A program with something to see: `cargo run -p larder-inspect --example live` prints the address of its page.
//!
//! It checks files that are edited all the time. `--rate N` makes N edits a second; default 20.

#![allow(clippy::print_stdout, reason = "a program talks to its user")]

use std::time::Duration;

use larder::{Input, Runtime, task_fn};
use larder_inspect::InspectRuntime;

#[task_fn]
fn lines(file: &Input<String>) -> Vec<String> {
    file.with(|text| text.lines().map(str::to_owned).collect())
}

#[task_fn]
fn check(file: &Input<String>, rule: &str) -> usize {
    lines(file).iter().filter(|line| line.contains(rule)).count()
}

#[task_fn]
fn report(files: &[Input<String>]) -> usize {
    files.iter().map(|file| check(file, "todo") + check(file, "<img src=x onerror=alert(1)>")).sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rate = std::env::args()
        .skip_while(|arg| arg != "--rate")
        .nth(1)
        .map_or(Ok(20), |rate| rate.parse::<u32>())?;
    let runtime = Runtime::new();
    let files: Vec<_> = (0..20)
        .map(|number| runtime.input(&format!("src/file_{number}.rs"), format!("fn f{number}() {{}}")))
        .collect();
    let inspector = runtime.inspect("127.0.0.1:0")?;
    println!("{}", inspector.url());
    for edit in 0_usize.. {
        let file = &files[edit % files.len()];
        runtime
            .update(|update| update.set(file, format!("// todo {edit}\n{}", "todo\n".repeat(edit % 3))))?;
        for _ in 0..3 {
            runtime.run(|| report(&files));
        }
        std::thread::sleep(Duration::from_secs(1) / rate.max(1));
    }
    Ok(())
}
