//! Types without a size that is known at compile time: `str`, slices, trait objects. No function can take or return one by value.
//!
//! A task function that does would draw an error of the compiler from each function that is generated for it. So it is rejected, with one
//! error at the type; and the plain function, which stays for the callers, has something of a known size in its place.

use syn::{FnArg, ReturnType, Signature, Type, parse_quote};

use crate::errors::Errors;
use crate::function::Function;
use crate::params::transparent;

/// The sorts of such types, as far as their names tell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unsized {
    Text,
    OsText,
    Path,
    Slice,
    Object,
}

impl Unsized {
    fn of(ty: &Type) -> Option<Self> {
        match transparent(ty) {
            Type::Slice(_) => Some(Self::Slice),
            Type::TraitObject(_) => Some(Self::Object),
            Type::Path(path) if path.qself.is_none() => {
                let names: Vec<String> =
                    path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                match names[..] {
                    ["str"] => Some(Self::Text),
                    // A `Path` of the program's own has a size as a rule, as those of `syn` and of others have.
                    ["std", "path", "Path"] | ["path", "Path"] => Some(Self::Path),
                    ["OsStr"] | [.., "ffi", "OsStr"] => Some(Self::OsText),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn as_parameter(self) -> &'static str {
        match self {
            Self::Text => "take `&str`, which is owned on a miss only, or a `String`",
            Self::OsText => "take `&OsStr`, which is owned on a miss only, or an `OsString`",
            Self::Path => "take `&Path`, which is owned on a miss only, or a `PathBuf`",
            Self::Slice => "take `&[T]`, which is owned on a miss only, or a `Vec<T>`",
            Self::Object => {
                "take a type parameter, `fn f<T: Trait>(x: &T)`, or an `Arc` of a trait that is `Eq + Hash` for its objects"
            }
        }
    }

    fn as_output(self) -> &'static str {
        match self {
            Self::Text => "return a `String`, or an `Arc<str>`, which is cheap to clone",
            Self::OsText => "return an `OsString`, or an `Arc<OsStr>`, which is cheap to clone",
            Self::Path => "return a `PathBuf`, or an `Arc<Path>`, which is cheap to clone",
            Self::Slice => "return a `Vec<T>`, or an `Arc<[T]>`, which is cheap to clone",
            Self::Object => "return an `Arc` of it, or an `enum` of the types that it can be",
        }
    }
}

/// Rejects parameters and an output that have no size.
pub(crate) fn check(sig: &Signature, errors: &mut Errors) {
    for ty in sig.inputs.iter().filter_map(type_of) {
        if let Some(kind) = Unsized::of(ty) {
            let advice = kind.as_parameter();
            errors.at(
                ty,
                format!("a parameter by value has to have a size that is known at compile time; {advice}"),
            );
        }
    }
    if let ReturnType::Type(_, ty) = &sig.output
        && let Some(kind) = Unsized::of(ty)
    {
        let advice = kind.as_output();
        errors.at(ty, format!("an output has to have a size that is known at compile time; {advice}"));
    }
}

fn type_of(input: &FnArg) -> Option<&Type> {
    match input {
        FnArg::Typed(typed) => Some(&typed.ty),
        FnArg::Receiver(_) => None,
    }
}

/// Gives a function that was rejected references in the place of such parameters, and a box in that of an output, which its body does
/// not make.
pub(crate) fn replace(function: &mut Function) {
    for input in &mut function.sig.inputs {
        if let FnArg::Typed(typed) = input
            && Unsized::of(&typed.ty).is_some()
        {
            let ty = &typed.ty;
            *typed.ty = parse_quote!(&(#ty));
        }
    }
    if let ReturnType::Type(_, ty) = &mut function.sig.output
        && Unsized::of(ty).is_some()
    {
        **ty = parse_quote!(::std::boxed::Box<#ty>);
        function.attrs.push(parse_quote!(#[allow(unused_variables)]));
        function.body = function.body.as_ref().map(|_| parse_quote!({ ::core::unreachable!() }));
    }
}
