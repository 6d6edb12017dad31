//! Abilities that the types of a signature have to have, said once for each type.
//!
//! Every function that is generated for a task function needs the same of these types. A type that cannot do it would draw an
//! error from each of them. So the functions of a companion take the ability for granted, by a clause `where for<'x> Db:
//! Argument<'x>`: the compiler leaves a clause under `for` to the callers. The one caller that is generated, the function under the
//! user's name, then has the one error. For example, `fn parse(db: &Db)` with a `Db` that is not `Hash` is one error at `Db`.
//!
//! Which trait states the ability decides on the text of the error, so that a float, a `HashMap` and an `io::Error` each get
//! the advice that fits.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Generics, Ident, Type, WhereClause, parse_quote};

use crate::params::{Passing, Role};
use crate::task::{Task, generated, generated_at, names_of};
use crate::types::{Kind, is_fallible, is_fine, is_fine_output};

/// One ability of one type: the trait that states it, and the place of the type.
struct Requirement {
    ability: Ident,
    ty: TokenStream,
    at: Span,
}

/// Returns the clause of a generated function: the user's, and the abilities of the types that are not generic.
pub(crate) fn where_clause(task: &Task<'_>, generics: &Generics) -> Option<WhereClause> {
    let taken = taken_for_granted(task);
    if taken.is_empty() {
        return generics.where_clause.clone();
    }
    let mut clause = generics.where_clause.clone().unwrap_or_else(|| parse_quote!(where));
    for Requirement { ability, ty, at } in taken {
        let predicate = quote_spanned!(at=> for<'larder> #ty: ::larder::__private::v1::#ability<'larder>);
        clause.predicates.push(parse_quote!(#predicate));
    }
    Some(clause)
}

/// Whether the functions of the companion take any ability for granted.
pub(crate) fn are_taken_for_granted(task: &Task<'_>) -> bool {
    !taken_for_granted(task).is_empty()
}

/// Returns statements that check every ability, each at its type: for a body that can take none for granted.
pub(crate) fn checks(task: &Task<'_>) -> TokenStream {
    let checks = all(task).into_iter().map(|Requirement { ability, ty, at }| {
        let bound = quote_spanned!(at=> for<'larder> ::larder::__private::v1::#ability<'larder>);
        // The compiler points at the type's tokens. They stand at the place of all other checks of it, or one failure is told twice.
        let ty = located(ty, at);
        quote_spanned!(at=> {
            fn is_able<T: ?Sized + #bound>() {}
            let _ = is_able::<#ty>;
        })
    });
    let one_way = task.output_type().and_then(|ty| one_way(task, generated_at(ty.span())));
    generated!(#one_way #(#checks)*)
}

/// Returns a statement for an output that serde can only write, or only read: it fails with a text that names the trait that is missing.
/// It stands at the place of the check of all abilities, and before it, so the compiler takes the failure of that one for the same.
pub(crate) fn one_way(task: &Task<'_>, at: Span) -> Option<TokenStream> {
    let ty = task.output_type().filter(|ty| !is_fine_output(ty) && task.options.transient.is_none())?;
    // Nothing is generated for the closure: it is only checked.
    (!mentions(&ty.to_token_stream(), &task.function.sig.generics)).then(|| {
        quote_spanned!(at=> let _ = || {
            #[allow(unused_imports)]
            use ::larder::__private::v1::NoSerde as _;
            ::larder::__private::v1::one_way::<#ty, _, _>(
                ::larder::__private::v1::Serializes::<#ty>::CAN,
                ::larder::__private::v1::Deserializes::<#ty>::CAN,
            ).check()
        };)
    })
}

fn taken_for_granted(task: &Task<'_>) -> Vec<Requirement> {
    if !task.has_companion() {
        return Vec::new();
    }
    let generics = &task.function.sig.generics;
    all(task).into_iter().filter(|requirement| !mentions(&requirement.ty, generics)).collect()
}

/// Returns the abilities of all types that are not known to have them.
fn all(task: &Task<'_>) -> Vec<Requirement> {
    let is_stored = task.options.transient.is_none();
    let name = |text: &str| {
        Ident::new(&if is_stored { format!("Stored{text}") } else { text.into() }, Span::mixed_site())
    };
    let receiver = task.receiver().map(|receiver| {
        let at = generated_at(receiver.self_token.span);
        Requirement { ability: name("RefArg"), ty: quote_spanned!(at=> Self), at }
    });
    let params =
        task.kept().filter(|param| param.role == Role::Key && !is_fine(param.key_type())).map(|param| {
            let kind = Kind::of(param.key_type());
            let ability = match &param.passing {
                Passing::Borrowed(_) => format!("{}RefArg", kind.prefix()),
                Passing::Owned(_) => format!("{}Arg", kind.prefix()),
            };
            let ty = param.key_type();
            Requirement { ability: name(&ability), ty: ty.to_token_stream(), at: generated_at(ty.span()) }
        });
    let mut all: Vec<Requirement> = receiver.into_iter().chain(params).collect();
    if let Some(ty) = task.output_type().filter(|ty| !is_fine_output(ty)) {
        let ability = if is_fallible(ty) { "FallibleOutput" } else { "Output" };
        all.push(Requirement {
            ability: name(ability),
            ty: ty.to_token_stream(),
            at: generated_at(ty.span()),
        });
        if task.options.cycle_initial.is_some() && task.options.eq.is_none() {
            let ability = Ident::new("Compared", Span::mixed_site());
            all.push(Requirement { ability, ty: ty.to_token_stream(), at: generated_at(ty.span()) });
        }
    }
    all
}

/// Returns the output's type with all tokens at the place of its checks, which is where the compiler points at.
pub(crate) fn located_output(task: &Task<'_>) -> TokenStream {
    match task.output_type() {
        Some(ty) => located(task.output(), generated_at(ty.span())),
        None => task.output(),
    }
}

/// Returns the tokens, each with the span `at`.
fn located(tokens: TokenStream, at: Span) -> TokenStream {
    let located = tokens.into_iter().map(|mut token| {
        if let TokenTree::Group(group) = &token {
            token = Group::new(group.delimiter(), located(group.stream(), at)).into();
        }
        token.set_span(at);
        token
    });
    located.collect()
}

/// Whether a type names a type parameter or a const parameter of the function.
fn mentions(ty: &TokenStream, generics: &Generics) -> bool {
    let params = names_of(generics);
    struct Mentions<'a>(&'a [&'a Ident], bool);
    impl<'ast> Visit<'ast> for Mentions<'_> {
        fn visit_ident(&mut self, name: &'ast Ident) {
            self.1 |= self.0.contains(&name);
            visit::visit_ident(self, name);
        }
    }
    !params.is_empty()
        && syn::parse2::<Type>(ty.clone()).is_ok_and(|ty| {
            let mut mentions = Mentions(&params, false);
            mentions.visit_type(&ty);
            mentions.1
        })
}
