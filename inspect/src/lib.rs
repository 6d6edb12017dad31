//! The inspector of larder: a page in the browser that shows what a store holds, or what a running program does.
//!
//! [`Inspector`] serves the page on an address of this machine. [`Inspector::store`] shows a store file, as `larder serve STORE` does;
//! [`InspectRuntime::inspect`] shows a running program:
//!
//! ```
//! use larder::{Runtime, task_fn};
//! use larder_inspect::InspectRuntime;
//!
//! #[task_fn]
//! fn double(n: u32) -> u32 {
//!     n * 2
//! }
//!
//! let runtime = Runtime::new();
//! let inspector = runtime.inspect("127.0.0.1:0")?;
//! println!("open {}", inspector.url());
//! assert_eq!(runtime.run(|| double(4)), 8);
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
//! | `running` | a running program as a source |
//! | `stored` | answers about a store, shared with the `larder` command |

mod assets;
mod guard;
mod routes;
mod running;
mod serve;
mod source;
mod store;
#[doc(hidden)]
pub mod stored;

pub use self::running::InspectRuntime;
pub use self::serve::{Inspector, ServeError, Serving};
