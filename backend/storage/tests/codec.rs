//! The codec: what goes in comes out, and what comes from elsewhere does no harm.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

use std::collections::BTreeMap;

use larder_storage::codec::{
    DecodeError, EncodeError, MAX_DEPTH, check_round_trip, decode, encode_into, strings_in,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Nothing,
    Number(i64),
    Wide(u128),
    Text(String),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
    Pair { left: Box<Tree>, right: Option<Box<Tree>> },
    Tuple((u8, char, bool), f32),
    Newtype(Wrapper),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(Option<u16>);

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nothing),
        any::<i64>().prop_map(Tree::Number),
        any::<u128>().prop_map(Tree::Wide),
        any::<String>().prop_map(Tree::Text),
        any::<(u8, char, bool)>().prop_map(|tuple| Tree::Tuple(tuple, 0.5)),
        any::<Option<u16>>().prop_map(|number| Tree::Newtype(Wrapper(number))),
        any::<Vec<u8>>().prop_map(Tree::Bytes),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            prop::collection::btree_map(any::<String>(), inner.clone(), 0..6).prop_map(Tree::Map),
            (inner.clone(), prop::option::of(inner))
                .prop_map(|(left, right)| Tree::Pair { left: Box::new(left), right: right.map(Box::new) }),
        ]
    })
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(value in tree()) {
        let bytes = encoded(&value);
        prop_assert_eq!(decode::<Tree>(&bytes).unwrap(), value);
        check_round_trip::<Tree>("f", &bytes).unwrap();
    }

    #[test]
    fn encoding_appends(value in tree(), before in any::<Vec<u8>>()) {
        let mut bytes = before.clone();
        encode_into(&value, &mut bytes).unwrap();
        prop_assert_eq!(&bytes[..before.len()], &before[..]);
        prop_assert_eq!(&bytes[before.len()..], &encoded(&value)[..]);
    }

    #[test]
    fn every_shorter_input_is_an_error_and_so_is_a_longer_one(value in tree()) {
        let mut bytes = encoded(&value);
        for length in 0..bytes.len() {
            prop_assert!(decode::<Tree>(&bytes[..length]).is_err());
        }
        bytes.push(0);
        let trailing = matches!(decode::<Tree>(&bytes), Err(DecodeError::Trailing { bytes: 1 }));
        prop_assert!(trailing);
    }

    #[test]
    fn any_bytes_decode_to_a_value_or_an_error(bytes in any::<Vec<u8>>()) {
        let _ = decode::<Tree>(&bytes);
        let _ = decode::<Vec<String>>(&bytes);
        let _ = decode::<Vec<Vec<Vec<()>>>>(&bytes);
        let _ = decode::<BTreeMap<u64, Box<str>>>(&bytes);
        let _ = decode::<(u8, Option<Vec<u128>>, Result<String, char>)>(&bytes);
    }

    #[test]
    fn mutated_encodings_do_no_harm(value in tree(), flips in prop::collection::vec(any::<(usize, u8)>(), 1..8)) {
        let mut bytes = encoded(&value);
        for (at, with) in flips {
            let at = at % bytes.len();
            bytes[at] ^= with;
        }
        let _ = decode::<Tree>(&bytes);
    }
}

#[test]
fn a_value_nested_to_the_bound_passes_and_one_deeper_does_not() {
    #[derive(Serialize, Deserialize)]
    struct Link(Option<Box<Link>>);
    // Levels of serde: a newtype struct and an option for each link.
    let chain = |links: u32| (1..links).fold(Link(None), |link, _| Link(Some(Box::new(link))));
    let deep = encoded(&chain(MAX_DEPTH / 2));
    decode::<Link>(&deep).unwrap();
    let mut bytes = b"kept".to_vec();
    assert!(matches!(encode_into(&chain(MAX_DEPTH), &mut bytes), Err(EncodeError::TooDeep)));
    assert_eq!(bytes, b"kept");
    assert!(matches!(decode::<Link>(&[1; 1 << 20]), Err(DecodeError::TooDeep)));
}

#[test]
fn nesting_does_not_overflow_a_small_stack() {
    let small = std::thread::Builder::new().stack_size(256 << 10).spawn(|| {
        let value = (1..MAX_DEPTH / 4).fold(Tree::Nothing, |tree, _| Tree::List(vec![tree]));
        let bytes = encoded(&value);
        let again: Tree = decode(&bytes).unwrap();
        // Dropping and comparing recurse as well, and that is not the codec's to help.
        std::mem::forget((value, again));
        let hostile: Vec<u8> = [4, 1].repeat(1 << 20);
        assert!(matches!(decode::<Tree>(&hostile), Err(DecodeError::TooDeep)));
    });
    small.unwrap().join().unwrap();
}

#[test]
fn a_length_allocates_and_loops_for_nothing() {
    // A loop of 2^60 rounds would never end, and an allocation of as much fail. 253 announces 8 bytes of length.
    let huge = |length: u64| [&[253][..], &length.to_le_bytes()].concat();
    for length in [u64::MAX, 1 << 60, 1 << 40, 1 << 27] {
        let bytes = huge(length);
        assert!(decode::<Vec<()>>(&bytes).is_err());
        assert!(decode::<Vec<u64>>(&bytes).is_err());
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<Vec<String>>(&bytes).is_err());
        assert!(decode::<BTreeMap<(), ()>>(&bytes).is_err());
        assert!(decode::<Vec<Vec<()>>>(&[&[9][..], &bytes].concat()).is_err());
    }
    assert_eq!(decode::<Vec<()>>(&encoded(&vec![(); 1000])).unwrap().len(), 1000);
}

#[test]
fn types_that_do_not_round_trip_are_named() {
    #[derive(Serialize, Deserialize)]
    struct Skips {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        left: Option<u64>,
        right: u64,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u64),
    }
    let skips = encoded(&Skips { left: None, right: 7 });
    let error = check_round_trip::<Skips>("census::count", &skips).unwrap_err().to_string();
    assert!(error.contains("census::count") && error.contains("Skips"), "{error}");
    let untagged = encoded(&Untagged::Number(1));
    let error = check_round_trip::<Untagged>("census::count", &untagged).unwrap_err().to_string();
    assert!(error.contains("does not decode"), "{error}");
}

#[test]
fn all_strings_of_an_encoding_are_found_in_it() {
    let long = "x".repeat(70_000);
    let value = (7_u64, vec!["", "a", "abc"], Some("of".repeat(200)), &long, vec![3_u8; 300], "last");
    let mut encoded = Vec::new();
    encode_into(&value, &mut encoded).expect("it is encoded");
    let found: Vec<&[u8]> = strings_in(&encoded).collect();
    for string in ["", "a", "abc", &"of".repeat(200), &long, "last"] {
        assert!(found.contains(&string.as_bytes()), "{} bytes", string.len());
    }
    for end in 0..encoded.len().min(1000) {
        assert!(strings_in(&encoded[..end]).all(|string| string.len() < end));
    }
    // Lengths that nothing can have.
    assert_eq!(strings_in(&[252, 255, 255, 255, 255]).count(), 0);
    assert_eq!(strings_in(&[253, 0, 0, 0, 0, 0, 0, 0]).filter(|string| !string.is_empty()).count(), 0);
}
