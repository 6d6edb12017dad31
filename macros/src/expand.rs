//! From the attribute to the code: parse, check, then one of two shapes.
//!
//! A free function becomes a shim and a companion type that holds the body ([`companion`]). Inside an `impl`, where
//! nothing can be added, a method becomes a shim whose descriptor holds the body.

use proc_macro2::{Group, TokenStream};
use quote::quote;
use syn::{Attribute, FnArg, parse_quote};

use crate::descriptor::{self, bindings, bound_receiver};
use crate::errors::Errors;
use crate::function::{self, Function};
use crate::options::Options;
use crate::params;
use crate::task::{Task, generated, generated_at, has_companion};
use crate::{body, check, companion, requirements, sizes};

pub(crate) fn task_fn(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(args, &mut errors);
    let mut function = match function::parse(item.clone()) {
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
        check::companion_place(&function.sig, &mut errors);
    } else {
        check::method_lifetimes(&function.sig, &mut errors);
        check::owner(&function.sig, &mut errors);
    }
    if !errors.is_empty() {
        // The plain function stays, so that its callers draw no errors of their own.
        let errors = errors.to_compile_error();
        sizes::replace(&mut function);
        let plain = plain(&function);
        return quote!(#errors #plain);
    }
    let task = Task { function: &function, options: &options, params: &params };
    if has_companion { companion::expand(&task) } else { method(&task) }
}

/// Returns the function as it would be without the attribute. An item that is no function is left to the compiler to complain about.
pub(crate) fn plain_fn(item: TokenStream) -> TokenStream {
    function::parse(item.clone()).map_or(item, |function| plain(&function))
}

/// Returns the function as it would be without the attribute.
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
    let (checks, call) = (requirements::checks(task), task.call(&descriptor));
    task.shim(&attrs, &generated!(#checks #call))
}

/// Returns the body of a method with its parameters bound from the key.
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
