//! A bundler: what a program of turbo-tasks' kind is in larder.
//!
//! * [`modules`]: files, their imports, and where these lead.
//! * [`bundle`]: the modules that an entry reaches, and the chunks that are made of them.
//! * [`output`]: writes chunks to a folder, those that differ from what is there.
//! * [`watch`]: waits for changes.
//! * [`generated`]: a project of 300 modules.

pub mod bundle;
pub mod generated;
pub mod modules;
pub mod output;
pub mod watch;
