//! Parts: the functions of a companion that read some of an output.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::Generics;
use syn::parse_quote;

use crate::task::{Task, generated};
use crate::{descriptor, requirements};

/// Returns the functions `part`, `entry` and `keys`. Of an async function they return calls, to be awaited.
pub(crate) fn expand(task: &Task<'_>) -> TokenStream {
    let (p, output) = (task.p(), task.output());
    let is_stored = task.options.transient.is_none();
    let of = |text: &str| Ident::new(text, Span::mixed_site());
    let (key, value) = (of("__Q"), of("__P"));
    let (key_bound, value_bounds) = if is_stored {
        (generated!(#p::StoredPartOf), generated!(#p::PartValue + #p::Persist))
    } else {
        (generated!(#p::PartOf), generated!(#p::PartValue))
    };
    let name = Ident::new("key", Span::call_site());
    let by_key = generated!(#name: &#key);
    let part = Selection {
        doc: "Selects a part of the output by a key; the task that runs now depends on that part alone. The selection captures nothing.",
        name: "part",
        params: vec![
            generated!(#key: ?::core::marker::Sized + #key_bound),
            generated!(#value: #value_bounds),
        ],
        bound: None,
        inputs: generated!(#by_key, select: impl ::core::ops::Fn(&#output, &#key) -> #value + ::core::marker::Copy + 'static),
        returns: value.to_token_stream(),
        key: name.to_token_stream(),
        select: generated!(select),
    };
    let entry = Selection {
        doc: "Reads one entry of an output that is a map; the task that runs now depends on that entry alone.",
        name: "entry",
        params: vec![generated!(#key: ?::core::marker::Sized + #key_bound)],
        bound: Some(generated!(#output: #p::Keyed<#key, Value: #value_bounds>)),
        inputs: by_key,
        returns: generated!(::core::option::Option<<#output as #p::Keyed<#key>>::Value>),
        key: name.to_token_stream(),
        select: generated!(#p::entry::<#output, #key>),
    };
    let map = of("__M");
    let keys = Selection {
        doc: "Lists the keys of an output that is a map, in order; the task that runs now depends on the keys alone.",
        name: "keys",
        params: vec![generated!(#map: #p::KeyList<Key: #value_bounds> + 'static)],
        bound: Some(generated!(#output: #p::Is<#map>)),
        inputs: TokenStream::new(),
        returns: generated!(::std::vec::Vec<#map::Key>),
        key: generated!(&()),
        select: generated!(#p::keys_of::<#output, #map>),
    };
    let functions = [part, entry, keys].map(|selection| selection.expand(task, is_stored));
    generated!(#(#functions)*)
}

/// One of the functions.
struct Selection {
    doc: &'static str,
    name: &'static str,
    params: Vec<TokenStream>,
    bound: Option<TokenStream>,
    /// The parameters after those of the task function.
    inputs: TokenStream,
    returns: TokenStream,
    /// The key that is handed on.
    key: TokenStream,
    select: TokenStream,
}

impl Selection {
    fn expand(self, task: &Task<'_>, is_stored: bool) -> TokenStream {
        let Self { doc, name, params, bound, inputs, returns, key, select } = self;
        let (p, vis, turbofish) = (task.p(), &task.function.vis, task.turbofish());
        let generics = with_params(&task.function.sig.generics, &params);
        let mut bounds = requirements::where_clause(task, &generics);
        if let Some(bound) = bound {
            bounds.get_or_insert_with(|| parse_quote!(where)).predicates.push(parse_quote!(#bound));
        }
        let (own, arguments) = (task.shim_inputs(), task.arguments());
        let comma = (!task.params.is_empty()).then(|| generated!(,));
        let types = descriptor::arguments(task);
        let name = Ident::new(name, Span::mixed_site());
        let (part, returns) = match (task.is_async(), is_stored) {
            (false, true) => ("part", returns),
            (false, false) => ("transient_part", returns),
            (true, true) => ("part_async", generated!(#p::TaskCall<#returns>)),
            (true, false) => ("transient_part_async", generated!(#p::TaskCall<#returns>)),
        };
        let part = Ident::new(part, Span::mixed_site());
        // A call is to be used by its type.
        let must_use = (!task.is_async()).then(|| generated!(#[must_use]));
        generated! {
            #[doc = #doc]
            #must_use
            #[inline]
            #[track_caller]
            #vis fn #name #generics (#own #comma #inputs) -> #returns #bounds {
                // A closure is `'static` if its captures are; the function itself would have to be in all its parameters.
                #p::#part::<#types, _, _, _, _, _>(|| Self::__descriptor #turbofish(), #arguments, #key, #select)
            }
        }
    }
}

/// Returns the function's generics with more type parameters.
fn with_params(generics: &Generics, params: &[TokenStream]) -> Generics {
    let mut generics = generics.clone();
    for param in params {
        generics.params.push(parse_quote!(#param));
    }
    generics
}
