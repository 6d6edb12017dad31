//! Determinism: which bodies are run once more than they need to, to see whether they come to the same.

/// Whether a task is one of a share of all, from 0 to 1. `number` is as good as random, and the same for as long as the task is to be chosen or not.
pub(crate) fn is_of_share(number: u64, share: f64) -> bool {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // 53 bits, as many as fit.
    share > 0.0 && ((mixed >> 11) as f64) < share * (1_u64 << 53) as f64
}
