use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn a_long_list_that_grows_again_is_worth_fitting() {
    let mut list = ThinList::from_slice(&[0u64; 72]);
    let worth: Vec<usize> = (73..=150).filter(|_| list.push(1)).collect();
    // It has grown at 73, 81, 89, 97, 105, 113, 121, 129 and 145.
    assert_eq!(worth, [81, 89, 97, 105, 113, 121, 129, 145]);
    list.fit();
    assert_eq!((list.room(), list.as_slice().len()), (150, 150));
    assert!(!list.push(1), "for the first time since");
    list.fit();
    assert!((152..200).any(|_| list.push(1)));
}

#[test]
fn grows_keeps_order_and_survives_a_raw_round_trip() {
    let mut list = ThinList::from_slice(&[1u64, 2]);
    for i in 3..100 {
        list.push(i);
    }
    // SAFETY: taken back once, same type.
    let mut list = unsafe { ThinList::<u64>::from_raw(list.into_raw()) };
    list.retain(|i| i % 2 == 0);
    assert_eq!(list.as_slice(), (1..100).filter(|i| i % 2 == 0).collect::<Vec<_>>());
    list.push(1);
    assert_eq!(list.as_slice().last(), Some(&1));
    list.retain(|_| false);
    assert!(list.as_slice().is_empty());
    list.push(7);
    assert_eq!(list.as_slice(), [7]);
}

#[test]
fn room_is_never_less_and_not_much_more() {
    for length in 1..if cfg!(miri) { 300 } else { 100_000 } {
        let room = room(length);
        assert!(room >= length, "{length}");
        let most = if length <= LONG { length.div_ceil(2) } else { length / 8 };
        assert!(room - length <= most, "{room} for {length}");
        assert_eq!(room, super::room((length + 1).min(room)), "one more that fits leaves the room as it is");
    }
}

/// Up and down over the length from which on it stands before the elements.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_very_long_list_has_a_head() {
    let numbers: Vec<usize> = (0..SHORT + 300).collect();
    let mut list = ThinList::from_slice(&numbers[..SHORT - 50]);
    assert!(!list.is_headed());
    numbers[SHORT - 50..].iter().for_each(|number| _ = list.push(*number));
    assert!(list.is_headed());
    assert_eq!(list.as_slice(), numbers);
    list.fit();
    assert_eq!(list.as_slice(), numbers);
    list.retain(|number| number < SHORT + 1);
    assert!(list.is_headed());
    list.retain(|number| number < SHORT);
    assert!(!list.is_headed());
    assert_eq!(list.as_slice(), &numbers[..SHORT]);
    list.push(SHORT);
    assert!(list.is_headed());
    assert_eq!(list.as_slice(), &numbers[..SHORT + 1]);
}

#[derive(Clone, Debug)]
enum Step {
    /// Pushes as many.
    Push(usize),
    /// Pushes, or drops the last, until it is so long.
    Become(usize),
    /// Drops one in so many.
    Thin(usize),
    Fit,
    /// Goes through a word and back.
    Pass,
    /// Goes to where a length has no room above the address.
    Lift,
    /// Is made from its own elements.
    Copy,
}

/// Lengths in the node's reach of a list, and on both sides of the one from which on it has a head.
fn length() -> impl Strategy<Value = usize> {
    let few = 0..if cfg!(miri) { 24 } else { 200usize };
    prop_oneof![3 => few, 1 => SHORT.saturating_sub(40)..SHORT + 40]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40usize).prop_map(Step::Push),
        4 => length().prop_map(Step::Become),
        2 => (1..5usize).prop_map(Step::Thin),
        2 => Just(Step::Fit),
        1 => Just(Step::Pass),
        1 => Just(Step::Lift),
        1 => Just(Step::Copy),
    ]
}

/// Does the same to a list and to a model of it. Miri looks at the layouts.
fn check<T: Copy + PartialEq + std::fmt::Debug>(begin: usize, steps: &[Step], element: impl Fn(usize) -> T) {
    let mut number = 0;
    let mut next = || {
        number += 1;
        element(number)
    };
    let mut model: Vec<T> = (0..begin).map(|_| next()).collect();
    let mut list = ThinList::from_slice(&model);
    for step in steps {
        let more = match *step {
            Step::Push(more) => more,
            Step::Become(length) => length.saturating_sub(model.len()),
            _ => 0,
        };
        for _ in 0..more {
            model.push(next());
            list.push(model[model.len() - 1]);
        }
        match *step {
            Step::Push(_) => {}
            Step::Become(length) => keep_some(&mut list, &mut model, |index| index < length),
            Step::Thin(nth) => keep_some(&mut list, &mut model, |index| index % nth != 0),
            Step::Fit => list.fit(),
            // SAFETY: taken back once, same type.
            Step::Pass => list = unsafe { ThinList::from_raw(list.into_raw()) },
            Step::Lift => list = lifted(list),
            Step::Copy => list = ThinList::from_slice(list.as_slice()),
        }
        assert_eq!(list.as_slice(), model);
        assert_eq!(list.word.is_null(), model.is_empty(), "an empty list takes no memory");
        assert_eq!(list.word.addr() & 0b11, 0, "these are the owner's");
        assert!(list.is_headed() || list.room() <= SHORT);
    }
}

fn keep_some<T: Copy>(list: &mut ThinList<T>, model: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut index = 0..;
    list.retain(|_| index.next().is_some_and(&keep));
    let mut index = 0..;
    model.retain(|_| index.next().is_some_and(&keep));
}

/// Makes an equal list with a head, as if addresses were longer.
fn lifted<T: Copy>(list: ThinList<T>) -> ThinList<T> {
    if list.word.is_null() {
        return list;
    }
    let place = Elements::allocate_as(list.room(), true);
    // SAFETY: both have room for as many, in two allocations.
    unsafe { ptr::copy_nonoverlapping(list.place().elements(), place.elements(), list.len()) };
    ThinList::at(place, list.len(), list.word.addr() & EXACT)
}

#[test]
fn it_is_what_a_vector_of_the_same_history_is() {
    let cases = if cfg!(miri) { 12 } else { 128 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let histories = (length(), prop::collection::vec(step(), 1..if cfg!(miri) { 10 } else { 24 }));
    let outcome = runner.run(&histories, |(begin, steps)| {
        check(begin, &steps, |number| number as u64);
        check(begin, &steps, |number| number as u32);
        Ok(())
    });
    outcome.unwrap_or_else(|failed| panic!("{failed}"));
}
