//! A compiler's front end for a small language: what a program of salsa's kind is in larder.
//!
//! [`syntax`], [`types`] and [`value`] are plain code. [`program`] puts task functions around them.

pub mod program;
pub mod syntax;
pub mod types;
pub mod value;
