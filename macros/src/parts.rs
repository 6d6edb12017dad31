//! `#[parts]`: the methods of an `impl` block as parts of an input, or of a task's output.
//!
//! For example, of `impl World { fn font(&self, name: &str) -> Option<Font> { .. } }` it writes `trait WorldParts { fn font(&self, name:
//! &str) -> Option<Font>; }`, and implements it for `Input<World>` and `Task<World>` by `self.part(name, |world, name|
//! world.font(name))`, and for `World` by the method itself.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident};
use syn::parse::{Parse, ParseStream};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, FnArg, ImplItem, ImplItemFn, ItemImpl, Lifetime, Meta, Pat, PatType, Path, Receiver,
    ReturnType, Token, Type, TypePath, TypeReference, Visibility,
};

use crate::errors::Errors;
use crate::task::generated;

/// Expands the attribute on an item.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    match syn::parse2::<Options>(args).and_then(|options| Ok((options, parsed(item.clone())?))) {
        Ok((options, block)) => match Parts::of(&options, &block) {
            Ok(parts) => {
                let written = parts.write();
                generated!(#block #written)
            }
            Err(errors) => {
                let errors = errors.to_compile_error();
                generated!(#block #errors)
            }
        },
        Err(error) => {
            let error = error.to_compile_error();
            generated!(#item #error)
        }
    }
}

fn parsed(item: TokenStream) -> syn::Result<ItemImpl> {
    let message = "`#[parts]` stands on an `impl` block of a type, whose methods select parts of it";
    let block: ItemImpl = syn::parse2(item.clone()).map_err(|_| Error::new_spanned(item, message))?;
    match &block.trait_ {
        Some((_, path, _)) => Err(Error::new_spanned(
            path,
            "`#[parts]` stands on an `impl` block of a type itself, not of a trait",
        )),
        None => Ok(block),
    }
}

/// The options of the attribute.
#[derive(Default)]
struct Options {
    name: Option<Ident>,
    is_transient: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let option: Ident = input.parse()?;
            match option.to_string().as_str() {
                "transient" if !options.is_transient => options.is_transient = true,
                "name" if options.name.is_none() => {
                    input.parse::<Token![=]>()?;
                    options.name = Some(input.parse()?);
                }
                "transient" | "name" => {
                    return Err(Error::new_spanned(&option, format!("`{option}` is given twice")));
                }
                _ => {
                    let message = "the options of `#[parts]` are `name = TraitName` and `transient`";
                    return Err(Error::new_spanned(option, message));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// The items that are to be written.
struct Parts<'a> {
    options: &'a Options,
    block: &'a ItemImpl,
    name: Ident,
    methods: Vec<Method<'a>>,
}

struct Method<'a> {
    item: &'a ImplItemFn,
    output: &'a Type,
    params: Vec<(&'a Ident, &'a Type)>,
}

impl<'a> Parts<'a> {
    fn of(options: &'a Options, block: &'a ItemImpl) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        if !block.generics.params.is_empty() {
            errors.at(&block.generics, "a type with parameters has no `#[parts]`: call `part` of the input or task in a function of yours");
        }
        let of_type = match &*block.self_ty {
            Type::Path(TypePath { qself: None, path }) => path.segments.last().map(|segment| &segment.ident),
            _ => None,
        };
        let name = match (&options.name, of_type) {
            (Some(name), _) => name.clone(),
            (None, Some(of_type)) => format_ident!("{of_type}Parts"),
            (None, None) => {
                errors.at(
                    &block.self_ty,
                    "this type has no name to call the trait by: `#[parts(name = TraitName)]`",
                );
                Ident::new("Parts", Span::mixed_site())
            }
        };
        let mut methods = Vec::new();
        for item in &block.items {
            match item {
                ImplItem::Fn(item) => methods.extend(Method::of(item, &mut errors)),
                other => errors
                    .at(other, "`#[parts]` is for methods alone: put this into an `impl` block beside it"),
            }
        }
        if errors.is_empty() { Ok(Self { options, block, name, methods }) } else { Err(errors) }
    }

    fn write(&self) -> TokenStream {
        let Self { name, block, .. } = self;
        let of_type = &block.self_ty;
        let visibility = self.visibility();
        let conditions: Vec<&Attribute> =
            block.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
        let doc = format!(
            "The parts of a `{}`: what a task has read of an input or another task's output.",
            of_type.to_token_stream()
        );
        let declared = self.methods.iter().map(Method::declare);
        let selections = self.methods.iter().map(|method| self.selection(method));
        let of_input = self.methods.iter().map(|method| method.select("of_input", &self.marker(method)));
        let of_task = self.methods.iter().map(|method| method.select("of_task", &self.marker(method)));
        let itself = self.methods.iter().map(|method| method.call_itself(of_type));
        generated! {
            #(#conditions)*
            #[doc = #doc]
            #visibility trait #name {
                #(#declared)*
            }
            #(#conditions)*
            const _: () = {
                use ::larder::__private::v1 as __larder;
                #(#selections)*
                impl #name for __larder::Input<#of_type> {
                    #(#of_input)*
                }
                impl #name for __larder::Task<#of_type> {
                    #(#of_task)*
                }
                impl #name for #of_type {
                    #(#itself)*
                }
            };
        }
    }

    /// Returns the name of the type that stands for a method's selection. It holds that of the trait, which tells those of two types apart.
    fn marker(&self, method: &Method<'_>) -> Ident {
        format_ident!("{}_{}", self.name, method.item.sig.ident, span = Span::mixed_site())
    }

    /// Returns the type that stands for a method's selection. Stored parts are known to the program from its start: a reader that is only stored can be verified
    /// then before one of them is called.
    fn selection(&self, method: &Method<'_>) -> TokenStream {
        let (of_type, marker) = (&self.block.self_ty, self.marker(method));
        let conditions: Vec<&Attribute> = method.conditions().collect();
        let ((_, key), output, given, name) =
            (method.key(), method.output, method.given(), &method.item.sig.ident);
        let functions = Ident::new(
            if self.options.is_transient { "transient_parts" } else { "stored_parts" },
            Span::mixed_site(),
        );
        let registered = (0..if self.options.is_transient { 0 } else { 2_usize }).map(|at| {
            generated! {
                #(#conditions)*
                __larder::submit! { __larder::Registered::new(|| (#marker::PARTS.descriptors[#at])()) }
            }
        });
        generated! {
            #(#conditions)*
            #[allow(non_camel_case_types)]
            struct #marker;
            #(#conditions)*
            impl #marker {
                const PARTS: __larder::PartFns<#of_type, #key, #output> = __larder::#functions::<#of_type, #key, #output, Self>();
            }
            #(#conditions)*
            impl __larder::Selects<#of_type, #key, #output> for #marker {
                fn select(value: &#of_type, key: &#key) -> #output {
                    let _ = key;
                    <#of_type>::#name(value, #(#given),*)
                }
            }
            #(#registered)*
        }
    }

    /// Returns the visibility of the most visible method.
    fn visibility(&self) -> &'a Visibility {
        let rank = |visibility: &Visibility| match visibility {
            Visibility::Public(_) => 2,
            Visibility::Restricted(_) => 1,
            Visibility::Inherited => 0,
        };
        let all = self.methods.iter().map(|method| &method.item.vis);
        all.max_by_key(|visibility| rank(visibility)).unwrap_or(&Visibility::Inherited)
    }
}

impl<'a> Method<'a> {
    /// Checks a method. None if it cannot be a part: `errors` has why.
    fn of(item: &'a ImplItemFn, errors: &mut Errors) -> Option<Self> {
        let signature = &item.sig;
        let name = &signature.ident;
        match signature.receiver() {
            Some(Receiver { reference: Some(_), mutability: None, colon_token: None, .. }) => {}
            Some(receiver) => {
                errors.at(receiver, "a part is selected from a value that stays as it is: take `&self`")
            }
            None => {
                errors.at(name, "a part is selected from a value: take `&self`, or put this function into an `impl` block beside it");
                return None;
            }
        }
        if let Some(token) = &signature.asyncness {
            errors.at(
                token,
                "a selection is awaited by nothing: what takes an `async fn` is a task function of its own",
            );
        }
        if let Some(token) = &signature.unsafety {
            errors.at(token, "a selection is called by the runtime, and cannot be `unsafe`");
        }
        if !signature.generics.params.is_empty() {
            errors.at(
                &signature.generics,
                "a part has one type: write a method for each type that is selected",
            );
        }
        let mut params = Vec::new();
        for input in &signature.inputs {
            if let FnArg::Typed(param) = input {
                params.extend(checked(param, errors));
            }
        }
        let ReturnType::Type(_, output) = &signature.output else {
            errors.at(name, "a part is a value: return one");
            return None;
        };
        let mut borrows = Borrows {
            errors,
            what: "a part lives on when the value is another one: return what owns its bytes, as `String`, `Vec<T>` or `Arc<T>`",
        };
        borrows.visit_type(output);
        Some(Self { item, output, params })
    }

    fn conditions(&self) -> impl Iterator<Item = &'a Attribute> {
        self.item.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }

    /// Returns the signature, as the trait and its implementations have it.
    fn signature(&self) -> TokenStream {
        let (name, output) = (&self.item.sig.ident, self.output);
        let params = self.params.iter().map(|(name, of_type)| generated!(#name: #of_type));
        generated!(fn #name(&self, #(#params),*) -> #output)
    }

    fn declare(&self) -> TokenStream {
        let (conditions, signature) = (self.conditions(), self.signature());
        let doc = self
            .item
            .attrs
            .iter()
            .filter(|attr| matches!(&attr.meta, Meta::NameValue(meta) if meta.path.is_ident("doc")));
        generated!(#(#conditions)* #(#doc)* #signature;)
    }

    fn select(&self, of: &str, marker: &Ident) -> TokenStream {
        let (conditions, signature, of) =
            (self.conditions(), self.signature(), Ident::new(of, Span::mixed_site()));
        let (key, _) = self.key();
        generated! {
            #(#conditions)*
            #[inline]
            #[track_caller]
            #signature {
                (#marker::PARTS.#of)(self, #key)
            }
        }
    }

    fn call_itself(&self, of_type: &Type) -> TokenStream {
        let (conditions, signature, name) = (self.conditions(), self.signature(), &self.item.sig.ident);
        let params = self.params.iter().map(|(name, _)| name);
        generated! {
            #(#conditions)*
            #[inline]
            #signature {
                <#of_type>::#name(self, #(#params),*)
            }
        }
    }

    /// Returns the key of a part, and its type behind the reference.
    fn key(&self) -> (TokenStream, TokenStream) {
        match &self.params[..] {
            [] => (generated!(&()), generated!(())),
            [(name, Type::Reference(reference))] => {
                let of_type = &reference.elem;
                (name.to_token_stream(), of_type.to_token_stream())
            }
            [(name, of_type)] => (generated!(&#name), of_type.to_token_stream()),
            several => {
                let (mut values, mut types) = (Vec::new(), Vec::new());
                for (name, of_type) in several {
                    if let Type::Reference(reference) = of_type {
                        let borrowed = &reference.elem;
                        values.push(generated!(<#borrowed as ::std::borrow::ToOwned>::to_owned(#name)));
                        types.push(generated!(<#borrowed as ::std::borrow::ToOwned>::Owned));
                    } else {
                        values.push(name.to_token_stream());
                        types.push(of_type.to_token_stream());
                    }
                }
                (generated!(&(#(#values),*)), generated!((#(#types),*)))
            }
        }
    }

    /// Returns the arguments of the method, out of the key.
    fn given(&self) -> Vec<TokenStream> {
        let of = |place: TokenStream, of_type: &Type| match of_type {
            Type::Reference(reference) => {
                let borrowed = &reference.elem;
                generated!(::core::borrow::Borrow::<#borrowed>::borrow(#place))
            }
            _ => generated!(::core::clone::Clone::clone(#place)),
        };
        match &self.params[..] {
            [] => Vec::new(),
            [(_, Type::Reference(_))] => vec![generated!(key)],
            [(_, of_type)] => vec![of(generated!(key), of_type)],
            several => (0..)
                .map(syn::Index::from)
                .zip(several)
                .map(|(at, (_, of_type))| of(generated!(&key.#at), of_type))
                .collect(),
        }
    }
}

/// Checks a parameter. It may be borrowed as a whole.
fn checked<'a>(param: &'a PatType, errors: &mut Errors) -> Option<(&'a Ident, &'a Type)> {
    let Pat::Ident(pattern) = &*param.pat else {
        errors.at(
            &param.pat,
            "the parameter is a part of the key: give it a name, and take it apart in the body",
        );
        return None;
    };
    let what = "the parameter is kept in the key: only a whole parameter can be borrowed";
    match &*param.ty {
        Type::Reference(TypeReference { mutability: Some(token), .. }) => {
            errors.at(token, "the parameter is a part of the key, which nothing changes: take `&T`")
        }
        Type::Reference(TypeReference { lifetime, elem, .. }) => {
            let mut borrows = Borrows { errors, what };
            lifetime.iter().for_each(|lifetime| borrows.visit_lifetime(lifetime));
            borrows.visit_type(elem);
        }
        Type::ImplTrait(of_type) => {
            errors.at(of_type, "a part has one type: write a method for each type that is selected")
        }
        owned => Borrows { errors, what }.visit_type(owned),
    }
    Some((&pattern.ident, &param.ty))
}

/// Finds borrows that do not live as long as the program, and `Self`.
struct Borrows<'e> {
    errors: &'e mut Errors,
    what: &'static str,
}

impl<'ast> Visit<'ast> for Borrows<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static") {
            return visit::visit_type_reference(self, reference);
        }
        self.errors.at(reference, self.what);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.errors.at(lifetime, self.what);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.first().is_some_and(|first| first.ident == "Self") {
            let message =
                "write the name of the type: in the trait of the parts `Self` is the input or the task";
            return self.errors.at(path, message);
        }
        visit::visit_path(self, path);
    }

    fn visit_type_impl_trait(&mut self, of_type: &'ast syn::TypeImplTrait) {
        self.errors.at(of_type, "a part has one type, which is compared: name it");
    }
}
