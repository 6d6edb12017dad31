//! Groups: a collection divided by what a function says of each row, and folded group by group.
//!
//! ```text
//! group_tree(all) ─┬─ group_tree(part 0) ─┬─ group_tree(list 00)   {red: 3, blue: 5}
//!    {red: 40,     ┆                      ┆
//!     blue: 17}    └─ group_tree(part f)  └─ group_tree(list 0f)   {blue: 1}
//! ```
//! Each part of the source has the results of the groups that occur in it ([`Trie`]). An inner part combines the results of its parts. When
//! one row has moved from red to blue, its list has other results for these two. The parts above find them by comparing what they have read
//! with what they read the time before, down to where both versions share their nodes, and combine these two groups anew: sixteen results
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
use super::trie::Trie;
use super::view::{TaskMap, known_by};
use crate::task_fn;

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

    /// The map from each group that has rows to the fold over them: `map` of each row, combined.
    ///
    /// A row that changes, comes, goes or moves to another group costs one task for its list of the source and one for each part above it,
    /// about `log16 n`, which work on the groups that are concerned.
    ///
    /// `combine` has to be associative and commutative. The results are kept in memory only, and so is what reads them. A part of the
    /// source takes about 50 bytes for each group in it: for many rows in few groups that is little, for groups of one row it is `log16 n`
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
        TaskMap::of(Groups { rows: self.rows, place: (0, 0), functions })
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
    /// The digits, and their bits.
    place: (u64, u32),
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

/// A part of the source, to be grouped: what [`group_tree`] needs to know of the types.
pub(crate) trait Grouping: Clone + Eq + Hash + Send + Sync + 'static {
    type Group: MapKey;
    type Result: Clone + PartialEq + Send + Sync + 'static;

    /// Calls `each` with the parts; false if there are none.
    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool;
    /// Calls `each` with the hash of the group, the group and the result of each row.
    fn each_row(&self, each: &mut dyn FnMut(u64, Self::Group, Self::Result));
    fn combine(&self, one: Self::Result, other: Self::Result) -> Self::Result;
}

/// The results of all groups in a part of the source.
#[task_fn(transient)]
fn group_tree<P: Grouping>(part: &P, #[skip] memo: &Memo<P::Group, P::Result>) -> Trie<P::Group, P::Result> {
    let mut parts = Vec::with_capacity(16);
    if !part.each_part(&mut |part| parts.push(group_tree(part, &Memo::default()))) {
        let mut entries = Vec::new();
        part.each_row(&mut |hash, group, result| entries.push((hash, group, result)));
        return combined(part, entries);
    }
    let all = match memo.take() {
        Some(before) => before.updated(part, &parts),
        None => {
            let mut entries = Vec::new();
            parts.iter().for_each(|part| part.each(&mut |entry| entries.push(entry.clone())));
            combined(part, entries)
        }
    };
    memo.put(Before { parts, all: all.clone() });
    all
}

/// Combines the results of each group, in their order.
fn combined<P: Grouping>(
    part: &P,
    mut entries: Vec<(u64, P::Group, P::Result)>,
) -> Trie<P::Group, P::Result> {
    entries.sort_by_key(|entry| entry.0);
    let mut groups: Vec<(u64, P::Group, P::Result)> = Vec::with_capacity(entries.len());
    for (hash, group, result) in entries {
        let first = groups.iter().rposition(|other| other.0 != hash).map_or(0, |before| before + 1);
        match groups[first..].iter().position(|other| other.1 == group) {
            None => groups.push((hash, group, result)),
            Some(at) => {
                let (hash, group, sum) = groups.remove(first + at);
                groups.insert(first + at, (hash, group, part.combine(sum, result)));
            }
        }
    }
    Trie::of_sorted(groups)
}

/// What an inner part has read when it ran last, and what it came to.
struct Before<G, R> {
    parts: Vec<Trie<G, R>>,
    all: Trie<G, R>,
}

impl<G: MapKey, R: Clone + PartialEq> Before<G, R> {
    /// The results of all groups, given that the parts have these now.
    fn updated<P: Grouping<Group = G, Result = R>>(&self, part: &P, parts: &[Trie<G, R>]) -> Trie<G, R> {
        let mut changed: Vec<(u64, G)> = Vec::new();
        for (before, now) in self.parts.iter().zip(parts) {
            before.differences(now, &mut |hash, group| changed.push((hash, group.clone())));
        }
        changed.sort_by_key(|group| group.0);
        changed.dedup();
        changed.iter().fold(self.all.clone(), |all, (hash, group)| {
            let results = parts.iter().filter_map(|part| part.get(*hash, group)).cloned();
            all.with(*hash, group, results.reduce(|one, other| part.combine(one, other)))
        })
    }
}

/// The place for it, in the arguments of the task. It is empty where they are copied.
pub(crate) struct Memo<G, R>(Mutex<Option<Box<Before<G, R>>>>);

impl<G, R> Memo<G, R> {
    fn take(&self) -> Option<Box<Before<G, R>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, before: Before<G, R>) {
        let replaced = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(Box::new(before));
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

/// A part of the source.
struct Source<S, F, M, C, D, G, R> {
    rows: S,
    functions: Functions<F, M, C, D, G, R>,
}

/// The bounds of all of these types.
macro_rules! with_bounds {
    (impl $trait:ident for $name:ident { $($items:tt)* }) => {
        impl<S, F, M, C, D, G, R> $trait for $name<S, F, M, C, D, G, R>
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

with_bounds!(impl Grouping for Source {
    type Group = G;
    type Result = R;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        self.rows.each_part(&mut |rows| each(&Self { rows: rows.clone(), functions: self.functions }))
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, G, R)) {
        let Functions { group, map, .. } = self.functions;
        self.rows.each_row(&mut |_, key, value| {
            let group = group(key, value);
            each(D::hash_of(&group), group, map(key, value));
        });
    }

    fn combine(&self, one: R, other: R) -> R {
        (self.functions.combine)(one, other)
    }
});

with_bounds!(impl Placed for Groups {
    type Group = G;
    type Result = R;

    fn look(&self) -> Trie<G, R> {
        let (digits, bits) = self.place;
        if bits == 0 {
            return self.all();
        }
        let above = Self { place: (digits >> 4, bits - 4), ..self.clone() }.trie();
        // Where the part above has become a list, nothing asks for this one any more but what is verified in vain.
        above.nodes().map_or_else(|| Trie::of_sorted(Vec::new()), |nodes| nodes[digits as usize & 15].clone())
    }
});

with_bounds!(impl Part for Groups {
    type Key = G;
    type Value = R;
    type Hashing = D;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        let (digits, bits) = self.place;
        if self.trie().nodes().is_none() {
            return false;
        }
        for digit in 0..16 {
            each(&Self { place: (digits << 4 | digit, bits + 4), ..self.clone() });
        }
        true
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &G, &R)) {
        self.trie().each(&mut |(hash, group, result)| each(*hash, group, result));
    }

    fn find(&self, hash: u64, group: &G) -> Option<R> {
        self.all().get(hash, group).cloned()
    }
});

impl<S, F, M, C, D, G, R> Groups<S, F, M, C, D, G, R>
where
    S: Part,
    F: Fn(&S::Key, &S::Value) -> G + Copy + Send + Sync + 'static,
    M: Fn(&S::Key, &S::Value) -> R + Copy + Send + Sync + 'static,
    C: Combine<R>,
    D: HashOf<G>,
    G: MapKey,
    R: Clone + PartialEq + Send + Sync + 'static,
{
    /// The results of all groups.
    fn all(&self) -> Trie<G, R> {
        let source = Source { rows: self.rows.clone(), functions: self.functions };
        group_tree(&source, &Memo::default())
    }

    /// The results of the groups of this part.
    fn trie(&self) -> Trie<G, R> {
        if self.place.1 == 0 { self.all() } else { groups_at(self) }
    }
}

known_by!(Groups<S, F, M, C, D, G, R>: S; rows, place; functions of F, M, C);
known_by!(Source<S, F, M, C, D, G, R>: S; rows; functions of F, M, C);
