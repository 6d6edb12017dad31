//! Groups: a collection divided by what a function says of each row, and folded group by group.
//!
//! ```text
//! group_tree(all) ─┬─ group_tree(part 0) ─┬─ group_tree(list 00)   {red: 3, blue: 5}
//!    {red: 40,     ┆                      ┆
//!     blue: 17}    └─ group_tree(part 7)  └─ group_tree(list 07)   {blue: 1}
//! ```
//! Each part of the source has the results of the groups that occur in it ([`Trie`]). An inner part combines the results of its parts. When
//! one row has moved from red to blue, its list has other results for these two. The parts above find them by comparing what they have read
//! with what they read the time before, down to where both versions share their nodes, and combine these two groups anew: eight results
//! each.
//!
//! Such a part keeps what it has read the time before in a [`Memo`], a skipped argument. It makes the body faster, and no value depends on
//! it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};

use super::fold::captures_nothing;
use super::kinds::{HashOf, MapKey, Transient};
use super::parts::{Combine, Part};
use super::place::{Place, WAYS};
use super::trie::{Change, Entry, Trie};
use super::view::{TaskMap, known_by};
use crate::task_fn;

/// The number of digits of the part that is asked for the result of a group. Were it the whole, each change would look at all tasks that
/// have ever asked for a group.
const ASKED: u32 = 2;

/// A collection whose rows are divided into groups. Made by [`TaskMap::group_by`]; [`fold`](GroupBy::fold) makes a map of it.
#[must_use = "groups are folded: `.fold(|key, value| .., |a, b| ..)`"]
pub struct GroupBy<S, F, D> {
    rows: S,
    group: F,
    kind: PhantomData<fn() -> D>,
}

impl<S: Part, F, D> GroupBy<S, F, D> {
    pub(super) fn of(rows: S, group: F) -> Self {
        Self { rows, group, kind: PhantomData }
    }

    /// Returns the map from each group that has rows to the fold over them: `map` of each row, combined.
    ///
    /// A row that changes, comes, goes or moves to another group costs one task for its list of the source and one for each part above it,
    /// about `log8 n`, which work on the groups that are concerned.
    ///
    /// `combine` has to be associative and commutative. The results are kept in memory only, and so is what reads them. A part of the
    /// source takes about 50 bytes for each group in it: for many rows in few groups that is little, for groups of one row it is `log8 n`
    /// times what the source takes.
    ///
    /// ```
    /// use larder::{InputMap, Runtime, task_fn};
    ///
    /// type People = InputMap<String, (String, u32)>; // name: town, age
    ///
    /// /// The oldest age of each town.
    /// #[task_fn(transient)]
    /// fn oldest_in(people: &People, town: &str) -> Option<u32> {
    ///     let towns = people.view().group_by(|_, (town, _)| town.clone());
    ///     towns.fold(|_, (_, age)| *age, u32::max).get(town)
    /// }
    ///
    /// let runtime = Runtime::new();
    /// let people: People = runtime.input_map("people");
    /// runtime.update(|update| {
    ///     people.insert(update, "Ada".into(), ("London".into(), 36));
    ///     people.insert(update, "Blaise".into(), ("Paris".into(), 39));
    ///     people.insert(update, "Alan".into(), ("London".into(), 41));
    /// }).unwrap();
    /// assert_eq!(runtime.run(|| oldest_in(&people, "London")), Some(41));
    ///
    /// runtime.update(|update| people.insert(update, "Alan".into(), ("Wilmslow".into(), 41))).unwrap();
    /// assert_eq!(runtime.run(|| oldest_in(&people, "London")), Some(36));
    /// ```
    #[expect(clippy::type_complexity, reason = "a view is a type of its functions")]
    pub fn fold<G, R, M, C>(self, map: M, combine: C) -> TaskMap<Groups<S, F, M, C, D, G, R>, Transient>
    where
        G: MapKey,
        R: Clone + PartialEq + Send + Sync + 'static,
        F: Fn(&S::Key, &S::Value) -> G + Copy + Send + Sync + 'static,
        M: Fn(&S::Key, &S::Value) -> R + Copy + Send + Sync + 'static,
        C: Fn(R, R) -> R + Copy + Send + Sync + 'static,
        D: HashOf<G>,
    {
        const { captures_nothing::<M>() };
        const { captures_nothing::<C>() };
        let functions = Functions { group: self.group, map, combine, types: PhantomData };
        TaskMap::of(Groups { rows: self.rows, place: Place::ROOT, functions })
    }
}

impl<S, F, D> fmt::Debug for GroupBy<S, F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupBy").finish_non_exhaustive()
    }
}

/// The rows of [`GroupBy::fold`]: groups and their results. As a part, those whose hash begins with some digits.
pub struct Groups<S, F, M, C, D, G, R> {
    rows: S,
    place: Place,
    functions: Functions<F, M, C, D, G, R>,
}

type Types<D, G, R> = PhantomData<fn() -> (D, G, R)>;

/// The functions, all of no size.
struct Functions<F, M, C, D, G, R> {
    group: F,
    map: M,
    combine: C,
    types: Types<D, G, R>,
}

impl<F: Copy, M: Copy, C: Copy, D, G, R> Clone for Functions<F, M, C, D, G, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<F: Copy, M: Copy, C: Copy, D, G, R> Copy for Functions<F, M, C, D, G, R> {}

/// The functions of a [`GroupBy`], as an argument of [`group_tree`].
pub(crate) trait Grouping<P: Part>: Copy + Send + Sync + 'static {
    type Group: MapKey;
    type Result: Clone + PartialEq + Send + Sync + 'static;

    /// The hash of the row's group, the group, and the result of the row.
    fn of_row(self, key: &P::Key, value: &P::Value) -> Entry<Self::Group, Self::Result>;
    fn combine(self, one: Self::Result, other: Self::Result) -> Self::Result;
}

/// The results of all groups in a part of the source.
#[task_fn(transient)]
fn group_tree<P, F>(
    part: &P,
    #[skip] functions: F,
    #[skip] memo: &Memo<F::Group, F::Result>,
) -> Trie<F::Group, F::Result>
where
    P: Part,
    F: Grouping<P>,
{
    let mut before = memo.take();
    let (mut parts, mut changed) = (Vec::new(), Vec::new());
    let mut at = 0;
    let none = Memo::default();
    let is_inner = part.each_part(&mut |part| {
        group_tree::with(part, functions, &none, |now| match &mut before {
            Some(before) => before.exchange(at, now, &mut changed),
            None => parts.push(now.clone()),
        });
        at += 1;
    });
    if !is_inner {
        let mut entries = Vec::new();
        part.each_row(&mut |_, key, value| entries.push(functions.of_row(key, value)));
        return combined::<P, F>(functions, entries);
    }
    let now = match before {
        Some(mut before) => {
            before.update(changed, |one, other| functions.combine(one, other));
            before
        }
        None => {
            let mut entries = Vec::new();
            for (at, part) in parts.iter().enumerate() {
                part.each(&mut |entry| entries.push(Entry { parts: 1 << at, ..entry.clone() }));
            }
            Box::new(Before { all: combined::<P, F>(functions, entries), parts })
        }
    };
    let all = now.all.clone();
    memo.put(now);
    all
}

/// Combines the results of each group, in their order.
fn combined<P: Part, F: Grouping<P>>(
    functions: F,
    mut entries: Vec<Entry<F::Group, F::Result>>,
) -> Trie<F::Group, F::Result> {
    entries.sort_by_key(|entry| entry.hash);
    let mut groups: Vec<Entry<F::Group, F::Result>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let before = groups.iter().rposition(|other| other.hash != entry.hash);
        let first = before.map_or(0, |before| before + 1);
        match groups[first..].iter_mut().find(|other| other.group == entry.group) {
            None => groups.push(entry),
            Some(sum) => {
                sum.result = functions.combine(sum.result.clone(), entry.result);
                sum.parts |= entry.parts;
            }
        }
    }
    Trie::of_sorted(groups)
}

/// The reads of an inner part when it ran last, and what it came to.
struct Before<G, R> {
    parts: Vec<Trie<G, R>>,
    all: Trie<G, R>,
}

impl<G: MapKey, R: Clone + PartialEq> Before<G, R> {
    /// Puts the results of a part in the place of those before, and notes the groups of which they differ.
    fn exchange(&mut self, at: usize, now: &Trie<G, R>, changed: &mut Vec<Change<G, R>>) {
        let before = &mut self.parts[at];
        if !before.is(now) {
            before.differences(now, &mut |hash, group| {
                changed.push(Entry { hash, group: group.clone(), result: None, parts: 1 << at });
            });
            *before = now.clone();
        }
    }

    /// Combines anew the results of the groups that have changed.
    fn update(&mut self, changes: Vec<Change<G, R>>, combine: impl Fn(R, R) -> R) {
        let mut changed = each_once(changes);
        for change in &mut changed {
            let Entry { hash, group, .. } = &*change;
            let before = self.all.entry(0, *hash, group).map_or(0, |entry| entry.parts);
            let mut parts = 0;
            let in_parts = (0..WAYS).filter(|at| (before | change.parts) >> at & 1 == 1);
            let results = in_parts.filter_map(|at: usize| {
                let result = self.parts[at].get(0, *hash, group)?.clone();
                parts |= 1 << at;
                Some(result)
            });
            change.result = results.reduce(&combine);
            change.parts = parts;
        }
        self.all = self.all.with(&changed);
    }
}

/// The changed groups in the order of their hashes, each with all parts that it has changed in.
fn each_once<G: Eq, R>(mut changes: Vec<Change<G, R>>) -> Vec<Change<G, R>> {
    changes.sort_by_key(|change| change.hash);
    let mut once: Vec<Change<G, R>> = Vec::with_capacity(changes.len());
    for change in changes {
        let mut same_hash = once.iter_mut().rev().take_while(|other| other.hash == change.hash);
        match same_hash.find(|other| other.group == change.group) {
            Some(other) => other.parts |= change.parts,
            None => once.push(change),
        }
    }
    once
}

/// The results of all groups at a time. Made by [`TaskMap::results`]; cheap to clone.
pub struct Results<G, R, D> {
    all: Trie<G, R>,
    kind: PhantomData<fn() -> D>,
}

impl<G: MapKey, R: Clone, D: HashOf<G>> Results<G, R, D> {
    /// Returns the result of a group, if it has rows.
    #[must_use]
    pub fn get(&self, group: &G) -> Option<&R> {
        self.all.get(0, D::hash_of(group), group)
    }

    /// Returns the number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are no groups.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `each` with all groups and their results, in an order that is the same in each process.
    pub fn for_each(&self, mut each: impl FnMut(&G, &R)) {
        self.all.each(&mut |entry| each(&entry.group, &entry.result));
    }
}

impl<G, R, D> Clone for Results<G, R, D> {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), kind: PhantomData }
    }
}

impl<G: PartialEq, R: PartialEq, D> PartialEq for Results<G, R, D> {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl<G: MapKey + fmt::Debug, R: Clone + fmt::Debug, D: HashOf<G>> fmt::Debug for Results<G, R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.for_each(|group, result| {
            map.entry(group, result);
        });
        map.finish()
    }
}

/// The place for it, in the arguments of the task. It is empty where they are copied.
pub(crate) struct Memo<G, R>(Mutex<Option<Box<Before<G, R>>>>);

impl<G, R> Memo<G, R> {
    fn take(&self) -> Option<Box<Before<G, R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, before: Box<Before<G, R>>) {
        let replaced = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(before);
        drop(replaced);
    }
}

impl<G, R> Default for Memo<G, R> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}
impl<G, R> Clone for Memo<G, R> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The results of the groups at a place that is not the root.
#[task_fn(transient)]
fn groups_at<P: Placed>(place: &P) -> Trie<P::Group, P::Result> {
    place.look()
}

/// A part of the groups, as an argument of [`groups_at`].
pub(crate) trait Placed: Clone + Eq + Hash + Send + Sync + 'static {
    type Group: MapKey;
    type Result: Clone + PartialEq + Send + Sync + 'static;
    /// Reads the part above.
    fn look(&self) -> Trie<Self::Group, Self::Result>;
}

/// An `impl` with the bounds that all of these types share: the source's rows, three functions, and what they return.
macro_rules! with_bounds {
    (impl { $($of:tt)* } { $($items:tt)* }) => {
        impl<S, F, M, C, D, G, R> $($of)*
        where
            S: Part,
            F: Fn(&S::Key, &S::Value) -> G + Copy + Send + Sync + 'static,
            M: Fn(&S::Key, &S::Value) -> R + Copy + Send + Sync + 'static,
            C: Combine<R>,
            D: HashOf<G>,
            G: MapKey,
            R: Clone + PartialEq + Send + Sync + 'static,
        {
            $($items)*
        }
    };
}

with_bounds!(impl { Grouping<S> for Functions<F, M, C, D, G, R> } {
    type Group = G;
    type Result = R;

    fn of_row(self, key: &S::Key, value: &S::Value) -> Entry<G, R> {
        let group = (self.group)(key, value);
        Entry { hash: D::hash_of(&group), group, result: (self.map)(key, value), parts: 0 }
    }

    fn combine(self, one: R, other: R) -> R {
        (self.combine)(one, other)
    }
});

with_bounds!(impl { Placed for Groups<S, F, M, C, D, G, R> } {
    type Group = G;
    type Result = R;

    fn look(&self) -> Trie<G, R> {
        match self.place.above() {
            None => self.all(),
            Some((place, depth, digit)) => Self { place, ..self.clone() }.trie().part(digit, depth),
        }
    }
});

with_bounds!(impl { Part for Groups<S, F, M, C, D, G, R> } {
    type Key = G;
    type Value = R;
    type Hashing = D;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        if self.trie().nodes().is_none() {
            return false;
        }
        for digit in 0..WAYS {
            each(&Self { place: self.place.below(digit), ..self.clone() });
        }
        true
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &G, &R)) {
        self.trie().each(&mut |entry| each(entry.hash, &entry.group, &entry.result));
    }

    fn find(&self, hash: u64, group: &G) -> Option<R> {
        let place = Place::of(hash, ASKED);
        Self { place, ..self.clone() }.trie().get(ASKED, hash, group).cloned()
    }
});

with_bounds!(impl { TaskMap<Groups<S, F, M, C, D, G, R>, Transient> } {
    /// Returns the results of all groups, as a value that is cheap to clone. The task that runs now depends on all of them.
    ///
    /// For readers of many groups. [`get`](Self::get) is a task for each group that is asked for, and each change looks at
    /// these tasks, briefly.
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn results(&self) -> Results<G, R, D> {
        Results { all: self.rows().all(), kind: PhantomData }
    }
});

with_bounds!(impl { Groups<S, F, M, C, D, G, R> } {
    /// The results of all groups.
    fn all(&self) -> Trie<G, R> {
        group_tree(&self.rows, self.functions, &Memo::default())
    }

    /// The results of the groups of this part.
    fn trie(&self) -> Trie<G, R> {
        if self.place == Place::ROOT { self.all() } else { groups_at(self) }
    }
});

known_by!(Groups<S, F, M, C, D, G, R>: S; rows, place; functions of F, M, C);
