//! Parts by methods, as `#[parts]` writes them: a type for each method stands for its selection.
//!
//! The bounds of values, keys and parts stand at one function ([`stored`] or [`transient`]), which generated code calls once for
//! each method. All that it needs of the parts is in what that returns. So a type that cannot be a part is one error, at the user's tokens.

use crate::call::args::{Args, ByRef, Store};
use crate::call::storable::Persist;
use crate::evaluate::handle::Task;
use crate::graph::task_fn::RawTaskFn;
use crate::session::input::Input;

use super::{
    Held, OfInput, OfTask, Part, PartOf, PartValue, Source, StoredPartOf, stored_part_of, transient_part_of,
};

/// A method of `T` that selects a part, by its type.
pub trait Selects<T, Q: ?Sized, P>: 'static {
    /// Calls the method.
    fn select(value: &T, key: &Q) -> P;
}

/// The functions of a method's parts.
pub struct PartFns<T, Q: ?Sized, P> {
    /// Selects a part of an input.
    pub of_input: fn(&Input<T>, &Q) -> P,
    /// Selects a part of a task's output.
    pub of_task: fn(&Task<T>, &Q) -> P,
    /// The descriptors of these. Known before the first part is called, they are found for what has read one in another process.
    pub descriptors: [fn() -> &'static RawTaskFn; 2],
}

/// Returns the functions of a method whose parts are stored.
pub const fn stored<T, Q, P, M>() -> PartFns<T, Q, P>
where
    T: PartValue,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    M: Selects<T, Q, P>,
{
    PartFns {
        of_input: |input, key| {
            stored_part_of::<OfInput<T>, Held<Input<T>>, Q, P, _>(M::select, (Store(ByRef(input)),), key)
        },
        of_task: |task, key| {
            stored_part_of::<OfTask<T>, Held<Task<T>>, Q, P, _>(M::select, (Store(ByRef(task)),), key)
        },
        descriptors: [
            || described::<OfInput<T>, Held<Input<T>>, Q, P, _>(M::select),
            || described::<OfTask<T>, Held<Task<T>>, Q, P, _>(M::select),
        ],
    }
}

/// Returns the functions of a method whose parts are not stored.
pub const fn transient<T, Q, P, M>() -> PartFns<T, Q, P>
where
    T: PartValue,
    Q: ?Sized + PartOf,
    P: PartValue,
    M: Selects<T, Q, P>,
{
    PartFns {
        of_input: |input, key| {
            transient_part_of::<OfInput<T>, Held<Input<T>>, Q, P, _>(M::select, (Store(ByRef(input)),), key)
        },
        of_task: |task, key| {
            transient_part_of::<OfTask<T>, Held<Task<T>>, Q, P, _>(M::select, (Store(ByRef(task)),), key)
        },
        descriptors: [|| unreachable!("transient parts are not registered"); 2],
    }
}

fn described<A, Src, Q, P, S>(_: S) -> &'static RawTaskFn
where
    A: Args + 'static,
    Src: Source<A>,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    Part::<A, Src, Q, P, S>::STORED.raw()
}
