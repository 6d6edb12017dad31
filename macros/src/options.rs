//! The arguments of the attribute: `#[task_fn(transient, ttl = Duration::from_secs(60))]`.

use proc_macro2::{Group, Ident, Span, TokenStream};
use syn::parse::{ParseStream, Parser as _};
use syn::token::Paren;
use syn::{Error, Expr, Token};

use crate::errors::Errors;

/// The options that the user asked for. A flag keeps the place where it was written, for errors that arise from it later.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) skip_unused: Option<Span>,
    pub(crate) no_companion: Option<Span>,
    pub(crate) transient: Option<Span>,
    pub(crate) volatile: Option<Span>,
    pub(crate) heavy: Option<Span>,
    pub(crate) no_eq: Option<Span>,
    pub(crate) no_errors: Option<Span>,
    pub(crate) secret_args: Option<Span>,
    pub(crate) keep: Option<Span>,
    pub(crate) last_good: Option<Span>,
    pub(crate) shared: Option<Span>,
    pub(crate) local: Option<Span>,
    pub(crate) fleeting: Option<Span>,
    pub(crate) eq: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) ttl: Option<Expr>,
    pub(crate) expires: Option<Expr>,
    pub(crate) keep_if: Option<Expr>,
    pub(crate) weight: Option<Expr>,
    pub(crate) lru: Option<Expr>,
    pub(crate) max_future: Option<Expr>,
    pub(crate) cycle_initial: Option<Expr>,
    pub(crate) cycle_step: Option<Expr>,
    pub(crate) cycle_fallback: Option<Expr>,
    pub(crate) cycle_rounds: Option<Expr>,
}

/// Every option, in the order of the documentation; those with an example of a value need one.
const KNOWN: [(&str, Option<&str>); 25] = [
    ("transient", None),
    ("version", Some("1")),
    ("shared", None),
    ("local", None),
    ("no_eq", None),
    ("eq", Some("same_meaning")),
    ("skip_unused", None),
    ("no_errors", None),
    ("keep_if", Some("|value| value.is_some()")),
    ("last_good", None),
    ("ttl", Some("Duration::from_secs(60)")),
    ("expires", Some("|value| value.max_age")),
    ("volatile", None),
    ("heavy", None),
    ("weight", Some("Page::bytes")),
    ("lru", Some("128")),
    ("fleeting", None),
    ("keep", None),
    ("cycle_initial", Some("Vec::new()")),
    ("cycle_step", Some("|previous, new, round| new")),
    ("cycle_fallback", Some("Vec::new()")),
    ("cycle_rounds", Some("200")),
    ("secret_args", None),
    ("max_future", Some("1024")),
    ("no_companion", None),
];

/// Pairs that cannot stand together, with the reason.
const CONTRADICTIONS: [(&str, &str, &str); 15] = [
    ("no_eq", "eq", "one says not to compare results, the other how to compare them; keep one"),
    (
        "transient",
        "version",
        "a version tells stored results apart, and nothing of this function is stored; keep one",
    ),
    (
        "volatile",
        "ttl",
        "the body runs again in every session anyway, so that nothing lives to expire; keep one",
    ),
    (
        "volatile",
        "expires",
        "the body runs again in every session anyway, so that nothing lives to expire; keep one",
    ),
    (
        "no_errors",
        "keep_if",
        "`no_errors` is `keep_if = Result::is_ok`; say all that is to be kept in one `keep_if`",
    ),
    (
        "shared",
        "local",
        "one says that other builds are given the results, the other that no other machine is; keep one",
    ),
    ("transient", "shared", "nothing of this function is stored, so there is nothing to share; keep one"),
    (
        "transient",
        "local",
        "nothing of this function is stored, so nothing leaves the machine; leave `local` out",
    ),
    ("fleeting", "lru", "`fleeting` is `lru = 0`; keep one"),
    ("fleeting", "keep", "one says that no output stays in memory, the other that all do; keep one"),
    ("keep", "lru", "one says that all outputs stay in memory, the other how many; keep one"),
    (
        "no_eq",
        "cycle_initial",
        "a cycle is resolved when no result differs from the one before, so that they have to be compared; keep one",
    ),
    (
        "cycle_fallback",
        "cycle_initial",
        "a task on a cycle has its fallback as it is, or what iteration from its initial value comes to; keep one",
    ),
    (
        "cycle_fallback",
        "cycle_step",
        "a step is taken from one round of an iteration to the next, and a fallback is not iterated; keep one",
    ),
    ("cycle_fallback", "cycle_rounds", "rounds bound an iteration, and a fallback is not iterated; keep one"),
];

impl Options {
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut options = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        let parsed = (|input: ParseStream<'_>| options.parse_all(input, &mut seen, errors)).parse2(args);
        if let Err(error) = parsed {
            errors.push(error);
        }
        contradictions(&seen, errors);
        options
    }

    fn parse_all(
        &mut self,
        input: ParseStream<'_>,
        seen: &mut Vec<Ident>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            let list = if input.peek(Paren) { Some(input.parse::<Group>()?) } else { None };
            let value = if input.peek(Token![=]) {
                input.parse::<Token![=]>()?;
                Some(input.parse::<Expr>()?)
            } else {
                None
            };
            if seen.contains(&name) {
                errors.at(&name, format!("`{name}` is given twice; keep one"));
            } else if let Some(list) = list.filter(|_| is_known(&name)) {
                errors.at(
                    list,
                    format!(
                        "no option takes a list; write `{name} = ..`, or `{name}` alone if it takes no value"
                    ),
                );
            } else if let Err(error) = self.set(&name, value) {
                errors.push(error);
            }
            seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &Ident, value: Option<Expr>) -> syn::Result<()> {
        let text = name.to_string();
        let Some((_, example)) = KNOWN.iter().find(|(known, _)| *known == text) else {
            return Err(unknown(name, &text));
        };
        match (example, value) {
            (None, None) => *self.flag(&text) = Some(name.span()),
            (Some(_), Some(value)) => *self.value(&text) = Some(value),
            (None, Some(value)) => {
                let message = format!("`{text}` takes no value; write `{text}` alone, or leave it out");
                return Err(Error::new_spanned(value, message));
            }
            (Some(example), None) => {
                return Err(Error::new(name.span(), format!("`{text}` needs a value: `{text} = {example}`")));
            }
        }
        Ok(())
    }

    fn flag(&mut self, name: &str) -> &mut Option<Span> {
        match name {
            "skip_unused" => &mut self.skip_unused,
            "no_companion" => &mut self.no_companion,
            "transient" => &mut self.transient,
            "volatile" => &mut self.volatile,
            "heavy" => &mut self.heavy,
            "no_eq" => &mut self.no_eq,
            "no_errors" => &mut self.no_errors,
            "secret_args" => &mut self.secret_args,
            "keep" => &mut self.keep,
            "last_good" => &mut self.last_good,
            "shared" => &mut self.shared,
            "local" => &mut self.local,
            "fleeting" => &mut self.fleeting,
            _ => unreachable!("`{name}` is listed as a flag in `KNOWN`"),
        }
    }

    fn value(&mut self, name: &str) -> &mut Option<Expr> {
        match name {
            "eq" => &mut self.eq,
            "version" => &mut self.version,
            "ttl" => &mut self.ttl,
            "expires" => &mut self.expires,
            "keep_if" => &mut self.keep_if,
            "weight" => &mut self.weight,
            "lru" => &mut self.lru,
            "max_future" => &mut self.max_future,
            "cycle_initial" => &mut self.cycle_initial,
            "cycle_step" => &mut self.cycle_step,
            "cycle_fallback" => &mut self.cycle_fallback,
            "cycle_rounds" => &mut self.cycle_rounds,
            _ => unreachable!("`{name}` is listed with a value in `KNOWN`"),
        }
    }
}

fn contradictions(seen: &[Ident], errors: &mut Errors) {
    let find = |name: &str| seen.iter().find(|ident| *ident == name);
    if let Some(shared) = find("shared").filter(|_| find("version").or(find("transient")).is_none()) {
        errors.at(
            shared,
            "`shared` gives results to other builds, which know this function by its version: write `version = 1, shared`; with the same \
             build all stored functions are shared without it"
                .to_owned(),
        );
    }
    if let Some(last_good) = find("last_good").filter(|_| find("no_errors").or(find("keep_if")).is_none()) {
        errors.at(
            last_good,
            "`last_good` stands in for a result that is not kept, and all of this function are; say which are: `no_errors`, \
             or `keep_if = |value| ..`"
                .to_owned(),
        );
    }
    for (one, other, reason) in CONTRADICTIONS {
        if let (Some(_), Some(second)) = (find(one), find(other)) {
            errors.at(second, format!("`{one}` and `{other}` contradict each other: {reason}"));
        }
    }
}

/// Options of the crates `cached` and `salsa` and of others that keep results, and what stands in their place here.
const ELSEWHERE: [(&[&str], &str); 15] = [
    (
        &["size", "max_size", "max_entries", "capacity", "unbound"],
        "a result is kept for as long as it is current; `forget` drops one",
    ),
    (&["time", "time_to_live", "timed"], "results that expire: `ttl = Duration::from_secs(60)`"),
    (&["result"], "an `Err` that is not kept: `no_errors`"),
    (&["result_fallback"], "the last `Ok` in place of an `Err`: `no_errors, last_good`"),
    (&["option"], "a `None` that is not kept: `keep_if = |output| output.is_some()`"),
    (
        &["return_ref", "returns", "deref", "as_ref"],
        "a call returns a clone, and `f::with(args, |output| ..)` borrows; wrap what is expensive to clone in an `Arc`",
    ),
    (
        &["cycle_result", "recovery_fn", "cycle_recover"],
        "a value for the calls on a cycle, without iteration: `cycle_fallback = ..`, an expression that can name the parameters",
    ),
    (
        &["cycle_fn"],
        "a cycle is resolved by iteration from `cycle_initial = ..`; what to go on with after a round is \
         `cycle_step = |previous, new, round| ..`",
    ),
    (
        &["durability"],
        "leave it out: a change is followed to what it reaches, however much there is beside it",
    ),
    (&["specify"], "a value that is set from outside is an input: `runtime.input(name, value)`"),
    (&["name", "ty", "create"], "leave it out: results are found by the function itself and its arguments"),
    (&["key", "convert"], "the arguments are the key; one that does not belong to it is marked `#[skip]`"),
    (
        &["sync_writes", "sync_lock", "sync"],
        "leave it out: a task that several threads ask for at a time runs once",
    ),
    (&["disk", "map_error", "redis"], "leave it out: results are stored if the runtime has a store"),
    (&["lru", "no_cache", "refresh"], "leave it out, or run the body in every session: `volatile`"),
];

fn is_known(name: &Ident) -> bool {
    KNOWN.iter().any(|(known, _)| name == known)
}

fn unknown(name: &Ident, text: &str) -> Error {
    if let Some((_, advice)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&text)) {
        return Error::new(name.span(), format!("`#[task_fn]` has no option `{text}`: {advice}"));
    }
    let nearest = KNOWN.iter().map(|(known, _)| (distance(text, known), *known)).min();
    let hint = match nearest {
        Some((steps, known)) if steps <= 1 + known.len() / 3 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    };
    let known = KNOWN.map(|(known, example)| match example {
        Some(_) => format!("`{known} = ..`"),
        None => format!("`{known}`"),
    });
    let message = format!("`#[task_fn]` has no option `{text}`{hint}\nit knows {}", known.join(", "));
    Error::new(name.span(), message)
}

/// Edits (insert, remove, replace) between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn check(args: TokenStream, expected: &[&str]) {
        let mut errors = Errors::default();
        Options::parse(args, &mut errors);
        let text = errors.to_compile_error().to_string();
        assert_eq!(errors.is_empty(), expected.is_empty(), "{text}");
        for part in expected {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }

    #[test]
    fn every_option_parses_and_every_mistake_is_told() {
        check(quote!(), &[]);
        check(quote!(transient, ttl = Duration::from_secs(1), eq = |a, b| a.0 == b.0,), &[]);
        check(quote!(max_future = 64), &[]);
        check(quote!(transiet), &["did you mean `transient`?", "it knows `transient`, `version = ..`"]);
        check(quote!(zzzzzzzzz), &["no option `zzzzzzzzz`\\nit knows"]);
        check(quote!(size = 100), &["no option `size`: a result is kept"]);
        check(quote!(time = 60, result = true), &["`ttl = Duration::from_secs(60)`", "`no_errors`"]);
        check(quote!(heavy = true, version), &["`heavy` takes no value", "`version = 1`"]);
        check(quote!(heavy, heavy), &["given twice"]);
        check(quote!(transient, secret_args), &[]);
        check(quote!(secret_arg), &["did you mean `secret_args`?"]);
        check(quote!(secret_args = false), &["`secret_args` takes no value"]);
        check(
            quote!(no_eq, eq = f, transient, version = 1),
            &["`no_eq` and `eq`", "`transient` and `version`"],
        );
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("ttl", "ttl"), 0);
        assert_eq!(distance("tll", "ttl"), 1);
        assert_eq!(distance("", "eq"), 2);
        assert_eq!(distance("no_errs", "no_errors"), 2);
    }
}
