//! The budgets of docs/budgets.md, by name, in its order.

mod after_change;
mod bounded;
mod building;
mod collections;
mod executing;
mod hits;
mod identity;
mod kept;
mod packs;
mod ports;
mod seeing;
mod shared;
mod space;
mod storage;
mod wide;

use crate::verdict::Verdict;

/// A budget: its name and how it is measured.
pub struct Budget {
    /// The name in docs/budgets.md.
    pub name: &'static str,
    /// Measures it, peers included.
    pub measure: fn() -> Verdict,
}

/// All of them. A budget is never left out: what cannot be measured yet says so.
pub const ALL: &[Budget] = &[
    Budget { name: "hit-hot", measure: hits::hit_hot },
    Budget { name: "hit-table", measure: hits::hit_table },
    Budget { name: "hit-str", measure: hits::hit_str },
    Budget { name: "hit-async", measure: hits::hit_async },
    Budget { name: "hit-allocations", measure: hits::hit_allocations },
    Budget { name: "hit-threads", measure: hits::hit_threads },
    Budget { name: "hit-slice", measure: hits::hit_slice },
    Budget { name: "miss", measure: building::miss },
    Budget { name: "memory", measure: space::memory },
    Budget { name: "write-unrelated", measure: after_change::write_unrelated },
    Budget { name: "edit-equal", measure: after_change::edit_equal },
    Budget { name: "edit-leaf", measure: after_change::edit_leaf },
    Budget { name: "edit-wide", measure: after_change::edit_wide },
    Budget { name: "chain", measure: after_change::chain },
    Budget { name: "chain-cutoff", measure: after_change::chain_cutoff },
    Budget { name: "fold", measure: collections::fold },
    Budget { name: "group-by", measure: collections::group_by },
    Budget { name: "nested-build", measure: building::nested_build },
    Budget { name: "probe", measure: storage::probe },
    Budget { name: "reopen", measure: storage::reopen },
    Budget { name: "store", measure: storage::store },
    Budget { name: "store-overhead", measure: storage::store_overhead },
    Budget { name: "store-wide", measure: wide::store_wide },
    Budget { name: "revert", measure: storage::revert },
    Budget { name: "restart-cutoff", measure: storage::restart_cutoff },
    Budget { name: "bitflips", measure: storage::bitflips },
    Budget { name: "scope", measure: executing::scope },
    Budget { name: "scope-speedup", measure: executing::scope_speedup },
    Budget { name: "cap-hits", measure: bounded::cap_hits },
    Budget { name: "cap-bytes", measure: bounded::cap_bytes },
    Budget { name: "cap-miss", measure: bounded::cap_miss },
    Budget { name: "cap-pause", measure: bounded::cap_pause },
    Budget { name: "cap-free", measure: bounded::cap_free },
    Budget { name: "cap-ratio", measure: bounded::cap_ratio },
    Budget { name: "cap-spill", measure: bounded::cap_spill },
    Budget { name: "inputs-gone", measure: kept::inputs_gone },
    Budget { name: "store-peak", measure: kept::store_peak },
    Budget { name: "store-size", measure: kept::store_size },
    Budget { name: "shared-cold", measure: shared::shared_cold },
    Budget { name: "shared-stale", measure: shared::shared_stale },
    Budget { name: "shared-off", measure: shared::shared_off },
    Budget { name: "shared-dead", measure: shared::shared_dead },
    Budget { name: "shared-once", measure: shared::shared_once },
    Budget { name: "identity", measure: identity::identity },
    Budget { name: "keyed", measure: identity::keyed },
    Budget { name: "ports", measure: ports::ports },
    Budget { name: "shared-trips", measure: packs::shared_trips },
    Budget { name: "shared-import", measure: packs::shared_import },
    Budget { name: "shared-bytes", measure: packs::shared_bytes },
    Budget { name: "shared-hostile", measure: packs::shared_hostile },
    Budget { name: "see-hook", measure: seeing::see_hook },
    Budget { name: "see-observer", measure: seeing::see_observer },
    Budget { name: "see-determinism", measure: seeing::see_determinism },
    Budget { name: "see-stats", measure: seeing::see_stats },
    Budget { name: "see-explain", measure: seeing::see_explain },
    Budget { name: "see-inspector", measure: seeing::see_inspector },
    Budget { name: "size", measure: space::size },
];
