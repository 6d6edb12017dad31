//! Where the compiler points when a type of the signature cannot do what a task needs.
//!
//! A parameter that is, say, not `Hash` breaks several bounds at once. The compiler drops the second report of one failure only
//! if it stands at the place of the first. So all that depends on these bounds is placed where the culprit most likely is: at
//! the one type that is not known to be able, and at the function's name if there are several.

use std::cmp::Reverse;

use proc_macro2::Span;
use syn::spanned::Spanned;

use crate::params::Role;
use crate::task::{Task, generated_at};
use crate::types::{Kind, is_fine, is_fine_output};

/// Returns the span of what depends on the types' abilities. All of it has one span, and the hygiene of generated code: of code of
/// the user's, the compiler would say how to borrow here and there.
pub(crate) fn span(task: &Task<'_>) -> Span {
    let receiver = task.receiver().map(|receiver| (Kind::Other, receiver.self_token.span));
    let params = task.kept().filter(|param| param.role == Role::Key).map(|param| param.key_type());
    let params = params.filter(|ty| !is_fine(ty)).map(|ty| (Kind::of(ty), ty.span()));
    let output = task.output_type().filter(|ty| !is_fine_output(ty)).map(|ty| (Kind::Other, ty.span()));
    let mut suspects: Vec<(Kind, Span)> = receiver.into_iter().chain(params).chain(output).collect();
    suspects.sort_by_key(|(kind, _)| Reverse(*kind));
    match suspects[..] {
        [] => Span::mixed_site(),
        [(_, only)] => generated_at(only),
        [(first, at), (second, _), ..] if first > second => generated_at(at),
        _ => generated_at(task.function.sig.ident.span()),
    }
}
