//! Rejections: functions that cannot be task functions. Each error underlines the offending token, states the rule and offers a fix.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, FnArg, GenericParam, Generics, Lifetime, ParenthesizedGenericArguments, Receiver,
    ReturnType, Signature, TraitBound, Type, TypeBareFn, TypeImplTrait, TypeParamBound, TypeReference,
    WherePredicate,
};

use crate::body;
use crate::bounds;
use crate::errors::Errors;
use crate::function::Function;
use crate::options::Options;
use crate::params::{self, Param, Role};
use crate::place;
use crate::sizes;

/// More arguments than any key can have; the receiver comes on top.
const MOST_PARAMETERS: usize = 12;

pub(crate) fn function(function: &Function, params: &[Param], options: &Options, errors: &mut Errors) {
    let sig = &function.sig;
    qualifiers(sig, errors);
    company(&function.attrs, sig, errors);
    if function.body.is_none() {
        errors.at(
            sig,
            "a task function needs a body: a declaration computes nothing; put `#[task_fn]` on the methods of the \
             `impl` blocks",
        );
    }
    for input in &sig.inputs {
        if let FnArg::Receiver(this) = input {
            receiver(this, errors);
        }
    }
    if let Some(extra) = params.get(MOST_PARAMETERS) {
        let count = params.len();
        errors.at(
            &extra.pat,
            format!("a task function takes at most {MOST_PARAMETERS} parameters, and this is one of {count}; group \
             some of them in a struct that is `Clone + Eq + Hash`"),
        );
    }
    let storage = if options.transient.is_some() { Storage::Memory } else { Storage::Disk };
    params.iter().for_each(|param| parameter(param, storage, errors));
    bounds::check(sig, params, storage == Storage::Disk, errors);
    closures(sig, params, errors);
    output(&sig.output, storage, errors);
    sizes::check(sig, errors);
    if let Some(body) = &function.body {
        unused_are_unread(params, body.stream(), errors);
        asynchrony(sig, &body.stream(), options, errors);
    }
    cycles(sig, options, errors);
}

fn qualifiers(sig: &Signature, errors: &mut Errors) {
    if let Some(token) = &sig.constness {
        errors
            .at(token, "a task function cannot be `const`: it asks the runtime at run time; remove `const`");
    }
    if let Some(token) = &sig.unsafety {
        errors.at(
            token,
            "a task function cannot be `unsafe`: the runtime calls it whenever it sees fit, and nobody is there to \
             uphold its conditions; make it safe, or put the unsafe part in a function of its own",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.at(
            abi,
            "a task function cannot be `extern`: its arguments are Rust values; call it from a wrapper",
        );
    }
    if let Some(dots) = &sig.variadic {
        errors.at(
            dots,
            "a task function cannot be variadic: its arguments form a key of known type; take a slice",
        );
    }
}

/// Attributes and names that make the function one that something else calls.
fn company(attrs: &[Attribute], sig: &Signature, errors: &mut Errors) {
    for attr in attrs {
        let Some(name) = attr.path().segments.last().map(|last| last.ident.to_string()) else { continue };
        match name.as_str() {
            "task_fn" => errors.at(attr, "`#[task_fn]` stands on this function twice; keep one, with the options of both"),
            "test" | "bench" => errors.at(
                attr,
                "a test cannot be a task function: it would be answered from the cache; leave `#[task_fn]` off, and call the task \
                 functions under test in `runtime.run(..)`",
            ),
            _ => {}
        }
    }
    if sig.ident == "main" && sig.inputs.is_empty() {
        errors.at(
            &sig.ident,
            "`main` cannot be a task function: it has no session to be called in; put `#[task_fn]` on the functions that it calls, and \
             call them in `runtime.run(..)`",
        );
    }
}

/// Rejects a function in an `impl` without `Self`: it is taken for a free one, whose companion cannot stand in an `impl`.
pub(crate) fn companion_place(sig: &Signature, errors: &mut Errors) {
    if place::is_in_impl() {
        let name = &sig.ident;
        errors.at(
            name,
            format!("an associated function that mentions no `Self` is taken for a free one, whose companion type `{name}` cannot stand in \
                     an `impl`; write `#[task_fn(no_companion)]`, or move the function out"),
        );
    }
}

/// Rejects a method of a type that borrows: its receiver would be kept, as a part of the key.
pub(crate) fn owner(sig: &Signature, errors: &mut Errors) {
    let Some(receiver) = sig.receiver() else { return };
    if let Some(header) = place::borrowing_impl() {
        errors.at(
            receiver,
            format!("`{header}` is of a type that borrows, and the receiver of a task function is kept after the call, as a part of the key; \
                     let the type own what it holds (`String`, `Arc<str>`), or write a free function with a parameter for what is borrowed \
                     (`text: &str`)"),
        );
    }
}

fn receiver(this: &Receiver, errors: &mut Errors) {
    for attr in this.attrs.iter().filter(|attr| params::is_skip(attr)) {
        errors.at(
            attr,
            "the receiver is always part of the key: without it, calls on different values would be one task; write \
             an associated function without a receiver, or keep the fields that do not matter out of `Eq` and `Hash`",
        );
    }
    let by_ref = match params::transparent(&this.ty) {
        Type::Reference(reference) => {
            let elem = params::transparent(&reference.elem);
            reference.mutability.is_none() && matches!(elem, Type::Path(path) if path.path.is_ident("Self"))
        }
        _ => false,
    };
    if !by_ref {
        let reason = if matches!(&*this.ty, Type::Reference(reference) if reference.mutability.is_some()) {
            "a cached call has no effects"
        } else {
            "the call is looked up before anything is given away"
        };
        errors.at(this, format!("a task function takes its receiver as `&self`: {reason}; write `&self`"));
    }
}

fn parameter(param: &Param, storage: Storage, errors: &mut Errors) {
    for attr in
        param.attrs.iter().filter(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr"))
    {
        errors.at(attr, "a parameter of a task function cannot come and go with `cfg`; write two functions under `#[cfg]`");
    }
    let at = if param.role == Role::Unused { Position::Unused } else { Position::Parameter };
    let storage = if param.role == Role::Key { storage } else { Storage::Memory };
    let mut finder = Borrows { at, storage, errors };
    match params::transparent(&param.ty) {
        Type::Reference(reference)
            if reference.mutability.is_none() && !reference.lifetime.as_ref().is_some_and(is_static) =>
        {
            let elem = params::transparent(&reference.elem);
            if let (Type::TraitObject(object), Position::Parameter) = (elem, at) {
                finder.errors.at(object, BORROWED_OBJECT);
            } else {
                finder.visit_type(elem);
            }
        }
        ty => finder.visit_type(ty),
    }
}

/// Rejects a closure: a type parameter that is bounded by `Fn` alone stands for a closure, which has neither equality nor hash.
fn closures(sig: &Signature, params: &[Param], errors: &mut Errors) {
    for param in params.iter().filter(|param| param.role == Role::Key) {
        let Type::Path(path) = params::transparent(param.key_type()) else { continue };
        if path.path.get_ident().is_some_and(|name| is_closure(&sig.generics, name)) {
            errors.at(
                &param.ty,
                "a closure cannot be an argument of a task function: it cannot be compared or hashed, and two of one type may \
                 capture different values; pass what it captures and call a plain function, or, if calls that differ in it alone are \
                 to be one task, mark it `#[skip]` and bound it by `Clone + Send + Sync + 'static`",
            );
        }
    }
}

/// Whether all that is known of a type parameter's values is that they can be called.
fn is_closure(generics: &Generics, name: &Ident) -> bool {
    let declared =
        generics.type_params().filter(|param| param.ident == *name).flat_map(|param| &param.bounds);
    let clause = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let claimed = clause.filter_map(|predicate| match predicate {
        WherePredicate::Type(bounded) => match &bounded.bounded_ty {
            Type::Path(path) if path.path.is_ident(name) => Some(&bounded.bounds),
            _ => None,
        },
        _ => None,
    });
    let bounds: Vec<String> = declared
        .chain(claimed.flatten())
        .filter_map(|bound| match bound {
            TypeParamBound::Trait(bound) => bound.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        })
        .collect();
    let is_one_of = |names: &[&str]| bounds.iter().any(|bound| names.contains(&bound.as_str()));
    is_one_of(&["Fn", "FnMut", "FnOnce"]) && !is_one_of(&["Hash", "Eq"])
}

fn output(output: &ReturnType, storage: Storage, errors: &mut Errors) {
    let ReturnType::Type(_, ty) = output else { return };
    if let Type::Never(never) = &**ty {
        errors.at(never, "a task function returns a value: one that never returns leaves nothing to keep; return the outcome, or \
             leave the attribute off");
        return;
    }
    Borrows { at: Position::Output, storage, errors }.visit_type(ty);
}

/// Rejects a body that reads what `skip_unused` leaves out: it would not compile.
fn unused_are_unread(params: &[Param], body: TokenStream, errors: &mut Errors) {
    let unused: Vec<&Ident> =
        params.iter().filter(|param| param.role == Role::Unused).map(|param| &param.name).collect();
    if !unused.is_empty() {
        find_unused(&unused, body, errors);
    }
}

fn find_unused(unused: &[&Ident], tokens: TokenStream, errors: &mut Errors) {
    let mut after_dot = false;
    for token in tokens {
        let is_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        match token {
            TokenTree::Group(group) => find_unused(unused, group.stream(), errors),
            // A field may have the same name.
            TokenTree::Ident(ident) if !after_dot && unused.contains(&&ident) => errors.at(
                &ident,
                format!(
                    "`skip_unused` leaves `{ident}` out of the key, so that the body cannot read it; rename the \
                     parameter to make it part of the key, or mark it `#[skip]`"
                ),
            ),
            _ => {}
        }
        after_dot = is_dot;
    }
}

fn asynchrony(sig: &Signature, body: &TokenStream, options: &Options, errors: &mut Errors) {
    match (&sig.asyncness, &options.max_future) {
        (Some(token), _) if !body::awaits(body.clone()) => errors.at(
            token,
            "this `async fn` never awaits: it would pay for a future and gain nothing by it; remove `async`, async \
             callers can call it all the same",
        ),
        (None, Some(bytes)) => errors.at(
            bytes,
            "`max_future` bounds the future of an `async fn`, and this function has none; remove it",
        ),
        _ => {}
    }
}

fn cycles(sig: &Signature, options: &Options, errors: &mut Errors) {
    let Options { cycle_initial, cycle_rounds, cycle_step, cycle_fallback, .. } = options;
    if sig.asyncness.is_some() {
        if let Some(initial) = cycle_initial {
            errors.at(
                initial,
                "an `async fn` cannot have `cycle_initial`: a body that is resolved by iteration runs several times in \
                 one go, and cannot be suspended in between; move the part that depends on itself to a plain function, \
                 which this one can call, and await what that needs before",
            );
        }
        if let Some(fallback) = cycle_fallback {
            errors.at(
                fallback,
                "an `async fn` cannot have `cycle_fallback`: a cycle through an async body stays an error, as others may \
                 wait for it while it is suspended; move the part that depends on itself to a plain function, which this \
                 one can call, and await what that needs before",
            );
        }
    }
    for (name, value) in [("cycle_initial", cycle_initial), ("cycle_fallback", cycle_fallback)] {
        if let Some(closure @ Expr::Closure(_)) = value {
            errors.at(
                closure,
                format!(
                    "`{name}` is a value, not a closure; write its body alone, which can name the parameters: \
                     `{name} = f(x)`"
                ),
            );
        }
    }
    if cycle_initial.is_some() || cycle_fallback.is_some() {
        return;
    }
    if let Some(rounds) = cycle_rounds {
        errors.at(
            rounds,
            "`cycle_rounds` bounds how a cycle is resolved, and without an initial value it is not; add \
             `cycle_initial = ..`, or remove it",
        );
    }
    if let Some(step) = cycle_step {
        errors.at(
            step,
            "`cycle_step` makes the value of a round from that of the round before, and without an initial value there \
             is no first one; add `cycle_initial = ..`, or remove it",
        );
    }
}

/// Companions share the type namespace with the primitive types, which a module must not redefine.
pub(crate) fn companion_name(sig: &Signature, errors: &mut Errors) {
    const PRIMITIVE: [&str; 17] = [
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
        "isize", "f32", "f64",
    ];
    let name = sig.ident.to_string();
    if PRIMITIVE.contains(&name.as_str()) {
        errors.at(
            &sig.ident,
            format!("the companion type of this function would hide the primitive type `{name}` in its module; rename \
             the function, or give the option `no_companion`"),
        );
    } else if let Some(keyword) = place::namesake(&name) {
        errors.at(
            &sig.ident,
            format!("`{keyword} {name}` stands beside this function, whose companion type, which holds `{name}::is_cached` and the like, \
             would have the same name; give the option `no_companion` (`larder::ask(|| {name}(..))` asks then), or rename one of the \
             two"),
        );
    }
}

/// Rejects bounds of lifetimes: in a method the body cannot have the signature's own lifetimes, so that bounds among them say nothing.
pub(crate) fn method_lifetimes(sig: &Signature, errors: &mut Errors) {
    for param in &sig.generics.params {
        if let GenericParam::Lifetime(lifetime) = param
            && !lifetime.bounds.is_empty()
        {
            errors.at(
                lifetime,
                "a lifetime of a task method cannot have bounds: the body sees its own copy of each borrowed argument; \
                 remove the bound",
            );
        }
    }
}

/// Where values of the function go, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Storage {
    Memory,
    Disk,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Parameter,
    Unused,
    Output,
}

/// Finds what cannot outlive the call in a type: references, lifetimes, and opaque types (`impl Trait`).
struct Borrows<'e> {
    at: Position,
    storage: Storage,
    errors: &'e mut Errors,
}

impl<'ast> Visit<'ast> for Borrows<'_> {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if let Some(mutability) = &reference.mutability {
            match self.at {
                Position::Unused => {}
                Position::Parameter => self.errors.at(
                    mutability,
                    "a task function cannot take `&mut`: its effect would be missing whenever the call is answered from \
                     the cache; return the new value instead",
                ),
                Position::Output => self.errors.at(reference, RETURNS_BORROW),
            }
        } else if reference.lifetime.as_ref().is_some_and(is_static) {
            if self.storage == Storage::Disk && self.at != Position::Unused {
                self.errors.at(reference, STORED_STATIC);
            }
            visit::visit_type_reference(self, reference);
        } else {
            match self.at {
                Position::Unused => {}
                Position::Parameter => self.errors.at(reference, NESTED_BORROW),
                Position::Output => self.errors.at(reference, RETURNS_BORROW),
            }
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if is_static(lifetime) {
            return;
        }
        match self.at {
            Position::Unused => {}
            Position::Parameter => self.errors.at(lifetime, NESTED_BORROW),
            Position::Output => self.errors.at(lifetime, RETURNS_BORROW),
        }
    }

    fn visit_type_impl_trait(&mut self, opaque: &'ast TypeImplTrait) {
        let message = match self.at {
            Position::Parameter | Position::Unused => {
                "a task function cannot take `impl Trait`: its descriptor has to name the type; use a type parameter, \
                 `fn f<T: Trait>(x: T)`"
            }
            Position::Output => {
                "a task function cannot return `impl Trait`: the cache has to name the type of what it keeps; return a \
                 concrete type (for an iterator: a `Vec`)"
            }
        };
        self.errors.at(opaque, message);
    }

    // Lifetimes in these belong to each call of the function pointer or trait, not to the value.
    fn visit_type_bare_fn(&mut self, _: &'ast TypeBareFn) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}
    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
}

fn is_static(lifetime: &Lifetime) -> bool {
    lifetime.ident == "static"
}

const STORED_STATIC: &str = "a `&'static` borrow cannot be read back from disk; own the value (or, for a whole parameter, borrow \
                             it for the call: `&str`), or write `#[task_fn(transient)]` to keep this function in memory";
const BORROWED_OBJECT: &str = "a borrowed trait object cannot be a key: it cannot be owned, hashed or compared; take a \
                               concrete type or a generic `&T`, or an `Arc` of a trait that is `Eq + Hash` for its \
                               objects";
const NESTED_BORROW: &str = "only a whole parameter can be borrowed, and this is a borrow inside one: the key has to own \
                             its parts; own this part (`String` for `&str`, `Vec<T>` for `&[T]`, `Arc<T>` for `&T`)";
const RETURNS_BORROW: &str = "a task function returns what outlives its arguments: the result is kept when they are gone; \
                              return an owned value (`String` for `&str`, `Arc<T>` for `&T`)";
