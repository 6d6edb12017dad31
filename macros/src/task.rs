//! The parsed model: a function that passed all checks, and what of it the generators ask for.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{GenericParam, Generics, Receiver, ReturnType, Type};

use crate::body;
use crate::function::Function;
use crate::options::Options;
use crate::params::{Param, Role};

/// `quote!` for code of our own: its variables are invisible to the user's code and the other way round, and lints
/// take it for what it is, the product of a macro.
macro_rules! generated {
    ($($tokens:tt)*) => { ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*) };
}
pub(crate) use generated;

/// The input of the generators: a function that passed all checks.
pub(crate) struct Task<'a> {
    pub(crate) function: &'a Function,
    pub(crate) options: &'a Options,
    pub(crate) params: &'a [Param],
}

impl Task<'_> {
    /// Returns the module that generated code may name.
    pub(crate) fn p(&self) -> TokenStream {
        generated!(::larder::__private::v1)
    }

    /// Whether a type of the function's name stands beside it.
    pub(crate) fn has_companion(&self) -> bool {
        has_companion(self.function, self.options)
    }

    pub(crate) fn is_async(&self) -> bool {
        self.function.sig.asyncness.is_some()
    }

    /// Returns the type of the result, `()` if the signature names none.
    pub(crate) fn output(&self) -> TokenStream {
        match &self.function.sig.output {
            ReturnType::Type(_, ty) => ty.to_token_stream(),
            ReturnType::Default => quote_spanned!(self.function.sig.ident.span()=> ()),
        }
    }

    /// Returns the type of the result, if the signature names one.
    pub(crate) fn output_type(&self) -> Option<&Type> {
        match &self.function.sig.output {
            ReturnType::Type(_, ty) => Some(ty),
            ReturnType::Default => None,
        }
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.function.sig.receiver()
    }

    /// Returns the parameters that are in the arguments' tuple.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(|param| param.role != Role::Unused)
    }

    /// Returns the parameters as the shim declares them: plain names instead of patterns.
    pub(crate) fn shim_inputs(&self) -> TokenStream {
        let params =
            self.params.iter().map(|Param { attrs, name, ty, .. }| generated!(#(#attrs)* #name: #ty));
        match self.receiver() {
            Some(receiver) => generated!(#receiver, #(#params),*),
            None => generated!(#(#params),*),
        }
    }

    /// Returns `::<T, N>` with the type and const parameters of the function; lifetimes are always inferred.
    pub(crate) fn turbofish(&self) -> Option<TokenStream> {
        let names = names_of(&self.function.sig.generics);
        (!names.is_empty()).then(|| generated!(::<#(#names),*>))
    }

    /// Returns the type of a call, as a signature has it.
    pub(crate) fn returns(&self) -> TokenStream {
        let (p, output) = (self.p(), self.output());
        if self.is_async() {
            generated!(-> #p::TaskCall<#output>)
        } else {
            self.function.sig.output.to_token_stream()
        }
    }
}

/// Returns the names of the type and const parameters.
pub(crate) fn names_of(generics: &Generics) -> Vec<&Ident> {
    let names = generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    });
    names.collect()
}

pub(crate) fn has_companion(function: &Function, options: &Options) -> bool {
    options.no_companion.is_none() && !stands_in_an_impl(function)
}

/// Whether a function has a receiver or names `Self`: it can only stand inside an `impl` or a trait.
fn stands_in_an_impl(function: &Function) -> bool {
    function.sig.receiver().is_some()
        || body::names_self_type(function.sig.to_token_stream())
        || function.body.as_ref().is_some_and(|body| body::names_self_type(body.stream()))
}

/// Returns a span that shows the user's token and has the hygiene of generated code.
pub(crate) fn generated_at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
