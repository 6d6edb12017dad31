//! The companion of a free function: an empty type of the same name, in the namespace of types, whose functions are
//! the other ways to ask about a call. It also holds the body and the descriptor.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{Attribute, GenericParam, Generics, Meta, Token, TypeParamBound, WherePredicate, parse_quote};

use crate::function::Function;
use crate::params::{Param, Role};
use crate::task::{Task, generated};
use crate::{blame, descriptor, part, requirements};

pub(crate) fn expand(task: &Task<'_>) -> TokenStream {
    let Function { attrs, vis, sig, .. } = task.function;
    let name = &sig.ident;
    let doc = format!("The ways to ask about calls of [`fn@{}`].", name.unraw());
    let cfgs: Vec<&Attribute> = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let hidden = attrs.iter().find(|attr| is_doc_hidden(attr));
    let (call, entry) = call(task);
    let shim = task.shim(&shim_attrs(attrs), &call);
    let (body, descriptor, questions) = (body(task), descriptor_fn(task), questions(task));
    generated! {
        #shim

        #(#cfgs)*
        #[doc = #doc]
        #hidden
        #[allow(non_camel_case_types, dead_code, clippy::restriction)]
        #vis enum #name {}

        #(#cfgs)*
        #[allow(dead_code)]
        impl #name {
            #body
        }

        #(#cfgs)*
        #[allow(dead_code, clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]
        impl #name {
            #questions
            #descriptor
            #entry
        }
    }
}

/// Returns the expression that makes the call, and the functions that it needs in the companion. Where abilities of types are taken for
/// granted, the path to the first of these is the one place that checks them.
fn call(task: &Task<'_>) -> (TokenStream, TokenStream) {
    let (name, turbofish) = (&task.function.sig.ident, task.turbofish());
    if !requirements::are_taken_for_granted(task) {
        return (task.call(&generated!(#name::__descriptor #turbofish())), TokenStream::new());
    }
    let (inputs, returns, generics) = (task.shim_inputs(), task.returns(), &task.function.sig.generics);
    let bounds = requirements::where_clause(task, generics);
    let own = without_lifetimes(generics);
    let own_bounds = requirements::where_clause(task, &own);
    let names = task.params.iter().map(|param| &param.name);
    let (p, inner) = (task.p(), task.call(&generated!(Self::__descriptor #turbofish())));
    let raw = of_companion(task, "__raw");
    let entry = of_companion(task, "__call");
    let functions = generated! {
        #[inline(always)]
        #[allow(deprecated)]
        fn __raw #own () -> &'static #p::RawTaskFn #own_bounds {
            Self::__describe #turbofish().raw()
        }

        #[inline(always)]
        #[track_caller]
        fn __call #generics (#inputs) #returns #bounds {
            #inner
        }
    };
    // The statements are at the place to blame as well: a binding has a type, whose bounds are checked at the binding.
    let at = blame::span(task);
    let one_way = requirements::one_way(task, at);
    let bound = quote_spanned!(at=> #one_way let _ = #raw; let call = #entry; call);
    (generated!({ #bound(#(#names),*) }), functions)
}

/// Returns the path to a function of the companion, all of it at the place to blame: two reports of one failure at one place are one.
fn of_companion(task: &Task<'_>, function: &str) -> TokenStream {
    let at = blame::span(task);
    let mut name = task.function.sig.ident.clone();
    name.set_span(at);
    let (function, turbofish) = (Ident::new(function, at), task.turbofish());
    quote_spanned!(at=> #name::#function #turbofish)
}

/// Makes the function known to the program from its start, so that a task that is only stored can run before its readers. An
/// instance of a generic one is known when it is first called.
fn registration(task: &Task<'_>) -> Option<TokenStream> {
    let (p, name) = (task.p(), &task.function.sig.ident);
    let is_one = task.turbofish().is_none() && task.options.transient.is_none();
    let describe = if requirements::are_taken_for_granted(task) {
        let (at, raw) = (blame::span(task), of_companion(task, "__raw"));
        let one_way = requirements::one_way(task, at);
        quote_spanned!(at=> { #one_way #raw() })
    } else {
        generated!(#name::__describe().raw())
    };
    is_one.then(|| {
        generated! {
            #p::submit! { #p::Registered::new(|| #describe) }
        }
    })
}

/// Returns all of the user's attributes. Those that expect a lint are about the body, which is not in the shim.
fn shim_attrs(attrs: &[Attribute]) -> Vec<Attribute> {
    let kept = attrs.iter().filter(|attr| !attr.path().is_ident("inline"));
    kept.map(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("expect") => {
            let lints = &list.tokens;
            parse_quote!(#[allow(#lints)])
        }
        _ => attr.clone(),
    })
    .collect()
}

fn is_doc_hidden(attr: &Attribute) -> bool {
    attr.path().is_ident("doc")
        && matches!(&attr.meta, Meta::List(list) if list.tokens.to_string() == "hidden")
}

/// Returns `uncached`: the user's function, body and signature untouched. Where `skip_unused` drops parameters, the body
/// stands in a function without them, as the descriptor has no values to give for them.
fn body(task: &Task<'_>) -> TokenStream {
    let Function { attrs, vis, sig, body, .. } = task.function;
    let attrs: Vec<&Attribute> = attrs.iter().filter(|attr| is_about_the_body(attr)).collect();
    let (fn_token, asyncness, generics, output) = (sig.fn_token, &sig.asyncness, &sig.generics, &sig.output);
    let bounds = &generics.where_clause;
    let kept = task.kept().map(|Param { attrs, pat, ty, .. }| generated!(#(#attrs)* #pat: #ty));
    // The items that these lints ask for stand on the function under the user's name.
    let about = generated! {
        #[doc = "Runs the body itself: looks nothing up and keeps nothing."]
        #[allow(
            clippy::must_use_candidate, clippy::missing_errors_doc, clippy::missing_panics_doc,
            clippy::missing_const_for_fn
        )]
    };
    if task.params.iter().all(|param| param.role != Role::Unused) {
        return generated! {
            #about
            #(#attrs)*
            #vis #asyncness #fn_token uncached #generics (#(#kept),*) #output #bounds #body
        };
    }
    let (inputs, turbofish, names) =
        (task.shim_inputs(), task.turbofish(), task.kept().map(|param| &param.name));
    let wait = asyncness.map(|_| generated!(.await));
    generated! {
        #(#attrs)*
        #asyncness #fn_token __body #generics (#(#kept),*) #output #bounds #body

        #about
        #[inline]
        #vis #asyncness fn uncached #generics (#inputs) #output #bounds {
            Self::__body #turbofish(#(#names),*) #wait
        }
    }
}

fn descriptor_fn(task: &Task<'_>) -> TokenStream {
    let run = if task.params.iter().any(|param| param.role == Role::Unused) {
        generated!(__body)
    } else {
        generated!(uncached)
    };
    let (turbofish, fetches) = (task.turbofish(), descriptor::fetches(task));
    let wait = task.is_async().then(|| generated!(.await));
    let run = generated!(Self::#run #turbofish(#(#fetches),*) #wait);
    let descriptor = descriptor::expand(task, &run);
    let generics = without_lifetimes(&task.function.sig.generics);
    let bounds = requirements::where_clause(task, &generics);
    let name = &task.function.sig.ident;
    let (key, output) = (descriptor::key(task), task.output());
    // In here it is no item of its own, of which an `impl` would complain.
    let registration = registration(task);
    let returns = quote_spanned!(blame::span(task)=> &'static ::larder::__private::v1::TaskFn<#key, #output>);
    generated! {
        #[inline(always)]
        #[allow(deprecated)]
        fn __descriptor #generics () -> #returns #bounds {
            // A question about the function uses it, or `dead_code` would say otherwise.
            let _ = #name #turbofish;
            Self::__describe #turbofish()
        }

        #[inline(always)]
        #[allow(deprecated)]
        fn __describe #generics () -> #returns #bounds {
            #registration
            #descriptor
        }
    }
}

/// Returns the functions that hand the arguments on to one entry of the engine each.
fn questions(task: &Task<'_>) -> TokenStream {
    let (p, output) = (task.p(), task.output());
    let task_fn = plain(
        task,
        "task",
        "A handle to the call; nothing runs until it is read.",
        generated!(#p::Task<#output>),
        true,
    );
    let is_cached = plain(
        task,
        "is_cached",
        "Whether asking now would be answered without running the body.",
        generated!(bool),
        true,
    );
    let forget = plain(
        task,
        "forget",
        "Drops what is kept of the call; says whether there was anything.",
        generated!(bool),
        false,
    );
    let forget_all_of = plain(
        task,
        "forget_all_of",
        "Drops what is kept of the call, and all that only this call has needed; says whether there was anything.",
        generated!(bool),
        false,
    );
    let invalidate = plain(
        task,
        "invalidate",
        "Makes the call run again when a later session asks for it; its readers run again if its value differs.",
        generated!(()),
        false,
    );
    let collect = collecting(
        task,
        "collect",
        "All values of one type that the call, and whatever it depends on, emitted; runs the call if it has to.",
    );
    let take = collecting(
        task,
        "take",
        "As `collect`, to be dealt with by the task that runs now: what collects from that task gets none of these values by it.",
    );
    let (with, clear) = ((!task.is_async()).then(|| with(task)), clear(task));
    let (boxed, parts) = (boxed(task), part::expand(task));
    generated!(#task_fn #with #is_cached #forget #forget_all_of #invalidate #clear #collect #take #boxed #parts)
}

/// Returns a question whose function in the engine has its name, and takes nothing but the arguments.
fn plain(
    task: &Task<'_>,
    name: &'static str,
    doc: &'static str,
    returns: TokenStream,
    must_use: bool,
) -> TokenStream {
    let (output, inferred) = (task.output(), task.inferred());
    let call = Ident::new(name, Span::mixed_site());
    let generics = task.function.sig.generics.clone();
    let call = generated!(#call::<#inferred, #output>);
    question(task, Question { doc, name, generics, extra: None, returns, call, must_use })
}

/// Returns the question that borrows the output.
fn with(task: &Task<'_>) -> TokenStream {
    let (output, inferred) = (task.output(), task.inferred());
    let result = Ident::new("__R", Span::mixed_site());
    let read = read();
    question(
        task,
        Question {
            doc: "Borrows the output of the call instead of cloning it; runs the call if it has to.",
            name: "with",
            generics: with_param(&task.function.sig.generics, &result, &generated!()),
            extra: Some(generated!(#read: impl ::core::ops::FnOnce(&#output) -> #result)),
            returns: result.to_token_stream(),
            call: generated!(with::<#inferred, #output, #result>),
            must_use: false,
        },
    )
}

/// Returns a question about the values that were emitted.
fn collecting(task: &Task<'_>, name: &'static str, doc: &'static str) -> TokenStream {
    let (p, output, inferred) = (task.p(), task.output(), task.inferred());
    let emitted = Ident::new("__D", Span::mixed_site());
    let call = Ident::new(name, Span::mixed_site());
    question(
        task,
        Question {
            doc,
            name,
            generics: with_param(&task.function.sig.generics, &emitted, &generated!(: #p::Emitted)),
            extra: None,
            returns: generated!(::std::vec::Vec<#emitted>),
            call: generated!(#call::<#emitted, #inferred, #output>),
            must_use: true,
        },
    )
}

/// Returns the one question that is about all calls.
fn clear(task: &Task<'_>) -> TokenStream {
    let (p, vis, turbofish) = (task.p(), &task.function.vis, task.turbofish());
    let generics = without_lifetimes(&task.function.sig.generics);
    let bounds = requirements::where_clause(task, &generics);
    generated! {
        #[doc = "Drops what is kept of all calls; says of how many."]
        #[track_caller]
        #vis fn clear #generics () -> usize #bounds {
            #p::clear(Self::__descriptor #turbofish())
        }
    }
}

/// Returns the arguments in a box, and the call with them.
fn boxed(task: &Task<'_>) -> TokenStream {
    let p = task.p();
    let (vis, generics, output) = (&task.function.vis, &task.function.sig.generics, task.output());
    let (inputs, arguments, turbofish) = (task.shim_inputs(), task.arguments(), task.turbofish());
    let bounds = requirements::where_clause(task, generics);
    let owned = without_lifetimes(generics);
    let owned_bounds = requirements::where_clause(task, &owned);
    let ty = descriptor::arguments(task);
    let (call, returns) = if task.is_async() {
        (generated!(call_async), generated!(#p::TaskCall<#output>))
    } else {
        (generated!(call), output.to_token_stream())
    };
    generated! {
        #[doc = "The arguments of a call in a box, for `call_boxed`."]
        #[must_use]
        #vis fn boxed #generics (#inputs) -> #p::OwnedMagicAny #bounds {
            #p::boxed(#arguments)
        }

        #[doc = "Makes the call with arguments from `boxed`."]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "The box, if it holds the arguments of another call."]
        #vis fn call_boxed #owned (
            args: #p::OwnedMagicAny
        ) -> ::core::result::Result<#returns, #p::OwnedMagicAny> #owned_bounds {
            match #p::unboxed::<#ty>(args) {
                ::core::result::Result::Ok(args) => {
                    ::core::result::Result::Ok(#p::#call(Self::__descriptor #turbofish(), args))
                }
                ::core::result::Result::Err(args) => ::core::result::Result::Err(args),
            }
        }
    }
}

struct Question {
    doc: &'static str,
    name: &'static str,
    generics: Generics,
    extra: Option<TokenStream>,
    returns: TokenStream,
    /// The engine's entry with its type arguments.
    call: TokenStream,
    must_use: bool,
}

fn question(task: &Task<'_>, question: Question) -> TokenStream {
    let p = task.p();
    let Question { doc, name, generics, extra, returns, call, must_use } = question;
    let (vis, name) = (&task.function.vis, Ident::new(name, Span::mixed_site()));
    let bounds = requirements::where_clause(task, &generics);
    let (inputs, arguments, turbofish) = (task.shim_inputs(), task.arguments(), task.turbofish());
    let read = extra.as_ref().map(|_| read()).map(|read| generated!(, #read));
    let extra = extra.map(|extra| if task.params.is_empty() { extra } else { generated!(, #extra) });
    let must_use = must_use.then(|| generated!(#[must_use]));
    generated! {
        #[doc = #doc]
        #must_use
        #[inline]
        #[track_caller]
        #vis fn #name #generics (#inputs #extra) -> #returns #bounds {
            #p::#call(Self::__descriptor #turbofish(), #arguments #read)
        }
    }
}

/// Returns the name of the extra parameter. The names of the others have the hygiene of `mixed_site`, so that one of them may
/// be `read` as well.
fn read() -> Ident {
    Ident::new("read", Span::call_site())
}

/// Returns the function's generics with one more type parameter, placed after the lifetimes.
fn with_param(generics: &Generics, name: &Ident, bounds: &TokenStream) -> Generics {
    let mut generics = generics.clone();
    let lifetimes = generics.lifetimes().count();
    generics.params.insert(lifetimes, parse_quote!(#name #bounds));
    generics
}

/// The descriptor is one per type, not per borrow; its closure must be `'static`, and would not be if it stood under
/// a lifetime parameter.
fn without_lifetimes(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    generics.params =
        generics.params.into_iter().filter(|p| !matches!(p, GenericParam::Lifetime(_))).collect();
    for param in generics.type_params_mut() {
        param.bounds = without_lifetime_bounds(&param.bounds);
    }
    if let Some(clause) = &mut generics.where_clause {
        let kept =
            clause.predicates.iter().filter(|predicate| !matches!(predicate, WherePredicate::Lifetime(_)));
        clause.predicates = kept.cloned().collect();
        for predicate in &mut clause.predicates {
            if let WherePredicate::Type(predicate) = predicate {
                predicate.bounds = without_lifetime_bounds(&predicate.bounds);
            }
        }
    }
    generics
}

type Bounds = Punctuated<TypeParamBound, Token![+]>;

fn without_lifetime_bounds(bounds: &Bounds) -> Bounds {
    let is_kept = |bound: &&TypeParamBound| !matches!(bound, TypeParamBound::Lifetime(bound) if bound.ident != "static");
    bounds.iter().filter(is_kept).cloned().collect()
}

/// Whether an attribute governs how a body is compiled and linted, as opposed to those about the function's name.
fn is_about_the_body(attr: &Attribute) -> bool {
    const ABOUT_THE_BODY: [&str; 8] =
        ["allow", "warn", "deny", "forbid", "expect", "inline", "cold", "optimize"];
    let path = attr.path();
    ABOUT_THE_BODY.iter().any(|name| path.is_ident(name))
        || path.segments.first().is_some_and(|tool| path.segments.len() > 1 && tool.ident == "clippy")
}
