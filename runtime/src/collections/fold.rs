//! Folds over keys that are known otherwise.

use larder_backend::Persist;

use super::keys::{Keys, KeysPart};
use super::kinds::{Keeps, MapKey, Stored};
use super::parts::{ByKey, par_fold_part, transient_fold_part};

/// Panics when it is compiled if a function captures anything: its type would not say which function it is.
pub(super) const fn captures_nothing<F>() {
    assert!(
        size_of::<F>() == 0,
        "a function of a collection captures nothing: what it needs goes into the keys, or is read from inputs and task functions"
    );
}

/// Folds over a list of keys: `map` of each, combined in the order of the list. `empty` is the result for no keys.
///
/// The list is cut into lists of about 64, and each of them is a task, with tasks above it, one for about 32. When what `map` has read of
/// one key changes, the tasks on the way to it run, about `log32 n`, instead of one body that reads all results: for 100,000 keys 4 bodies,
/// which take less than a hundredth of the time. A key that is inserted or removed changes one list, too, wherever it stands. `map` runs
/// again for each key of a list of which one key's result has changed, so what is expensive in it should be a call of a task function.
/// `par_fold` does the same on all threads.
///
/// ```
/// use larder::{Input, Keys, Runtime, task_fn};
///
/// #[task_fn]
/// fn words(page: &Input<String>) -> usize {
///     page.with(|text| text.split_whitespace().count())
/// }
///
/// #[task_fn]
/// fn total(pages: &Keys<Input<String>>) -> usize {
///     larder::fold(pages, 0, |page| words(page), |a, b| a + b)
/// }
///
/// let runtime = Runtime::new();
/// let pages: Vec<_> = (0..1000).map(|n| runtime.input(&format!("page {n}"), String::from("one two"))).collect();
/// let keys = Keys::from(&pages);
/// assert_eq!(runtime.run(|| total(&keys)), 2000);
///
/// let before = runtime.stats().runs();
/// runtime.update(|update| update.set(&pages[500], String::from("three"))).unwrap();
/// assert_eq!(runtime.run(|| total(&keys)), 1999);
/// assert!(runtime.stats().runs() - before <= 6); // `words`, `total`, and the tasks in between
/// ```
///
/// - `combine` has to be associative: `(a + b) + c == a + (b + c)`. Where cuts are made is not told. It need not be commutative, and
///   `empty` need not be neutral.
/// - `map` and `combine` are functions, or closures that capture nothing. They are known by their type, as `#[task_fn]`s are, and what they
///   compute is stored as for a `#[task_fn]` without a version: a program that is built anew starts the fold afresh, over stored results of
///   the task functions that `map` calls. For types that cannot be stored, there is [`transient_fold`].
/// - Keys are handed over as [`Keys`], or as a slice or `Vec`, of which `Keys` are made first. That looks at all of them, so a caller that
///   runs often over a long list keeps `Keys`.
/// - In a process that opens a store, `Keys` of [`Input`](crate::Input)s have the same parts as before, by the inputs' names.
///
/// # Panics
/// If `map` or `combine` do; outside of a session.
#[track_caller]
pub fn fold<K, R, M, C>(keys: impl Into<Keys<K>>, empty: R, map: M, combine: C) -> R
where
    K: MapKey,
    R: Clone + PartialEq + Send + Sync + 'static,
    Stored: Keeps<R>,
    M: Fn(&K) -> R + Copy + Send + Sync + 'static,
    C: Fn(R, R) -> R + Copy + Send + Sync + 'static,
{
    const { captures_nothing::<M>() };
    const { captures_nothing::<C>() };
    Stored::fold(&KeysPart(keys.into()), ByKey(map), combine).unwrap_or(empty)
}

/// Folds as [`fold`] does, on all threads of the runtime, as [`par_map`](crate::par_map) does: for a `map` that takes long.
///
/// A list whose keys are current takes a few microseconds more than by [`fold`] when one of them has changed.
///
/// # Panics
/// If `map` or `combine` do; outside of a session.
#[track_caller]
pub fn par_fold<K, R, M, C>(keys: impl Into<Keys<K>>, empty: R, map: M, combine: C) -> R
where
    K: MapKey,
    R: Persist + Clone + PartialEq + Send + Sync + 'static,
    M: Fn(&K) -> R + Copy + Send + Sync + 'static,
    C: Fn(R, R) -> R + Copy + Send + Sync + 'static,
{
    const { captures_nothing::<M>() };
    const { captures_nothing::<C>() };
    par_fold_part(&KeysPart(keys.into()), ByKey(map), combine).unwrap_or(empty)
}

/// Folds as [`fold`] does; results are kept in memory only, as a `#[task_fn(transient)]` is: results need not be `Serialize`.
///
/// ```
/// use larder::{Keys, Runtime};
///
/// // A key that cannot be encoded.
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Page(&'static str);
///
/// let keys = Keys::transient([Page("a"), Page("bc")]);
/// let longest = Runtime::new().run(|| larder::transient_fold(&keys, 0, |page| page.0.len(), usize::max));
/// assert_eq!(longest, 2);
/// ```
///
/// # Panics
/// If `map` or `combine` do; outside of a session.
#[track_caller]
pub fn transient_fold<K, R, M, C>(keys: impl Into<Keys<K>>, empty: R, map: M, combine: C) -> R
where
    K: MapKey,
    R: Clone + PartialEq + Send + Sync + 'static,
    M: Fn(&K) -> R + Copy + Send + Sync + 'static,
    C: Fn(R, R) -> R + Copy + Send + Sync + 'static,
{
    const { captures_nothing::<M>() };
    const { captures_nothing::<C>() };
    transient_fold_part(&KeysPart(keys.into()), ByKey(map), combine).unwrap_or(empty)
}
