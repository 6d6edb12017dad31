//! Parts: tasks that depend on some of a value. A part is a task of its own with one read, its source, and a function that selects its
//! value from the source's.
//!
//! For example, `index` returns a map of 1,000 entries, and 1,000 tasks read one entry each, as parts. When `index` has run again, it
//! brings its parts up to date itself (`evaluate/parts.rs`). A part that is equal to before leaves what has read it current.
//!
//! The type of the selection is a part of the identity of the task, as the type of a body's closure is of a function's. It captures
//! nothing, so that the type is all there is to it.

mod awaited;
pub mod methods;

pub use self::awaited::{part_async, transient_part_async};

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use serde::de::DeserializeOwned;

use crate::call::args::{Args, ArgsSlot, ByKey, ByKeyRef, ByRef, KeyPart, PartArgs, PartKey, Store, split};
use crate::call::digested::in_key;
use crate::call::exact::{same_by_sign, same_known};
use crate::call::slot::StackMagicAnySlot;
use crate::call::storable::{Persist, PersistKey};
use crate::context::outside::Selecting;
use crate::entry::call::{call, with};
use crate::evaluate::handle::Task;
use crate::evaluate::lookup::known;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::{Definition, PartOps, Ran, RawTaskFn, Site, TaskFn, put, type_id};
use crate::graph::task_type::hash_of;
use crate::persist::stored;
use crate::session::input::Input;
use larder_storage::codec;

/// A key that tells the parts of one value apart.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a part",
    label = "its owned form is not `Clone + Eq + Hash + Send + Sync + 'static`",
    note = "derive `Clone, PartialEq, Eq, Hash`; a part without a key takes `&()`"
)]
pub trait PartOf: ToOwned<Owned: KeyPart + Clone> + Hash + Eq + 'static {}
#[diagnostic::do_not_recommend]
impl<Q: ?Sized + ToOwned<Owned: KeyPart + Clone> + Hash + Eq + 'static> PartOf for Q {}

/// A key of a part that is stored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a stored part",
    label = "not `serde::Serialize`, or its owned form is not `serde::de::DeserializeOwned`",
    note = "derive `serde::Serialize, serde::Deserialize`, or use `transient_part`: what reads that is not stored"
)]
pub trait StoredPartOf: PartOf<Owned: DeserializeOwned> + PersistKey {}
#[diagnostic::do_not_recommend]
impl<Q: ?Sized + PartOf<Owned: DeserializeOwned> + PersistKey> StoredPartOf for Q {}

/// A value that a part can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a part",
    label = "not `Clone + PartialEq + Send + Sync + 'static`",
    note = "derive `Clone, PartialEq`: an equal part leaves what has read it current"
)]
pub trait PartValue: Clone + PartialEq + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<P: Clone + PartialEq + Send + Sync + 'static> PartValue for P {}

/// The task that a part is a part of, given its arguments `A`.
pub(crate) trait Source<A: Args>: 'static {
    /// Its value.
    type Output;
    /// Lends the value to `read`, as a read of the task that runs now.
    fn read<R>(key: &A::Key, read: impl FnOnce(&Self::Output) -> R) -> R;
    /// Writes the task as a call.
    fn print(key: &A::Key, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Decodes the arguments, if that is possible.
    fn recall(encoded: &[u8]) -> Option<A::Key>;
    /// Returns its node, if it has one.
    fn node(key: &A::Key) -> Option<NodeRef>;
}

/// A call of a task function, whose descriptor `F` finds.
pub(crate) struct Call<F, O>(PhantomData<(F, O)>);

impl<A, O, F> Source<A> for Call<F, O>
where
    A: Args<Key: Clone>,
    O: Clone + Send + Sync + 'static,
    F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
{
    type Output = O;
    fn read<R>(key: &A::Key, read: impl FnOnce(&O) -> R) -> R {
        with::<ByKeyRef<'_, A>, O, R>(existing::<F>()(), ByKeyRef(key), read)
    }
    fn print(key: &A::Key, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        existing::<F>()().print_call(key, f)
    }
    fn recall(encoded: &[u8]) -> Option<A::Key> {
        let task_fn = existing::<F>()().raw();
        let mut key = None;
        let mut take = |_: u64, slot: &mut ArgsSlot<'_>| {
            let mut place = MaybeUninit::<A::Key>::uninit();
            // SAFETY: the function's own decoder makes keys of its own type.
            key = Some(unsafe {
                slot.take_into(place.as_mut_ptr().cast());
                place.assume_init()
            });
        };
        (task_fn.recall?)(task_fn, encoded, &mut take).then_some(())?;
        key
    }
    fn node(key: &A::Key) -> Option<NodeRef> {
        known::<ByKeyRef<'_, A>, O>(existing::<F>()(), ByKeyRef(key)).map(|(_, node)| node)
    }
}

/// An input, or a task by its handle.
pub(crate) struct Held<H>(PhantomData<H>);

impl<T: Clone + PartialEq + Send + Sync + 'static> Source<OfInput<T>> for Held<Input<T>> {
    type Output = T;
    fn read<R>((input,): &(Input<T>,), read: impl FnOnce(&T) -> R) -> R {
        input.with(read)
    }
    fn print((input,): &(Input<T>,), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(input, f)
    }
    fn recall(encoded: &[u8]) -> Option<(Input<T>,)> {
        in_key(true, || codec::decode(encoded)).ok()
    }
    fn node((input,): &(Input<T>,)) -> Option<NodeRef> {
        Some(input.task.cell.node)
    }
}

impl<T: Clone + Send + Sync + 'static> Source<OfTask<T>> for Held<Task<T>> {
    type Output = T;
    fn read<R>((task,): &(Task<T>,), read: impl FnOnce(&T) -> R) -> R {
        task.with(read)
    }
    fn print((task,): &(Task<T>,), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(task, f)
    }
    fn recall(encoded: &[u8]) -> Option<(Task<T>,)> {
        in_key(true, || codec::decode(encoded)).ok()
    }
    fn node((task,): &(Task<T>,)) -> Option<NodeRef> {
        Some(task.cell.node)
    }
}

type OfInput<T> = (Store<ByRef<'static, Input<T>>>,);
type OfTask<T> = (Store<ByRef<'static, Task<T>>>,);

/// Returns a function of which a value has been given: it has no bytes.
fn existing<S: Copy + 'static>() -> S {
    const {
        assert!(
            size_of::<S>() == 0,
            "the function that selects a part captures nothing: what it needs goes into the key"
        )
    };
    // SAFETY: 1. all functions of this file that name an `S` were handed one, which is `Copy`; 2. it has no bytes, so that any aligned
    // address will do.
    unsafe { *NonNull::<S>::dangling().as_ref() }
}

/// The descriptor of the parts of `Src` by keys `Q`.
struct Part<A, Src, Q: ?Sized, P, S>(PhantomData<(A, Src, Box<Q>, P, S)>);

type KeyOf<A, Q> = PartKey<<A as Args>::Key, <Q as ToOwned>::Owned>;

impl<A, Src, Q, P, S> Part<A, Src, Q, P, S>
where
    A: Args + 'static,
    Src: Source<A>,
    Q: ?Sized + PartOf,
    P: PartValue,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    const TRANSIENT: &'static TaskFn<KeyOf<A, Q>, P> = &Self::transient(Self::describe());
    const SITE: Site = Site { name: "part", path: "larder::part", file: file!(), line: line!() };

    const fn describe() -> TaskFn<KeyOf<A, Q>, P> {
        TaskFn::new(type_id::<fn(Src, S, Box<Q>) -> P>(), Self::SITE, Self::body)
    }

    /// Adds to the description of a body that it selects.
    const fn selecting(described: TaskFn<KeyOf<A, Q>, P>) -> TaskFn<KeyOf<A, Q>, P> {
        described
            .named(std::any::type_name::<S>)
            .describe(Some(Self::print))
            .selected_by(PartOps { select: Self::select, source: Self::source })
    }

    const fn transient(described: TaskFn<KeyOf<A, Q>, P>) -> TaskFn<KeyOf<A, Q>, P> {
        Self::selecting(described)
            .cutoff(Some(|one, other| same_known(one, other).unwrap_or_else(|| one == other)))
    }

    /// The keys of parts need not be printed.
    fn print(key: &KeyOf<A, Q>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        Src::print(&key.source, f)?;
        f.write_str(", ..)")
    }

    fn body(key: &KeyOf<A, Q>) -> P {
        Src::read(&key.source, |value| Self::value(value, key))
    }

    /// A selection depends on nothing but the value and the key: it sees no session.
    fn value(value: &Src::Output, key: &KeyOf<A, Q>) -> P {
        let _selecting = Selecting::begin();
        existing::<S>()(value, key.key.borrow())
    }

    /// # Safety
    /// See [`PartOps`].
    unsafe fn source(part: NodeRef) -> Option<NodeRef> {
        // SAFETY: the part's types are those of this descriptor.
        Src::node(unsafe { &part.key::<KeyOf<A, Q>, P>().source })
    }

    /// # Safety
    /// See [`PartOps`].
    unsafe fn select(part: NodeRef, source: NodeRef, done: &mut dyn FnMut(Ran)) {
        // SAFETY: 1. the part's types are those of this descriptor; 2. its source is of type `Src::Output`, as its body reads nothing else;
        // 3. the caller vouches for the rest.
        unsafe {
            let new = Self::value(source.value_by_type::<Src::Output>(), part.key::<KeyOf<A, Q>, P>());
            put::<KeyOf<A, Q>, P>(part.task_fn, part, new, done);
        }
    }

    /// Returns an address in the object file that holds the selection.
    #[inline(never)]
    fn home() -> &'static u8 {
        &0
    }
}

impl<A, Src, Q, P, S> Part<A, Src, Q, P, S>
where
    A: Args + 'static,
    Src: Source<A>,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    const STORED: &'static TaskFn<KeyOf<A, Q>, P> = &Self::stored(Self::describe());

    const fn stored(described: TaskFn<KeyOf<A, Q>, P>) -> TaskFn<KeyOf<A, Q>, P> {
        Self::selecting(described)
            .cutoff(Some(same_stored::<P>))
            .stored(stored::<PartArgs<A, Store<ByRef<'static, Q>>>, P>())
            .returns(Some(same_stored::<P>))
            .recalled(Some(Self::recall))
            .defined(Definition { package: "", home: Self::home })
    }

    /// Makes the arguments of a part that is only stored, as a reader of it is being verified.
    fn recall(
        task_fn: &'static RawTaskFn,
        encoded: &[u8],
        use_key: &mut dyn FnMut(u64, &mut ArgsSlot<'_>),
    ) -> bool {
        let Some((own, source)) = split(encoded) else { return false };
        let (Ok(own), Some(source)) = (in_key(true, || codec::decode::<Q::Owned>(own)), Src::recall(source))
        else {
            return false;
        };
        let key = PartKey { source, key: own };
        let mut again = Vec::with_capacity(encoded.len());
        if PartArgs::<A, Store<ByRef<'static, Q>>>::encode_key(&key, &mut again).is_err() || again != encoded
        {
            return false;
        }
        let args = ByKey(key);
        let hash = hash_of(task_fn, &args);
        use_key(hash, &mut StackMagicAnySlot::new(args));
        true
    }
}

/// Whether two values are the same, as far as their encoding tells more than `==` does.
fn same_stored<P: PartValue + Persist>(one: &P, other: &P) -> bool {
    same_known(one, other).unwrap_or_else(|| same_by_sign(one, other))
}

/// Selects a part of a call's output. `A` is the type of the arguments as the function's descriptor has them.
#[inline]
#[track_caller]
pub fn part<A, O, Q, P, F, S>(find: F, args: impl Args<Key = A::Key>, key: &Q, select: S) -> P
where
    A: Args<Key: Clone> + 'static,
    O: Clone + Send + Sync + 'static,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
    S: Fn(&O, &Q) -> P + Copy + 'static,
{
    let _ = find;
    stored_part_of::<A, Call<F, O>, Q, P, S>(select, args, key)
}

/// Selects a part as [`part`] does, of a function whose results are not stored.
#[inline]
#[track_caller]
pub fn transient_part<A, O, Q, P, F, S>(find: F, args: impl Args<Key = A::Key>, key: &Q, select: S) -> P
where
    A: Args<Key: Clone> + 'static,
    O: Clone + Send + Sync + 'static,
    Q: ?Sized + PartOf,
    P: PartValue,
    F: Fn() -> &'static TaskFn<A::Key, O> + Copy + 'static,
    S: Fn(&O, &Q) -> P + Copy + 'static,
{
    let _ = find;
    transient_part_of::<A, Call<F, O>, Q, P, S>(select, args, key)
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Input<T> {
    /// Selects a part of the value by a key. The task that runs now depends on that part alone: when the input is set, its parts are
    /// selected anew, and those that are equal to before leave what has read them current.
    ///
    /// `select` captures nothing and calls no task functions. It is a part of the identity of the task that this is.
    /// Cost: as a call of a task function; and in an update that changes the input, a selection and a comparison for each part.
    ///
    /// # Panics
    /// Panics as [`Input::get`] does; if `select` does.
    #[inline]
    #[track_caller]
    pub fn part<Q, P>(&self, key: &Q, select: impl Fn(&T, &Q) -> P + Copy + 'static) -> P
    where
        Q: ?Sized + StoredPartOf,
        P: PartValue + Persist,
    {
        stored_part_of::<OfInput<T>, Held<Self>, Q, P, _>(select, (Store(ByRef(self)),), key)
    }

    /// Selects a part as [`Input::part`] does. Tasks that read it are not stored.
    ///
    /// # Panics
    /// See [`Input::part`].
    #[inline]
    #[track_caller]
    pub fn transient_part<Q, P>(&self, key: &Q, select: impl Fn(&T, &Q) -> P + Copy + 'static) -> P
    where
        Q: ?Sized + PartOf,
        P: PartValue,
    {
        transient_part_of::<OfInput<T>, Held<Self>, Q, P, _>(select, (Store(ByRef(self)),), key)
    }
}

impl<T: Clone + Send + Sync + 'static> Task<T> {
    /// Selects a part of the value by a key. The task that runs now depends on that part alone: when this task has run again, its parts
    /// are selected anew, and those that are equal to before leave what has read them current.
    ///
    /// `select` captures nothing and calls no task functions. It is a part of the identity of the task that this is. The part keeps
    /// the handle. Cost: as a call of a task function; and when this task has run again, a selection and a comparison for each part.
    ///
    /// # Panics
    /// Panics as [`Task::get`] does; if `select` does.
    #[inline]
    #[track_caller]
    pub fn part<Q, P>(&self, key: &Q, select: impl Fn(&T, &Q) -> P + Copy + 'static) -> P
    where
        Q: ?Sized + StoredPartOf,
        P: PartValue + Persist,
    {
        stored_part_of::<OfTask<T>, Held<Self>, Q, P, _>(select, (Store(ByRef(self)),), key)
    }

    /// Selects a part as [`Task::part`] does. Tasks that read it are not stored.
    ///
    /// # Panics
    /// See [`Task::part`].
    #[inline]
    #[track_caller]
    pub fn transient_part<Q, P>(&self, key: &Q, select: impl Fn(&T, &Q) -> P + Copy + 'static) -> P
    where
        Q: ?Sized + PartOf,
        P: PartValue,
    {
        transient_part_of::<OfTask<T>, Held<Self>, Q, P, _>(select, (Store(ByRef(self)),), key)
    }
}

#[inline]
#[track_caller]
fn stored_part_of<A, Src, Q, P, S>(select: S, source: impl Args<Key = A::Key>, key: &Q) -> P
where
    A: Args + 'static,
    Src: Source<A>,
    Q: ?Sized + StoredPartOf,
    P: PartValue + Persist,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    let _ = select;
    call(Part::<A, Src, Q, P, S>::STORED, PartArgs { source, key: Store(ByRef(key)) })
}

#[inline]
#[track_caller]
fn transient_part_of<A, Src, Q, P, S>(select: S, source: impl Args<Key = A::Key>, key: &Q) -> P
where
    A: Args + 'static,
    Src: Source<A>,
    Q: ?Sized + PartOf,
    P: PartValue,
    S: Fn(&Src::Output, &Q) -> P + Copy + 'static,
{
    let _ = select;
    call(Part::<A, Src, Q, P, S>::TRANSIENT, PartArgs { source, key: ByRef(key) })
}
