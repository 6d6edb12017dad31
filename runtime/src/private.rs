//! What generated code names. Not for people: it changes without notice, under a new version name.

pub mod v1 {
    //! The first version.
    use std::borrow::Borrow;

    use larder_backend::args::{Args, KeyPart, Skipped};

    pub use larder_backend::args::{ByRef, ByVal, Skip, Store};
    pub use larder_backend::slot::OwnedMagicAny;
    pub use larder_backend::task_fn::{
        Cutoff, Definition, Describe, Exactly, Handle, Lossless, NoDebug, NoEq, NoHandle, NoRecall, NoReturn,
        Recall, Signed, Site, TaskFn, Total, Written, first_of, instance_of, name_of, type_id_of,
    };
    pub use larder_backend::{
        Emitted, Persist, PersistKey, Registered, Task, boxed, call, collect, forget, is_cached, stored,
        submit, task, unboxed, with,
    };

    pub use crate::driver::{new_async, new_async_within};
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

    /// The owned key of a tuple of wrapped parameters.
    pub type KeyOf<A> = <A as Args>::Key;

    /// What the output of a task function must be.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be the output of a task function",
        label = "not `Clone + Send + Sync + 'static`",
        note = "derive `Clone` and share between threads; wrap what is expensive to clone in an `Arc`"
    )]
    pub trait Output: Clone + Send + Sync + 'static {}
    #[diagnostic::do_not_recommend]
    impl<T: Clone + Send + Sync + 'static> Output for T {}

    /// What the output of a task function with an initial value must be.
    #[diagnostic::on_unimplemented(
        message = "results of type `{Self}` cannot be compared, which resolving a cycle needs",
        label = "not `PartialEq`",
        note = "a cycle is resolved when no result differs from the one before: derive `PartialEq`, or say how to compare \
                by `eq = ..`"
    )]
    pub trait Compared: PartialEq {}
    #[diagnostic::do_not_recommend]
    impl<T: PartialEq> Compared for T {}

    /// What a by-value parameter must be.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be an argument of a task function",
        label = "not `Clone + Eq + Hash + Send + Sync + 'static`",
        note = "arguments are the key of a task: derive `Clone, PartialEq, Eq, Hash`, or mark the parameter `#[skip]` \
                to leave it out of the key"
    )]
    pub trait ValueArg: Clone + KeyPart {}
    #[diagnostic::do_not_recommend]
    impl<T: Clone + KeyPart> ValueArg for T {}

    /// What a parameter behind a reference must be.
    #[diagnostic::on_unimplemented(
        message = "`&{Self}` cannot be an argument of a task function",
        label = "its owned form is not `Clone + Eq + Hash + Send + Sync + 'static`",
        note = "arguments are the key of a task: derive `Clone, PartialEq, Eq, Hash`, or mark the parameter `#[skip]` \
                to leave it out of the key"
    )]
    pub trait RefArg: ToOwned<Owned: KeyPart> + std::hash::Hash + Eq {}
    #[diagnostic::do_not_recommend]
    impl<T: ?Sized + ToOwned<Owned: KeyPart> + std::hash::Hash + Eq> RefArg for T {}

    /// States, at the place of the type, that it can be an output.
    pub fn assert_output<T: Output>() {}
    /// States, at the place of the type, that it can be an output on a cycle.
    pub fn assert_compared<T: Compared>() {}
    /// States, at the place of the type, that it can be a by-value parameter.
    pub fn assert_arg<T: ValueArg>() {}
    /// States, at the place of the type, that it can stand behind a reference parameter.
    pub fn assert_ref_arg<T: ?Sized + RefArg>() {}
    /// States, at the place of the type, that it can be part of a stored task's key.
    pub fn assert_persist_key<T: ?Sized + PersistKey>() {}
    /// States, at the place of the type, that it can be stored.
    pub fn assert_persist<T: Persist>() {}

    /// A by-reference parameter, from the key.
    pub fn by_ref<T: ?Sized + ToOwned>(owned: &T::Owned) -> &T {
        owned.borrow()
    }
    /// A by-value parameter, from the key.
    pub fn by_val<T: Clone>(owned: &T) -> T {
        owned.clone()
    }
    /// A skipped by-reference parameter, from the key.
    pub fn skip_ref<T: ?Sized + ToOwned>(owned: &Skipped<T::Owned>) -> &T {
        owned.0.borrow()
    }
    /// A skipped by-value parameter, from the key.
    pub fn skip_val<T: Clone>(owned: &Skipped<T>) -> T {
        owned.0.clone()
    }
    /// Computes an argument that is a handle and still pending, given what [`Handle`] has picked for its type.
    pub fn resolve<T: ?Sized>(resolve: Option<fn(&T)>, argument: &impl Borrow<T>) {
        if let Some(resolve) = resolve {
            resolve(argument.borrow());
        }
    }
    /// Checks a part of a key, given what [`Lossless`] has picked for its type.
    pub fn returns<T: ?Sized>(returns: Option<fn(&T) -> bool>, part: &impl Borrow<T>) -> bool {
        returns.is_none_or(|returns| returns(part.borrow()))
    }
}
