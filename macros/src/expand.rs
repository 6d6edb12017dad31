//! From the attribute to the code: parse, check, then one of two shapes.
//!
//! A free function becomes a shim and a companion type that holds the body ([`companion`]). Inside an `impl`, where
//! nothing can be added, a method becomes a shim whose descriptor holds the body.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{AttrStyle, Attribute, FnArg, GenericParam, Receiver, ReturnType, Type, parse_quote};

use crate::descriptor;
use crate::errors::Errors;
use crate::function::{self, Function};
use crate::options::Options;
use crate::params::{self, Param, Passing, Role};
use crate::{blame, body, check, companion};

/// `quote!` for code of our own: its variables are invisible to the user's code and the other way round, and lints
/// take it for what it is, the product of a macro.
macro_rules! generated {
    ($($tokens:tt)*) => { ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*) };
}
pub(crate) use generated;

pub(crate) fn task_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(args, &mut errors);
    let function = match function::parse(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(error);
            let errors = errors.to_compile_error();
            return quote!(#errors #item);
        }
    };
    let params = params::read(&function.sig, &options, &mut errors);
    check::function(&function, &params, &options, &mut errors);
    let has_companion = has_companion(&function, &options);
    if has_companion {
        check::companion_name(&function.sig, &mut errors);
    } else {
        check::method_lifetimes(&function.sig, &mut errors);
    }
    if !errors.is_empty() {
        // The plain function stays, so that its callers draw no errors of their own.
        let errors = errors.to_compile_error();
        let plain = plain(&function);
        return quote!(#errors #plain);
    }
    let task = Task { function: &function, options: &options, params: &params };
    if has_companion { companion::expand(&task) } else { method(&task) }
}

/// The function as it would be without the attribute. What is no function is left to the compiler to complain about.
pub(crate) fn plain_fn(item: TokenStream) -> TokenStream {
    function::parse(item.clone()).map_or(item, |function| plain(&function))
}

/// What the generators work from: a function that passed all checks.
pub(crate) struct Task<'a> {
    pub(crate) function: &'a Function,
    pub(crate) options: &'a Options,
    pub(crate) params: &'a [Param],
}

impl Task<'_> {
    /// The module that generated code may name.
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

    /// The type of the result, `()` if the signature names none.
    pub(crate) fn output(&self) -> TokenStream {
        match &self.function.sig.output {
            ReturnType::Type(_, ty) => ty.to_token_stream(),
            ReturnType::Default => quote_spanned!(self.function.sig.ident.span()=> ()),
        }
    }

    pub(crate) fn receiver(&self) -> Option<&Receiver> {
        self.function.sig.receiver()
    }

    /// The parameters that are in the arguments' tuple.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Param> {
        self.params.iter().filter(|param| param.role != Role::Unused)
    }

    /// The parameters as the shim declares them: plain names instead of patterns.
    pub(crate) fn shim_inputs(&self) -> TokenStream {
        let params =
            self.params.iter().map(|Param { attrs, name, ty, .. }| generated!(#(#attrs)* #name: #ty));
        match self.receiver() {
            Some(receiver) => generated!(#receiver, #(#params),*),
            None => generated!(#(#params),*),
        }
    }

    /// The arguments as the engine takes them: each wrapped by how it enters the key, in a tuple.
    pub(crate) fn arguments(&self) -> TokenStream {
        let p = self.p();
        let this = self.receiver().map(|receiver| {
            let this = receiver.self_token;
            let at = generated_at(this.span);
            let wrapped = self.stored(at, quote_spanned!(at=> #p::ByRef(#this)));
            quote_spanned!(at=> #wrapped,)
        });
        let rest = self.kept().map(|param| {
            let name = &param.name;
            // Where an argument does not do, the compiler points at its type.
            let at = generated_at(param.key_type().span());
            let wrapped = match param.passing {
                Passing::Borrowed(_) => quote_spanned!(at=> #p::ByRef(#name)),
                Passing::Owned(_) => quote_spanned!(at=> #p::ByVal(#name)),
            };
            let wrapped =
                if param.role == Role::Skip { quote_spanned!(at=> #p::Skip(#wrapped)) } else { wrapped };
            self.stored(at, wrapped)
        });
        quote_spanned!(blame::span(self)=> (#this #(#rest,)*))
    }

    /// A wrapped argument, or the type of one, marked as part of the persistent key.
    fn stored(&self, at: Span, wrapped: TokenStream) -> TokenStream {
        let p = self.p();
        if self.options.transient.is_some() { wrapped } else { quote_spanned!(at=> #p::Store(#wrapped)) }
    }

    /// The `_` for the type of the arguments, placed where its failures are to be shown.
    pub(crate) fn inferred(&self) -> TokenStream {
        quote_spanned!(blame::span(self)=> _)
    }

    /// `::<T, N>` with the type and const parameters of the function; lifetimes are always inferred.
    pub(crate) fn turbofish(&self) -> Option<TokenStream> {
        let names: Vec<&Ident> = self
            .function
            .sig
            .generics
            .params
            .iter()
            .filter_map(|param| match param {
                GenericParam::Type(param) => Some(&param.ident),
                GenericParam::Const(param) => Some(&param.ident),
                GenericParam::Lifetime(_) => None,
            })
            .collect();
        (!names.is_empty()).then(|| generated!(::<#(#names),*>))
    }

    /// The function under the user's name: looks the call up and returns a clone of the output.
    pub(crate) fn shim(&self, attrs: &[Attribute], descriptor: &TokenStream) -> TokenStream {
        let p = self.p();
        let Function { vis, sig, .. } = self.function;
        let (name, generics, bounds) = (&sig.ident, &sig.generics, &sig.generics.where_clause);
        let (inputs, arguments, output) = (self.shim_inputs(), self.arguments(), self.output());
        let inferred = self.inferred();
        let (fn_token, asserts) = (sig.fn_token, descriptor::asserts(self));
        let (call, returns) = if self.is_async() {
            (generated!(call_async), generated!(-> #p::TaskCall<#output>))
        } else {
            (generated!(call), sig.output.to_token_stream())
        };
        let mut braces = Group::new(
            Delimiter::Brace,
            generated!(#asserts #p::#call::<#inferred, #output>(#descriptor, #arguments)),
        );
        // With the user's braces the item counts as the user's, and `dead_code` speaks up for an unused function.
        if let Some(body) = &self.function.body {
            braces.set_span(body.span());
        }
        generated! {
            #(#attrs)*
            #[inline]
            #vis #fn_token #name #generics (#inputs) #returns #bounds #braces
        }
    }
}

fn has_companion(function: &Function, options: &Options) -> bool {
    options.no_companion.is_none() && !stands_in_an_impl(function)
}

/// A function with a receiver, or one that names `Self`, can only stand inside an `impl` or a trait.
fn stands_in_an_impl(function: &Function) -> bool {
    function.sig.receiver().is_some()
        || body::names_self_type(function.sig.to_token_stream())
        || function.body.as_ref().is_some_and(|body| body::names_self_type(body.stream()))
}

/// The function as it would be without the attribute.
fn plain(function: &Function) -> TokenStream {
    let Function { attrs, vis, sig, body } = function;
    let mut sig = sig.clone();
    for input in &mut sig.inputs {
        let attrs = match input {
            FnArg::Receiver(receiver) => &mut receiver.attrs,
            FnArg::Typed(typed) => &mut typed.attrs,
        };
        attrs.retain(|attr| !params::is_skip(attr));
    }
    match body {
        Some(body) => quote!(#(#attrs)* #vis #sig #body),
        None => quote!(#(#attrs)* #vis #sig;),
    }
}

fn method(task: &Task<'_>) -> TokenStream {
    let mut attrs: Vec<Attribute> = task.function.attrs.clone();
    attrs.retain(|attr| !attr.path().is_ident("inline"));
    if task.is_async() {
        // Where the trait declares an `async fn`, returning our own future is a refinement that is meant.
        attrs.push(parse_quote!(#[allow(refining_impl_trait)]));
    }
    let descriptor = descriptor::expand(task, &method_body(task));
    task.shim(&attrs, &descriptor)
}

/// The body of a method with its parameters bound from the key.
fn method_body(task: &Task<'_>) -> TokenStream {
    let this = bound_receiver(task);
    let bindings = bindings(task, &TokenStream::new());
    let body = task.function.body.as_ref().map(|body| {
        let mut renamed = Group::new(body.delimiter(), body::rename_self(body.stream()));
        // Generated braces, or `unused_braces` would take them for needless ones of the user's.
        renamed.set_span(generated_at(body.span()));
        renamed
    });
    generated!(#this #bindings #body)
}

/// The parameters, bound from the key as the signature has them, each under `allowed`.
pub(crate) fn bindings(task: &Task<'_>, allowed: &TokenStream) -> TokenStream {
    let bindings = task.kept().zip(descriptor::fetches(task)).map(|(param, fetch)| {
        let Param { attrs, pat, passing, .. } = param;
        let attrs = attrs.iter().filter(|attr| matches!(attr.style, AttrStyle::Outer));
        let ty = match passing {
            Passing::Borrowed(ty) => generated!(&#ty),
            Passing::Owned(ty) => Type::to_token_stream(ty),
        };
        generated!(#(#attrs)* #allowed let #pat: #ty = #fetch;)
    });
    generated!(#(#bindings)*)
}

/// The receiver, bound from the key under the name that it has in [`body::rename_self`].
pub(crate) fn bound_receiver(task: &Task<'_>) -> Option<TokenStream> {
    task.receiver().map(|receiver| {
        // With the hygiene of the `self` that it stands for.
        let this = Ident::new(body::THIS, receiver.self_token.span);
        let fetch = descriptor::fetch_receiver(task);
        generated!(let #this: &Self = #fetch;)
    })
}

/// The attributes that govern how a body is compiled and linted, as opposed to those about the function's name.
pub(crate) fn is_about_the_body(attr: &Attribute) -> bool {
    const ABOUT_THE_BODY: [&str; 8] =
        ["allow", "warn", "deny", "forbid", "expect", "inline", "cold", "optimize"];
    let path = attr.path();
    ABOUT_THE_BODY.iter().any(|name| path.is_ident(name))
        || path.segments.first().is_some_and(|tool| path.segments.len() > 1 && tool.ident == "clippy")
}

/// A span that shows the user's token and has the hygiene of generated code.
pub(crate) fn generated_at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}
