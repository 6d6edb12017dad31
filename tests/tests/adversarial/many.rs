//! Hundreds of task functions in one crate, all of the same types, with the same body and by ten names.

use std::collections::HashSet;

use larder::Runtime;
use larder_tests::deadline::in_time;

macro_rules! functions {
    ($($name:ident)*) => {
        $(#[larder::task_fn(transient)]
        fn $name(x: u64) -> u64 {
            x + 1
        })*

        pub(super) fn sum(x: u64) -> u64 {
            0 $(+ $name(x))*
        }
    };
}

/// Modules of ten functions each.
macro_rules! modules {
    ($($name:ident)*) => {
        $(mod $name {
            functions!(a b c d e f g h i j);
        })*

        pub(super) fn sum(x: u64) -> u64 {
            0 $(+ $name::sum(x))*
        }
    };
}

mod one {
    modules!(a b c d e f g h i j);
}
mod two {
    modules!(a b c d e f g h i j);
}
mod three {
    modules!(a b c d e f g h i j);
}

const ALL: usize = 300;

fn sum_of_all(x: u64) -> u64 {
    one::sum(x) + two::sum(x) + three::sum(x)
}

#[test]
fn hundreds_of_like_functions_are_as_many_tasks_and_entries() {
    in_time(|| {
        let runtime = Runtime::new();
        let count = || {
            let stats = runtime.stats();
            let paths: HashSet<_> = stats.functions.iter().map(|function| function.path).collect();
            assert_eq!((stats.functions.len(), paths.len()), (ALL, ALL));
            stats
        };
        assert_eq!(runtime.run(|| sum_of_all(1)), 2 * ALL as u64);
        let first = count();
        assert_eq!(first.tasks, ALL);
        assert!(
            first.functions.iter().all(|function| (function.calls, function.runs) == (1, 1)),
            "{first:?}"
        );
        let path = concat!(module_path!(), "::three::d::e");
        assert_eq!(first.get(path).map(|function| (function.name, function.path)), Some(("e", path)));

        // Each is found again, and no other in its place.
        assert_eq!(runtime.run(|| sum_of_all(1)), 2 * ALL as u64);
        let again = count().since(&first);
        assert_eq!(again.tasks, ALL);
        assert!(
            again.functions.iter().all(|function| (function.calls, function.runs) == (1, 0)),
            "{again:?}"
        );
    });
}
