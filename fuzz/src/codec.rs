//! Decoding of values: bytes are a value or none, within bounds of memory, depth and time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use larder_storage::codec::{decode, encode_into};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Line(i32, i32),
    Named { name: String, parts: Vec<Shape>, inner: Option<Box<Shape>> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mixed {
    shapes: Vec<Shape>,
    counts: BTreeMap<String, (u8, u16, u32, u64, u128)>,
    letters: [char; 3],
    numbers: (f32, f64, i8, i64, i128),
    texts: HashMap<u64, Arc<str>>,
    nothing: Vec<()>,
    bytes: Arc<[u8]>,
    flag: Option<bool>,
}

/// Decodes `data` as values of many types. A value that decodes also encodes, to bytes that decode again.
pub fn run(data: &[u8]) {
    try_as::<Mixed>(data);
    try_as::<Shape>(data);
    try_as::<Vec<Mixed>>(data);
    try_as::<Vec<()>>(data);
    try_as::<BTreeMap<String, Vec<Option<u64>>>>(data);
    try_as::<(String, Vec<u8>, Box<[u32]>)>(data);
    try_as::<Result<std::path::PathBuf, std::time::Duration>>(data);
    try_as::<char>(data);
}

fn try_as<T: Serialize + DeserializeOwned>(data: &[u8]) {
    let Ok(value) = decode::<T>(data) else { return };
    let mut again = Vec::new();
    encode_into(&value, &mut again).expect("what was decoded is within the bounds");
    assert!(decode::<T>(&again).is_ok(), "what was encoded does not decode");
}

/// Values of all these types.
pub fn seeds() -> Vec<Vec<u8>> {
    let shape = |depth: u32| {
        (0..depth).fold(Shape::Line(1, -1), |inner, number| Shape::Named {
            name: format!("shape {number}"),
            parts: vec![Shape::Point, Shape::Line(7, 1 << 20)],
            inner: Some(Box::new(inner)),
        })
    };
    let mixed = Mixed {
        shapes: vec![shape(3), Shape::Point],
        counts: BTreeMap::from([
            ("one".to_owned(), (1, 2, 3, 4, 5)),
            ("most".to_owned(), (255, 65_535, 1 << 31, 1 << 63, 1 << 127)),
        ]),
        letters: ['a', 'ß', '\u{10ffff}'],
        numbers: (1.5, f64::NAN, -1, i64::MIN, i128::MAX),
        texts: HashMap::from([(7, "seven".into())]),
        nothing: vec![(); 5],
        bytes: vec![0, 255, 3].into(),
        flag: Some(true),
    };
    let mut seeds = vec![Vec::new(); 4];
    encode_into(&mixed, &mut seeds[0]).expect("it is small");
    encode_into(&shape(200), &mut seeds[1]).expect("it is not deep");
    encode_into(&("text", vec![1_u8; 40], vec![7_u32; 9]), &mut seeds[2]).expect("it is small");
    encode_into(&vec![Some(3_u64), None], &mut seeds[3]).expect("it is small");
    seeds
}
