//! The inspector of larder: a page in the browser that shows what a store holds, in functions, tasks and reasons.
//!
//! [`Inspector`] serves the page on an address of this machine. [`Inspector::store`] shows a store file, as `larder serve STORE` does:
//!
//! ```no_run
//! use larder_inspect::Inspector;
//!
//! let serving = Inspector::new().store(".larder/census.redb", "127.0.0.1:0")?;
//! println!("open {}", serving.url());
//! serving.wait();
//! # Ok::<(), larder_inspect::ServeError>(())
//! ```
//!
//! The page is for the people of this machine: an address that other machines reach is refused unless
//! [`Inspector::allow_remote`] was called, every answer needs the token in [`Serving::url`], and no request writes anything. Nothing is loaded
//! from elsewhere.
//!
//! | module | holds |
//! |---|---|
//! | `serve` | the inspector: settings, the thread, connections and their limits |
//! | `guard` | which requests are answered: host, token, method |
//! | `routes` | the paths, and the headers of each answer |
//! | `assets` | the page |
//! | `source` | what is shown: questions and answers |
//! | `store` | a store as a source |
//! | `stored` | answers about a store, shared with the `larder` command |

mod assets;
mod guard;
mod routes;
mod serve;
mod source;
mod store;
#[doc(hidden)]
pub mod stored;

pub use self::serve::{Inspector, ServeError, Serving};
