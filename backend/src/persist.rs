//! Persist: what a type must be able to do so that results of task functions can be stored.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type whose values can be stored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored, so a task function that takes or returns it cannot be either",
    label = "not `serde::Serialize + serde::de::DeserializeOwned`",
    note = "either derive them: `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "or keep the function's results in memory only: `#[task_fn(transient)]`"
)]
pub trait Persist: Serialize + DeserializeOwned {}
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Persist for T {}

/// How the arguments and outputs of a task function are stored.
pub struct Stored<K, O>(PhantomData<fn(&K) -> O>);

/// Stores by serde.
pub const fn stored<K, O>() -> Stored<K, O> {
    Stored(PhantomData)
}
