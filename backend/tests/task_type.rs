//! The components of a call, borrowed and on the stack, hash and compare as the pair that is built of them.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::any::TypeId;
use std::borrow::Borrow;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};
use std::path::{Path, PathBuf};

use larder_backend::CachedTaskType;
use larder_backend::args::{Args, ByRef, ByVal, Key, Skip, Store, Unboxed};
use larder_backend::task_fn::{RawTaskFn, Site, TaskFn};
use proptest::prelude::*;

/// The parts of a call; few values, so that two of them are often equal in parts or in all.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    text: String,
    list: Vec<u16>,
    path: PathBuf,
    own: Own,
    number: u64,
    tuple: (Option<i8>, Box<str>),
    /// No part of the key.
    skipped: (String, Vec<u8>),
}

/// A type whose equality is its own: case does not count.
#[derive(Clone, Debug)]
struct Own(String);

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Own {}
impl Hash for Own {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

fn made() -> impl Strategy<Value = Made> {
    let parts = (
        "[ab]{0,2}",
        prop::collection::vec(0u16..2, 0..3),
        "(/|//|\\./|a|b){0,4}",
        "[aA]{1,2}",
        0u64..2,
        (prop::option::of(0i8..2), "[a]{0,1}"),
        ("[ab]{0,1}", prop::collection::vec(0u8..2, 0..2)),
    );
    parts.prop_map(|(text, list, path, own, number, (option, boxed), skipped)| Made {
        text,
        list,
        path: path.into(),
        own: Own(own),
        number,
        tuple: (option, boxed.into()),
        skipped,
    })
}

type Borrowed<'a> = (
    ByRef<'a, str>,
    ByRef<'a, [u16]>,
    ByRef<'a, Path>,
    ByRef<'a, Own>,
    ByVal<u64>,
    ByVal<(Option<i8>, Box<str>)>,
    Skip<ByRef<'a, str>>,
    Skip<ByVal<Vec<u8>>>,
);

fn borrowed(of: &Made) -> Borrowed<'_> {
    (
        ByRef(&of.text),
        ByRef(&of.list),
        ByRef(&of.path),
        ByRef(&of.own),
        ByVal(of.number),
        ByVal(of.tuple.clone()),
        Skip(ByRef(of.skipped.0.as_str())),
        Skip(ByVal(of.skipped.1.clone())),
    )
}

/// Whether two calls are to be one task. A path is what it is written as, though `Path`'s own equality overlooks a slash.
fn are_equal(a: &Made, b: &Made) -> bool {
    let skipped = a.skipped.clone();
    a.path.as_os_str() == b.path.as_os_str() && *a == Made { skipped, ..b.clone() }
}

const fn site(name: &'static str) -> Site {
    Site { name, path: name, file: file!(), line: line!() }
}

type KeyOf = <Borrowed<'static> as Args>::Key;

/// Two functions of the same types.
fn functions() -> [&'static RawTaskFn; 2] {
    struct One;
    struct Two;
    const ONE: &TaskFn<KeyOf, u8> = &TaskFn::new(TypeId::of::<One>(), site("one"), |_: &KeyOf| 1);
    const TWO: &TaskFn<KeyOf, u8> = &TaskFn::new(TypeId::of::<Two>(), site("two"), |_: &KeyOf| 2);
    [ONE.raw(), TWO.raw()]
}

/// The hash of what has been built, by the hasher of the table.
fn built<T: Hash>(of: &T) -> u64 {
    BuildHasherDefault::<rustc_hash::FxHasher>::default().hash_one(of)
}

/// Holds the components against the pair that another call has built.
fn check<A: Args<Key = KeyOf>>(args: &A, function: usize, of: &Made, kept: &(usize, Made)) {
    let functions = functions();
    let hash = CachedTaskType::<KeyOf>::hash_from_components(functions[function], args);
    let key = borrowed(&kept.1).into_key();
    let pair = CachedTaskType::new(functions[kept.0], &key);
    let equal = kept.0 == function && are_equal(of, &kept.1);
    assert_eq!(pair.eq_components(functions[function], args), equal, "{of:?} {kept:?}");
    let own_key = borrowed(of).into_key();
    let own = CachedTaskType::new(functions[function], &own_key);
    assert_eq!(built(&own), hash, "{of:?}");
    assert!(own.eq_components(functions[function], args));
    assert_eq!(own == pair, equal, "{of:?} {kept:?}");
    assert!(!equal || built(&pair) == hash, "{of:?} {kept:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn components_hash_and_compare_as_the_pair_that_is_built(
        of in made(),
        other in prop::option::of(made()),
        (function, kept) in (0usize..2, 0usize..2),
    ) {
        // Half of them are to be equal at least in their key.
        let other = other.unwrap_or_else(|| Made { skipped: (String::new(), Vec::new()), ..of.clone() });
        let kept = (kept, other);
        check(&borrowed(&of), function, &of, &kept);
        check(&Unboxed::<Borrowed<'static>>(borrowed(&of).into_key()), function, &of, &kept);
    }

    /// Checks the persistent key in this way: its bytes are those of the stored form.
    #[test]
    fn components_encode_as_the_key_that_is_built(text in ".{0,5}", list: Vec<u16>, number: u64, skipped: u8) {
        let args = || (
            Store(ByRef(text.as_str())),
            Store(ByRef(list.as_slice())),
            Store(ByVal(number)),
            Store(Skip(ByVal(skipped))),
        );
        let (mut from_components, mut from_key) = (Vec::new(), Vec::new());
        args().encode(&mut from_components).unwrap();
        encode_key(&args(), &args().into_key(), &mut from_key);
        prop_assert_eq!(from_components, from_key);
    }
}

fn encode_key<A: Args>(_: &A, key: &A::Key, out: &mut Vec<u8>) {
    A::encode_key(key, out).unwrap();
}

#[test]
fn no_arguments_and_thirteen_hash_and_compare_alike() {
    fn check<A: Args>(args: A, other: &A::Key) {
        let task_fn = functions()[0];
        let hash = CachedTaskType::<A::Key>::hash_from_components(task_fn, &args);
        let key = args.into_key();
        assert_eq!(built(&CachedTaskType::new(task_fn, key.borrow())), hash);
        assert!(key.eq_key(other));
    }
    check((), &());
    let nine = || (ByVal(1), ByVal(2), ByVal(3), ByVal(4), ByVal(5), ByVal(6), ByVal(7), ByVal(8), ByVal(9));
    let (a, b, c, d, e, f, g, h, i) = nine();
    let thirteen = (ByRef("this"), a, b, c, d, e, f, g, h, i, ByRef(&[10][..]), ByVal(()), ByVal('m'));
    check(thirteen, &("this".to_owned(), 1, 2, 3, 4, 5, 6, 7, 8, 9, vec![10], (), 'm'));
}
