//! The code identity of a task function: what, with its path, makes its persistent id.
//!
//! | declared | identified by |
//! |---|---|
//! | nothing | the build; the compiler's identity of the function (its `TypeId`), which tells apart whatever the compiler does; the libraries that hold its code |
//! | `version = N, shared` | as `version = N`, and by the compiler and the tokens |
//! | `version = N` | the version, the package and the names of the function and its types; and where these do not say which function it is, the `TypeId` and the tokens |
//!
//! A `TypeId` is the same in all processes of one build. In another build it may change with the compiler, the profile, the
//! package's version, and for methods with the `impl` blocks before this one. So it would make a declared version worth little, and enters
//! only where a name can be that of several functions ([`Told`]): for type arguments, which may be local to a body or come from two
//! versions of a package; for functions in the body of another one and in `const _` blocks; and for methods of types and traits that
//! may be local to a body. The compiler numbers what has one name in one body by its order, so one that is put before another takes
//! its number; with functions, the tokens are against that. Lines and columns enter nowhere, so code may be moved.

use std::any::TypeId;
use std::hash::{Hash, Hasher};

use super::{Build, objects};
use crate::graph::task_fn::{RawTaskFn, Sharing};
use larder_storage::Digest;

/// A code identity.
pub(super) struct Code {
    pub(super) digest: Digest,
    /// The libraries, loaded beside the program, whose code the digest stands for.
    pub(super) libraries: Box<[Digest]>,
    /// Whether it is known what the code is.
    pub(super) is_known: bool,
}

impl Code {
    /// None if the function is not stored.
    pub(super) fn of(task_fn: &'static RawTaskFn, build: Build) -> Option<Self> {
        let (key, output) = (task_fn.stored?.type_names)();
        let name = task_fn.full_name.map_or("", |name| name());
        let mut text = Text::default();
        let (mut libraries, mut is_known) = (Box::default(), true);
        match task_fn.version {
            Some(version) => {
                text.part(&format!("version {version}"));
                let told = Told::of(name, task_fn.site.path);
                if told >= Told::Types {
                    text.identity(task_fn.written.and_then(|written| written.instance).unwrap_or(task_fn.id));
                }
                if task_fn.sharing == Sharing::Builds {
                    text.compiler();
                }
                // Two branches may both have forgotten to raise the number.
                if told >= Told::Text || task_fn.sharing == Sharing::Builds {
                    text.part(&format!("tokens {:x}", task_fn.written.map_or(0, |written| written.tokens)));
                }
            }
            None => {
                text.part(&format!("build {}", build.digest()));
                text.identity(task_fn.id);
                if let Build::OfProgram(_) = build {
                    match objects::libraries_of(task_fn) {
                        Ok(found) => libraries = found,
                        Err(objects::Unknown) => is_known = false,
                    }
                }
                for library in &libraries {
                    text.part(&format!("library {library}"));
                }
            }
        }
        let package = task_fn.definition.map_or("", |definition| definition.package);
        for part in [package, name, key, output] {
            text.part(part);
        }
        Some(Self { digest: Digest::xxh3(&text.0), libraries, is_known })
    }
}

/// The digested bytes: parts that cannot run into one another.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn part(&mut self, part: &str) {
        self.0.extend_from_slice(part.as_bytes());
        self.0.push(0);
    }

    /// The compiler and its standard library: the identity of a type of the latter is made of the version that they are of, its commit included, and
    /// does not depend on how a program is built. On two machines a body may come to other values by another compiler, as by `size_of`, by
    /// floating-point arithmetic, or by what has changed in `std`.
    fn compiler(&mut self) {
        self.part("compiler");
        self.identity(TypeId::of::<String>());
    }

    /// All that can be had of a `TypeId`: `Hash` gives half of its bits, `Debug` all of them, as yet.
    fn identity(&mut self, id: TypeId) {
        self.part(&format!("type {id:?}"));
        id.hash(self);
    }
}

impl Hasher for Text {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

/// The parts, beside its name, that tell a function with a declared version from all others of the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// Nothing.
    Name,
    /// The identity of the types that it names: other packages or bodies may have others of their names.
    Types,
    /// That, and the tokens: it may stand in a body, beside others of its name.
    Text,
}

impl Told {
    /// Judges by the name of a function's body (a closure), as today's compilers write it. A name that is written in another way
    /// tells nothing apart, which is safe.
    fn of(body: &str, path: &str) -> Self {
        let Some(owner) = body.strip_suffix("::{{closure}}") else { return Self::Text };
        let owner = owner.strip_suffix("::{{constant}}").unwrap_or(owner);
        // A free function, whose body stands in an `impl` of its companion. In a function, the path of that is longer.
        if let Some(arguments) = owner.strip_prefix(path).and_then(|rest| rest.strip_prefix("::__describe")) {
            return Self::of_arguments(arguments);
        }
        let Some((module, function)) = path.rsplit_once("::") else { return Self::Text };
        let (owner, arguments) = split_arguments(owner);
        match owner.strip_suffix(function).and_then(|owner| owner.strip_suffix("::")) {
            Some(owner) => Self::of_arguments(arguments).max(Self::of_owner(owner, module)),
            None => Self::Text,
        }
    }

    /// Judges what a method stands in, given the module in which it is written.
    fn of_owner(owner: &str, module: &str) -> Self {
        if let Some(inner) = inside(module, owner) {
            return match inner.strip_prefix("<impl ").and_then(|inner| inner.strip_suffix('>')) {
                // `module::<impl Trait for Type>`: directly in the module, so that what it is for stands outside of bodies.
                Some(names) => Self::of_header(names, module, |_| true),
                // `module::Type`, with nothing in between.
                None => match split_arguments(inner) {
                    (name, arguments) if !name.contains("::") && !arguments.starts_with("<impl ") => {
                        Self::of_arguments(arguments)
                    }
                    _ => Self::Text,
                },
            };
        }
        // `<Type as Trait>`: a path further down in the module may be that of something local to a body.
        match owner.strip_prefix('<').and_then(|names| names.strip_suffix('>')) {
            Some(names) => Self::of_header(names, module, |path| {
                inside(module, path).is_none_or(|name| !name.contains("::"))
            }),
            None => Self::Text,
        }
    }

    /// Judges the names in the header of an `impl`, given whether a path of the package is outside of bodies.
    fn of_header(names: &str, module: &str, is_outside: impl Fn(&str) -> bool) -> Self {
        worst_of_paths(names, |path, depth| {
            if is_of_std(path) {
                Self::Name
            } else if depth > 0 || first(path) != first(module) {
                Self::Types
            } else if is_outside(path) {
                Self::Name
            } else {
                Self::Text
            }
        })
    }

    fn of_arguments(arguments: &str) -> Self {
        worst_of_paths(arguments, |path, _| if is_of_std(path) { Self::Name } else { Self::Types })
    }
}

/// Returns the rest of a path that begins with the module.
fn inside<'p>(module: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(module)?.strip_prefix("::")
}

/// Whether a path leads to the standard library, of which a program has one version.
fn is_of_std(path: &str) -> bool {
    matches!(first(path), Some("core" | "alloc" | "std"))
}

fn first(path: &str) -> Option<&str> {
    path.split("::").next()
}

/// The worst of what is judged of each path in a text, given in how many brackets it stands. Primitive types are no paths.
fn worst_of_paths(text: &str, judge: impl Fn(&str, usize) -> Told) -> Told {
    let mut depth = 0_usize;
    let is_of_path = |char: char| char.is_alphanumeric() || matches!(char, '_' | ':' | '{' | '}' | '#');
    let (mut rest, mut worst) = (text, Told::Name);
    while let Some(next) = rest.chars().next() {
        let length = if is_of_path(next) {
            rest.find(|char| !is_of_path(char)).unwrap_or(rest.len())
        } else if rest.starts_with("->") {
            2
        } else {
            next.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        match word {
            "<" => depth += 1,
            ">" => depth = depth.saturating_sub(1),
            path if path.contains("::") => worst = worst.max(judge(path.trim_matches(':'), depth)),
            _ => {}
        }
        rest = after;
    }
    worst
}

/// Takes the type arguments off the end of a path: `a::f<u8>`.
fn split_arguments(path: &str) -> (&str, &str) {
    if !path.ends_with('>') {
        return (path, "");
    }
    let mut depth = 0_usize;
    for (at, char) in path.char_indices().rev() {
        match char {
            '>' if !path[..at].ends_with('-') => depth += 1,
            '<' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return (path[..at].trim_end_matches("::"), &path[at..]);
        }
    }
    (path, "")
}

#[cfg(test)]
mod tests {
    use super::Told;

    #[test]
    fn names_tell_functions_apart_unless_they_may_be_local_or_foreign() {
        let cases = [
            (Told::Name, "a::top", "a::top::__describe"),
            (Told::Name, "a::m::top", "a::m::top::__describe<u8>"),
            (
                Told::Name,
                "a::top",
                "a::top::__describe<&[alloc::boxed::Box<dyn core::ops::Fn(u8) -> alloc::string::String>]>",
            ),
            (Told::Name, "a::m::method", "a::m::S::method"),
            (Told::Name, "a::m::method", "a::m::S<alloc::vec::Vec<u8>>::method<u8>"),
            (Told::Name, "a::m::method", "a::m::<impl a::S>::method"),
            (Told::Name, "a::m::method", "a::m::<impl a::m::sub::Trait for u8>::method"),
            (Told::Name, "a::m::method", "<a::m::S as a::m::Trait>::method"),
            (Told::Name, "a::m::method", "<a::m::S as a::other::Trait>::method"),
            (Told::Name, "a::m::method", "<&a::m::S as core::fmt::Debug>::method"),
            // Type arguments.
            (Told::Types, "a::top", "a::top::__describe<a::S>"),
            (Told::Types, "a::top", "a::top::__describe<fn(b::S) -> u8>"),
            (Told::Types, "a::method", "a::S<a::T>::method"),
            (Told::Types, "a::method", "a::S::method<a::outer::T>"),
            (Told::Types, "a::method", "a::<impl a::m::S<a::outer::T>>::method"),
            (Told::Types, "a::method", "<a::S as a::Trait<alloc::vec::Vec<a::outer::T>>>::method"),
            // Types and traits of other packages.
            (Told::Types, "a::method", "<b::S as a::Trait>::method"),
            (Told::Types, "a::method", "a::<impl a::m::Trait for b::S>::method"),
            // In a body, a `const _` block, a closure, a module in a body.
            (Told::Text, "a::helper", "a::outer::helper::__describe"),
            (Told::Text, "a::helper", "a::_::helper::__describe"),
            (Told::Text, "a::helper", "a::outer::{{closure}}::helper::__describe"),
            (Told::Text, "a::inner::helper", "a::outer::inner::helper::__describe"),
            // Types and traits that may be local to one.
            (Told::Text, "a::method", "a::outer::S::method"),
            (Told::Text, "a::method", "a::outer::<impl a::S>::method"),
            (Told::Text, "a::method", "<a::outer::S as a::Trait>::method"),
            (Told::Text, "a::method", "<a::S as a::outer::Trait>::method"),
            (Told::Text, "a::top", "something else"),
        ];
        for (told, path, body) in cases {
            assert_eq!(Told::of(&format!("{body}::{{{{closure}}}}"), path), told, "{body}");
            assert_eq!(Told::of(&format!("{body}::{{{{constant}}}}::{{{{closure}}}}"), path), told, "{body}");
        }
        assert_eq!(Told::of("a::top::__describe", "a::top"), Told::Text);
    }
}
