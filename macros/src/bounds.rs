//! Bounds of type parameters: what a key or an output needs of one that stands in it, told once and at its declaration.
//!
//! Without a bound, each generated function would draw an error for each ability that is missing: 18 of them for `fn f<T>(t: T) -> T`.
//! A bound that is not of the standard library or of serde may have any of the abilities as a supertrait, so a parameter with such a
//! one is left to the compiler.

use proc_macro2::Ident;
use syn::{
    GenericArgument, PathArguments, ReturnType, Signature, Type, TypeParam, TypeParamBound, WherePredicate,
};

use crate::errors::Errors;
use crate::params::{self, Param, Role};

/// Abilities, and the bounds each of which brings it.
const ABILITIES: [(&str, &[&str]); 8] = [
    ("Clone", &["Clone", "Copy"]),
    ("Eq", &["Eq", "Ord"]),
    ("Hash", &["Hash"]),
    ("Send", &["Send"]),
    ("Sync", &["Sync"]),
    ("serde::Serialize", &["Serialize"]),
    ("serde::de::DeserializeOwned", &["DeserializeOwned", "Deserialize"]),
    ("'static", &["'static", "Any"]),
];

/// Further bounds that bring none of the abilities.
const OTHERS: [&str; 16] = [
    "PartialEq",
    "PartialOrd",
    "Debug",
    "Display",
    "Default",
    "ToString",
    "Into",
    "From",
    "TryFrom",
    "TryInto",
    "AsRef",
    "FromStr",
    "Unpin",
    "Add",
    "Sub",
    "Mul",
];

pub(crate) fn check(sig: &Signature, params: &[Param], is_stored: bool, errors: &mut Errors) {
    for param in sig.generics.type_params() {
        let name = &param.ident;
        let is_key = params.iter().any(|param| param.role == Role::Key && stands_in(name, param.key_type()));
        let is_output = matches!(&sig.output, ReturnType::Type(_, ty) if stands_in(name, ty));
        let Some(bounds) = bounds(param, sig).filter(|_| is_key || is_output) else { continue };
        let is_needed = |ability: &str| match ability {
            "Eq" | "Hash" => is_key,
            "serde::Serialize" => is_stored,
            "serde::de::DeserializeOwned" => is_stored && is_output,
            _ => true,
        };
        let missing: Vec<&str> = ABILITIES
            .iter()
            .filter(|(ability, by)| {
                is_needed(ability) && !by.iter().any(|bound| bounds.iter().any(|own| own == bound))
            })
            .map(|(ability, _)| *ability)
            .collect();
        if missing.is_empty() {
            continue;
        }
        let place = match (is_key, is_output) {
            (true, true) => "part of the key and of the output",
            (true, false) => "part of the key",
            _ => "part of the output",
        };
        let way_out = if missing.iter().any(|ability| ability.starts_with("serde")) {
            ", or, without serde, keep the results in memory only: `#[task_fn(transient)]`"
        } else {
            ""
        };
        let missing = missing.join(" + ");
        errors.at(
            name,
            format!("values of `{name}` are {place} of this task function, and its bounds leave out what these need; add `{missing}`{way_out}"),
        );
    }
}

/// Whether a type is a parameter, or a list or an `Option` of it, which can do what the parameter can.
fn stands_in(name: &Ident, ty: &Type) -> bool {
    match params::transparent(ty) {
        Type::Path(path) if path.path.is_ident(name) => true,
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            ["Vec", "Option", "Box"].iter().any(|known| last.ident == known)
                && matches!(&last.arguments, PathArguments::AngleBracketed(arguments) if arguments.args.iter().any(
                    |argument| matches!(argument, GenericArgument::Type(ty) if stands_in(name, ty))))
        }),
        Type::Slice(slice) => stands_in(name, &slice.elem),
        Type::Array(array) => stands_in(name, &array.elem),
        Type::Tuple(tuple) => tuple.elems.iter().any(|elem| stands_in(name, elem)),
        _ => false,
    }
}

/// Returns the names of a parameter's bounds; none, if one of them may bring more than its name says.
fn bounds(param: &TypeParam, sig: &Signature) -> Option<Vec<String>> {
    let clause = sig.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let claimed = clause.filter_map(|predicate| match predicate {
        WherePredicate::Type(bounded) => match &bounded.bounded_ty {
            Type::Path(path) if path.path.is_ident(&param.ident) => Some(&bounded.bounds),
            _ => None,
        },
        _ => None,
    });
    let is_known = |name: &String| {
        OTHERS.contains(&name.as_str()) || ABILITIES.iter().any(|(_, by)| by.contains(&name.as_str()))
    };
    let name = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().map(|last| last.ident.to_string()),
        TypeParamBound::Lifetime(lifetime) => Some(lifetime.to_string()),
        _ => None,
    };
    param.bounds.iter().chain(claimed.flatten()).map(|bound| name(bound).filter(is_known)).collect()
}
