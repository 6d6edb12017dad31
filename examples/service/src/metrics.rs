//! The page of metrics, in the text format that Prometheus reads.

use std::fmt::Write as _;

use larder::Runtime;

/// Returns the page: where answers came from, and what is in memory.
pub(crate) fn page(runtime: &Runtime) -> String {
    let mut page = String::new();
    let mut line = |name: &str, labels: &str, value: u64| {
        // Writing to a `String` does not fail.
        _ = writeln!(page, "larder_{name}{labels} {value}");
    };
    let stats = runtime.stats();
    for function in &stats.functions {
        let labels = format!("{{function=\"{}\"}}", function.name);
        line("calls_total", &labels, function.calls);
        line("runs_total", &labels, function.runs);
        line("failures_total", &labels, function.failed);
    }
    let memory = runtime.memory();
    for function in &memory.functions {
        let labels = format!("{{function=\"{}\"}}", function.name);
        line("tasks", &labels, function.tasks as u64);
        line("function_bytes", &labels, function.bytes as u64);
    }
    line("memory_bytes", "", memory.bytes as u64);
    line("memory_cap_bytes", "", memory.cap.unwrap_or_default() as u64);
    line("memory_missed_bytes", "", memory.missed as u64);
    line("evicted_tasks_total", "", memory.freed);
    line("evicted_outputs_total", "", memory.dropped);
    if let Some(storage) = &stats.storage {
        line("storage_restored_total", "", storage.restored);
        line("storage_stored_total", "", storage.stored);
        line("storage_failing", "", u64::from(storage.writer.failing_since.is_some()));
    }
    page
}
