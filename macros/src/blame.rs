//! Where the compiler points when the arguments as a whole do not do.
//!
//! A parameter that is, say, not `Hash` breaks several bounds at once: that of the assertion about its type, and that of
//! every call to the engine. The compiler drops the second report of the same failure only if it stands at the same
//! place. So the arguments' tuple is placed where the culprit most likely is: at the one parameter whose type is not
//! known to be a fine key.

use proc_macro2::{Ident, Span};
use syn::Type;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::expand::Task;
use crate::params::Role;

/// The span for the arguments' tuple and the key's type. It is a plain span of the user's: to the compiler, generated code
/// stands at another place even where it shows the same tokens.
pub(crate) fn span(task: &Task<'_>) -> Span {
    let receiver = task.receiver().map(|receiver| receiver.self_token.span);
    let params = task.kept().filter(|param| param.role == Role::Key && !is_fine(param.key_type()));
    let mut suspects = receiver.into_iter().chain(params.map(|param| param.key_type().span()));
    match (suspects.next(), suspects.next()) {
        (Some(only), None) => only,
        _ => Span::mixed_site(),
    }
}

/// Whether a type is made of nothing but what the standard library makes a fine key.
pub(crate) fn is_fine(ty: &Type) -> bool {
    let mut names = Names { all_fine: true };
    names.visit_type(ty);
    names.all_fine
}

struct Names {
    all_fine: bool,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        self.all_fine &= path.path.segments.last().is_some_and(|last| is_known(&last.ident));
        visit::visit_type_path(self, path);
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
