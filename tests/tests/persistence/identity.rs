//! Functions that share a name do not share results.
//!
//! A process that met only the second of two functions of one name was given what the first had stored: their persistent id
//! was made of names. Here each function is asked for alone, by a runtime that knows nothing of the other, over one store.

use super::*;

macro_rules! add {
    ($name:ident $by:literal $(, $version:literal)?) => {{
        #[task_fn($(version = $version)?)]
        fn $name(x: u32) -> u32 {
            ran(stringify!($name));
            x + $by
        }
        $name(0)
    }};
}

fn in_blocks(first: bool) -> u32 {
    if first { add!(helper 10) } else { add!(helper 20) }
}

fn in_blocks_by_version(first: bool) -> u32 {
    if first { add!(helper 10, 1) } else { add!(helper 20, 1) }
}

/// The tokens are the same; what they mean is not.
fn in_blocks_of_one_text(first: bool) -> u32 {
    macro_rules! block {
        ($by:literal) => {{
            const BY: u32 = $by;
            #[task_fn(version = 1)]
            fn helper(x: u32) -> u32 {
                x + BY
            }
            helper(0)
        }};
    }
    if first { block!(10) } else { block!(20) }
}

trait Told {
    fn told(&self) -> u32;
}

macro_rules! told {
    ($ty:ident $value:literal $(, $version:literal)?) => {
        #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        struct $ty;
        impl Told for $ty {
            #[task_fn($(version = $version)?)]
            fn told(&self) -> u32 {
                $value
            }
        }
    };
}

fn methods_of_local_types(first: bool) -> u32 {
    if first {
        told!(Local 10);
        Local.told()
    } else {
        told!(Local 20);
        Local.told()
    }
}

fn methods_of_local_types_by_version(first: bool) -> u32 {
    if first {
        told!(Local 10, 1);
        Local.told()
    } else {
        told!(Local 20, 1);
        Local.told()
    }
}

type AskOne = fn() -> u32;
const IN_CONSTANTS: [AskOne; 2] = {
    const FIRST: AskOne = {
        fn ask() -> u32 {
            add!(in_constant 10)
        }
        ask
    };
    const SECOND: AskOne = {
        fn ask() -> u32 {
            add!(in_constant 20)
        }
        ask
    };
    [FIRST, SECOND]
};

fn in_constants(first: bool) -> u32 {
    IN_CONSTANTS[usize::from(!first)]()
}

trait Value: 'static {
    const VALUE: u32;
}

#[task_fn]
fn value_of<T: Value>(x: u32) -> u32 {
    x + T::VALUE
}

#[task_fn(version = 1)]
fn value_by_version<T: Value>(x: u32) -> u32 {
    x + T::VALUE
}

macro_rules! value {
    ($value:literal) => {
        struct Local;
        impl Value for Local {
            const VALUE: u32 = $value;
        }
    };
}

fn generic_over_local_types(first: bool) -> u32 {
    if first {
        value!(10);
        value_of::<Local>(0)
    } else {
        value!(20);
        value_of::<Local>(0)
    }
}

fn generic_over_local_types_by_version(first: bool) -> u32 {
    if first {
        value!(10);
        value_by_version::<Local>(0)
    } else {
        value!(20);
        value_by_version::<Local>(0)
    }
}

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Told2;

/// Traits of one name, implemented for a type that is local to neither block.
fn methods_of_local_traits(first: bool) -> u32 {
    macro_rules! local {
        ($value:literal) => {
            trait Local {
                fn told(&self) -> u32;
            }
            impl Local for Told2 {
                #[task_fn(version = 1)]
                fn told(&self) -> u32 {
                    $value
                }
            }
        };
    }
    if first {
        local!(10);
        Told2.told()
    } else {
        local!(20);
        Told2.told()
    }
}

type AskEither = fn(bool) -> u32;
const CASES: [(&str, AskEither); 9] = [
    ("in blocks", in_blocks),
    ("in blocks, by version", in_blocks_by_version),
    ("in blocks, of one text", in_blocks_of_one_text),
    ("in constants", in_constants),
    ("methods of local types", methods_of_local_types),
    ("methods of local types, by version", methods_of_local_types_by_version),
    ("generic over local types", generic_over_local_types),
    ("generic over local types, by version", generic_over_local_types_by_version),
    ("methods of local traits", methods_of_local_traits),
];

#[test]
fn functions_of_one_name_share_no_results() {
    let runs = |runtime: &Runtime| runtime.stats().runs();
    on_each_store(|open| {
        for (what, ask) in CASES {
            for (first, expected) in [(true, 10), (false, 20)] {
                let runtime = open();
                assert_eq!(runtime.run(|| ask(first)), expected, "{what}");
                assert_eq!(runs(&runtime), 1, "{what}");
            }
            for (first, expected) in [(false, 20), (true, 10)] {
                let runtime = open();
                assert_eq!(runtime.run(|| ask(first)), expected, "{what}, again");
                assert_eq!(runs(&runtime), 0, "{what}, again");
            }
        }
    });
}

#[test]
fn they_share_none_by_the_programs_own_identity_either() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).try_build().unwrap();
    for (what, ask) in CASES {
        for (first, expected) in [(true, 10), (false, 20), (true, 10)] {
            let runtime = open();
            assert_eq!(runtime.run(|| ask(first)), expected, "{what}");
            let storage = runtime.stats().storage.unwrap();
            assert_eq!(storage.unstored_runs(), 0, "{what}: {storage}");
        }
    }
}

fn take_number<T>(emitted: &[T], number: impl Fn(&T) -> u32) -> Vec<u32> {
    emitted.iter().map(number).collect()
}

/// Emits a value of one local type, and is asked for values of another one that has its name.
fn emits_local(ask_for_other: bool) -> Vec<u32> {
    #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Note(u32);
    #[task_fn]
    fn emits_note(x: u32) -> u32 {
        emit(Note(x));
        x
    }
    if ask_for_other {
        #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Note(u32);
        take_number(&emits_note::collect::<Note>(1), |note| note.0)
    } else {
        take_number(&emits_note::collect::<Note>(1), |note| note.0)
    }
}

#[test]
fn emitted_values_of_types_that_share_a_name_are_told_apart() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).try_build().unwrap();
    for _ in 0..2 {
        assert_eq!(open().run(|| emits_local(false)), [1]);
        assert_eq!(open().run(|| emits_local(true)), [0; 0]);
    }
}
