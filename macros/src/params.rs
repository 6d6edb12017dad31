//! The parameters: which are borrowed, which owned, which leave the key, and what each is called in the shim.

use proc_macro2::{Ident, Span};
use quote::format_ident;
use syn::{Attribute, FnArg, Meta, Pat, PatType, Signature, Type};

use crate::errors::Errors;
use crate::options::Options;
use crate::types::{is_fine, is_known};

/// How an argument gets into the key.
pub(crate) enum Passing {
    /// `x: &T`: hashed and compared as it is borrowed, owned only on a true miss. Holds `T`.
    Borrowed(Type),
    /// Anything else, `&'static T` included: what outlives every session needs no owning.
    Owned(Type),
}

/// The part that a parameter plays in the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Part of the key.
    Key,
    /// Marked `#[skip]`: handed to the body, but not hashed or compared.
    Skip,
    /// Left out by `skip_unused`: neither stored nor asked anything of.
    Unused,
}

pub(crate) struct Param {
    /// Without `#[skip]`.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) pat: Pat,
    pub(crate) ty: Type,
    pub(crate) passing: Passing,
    pub(crate) role: Role,
    /// The name in the shim and the companion. It carries the hygiene of generated code, so that it can neither
    /// clash with another generated name nor draw lints that are about the body.
    pub(crate) name: Ident,
}

impl Param {
    /// Returns the type as the key sees it: `T` of `&T`, otherwise the type itself.
    pub(crate) fn key_type(&self) -> &Type {
        match &self.passing {
            Passing::Borrowed(ty) | Passing::Owned(ty) => ty,
        }
    }

    /// Whether the argument may be a handle that has to be resolved before the body runs. Its name does not tell: the
    /// program may have a `Task` of its own, and another name for this one.
    pub(crate) fn may_be_handle(&self) -> bool {
        match transparent(self.key_type()) {
            Type::Path(path) if self.role == Role::Key => {
                path.path.segments.last().is_some_and(|last| last.ident == "Task" || !is_known(&last.ident))
            }
            _ => false,
        }
    }

    /// Whether the argument may hold what its encoding leaves out: its type is not one of the standard library.
    pub(crate) fn may_be_lossy(&self) -> bool {
        self.role == Role::Key && !is_fine(self.key_type())
    }
}

/// Reads the parameters after the receiver and takes `#[skip]` off them.
pub(crate) fn read(sig: &Signature, options: &Options, errors: &mut Errors) -> Vec<Param> {
    let typed = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    typed.enumerate().map(|(index, typed)| param(index, typed, options, errors)).collect()
}

fn param(index: usize, typed: &PatType, options: &Options, errors: &mut Errors) -> Param {
    let marked = take_skip(&typed.attrs, errors);
    let role = match (marked, options.skip_unused) {
        (true, _) => Role::Skip,
        (false, Some(_)) if is_unused(&typed.pat) => Role::Unused,
        (false, _) => Role::Key,
    };
    Param {
        attrs: typed.attrs.iter().filter(|attr| !is_skip(attr)).cloned().collect(),
        pat: (*typed.pat).clone(),
        ty: (*typed.ty).clone(),
        passing: passing(&typed.ty),
        role,
        name: name(index, &typed.pat),
    }
}

fn passing(ty: &Type) -> Passing {
    match transparent(ty) {
        Type::Reference(reference)
            if reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static") =>
        {
            Passing::Borrowed(transparent(&reference.elem).clone())
        }
        _ => Passing::Owned(ty.clone()),
    }
}

/// Looks through parentheses and the invisible groups of a surrounding `macro_rules!`.
pub(crate) fn transparent(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => transparent(&group.elem),
        Type::Paren(paren) => transparent(&paren.elem),
        ty => ty,
    }
}

/// Whether a pattern gives the body nothing to read: `_` and names that begin with `_`.
fn is_unused(pat: &Pat) -> bool {
    match pat {
        Pat::Wild(_) => true,
        Pat::Ident(ident) => ident.subpat.is_none() && ident.ident.to_string().starts_with('_'),
        _ => false,
    }
}

fn name(index: usize, pat: &Pat) -> Ident {
    match pat {
        Pat::Ident(ident) => {
            let mut name = ident.ident.clone();
            name.set_span(Span::mixed_site().located_at(name.span()));
            name
        }
        // Another hygiene than that of the names above keeps this apart from a parameter that is called `arg1`.
        _ => format_ident!("arg{index}", span = Span::call_site()),
    }
}

pub(crate) fn is_skip(attr: &Attribute) -> bool {
    attr.path().is_ident("skip")
}

fn take_skip(attrs: &[Attribute], errors: &mut Errors) -> bool {
    let mut marks = attrs.iter().filter(|attr| is_skip(attr));
    let first = marks.next();
    if let Some(attr) = first.filter(|attr| !matches!(attr.meta, Meta::Path(_))) {
        errors.at(attr, "`#[skip]` takes no arguments; write `#[skip]` alone");
    }
    for again in marks {
        errors.at(again, "`#[skip]` is given twice; keep one");
    }
    first.is_some()
}
