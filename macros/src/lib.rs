//! The `#[task_fn]` attribute of larder.
//!
//! Use it through the `larder` crate, which re-exports it: the code that it writes names `::larder::__private`.
//!
//! In reading order: the item is parsed (`function`, `options`, `params`), checked (`check`), and written anew
//! (`expand` for what all task functions share and for methods, `companion` for free functions, `descriptor` for the
//! constant that the engine works from, `package` for what tells it from others). `body` changes the tokens of a method's body; `blame` places the errors that the
//! compiler finds.

mod errors;
mod function;
mod options;
mod params;

mod check;

mod expand;

mod companion;
mod descriptor;
mod package;

mod blame;
mod body;

use proc_macro::TokenStream;

#[doc = include_str!("task_fn.md")]
#[proc_macro_attribute]
pub fn task_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::task_fn(args.into(), item.into()).into()
}

/// [`macro@task_fn`] taken away: the function as it would be without the attribute. Under the other's name it shows what
/// the attribute costs a program that is otherwise the same. Hidden, because it is for measuring and no part of the API.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn plain_fn(_: TokenStream, item: TokenStream) -> TokenStream {
    expand::plain_fn(item.into()).into()
}
