//! The options of runtimes without a store, also after `Builder::storage`.

use std::path::Path;
use std::time::Duration;

use larder_backend::storage::Fingerprints;

use super::StoredBuilder;
use crate::Builder;

macro_rules! options {
    ($($name:ident($value:ident: $type:ty);)*) => {
        impl StoredBuilder {
            $(
                #[doc = concat!("Sets [`Builder::", stringify!($name), "`], which may also be said before [`Builder::storage`].")]
                #[must_use]
                pub fn $name(mut self, $value: $type) -> Self {
                    self.config = Builder { config: self.config }.$name($value).config;
                    self
                }
            )*
        }
    };
}

options! {
    shards(shards: usize);
    threads(threads: usize);
    patience(patience: impl Into<Option<Duration>>);
    memory_cap(bytes: usize);
    collect_after(sessions: u32);
    run_apart_after(time: Duration);
    base(dir: impl AsRef<Path>);
    fingerprints(kind: Fingerprints);
    check_determinism(share: f64);
    record_causes(records: bool);
}
