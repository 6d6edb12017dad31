//! The function under the user's name: its arguments as the engine takes them, and the call.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Attribute;
use syn::spanned::Spanned;

use crate::blame;
use crate::function::Function;
use crate::params::{Passing, Role};
use crate::task::{Task, generated, generated_at};

impl Task<'_> {
    /// Returns the arguments as the engine takes them: each wrapped by how it enters the key, in a tuple.
    pub(crate) fn arguments(&self) -> TokenStream {
        let this = self.receiver().map(|receiver| {
            let this = receiver.self_token;
            let wrapped = self.wrapped(generated_at(this.span), "ByRef", &this.to_token_stream(), Role::Key);
            generated!(#wrapped,)
        });
        let rest = self.kept().map(|param| {
            let wrapper = match param.passing {
                Passing::Borrowed(_) => "ByRef",
                Passing::Owned(_) => "ByVal",
            };
            // Where an argument does not do, the compiler points at its type.
            let ty = param.key_type();
            self.wrapped(generated_at(ty.span()), wrapper, &param.name.to_token_stream(), param.role)
        });
        quote_spanned!(blame::span(self)=> (#this #(#rest,)*))
    }

    /// Returns an argument as the engine takes it, with all tokens of the wrapping at `at`.
    fn wrapped(&self, at: Span, wrapper: &str, argument: &TokenStream, role: Role) -> TokenStream {
        let wrapper = Ident::new(wrapper, at);
        let mut wrapped = quote_spanned!(at=> ::larder::__private::v1::#wrapper(#argument));
        if role == Role::Skip {
            wrapped = quote_spanned!(at=> ::larder::__private::v1::Skip(#wrapped));
        }
        if self.options.transient.is_none() {
            wrapped = quote_spanned!(at=> ::larder::__private::v1::Store(#wrapped));
        }
        wrapped
    }

    /// Returns the `_` for the type of the arguments, placed where its failures are to be shown.
    pub(crate) fn inferred(&self) -> TokenStream {
        quote_spanned!(blame::span(self)=> _)
    }

    /// Returns the expression that looks a call up: `descriptor` is the task function, the parameters are in scope.
    pub(crate) fn call(&self, descriptor: &TokenStream) -> TokenStream {
        let (arguments, output, inferred) = (self.arguments(), self.output(), self.inferred());
        let at = blame::span(self);
        let call = Ident::new(if self.is_async() { "call_async" } else { "call" }, at);
        let call = quote_spanned!(at=> ::larder::__private::v1::#call::<#inferred, #output>);
        quote_spanned!(at=> #call(#descriptor, #arguments))
    }

    /// Returns the function under the user's name: looks the call up and returns a clone of the output.
    pub(crate) fn shim(&self, attrs: &[Attribute], call: &TokenStream) -> TokenStream {
        let Function { vis, sig, .. } = self.function;
        let (name, generics, bounds) = (&sig.ident, &sig.generics, &sig.generics.where_clause);
        let (inputs, returns, fn_token) = (self.shim_inputs(), self.returns(), sig.fn_token);
        // A call outside of a session panics at the caller's line.
        let has_own = attrs.iter().any(|attr| attr.path().is_ident("track_caller"));
        let tracked = (!self.is_async() && !has_own).then(|| generated!(#[track_caller]));
        let mut braces = Group::new(Delimiter::Brace, call.clone());
        // With the user's braces the item counts as the user's, and `dead_code` speaks up for an unused function.
        if let Some(body) = &self.function.body {
            braces.set_span(body.span());
        }
        generated! {
            #(#attrs)*
            #tracked
            #[inline]
            #vis #fn_token #name #generics (#inputs) #returns #bounds #braces
        }
    }
}
