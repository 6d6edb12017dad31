//! Abilities that the types of a task function have to have. The traits hold for every type that can; they exist for their texts.
//!
//! Each has a lifetime that stands for nothing: a clause `for<'x> T: Trait<'x>` is one that the compiler leaves to the caller,
//! even if it can see that it does not hold.

use std::hash::Hash;
use std::time::Duration;

use larder_backend::args::KeyPart;
use larder_backend::{Persist, PersistKey};

/// Declares a trait that holds for all types with the bounds, and for no other.
macro_rules! requirement {
    ($(#[$doc:meta])* $name:ident: [$($bounds:tt)*], $message:literal, $label:literal, $($note:literal),+) => {
        $(#[$doc])*
        #[diagnostic::on_unimplemented(message = $message, label = $label, $(note = $note),+)]
        pub trait $name<'x>: $($bounds)* {}
        #[diagnostic::do_not_recommend]
        impl<T: ?Sized + $($bounds)*> $name<'_> for T {}
    };
}

pub mod one_way;

/// Declares the four traits of one kind of argument: by value and by reference, kept in memory and stored.
macro_rules! argument {
    ($value:ident, $reference:ident,
     $stored_value:ident, $stored_reference:ident: $advice:literal) => {
        requirement!(
            /// A parameter by value.
            $value: [Clone + KeyPart],
            "`{Self}` cannot be an argument of a task function",
            "not `Clone + Eq + Hash + Send + Sync + 'static`",
            $advice,
            "or mark the parameter `#[skip]`: it then leaves the key, and calls that differ in it alone are one task"
        );
        requirement!(
            /// A parameter behind a reference.
            $reference: [ToOwned<Owned: Clone + KeyPart> + Hash + Eq + 'static],
            "`&{Self}` cannot be an argument of a task function",
            "its owned form is not `Clone + Eq + Hash + Send + Sync + 'static`",
            $advice,
            "or mark the parameter `#[skip]`: it then leaves the key, and calls that differ in it alone are one task"
        );
        requirement!(
            /// A parameter by value of a function whose results are stored.
            $stored_value: [Clone + KeyPart + PersistKey],
            "`{Self}` cannot be an argument of a stored task function",
            "not `Clone + Eq + Hash + Send + Sync + 'static`, or not `serde::Serialize`",
            $advice,
            "a stored argument is also `serde::Serialize`: derive it, or keep the function's results in memory only: \
             `#[task_fn(transient)]`",
            "or mark the parameter `#[skip]`: it then leaves the key, and calls that differ in it alone are one task"
        );
        requirement!(
            /// A parameter behind a reference of a function whose results are stored.
            $stored_reference: [ToOwned<Owned: Clone + KeyPart> + Hash + Eq + PersistKey + 'static],
            "`&{Self}` cannot be an argument of a stored task function",
            "its owned form is not `Clone + Eq + Hash + Send + Sync + 'static`, or not `serde::Serialize`",
            $advice,
            "a stored argument is also `serde::Serialize`: derive it, or keep the function's results in memory only: \
             `#[task_fn(transient)]`",
            "or mark the parameter `#[skip]`: it then leaves the key, and calls that differ in it alone are one task"
        );
    };
}

argument!(Arg, RefArg,
    StoredArg, StoredRefArg:
    "arguments are the key of a task: derive `Clone, PartialEq, Eq, Hash`; share between threads by `Arc` instead of `Rc`");
argument!(FloatArg, FloatRefArg,
    StoredFloatArg, StoredFloatRefArg:
    "arguments are the key of a task, and a float is neither `Eq` nor `Hash`: pass its bits (`x.to_bits()`, and \
     `f64::from_bits` in the body), or a type with a total order, such as `ordered_float::OrderedFloat`");
argument!(HashMapArg, HashMapRefArg,
    StoredHashMapArg, StoredHashMapRefArg:
    "arguments are the key of a task, and a `HashMap` or `HashSet` is not `Hash`: take a `BTreeMap` or `BTreeSet`, or a \
     sorted `Vec`");

requirement!(
    /// An output.
    Output: [Sized + Clone + Send + Sync + 'static],
    "`{Self}` cannot be the output of a task function",
    "not `Clone + Send + Sync + 'static`",
    "derive `Clone` and share between threads; wrap what is expensive or impossible to clone in an `Arc`"
);
requirement!(
    /// An output that is a `Result`.
    FallibleOutput: [Sized + Clone + Send + Sync + 'static],
    "`{Self}` cannot be the output of a task function",
    "not `Clone + Send + Sync + 'static`",
    "derive `Clone` for the value and for the error; an error that cannot be cloned is wrapped: `Arc<io::Error>`, \
     by `.map_err(Arc::new)`"
);
requirement!(
    /// An output that is stored.
    StoredOutput: [Persist + Clone + Send + Sync + 'static],
    "`{Self}` cannot be the output of a stored task function",
    "not `Clone + Send + Sync + 'static`, or not `serde::Serialize + serde::de::DeserializeOwned`",
    "derive `Clone, serde::Serialize, serde::Deserialize`; wrap what is expensive to clone in an `Arc`",
    "or keep the function's results in memory only: `#[task_fn(transient)]`"
);
requirement!(
    /// An output that is a `Result` and stored.
    StoredFallibleOutput: [Persist + Clone + Send + Sync + 'static],
    "`{Self}` cannot be the output of a stored task function",
    "not `Clone + Send + Sync + 'static`, or not `serde::Serialize + serde::de::DeserializeOwned`",
    "derive `Clone, serde::Serialize, serde::Deserialize` for the value and for the error; an error that cannot, such as \
     `io::Error`, is stored as text: `.map_err(|error| error.to_string())`",
    "or keep the function's results in memory only, `#[task_fn(transient)]`, where `Arc<io::Error>` will do: \
     `.map_err(Arc::new)`"
);
requirement!(
    /// An output of a function with an initial value.
    Compared: [PartialEq],
    "results of type `{Self}` cannot be compared, which resolving a cycle needs",
    "not `PartialEq`",
    "a cycle is resolved when no result differs from the one before: derive `PartialEq`, or say how to compare by `eq = ..`"
);

/// A type that `expires = ..` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how long a result may be used",
    label = "`expires` returns a `Duration`, or an `Option<Duration>`: with `None` a result does not expire"
)]
pub trait Lifetime {
    /// How long the result may be used.
    fn lifetime(self) -> Option<Duration>;
}

impl Lifetime for Duration {
    fn lifetime(self) -> Option<Duration> {
        Some(self)
    }
}

impl Lifetime for Option<Duration> {
    fn lifetime(self) -> Option<Duration> {
        self
    }
}

/// Returns how long a result may be used, as `expires = ..` says.
pub fn lifetime<T: Lifetime>(said: T) -> Option<Duration> {
    said.lifetime()
}
