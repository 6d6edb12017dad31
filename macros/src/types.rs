//! Hints that the names in a type give. Names may mislead: they decide on places and texts of errors, and on checks that cost
//! little.

use proc_macro2::Ident;
use syn::Type;
use syn::visit::{self, Visit};

/// The material of an argument's type, as far as its names tell. It decides on the advice and on nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Other,
    HashMap,
    Float,
}

impl Kind {
    pub(crate) fn of(ty: &Type) -> Self {
        struct Names(Kind);
        impl<'ast> Visit<'ast> for Names {
            fn visit_ident(&mut self, name: &'ast Ident) {
                let kind = match name.to_string().as_str() {
                    "f32" | "f64" => Kind::Float,
                    "HashMap" | "HashSet" => Kind::HashMap,
                    _ => Kind::Other,
                };
                self.0 = self.0.max(kind);
            }
        }
        let mut names = Names(Self::Other);
        names.visit_type(ty);
        names.0
    }

    /// Returns the beginning of the names of the traits that state what such an argument has to be able to do.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Other => "",
            Self::HashMap => "HashMap",
            Self::Float => "Float",
        }
    }
}

/// Whether an output is a `Result`, by its name.
pub(crate) fn is_fallible(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
}

/// Whether a type is made of nothing but what the standard library makes a fine key.
pub(crate) fn is_fine(ty: &Type) -> bool {
    is_made_of(ty, is_known)
}

/// Whether a type is made of nothing but what the standard library makes a fine output: fine keys, and floats.
pub(crate) fn is_fine_output(ty: &Type) -> bool {
    is_made_of(ty, |name| is_known(name) || name == "f32" || name == "f64")
}

fn is_made_of(ty: &Type, is_fine: fn(&Ident) -> bool) -> bool {
    let mut names = Names { all_fine: true, is_fine };
    names.visit_type(ty);
    names.all_fine
}

struct Names {
    all_fine: bool,
    is_fine: fn(&Ident) -> bool,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        self.all_fine &= path.path.segments.last().is_some_and(|last| (self.is_fine)(&last.ident));
        visit::visit_type_path(self, path);
    }

    // These are compared by no value, or cannot be stored.
    fn visit_type_trait_object(&mut self, _: &'ast syn::TypeTraitObject) {
        self.all_fine = false;
    }
    fn visit_type_bare_fn(&mut self, _: &'ast syn::TypeBareFn) {
        self.all_fine = false;
    }
    fn visit_type_ptr(&mut self, _: &'ast syn::TypePtr) {
        self.all_fine = false;
    }
    fn visit_type_macro(&mut self, _: &'ast syn::TypeMacro) {
        self.all_fine = false;
    }
}

/// Whether a name is most likely that of a type which is a fine key.
pub(crate) fn is_known(name: &Ident) -> bool {
    const KNOWN: [&str; 28] = [
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
        "isize", "String", "Path", "PathBuf", "OsStr", "OsString", "Duration", "Vec", "Option", "Box", "Arc",
        "BTreeMap", "BTreeSet", "Task",
    ];
    KNOWN.iter().any(|known| name == known)
}
