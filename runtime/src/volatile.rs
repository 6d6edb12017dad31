//! Volatile: a dependency on the session itself.

use larder_backend::call;
use larder_backend::task_fn::{Site, TaskFn, type_id};

struct VolatileId;

/// It is run once in each session, and never equal.
const SESSION: &TaskFn<(), ()> = &TaskFn::new(
    type_id::<VolatileId>(),
    Site { name: "volatile", path: "larder::volatile", file: file!(), line: line!() },
    |(): &()| (),
)
.volatile();

/// Makes the task that runs now run again in every session that asks for it, as `#[task_fn(volatile)]` does for all tasks of a function: this run has
/// read something that no source stands for. For example, a body that only sometimes asks a server.
///
/// Its result is not stored. Its readers run again only if it differs.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn volatile() {
    call::<_, ()>(SESSION, ());
}
