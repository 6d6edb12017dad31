//! Sizes and counts.

use larder_storage::Table;
use larder_storage::inspect::{StoreMeasure, StoreReader};
use serde_json::{Value, json};

/// Returns the sizes and counts of a store for JSON.
pub fn stats_json(reader: &StoreReader, measure: &StoreMeasure) -> Value {
    let head = reader.head();
    let functions: Vec<Value> = measure
        .functions
        .iter()
        .map(|of| {
            json!({
                "id": of.id.0.to_string(),
                "path": of.path,
                "code": of.code.map(|code| code.to_string()),
                "tasks": of.tasks,
                "stale": of.stale,
                "traces": of.traces,
                "bytes": of.bytes,
                "oldest_run": of.oldest,
                "last_used_run": of.last_used,
            })
        })
        .collect();
    let tables: serde_json::Map<String, Value> = Table::ALL
        .into_iter()
        .map(|each| {
            let at = each.index();
            (each.name().to_owned(), json!({ "records": measure.records[at], "bytes": measure.bytes[at] }))
        })
        .collect();
    json!({
        "snapshot": reader.is_snapshot(),
        "format": head.format,
        "codec": head.codec,
        "fingerprints": head.fingerprints.name(),
        "pointer_bytes": head.pointer,
        "build": head.build.to_string(),
        "run": head.generation.0,
        "created_with": head.created_with,
        "file_bytes": measure.file_bytes,
        "record_bytes": measure.bytes.iter().sum::<u64>(),
        "damaged_records": measure.rejected,
        "tasks": measure.functions.iter().map(|of| of.tasks).sum::<u64>(),
        "functions": functions,
        "tables": tables,
    })
}
