//! Abilities of types that results need in order to be stored. The traits have blanket implementations; they exist for their messages.

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

/// A type that can be part of the key of a stored task. It is only ever encoded.
///
/// Two values that its `Eq` tells apart must have different encodings: a field that is skipped when encoding must not
/// matter to `Eq`. Where the type can be decoded, some of what is stored is checked.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored, so a task function that takes or returns it cannot be either",
    label = "not `serde::Serialize`",
    note = "either derive it: `#[derive(serde::Serialize)]`",
    note = "or keep the function's results in memory only: `#[task_fn(transient)]`"
)]
pub trait PersistKey: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: ?Sized + Serialize> PersistKey for T {}

/// A value that an input can hold and that can be recognised in another process. It is only ever encoded.
///
/// Two values that its `PartialEq` tells apart must have different encodings. A change that does not show in the encoding reaches all readers in
/// the process that makes it; a later process, which has the encoding alone, does not see it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recognised in another process, as the value of an input",
    label = "not `serde::Serialize`",
    note = "either derive it: `#[derive(serde::Serialize)]`",
    note = "or keep what reads the input in memory only: `runtime.transient_input(..)`"
)]
pub trait PersistInput: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> PersistInput for T {}
