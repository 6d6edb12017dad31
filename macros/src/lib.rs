//! The `#[task_fn]` and `#[parts]` attributes of larder.
//!
//! Use it through the `larder` crate, which re-exports it: the code that it writes names `::larder::__private`.
//!
//! In reading order; each module imports those before it:
//! - the item is parsed (`function`, `options`, `params`) and checked (`check`, `bounds`); `types` tells what the names in a type say of
//!   it, `place` where the item stands;
//! - `task` is the parsed model; `blame` and `requirements` decide what the compiler's errors say, and where;
//! - the item is written anew: `descriptor` writes the constant that the engine works from, `package` what tells it from others,
//!   `shim` the function under the user's name, `companion` the type beside a free function, with `part` for what reads some of an output, `expand` puts them together.
//!   `body` changes the tokens of a method's body.
//!
//! `parts` is an attribute of its own.

mod body;
mod errors;
mod function;
mod options;
mod params;
mod place;
mod sizes;
mod types;

mod bounds;
mod check;

mod blame;
mod requirements;
mod task;

mod companion;
mod descriptor;
mod expand;
mod package;
mod part;
mod shim;

mod parts;

use proc_macro::TokenStream;

#[doc = include_str!("task_fn.md")]
#[proc_macro_attribute]
pub fn task_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    expand::task_fn(args.into(), item.into()).into()
}

#[doc = include_str!("parts.md")]
#[proc_macro_attribute]
pub fn parts(args: TokenStream, item: TokenStream) -> TokenStream {
    parts::expand(args.into(), item.into()).into()
}

/// Takes [`macro@task_fn`] away: the function as it would be without the attribute. Under the other's name it shows what
/// the attribute costs a program that is otherwise the same. Hidden, because it is for measuring and no part of the API.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn plain_fn(_: TokenStream, item: TokenStream) -> TokenStream {
    expand::plain_fn(item.into()).into()
}
