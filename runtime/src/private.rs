//! Names for generated code. Not for people: they change without notice, under a new version name.

pub mod v1 {
    //! The first version.
    use std::borrow::Borrow;

    use larder_backend::args::{Args, Skipped};

    pub use larder_backend::args::{ByRef, ByVal, Skip, Store};
    pub use larder_backend::slot::OwnedMagicAny;
    pub use larder_backend::task_fn::{
        Cutoff, Definition, Describe, Exactly, Handle, Lossless, NoDebug, NoEq, NoHandle, NoRecall, NoReturn,
        NoShow, NoWeight, RawTaskFn, Recall, Sharing, Show, Signed, Site, TaskFn, Total, Weight, Written,
        first_of, instance_of, name_of, type_id_of,
    };
    pub use larder_backend::{
        Emitted, Input, Is, KeyList, Keyed, PartOf, PartValue, Persist, Registered, StoredPartOf, Task,
        boxed, call, clear, collect, entry, forget, forget_all_of, invalidate, is_cached, keys_of, part,
        stored, submit, take, task, transient_part, unboxed, with,
    };

    pub use larder_backend::part_methods::{
        PartFns, Selects, stored as stored_parts, transient as transient_parts,
    };

    pub use crate::driver::{new_async, new_async_within};
    pub use crate::requirements::one_way::{Deserializes, NoSerde, Serializes, one_way};
    pub use crate::requirements::*;
    pub use crate::task_call::TaskCall;

    /// Calls an async task function.
    ///
    /// # Panics
    /// Outside of a session.
    #[inline(always)]
    pub fn call_async<A: Args, O: Clone + Send + Sync + 'static>(
        task_fn: &'static TaskFn<A::Key, O>,
        args: A,
    ) -> TaskCall<O> {
        TaskCall::new(larder_backend::call_async(task_fn, args))
    }

    /// Selects a part of the output of an async call. See `part`.
    #[inline]
    #[track_caller]
    pub fn part_async<A, O, Q, P, F, S>(
        find: F,
        args: impl Args<Key = A::Key>,
        key: &Q,
        select: S,
    ) -> TaskCall<P>
    where
        A: Args<Key: Clone> + 'static,
        O: Clone + Send + Sync + 'static,
        Q: ?Sized + StoredPartOf,
        P: PartValue + Persist,
        F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
        S: Fn(&O, &Q) -> P + Copy + 'static,
    {
        TaskCall::new(larder_backend::part_async::<A, O, Q, P, F, S>(find, args, key, select))
    }

    /// Selects a part of the output of an async call whose results are not stored.
    #[inline]
    #[track_caller]
    pub fn transient_part_async<A, O, Q, P, F, S>(
        find: F,
        args: impl Args<Key = A::Key>,
        key: &Q,
        select: S,
    ) -> TaskCall<P>
    where
        A: Args<Key: Clone> + 'static,
        O: Clone + Send + Sync + 'static,
        Q: ?Sized + PartOf,
        P: PartValue,
        F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
        S: Fn(&O, &Q) -> P + Copy + 'static,
    {
        TaskCall::new(larder_backend::transient_part_async::<A, O, Q, P, F, S>(find, args, key, select))
    }

    /// The owned key of a tuple of wrapped parameters.
    pub type KeyOf<A> = <A as Args>::Key;

    /// Returns a by-reference parameter, from the key.
    pub fn by_ref<T: ?Sized + ToOwned>(owned: &T::Owned) -> &T {
        owned.borrow()
    }
    /// Returns a by-value parameter, from the key.
    pub fn by_val<T: Clone>(owned: &T) -> T {
        owned.clone()
    }
    /// Returns a skipped by-reference parameter, from the key.
    pub fn skip_ref<T: ?Sized + ToOwned>(owned: &Skipped<T::Owned>) -> &T {
        owned.0.borrow()
    }
    /// Returns a skipped by-value parameter, from the key.
    pub fn skip_val<T: Clone>(owned: &Skipped<T>) -> T {
        owned.0.clone()
    }
    /// Computes an argument that is a handle and still pending, given what [`Handle`] has picked for its type.
    pub fn resolve<T: ?Sized>(resolve: Option<fn(&T)>, argument: &impl Borrow<T>) {
        if let Some(resolve) = resolve {
            resolve(argument.borrow());
        }
    }
    /// Takes a step from one round of a cycle to the next. The closure's types are known from here.
    pub fn step<O>(step: impl FnOnce(&O, O, u32) -> O, previous: &O, new: O, round: u32) -> O {
        step(previous, new, round)
    }
    /// Checks a part of a key, given what [`Lossless`] has picked for its type.
    pub fn returns<T: ?Sized>(returns: Option<fn(&T) -> bool>, part: &impl Borrow<T>) -> bool {
        returns.is_none_or(|returns| returns(part.borrow()))
    }
}
