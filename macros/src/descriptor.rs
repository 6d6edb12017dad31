//! The descriptor: one constant per task function and per instance of a generic one.
//!
//! Its identity is the type of the closure that runs the body. That type is as generic as the place where the closure
//! stands: it tells `f::<u8>` from `f::<u16>`, the methods of one name on two types, and the instances of an
//! `impl<T> Trait<T> for X` whose `T` occurs in no signature. The type's name gives the same to the persistent key.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{AttrStyle, Expr, Index, Type};

use crate::params::{Param, Passing, Role};
use crate::requirements::located_output;
use crate::task::{Task, generated, generated_at};
use crate::{blame, body, package};

/// Returns an expression of type `&'static TaskFn`. `run` computes the output and may use what [`fetches`] gives.
pub(crate) fn expand(task: &Task<'_>, run: &TokenStream) -> TokenStream {
    let p = task.p();
    let (key, output) = (key(task), task.output());
    let body =
        if task.is_async() { async_body(task, run) } else { generated!(|key: &#key| -> #output { #run }) };
    let new = if task.is_async() { new_async(task, &key) } else { new(task, &key) };
    let (site, options) = (site(task), options(task));
    let defined = defined(task);
    generated!({
        const {
            let body = #body;
            &#new(#p::type_id_of(&body), #site, body)
                .named(#p::name_of(&body))
                #defined
                #options
        }
    })
}

/// Returns, for each kept parameter, the expression that gets it from `key` as the body takes it.
pub(crate) fn fetches<'a>(task: &'a Task<'_>) -> impl Iterator<Item = TokenStream> + 'a {
    let p = task.p();
    let first = usize::from(task.receiver().is_some());
    task.kept().enumerate().map(move |(at, param)| {
        let at = Index { index: u32::try_from(at + first).unwrap_or(u32::MAX), span: generated_span() };
        let ty = param.key_type();
        match (&param.passing, param.role) {
            (Passing::Borrowed(_), Role::Skip) => generated!(#p::skip_ref::<#ty>(&key.#at)),
            (Passing::Owned(_), Role::Skip) => generated!(#p::skip_val::<#ty>(&key.#at)),
            (Passing::Borrowed(_), _) => generated!(#p::by_ref::<#ty>(&key.#at)),
            (Passing::Owned(_), _) => generated!(#p::by_val::<#ty>(&key.#at)),
        }
    })
}

pub(crate) fn fetch_receiver(task: &Task<'_>) -> TokenStream {
    let p = task.p();
    generated!(#p::by_ref::<Self>(&key.0))
}

/// Returns the type of the owned key.
pub(crate) fn key(task: &Task<'_>) -> TokenStream {
    let parts = parts(task, |part| part);
    quote_spanned!(blame::span(task)=> ::larder::__private::v1::KeyOf<(#parts)>)
}

/// Returns the type of the arguments of a stored function, as far as it is known without a call.
/// The type of the arguments as the engine takes them.
pub(crate) fn arguments(task: &Task<'_>) -> TokenStream {
    if task.options.transient.is_none() {
        return stored_arguments(task);
    }
    let parts = parts(task, |part| part);
    quote_spanned!(blame::span(task)=> (#parts))
}

fn stored_arguments(task: &Task<'_>) -> TokenStream {
    let p = task.p();
    let parts = parts(task, |part| generated!(#p::Store<#part>));
    quote_spanned!(blame::span(task)=> (#parts))
}

fn parts(task: &Task<'_>, wrap: impl Fn(TokenStream) -> TokenStream) -> TokenStream {
    let p = task.p();
    let this = task.receiver().map(|_| {
        let this = wrap(generated!(#p::ByRef<'static, Self>));
        generated!(#this,)
    });
    let parts = task.kept().map(|param| {
        let ty = param.key_type();
        let part = match &param.passing {
            Passing::Borrowed(_) => generated!(#p::ByRef<'static, #ty>),
            Passing::Owned(_) => generated!(#p::ByVal<#ty>),
        };
        wrap(if param.role == Role::Skip { generated!(#p::Skip<#part>) } else { part })
    });
    generated!(#this #(#parts,)*)
}

/// Returns the constructor for the descriptor of a sync function.
fn new(task: &Task<'_>, key: &TokenStream) -> TokenStream {
    let output = task.output();
    let task_fn = quote_spanned!(blame::span(task)=> ::larder::__private::v1::TaskFn::<#key, #output>);
    generated!(#task_fn::new)
}

/// Returns the constructor for the descriptor of an async function. The type of its futures is inferred.
fn new_async(task: &Task<'_>, key: &TokenStream) -> TokenStream {
    let output = task.output();
    match &task.options.max_future {
        Some(bytes) => {
            let within =
                quote_spanned!(generated_at(bytes.span())=> new_async_within::<{ #bytes }, #key, #output, _>);
            quote_spanned!(blame::span(task)=> ::larder::__private::v1::#within)
        }
        None => quote_spanned!(blame::span(task)=> ::larder::__private::v1::new_async::<#key, #output, _>),
    }
}

/// The async closure's future owns its key. The first statement, never true, tells inference what `?` and `return`
/// in the body convert to.
fn async_body(task: &Task<'_>, run: &TokenStream) -> TokenStream {
    let (key, output) = (key(task), task.output());
    generated!(|key: &#key| {
        let key = ::core::clone::Clone::clone(key);
        async move {
            if let ::core::option::Option::Some(output) = ::core::option::Option::None::<#output> {
                return output;
            }
            let output: #output = { #run };
            #[allow(unreachable_code)]
            output
        }
    })
}

fn site(task: &Task<'_>) -> TokenStream {
    let p = task.p();
    let ident = &task.function.sig.ident;
    let name = ident.unraw().to_string();
    // `line!()` tells where its own tokens stand.
    let line = quote_spanned!(ident.span()=> ::core::line!());
    generated!(#p::Site {
        name: #name,
        path: ::core::concat!(::core::module_path!(), "::", #name),
        file: ::core::file!(),
        line: #line,
    })
}

/// Returns where a function was defined: one that is stored, or that stored ones read. The function in it is not generic and never inlined, so that it stands in
/// the object file that the defining crate was linked into, whichever crate asks for the descriptor.
fn defined(task: &Task<'_>) -> TokenStream {
    let (p, package) = (task.p(), package::name());
    generated!(.defined(#p::Definition {
        package: #package,
        home: {
            #[inline(never)]
            fn home() -> &'static u8 {
                &0
            }
            home
        },
    }))
}

/// Returns the calls on the builder, each only where it applies.
fn options(task: &Task<'_>) -> TokenStream {
    let p = task.p();
    let options = task.options;
    let output = task.output();
    let mut calls = TokenStream::new();
    calls.extend(describe(task));
    calls.extend(cutoff(task));
    calls.extend(stored(task));
    if let Some(version) = &options.version {
        let written = written(task);
        calls.extend(generated!(.version(#version).written(#written)));
    }
    if options.shared.is_some() {
        calls.extend(generated!(.sharing(#p::Sharing::Builds)));
    }
    if options.local.is_some() {
        calls.extend(generated!(.sharing(#p::Sharing::Local)));
    }
    if options.volatile.is_some() {
        calls.extend(generated!(.volatile()));
    }
    if options.heavy.is_some() {
        calls.extend(generated!(.heavy()));
    }
    calls.extend(keeping(task));
    if let Some(span) = options.no_errors {
        calls.extend(quote_spanned!(generated_at(span)=> .uncached_if(|output: &#output| output.is_err())));
    }
    calls.extend(cycle(task));
    calls.extend(resolve(task));
    calls
}

/// Returns the call that says how the arguments print, unless they are a secret.
fn describe(task: &Task<'_>) -> Option<TokenStream> {
    let (p, key) = (task.p(), key(task));
    let describe = quote_spanned!(blame::span(task)=> ::larder::__private::v1::Describe::<#key>::DEBUG);
    task.options.secret_args.is_none().then(|| {
        generated!(.describe({
            #[allow(unused_imports)]
            use #p::NoDebug as _;
            #describe
        }))
    })
}

/// Returns the call that says how two outputs are compared.
fn cutoff(task: &Task<'_>) -> Option<TokenStream> {
    let output = task.output();
    if let Some(eq) = &task.options.eq {
        return Some(generated!(.cutoff({
            let eq: fn(&#output, &#output) -> bool = #eq;
            ::core::option::Option::Some(eq)
        })));
    }
    let picks = [generated!(Exactly), generated!(Total), generated!(Signed), generated!(Cutoff)];
    task.options.no_eq.is_none().then(|| {
        let equal = first_of(task, &picks);
        generated!(.cutoff(#equal))
    })
}

/// Returns the calls that say how arguments and outputs are stored, unless they are not.
fn stored(task: &Task<'_>) -> Option<TokenStream> {
    if task.options.transient.is_some() {
        return None;
    }
    let (p, arguments) = (task.p(), stored_arguments(task));
    let picks = [generated!(Exactly), generated!(Total), generated!(Cutoff)];
    let (check, equal) = (check_key(task), first_of(task, &picks));
    let output = located_output(task);
    let stored = quote_spanned!(blame::span(task)=> ::larder::__private::v1::stored::<#arguments, #output>());
    let recall = quote_spanned!(blame::span(task)=> ::larder::__private::v1::Recall::<#arguments>::KEY);
    Some(generated!(.stored(#stored).returns(#equal) #check.recalled({
        #[allow(unused_imports)]
        use #p::NoRecall as _;
        #recall
    })))
}

/// Returns the first of these ways to compare that the output's type has.
fn first_of(task: &Task<'_>, picks: &[TokenStream]) -> TokenStream {
    let (p, output) = (task.p(), task.output());
    generated!({
        #[allow(unused_imports)]
        use #p::NoEq as _;
        #p::first_of([#(#p::#picks::<#output>::EQ),*])
    })
}

/// Returns the calls that say for how long results are kept, and what that takes.
fn keeping(task: &Task<'_>) -> TokenStream {
    let (p, options, output) = (task.p(), task.options, task.output());
    let mut calls = TokenStream::new();
    if let Some(ttl) = &options.ttl {
        calls.extend(generated!(.ttl(|| -> ::core::time::Duration { #ttl })));
    }
    if let Some(expires) = &options.expires {
        let lifetime =
            quote_spanned!(generated_at(expires.span())=> ::larder::__private::v1::lifetime(expires(output)));
        calls.extend(
            generated!(.expires(|output: &#output| -> ::core::option::Option<::core::time::Duration> {
                let expires: fn(&#output) -> _ = #expires;
                #lifetime
            })),
        );
    }
    if let Some(keep_if) = &options.keep_if {
        calls.extend(generated!(.uncached_if(|output: &#output| -> bool {
            let keep_if: fn(&#output) -> bool = #keep_if;
            !keep_if(output)
        })));
    }
    if let Some(weight) = &options.weight {
        calls.extend(generated!(.weight({
            let weight: fn(&#output) -> usize = #weight;
            ::core::option::Option::Some(weight)
        })));
    } else {
        let pick = quote_spanned!(blame::span(task)=> ::larder::__private::v1::Weight::<#output>::WEIGH);
        calls.extend(generated!(.weight({
            #[allow(unused_imports)]
            use #p::NoWeight as _;
            #pick
        })));
    }
    if let Some(lru) = &options.lru {
        calls.extend(generated!(.lru({
            let outputs: usize = #lru;
            outputs
        })));
    }
    if options.fleeting.is_some() {
        calls.extend(generated!(.lru(0)));
    }
    if options.last_good.is_some() {
        calls.extend(generated!(.last_good()));
    }
    if options.keep.is_some() {
        calls.extend(generated!(.stays()));
    }
    calls
}

/// Returns the parts that tell a function with a declared version from others, where its name does not.
fn written(task: &Task<'_>) -> TokenStream {
    let p = task.p();
    let sig = &task.function.sig;
    let body = task.function.body.as_ref().map(ToTokens::to_token_stream);
    let tokens = package::digest([sig.to_token_stream(), body.unwrap_or_default()]);
    let instance = if task.has_companion() {
        let name = &sig.ident;
        let types = sig.generics.type_params().map(|param| &param.ident);
        generated!(::core::option::Option::Some(#p::instance_of::<(#name, #(*const #types,)*)>()))
    } else {
        generated!(::core::option::Option::None)
    };
    generated!(#p::Written { tokens: #tokens, instance: #instance })
}

/// Returns the check that the encoded arguments decode to the arguments, for those that can be decoded.
fn check_key(task: &Task<'_>) -> Option<TokenStream> {
    let (p, key) = (task.p(), key(task));
    let first = usize::from(task.receiver().is_some());
    let this = task.receiver().map(|_| (0, quote_spanned!(generated_span()=> Self)));
    let parts = task.kept().enumerate().filter(|(_, param)| param.may_be_lossy());
    let parts = parts.map(|(at, param)| (at + first, param.key_type().to_token_stream()));
    let checks: Vec<_> = this
        .into_iter()
        .chain(parts)
        .map(|(at, ty)| {
            let at = Index { index: u32::try_from(at).unwrap_or(u32::MAX), span: generated_span() };
            generated!(#p::returns::<#ty>(#p::Lossless::<#ty>::RETURNS, &key.#at))
        })
        .collect();
    (!checks.is_empty()).then(|| {
        generated!(.key_returns({
            #[allow(unused_imports)]
            use #p::NoReturn as _;
            |key: &#key| -> bool { #(#checks)&&* }
        }))
    })
}

/// Returns the code that computes the handles among the arguments that are still pending.
fn resolve(task: &Task<'_>) -> Option<TokenStream> {
    let (p, key) = (task.p(), key(task));
    let first = usize::from(task.receiver().is_some());
    let suspects = task.kept().enumerate().filter(|(_, param)| param.may_be_handle());
    let (picks, resolves): (Vec<_>, Vec<_>) = suspects
        .map(|(at, param)| {
            let at = Index { index: u32::try_from(at + first).unwrap_or(u32::MAX), span: generated_span() };
            let ty = param.key_type();
            let pick = generated!(#p::Handle::<#ty>::RESOLVE);
            let resolve = generated!(#p::resolve::<#ty>(#pick, &key.#at););
            (pick, resolve)
        })
        .unzip();
    (!picks.is_empty()).then(|| {
        generated!(.resolve({
            #[allow(unused_imports)]
            use #p::NoHandle as _;
            if #(#picks.is_some())||* {
                ::core::option::Option::Some(|key: &#key| { #(#resolves)* })
            } else {
                ::core::option::Option::None
            }
        }))
    })
}

/// In how many rounds the value of a task on a cycle may change, unless the function says something else.
const ROUNDS: u32 = 200;

/// Returns the calls that say how a cycle is resolved. Initial value, step and fallback are expressions in the parameters.
fn cycle(task: &Task<'_>) -> Option<TokenStream> {
    let options = task.options;
    let (key, output) = (key(task), task.output());
    let this = bound_receiver(task);
    let bindings = bindings(task, &generated!(#[allow(unused_variables, unused_mut, clippy::all)]));
    let renamed = |expr: &Expr| body::rename_self(expr.to_token_stream());
    if let Some(fallback) = &options.cycle_fallback {
        let fallback = renamed(fallback);
        return Some(generated!(.cycle_fallback(|key: &#key| -> #output { #this #bindings #fallback })));
    }
    let initial = renamed(options.cycle_initial.as_ref()?);
    let rounds = match &options.cycle_rounds {
        Some(rounds) => rounds.to_token_stream(),
        None => ROUNDS.to_token_stream(),
    };
    let mut calls = generated!(.cycle(|key: &#key| -> #output { #this #bindings #initial }, #rounds));
    if let Some(step) = &options.cycle_step {
        let at = generated_at(step.span());
        let step = renamed(step);
        let call = quote_spanned!(at=> ::larder::__private::v1::step::<#output>(#step, previous, new, round));
        calls.extend(generated!(.cycle_step(
            |key: &#key, previous: &#output, new: #output, round: u32| -> #output { #this #bindings #call }
        )));
    }
    calls.extend(shown(task));
    Some(calls)
}

/// Returns the call that says how outputs are printed in the failure of a cycle, if they may be.
fn shown(task: &Task<'_>) -> Option<TokenStream> {
    let (p, output) = (task.p(), task.output());
    task.options.secret_args.is_none().then(|| {
        let show = quote_spanned!(blame::span(task)=> ::larder::__private::v1::Show::<#output>::DEBUG);
        generated!(.shown({
            #[allow(unused_imports)]
            use #p::NoShow as _;
            #show
        }))
    })
}

fn generated_span() -> proc_macro2::Span {
    proc_macro2::Span::mixed_site()
}

/// Returns the parameters, bound from the key as the signature has them, each under `allowed`.
pub(crate) fn bindings(task: &Task<'_>, allowed: &TokenStream) -> TokenStream {
    let bindings = task.kept().zip(fetches(task)).map(|(param, fetch)| {
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

/// Returns the receiver, bound from the key under the name that it has in [`body::rename_self`].
pub(crate) fn bound_receiver(task: &Task<'_>) -> Option<TokenStream> {
    task.receiver().map(|receiver| {
        // With the hygiene of the `self` that it stands for.
        let this = Ident::new(body::THIS, receiver.self_token.span);
        let fetch = fetch_receiver(task);
        generated!(let #this: &Self = #fetch;)
    })
}
