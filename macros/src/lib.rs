//! The `#[task_fn]` attribute of larder.
//!
//! Use it through the `larder` crate, which re-exports it: the code that it writes names `::larder::__private`.

mod blame;
mod body;
mod check;
mod companion;
mod descriptor;
mod errors;
mod expand;
mod function;
mod options;
mod params;

use proc_macro::TokenStream;

/// Turns a function into a task function.
#[proc_macro_attribute]
pub fn task_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::task_fn(args.into(), item.into()).into()
}
