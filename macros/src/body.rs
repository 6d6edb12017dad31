//! Questions about a body and changes to it, on its tokens.
//!
//! Working on tokens treats code inside and outside of macro calls alike, and spares parsing every body. Nested items
//! (`fn`, `impl`, `trait`, types) have a `self` and an `.await` of their own and are stepped over.

use proc_macro2::{Delimiter, Group, Ident, Literal, Spacing, TokenStream, TokenTree};

/// The name of the receiver in the body of a method.
pub(crate) const THIS: &str = "__this";

/// Gives the body another name for `self`, in expressions, macro calls and the format strings among them.
///
/// Each renamed token keeps its span and with it its hygiene: where `self` was in scope, the new name is.
pub(crate) fn rename_self(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut renamed = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let item = item_length(&tokens[at..]);
        if item > 0 {
            renamed.extend_from_slice(&tokens[at..at + item]);
            at += item;
            continue;
        }
        renamed.push(match &tokens[at] {
            TokenTree::Ident(ident) if ident == "self" && !is_path_after(&tokens[at + 1..]) => {
                Ident::new(THIS, ident.span()).into()
            }
            TokenTree::Group(group) => {
                let inner = rename_self(group.stream());
                let inner = match macro_before(&tokens[..at]) {
                    Some(name) => rename_in_formats(inner, &name),
                    None => inner,
                };
                regroup(group, inner).into()
            }
            other => other.clone(),
        });
        at += 1;
    }
    renamed.into_iter().collect()
}

/// Whether an `async` body waits for anything itself.
pub(crate) fn awaits(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let skipped = item_length(&tokens[at..]).max(async_length(&tokens[at..]));
        if skipped > 0 {
            at += skipped;
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "await" && at > 0 && is_punct(&tokens[at - 1], '.') => {
                return true;
            }
            TokenTree::Group(_) if macro_before(&tokens[..at]).is_some_and(|name| is_awaiting(&name)) => {
                return true;
            }
            TokenTree::Group(group) if awaits(group.stream()) => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

/// Macros of the futures and tokio crates that await without saying so.
fn is_awaiting(name: &str) -> bool {
    ["join", "try_join", "select", "select_biased"].contains(&name)
}

/// Whether the tokens name the type `Self`, as only a function inside an `impl` or trait can.
pub(crate) fn names_self_type(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let item = item_length(&tokens[at..]);
        if item > 0 {
            at += item;
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "Self" => return true,
            TokenTree::Group(group) if names_self_type(group.stream()) => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

/// Returns how many tokens a nested item takes that begins here; 0 if none does.
fn item_length(tokens: &[TokenTree]) -> usize {
    let Some(TokenTree::Ident(keyword)) = tokens.first() else { return 0 };
    let named = matches!(tokens.get(1), Some(TokenTree::Ident(_)));
    let ends_with_semicolon = match keyword.to_string().as_str() {
        "fn" | "trait" | "mod" | "enum" | "union" if named => false,
        "struct" if named => true,
        "impl" => false,
        _ => return 0,
    };
    let end = tokens.iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => ends_with_semicolon && is_punct(token, ';'),
    });
    end.map_or(0, |end| end + 1)
}

/// Returns how many tokens an `async` block or closure takes that begins here; 0 if none does.
fn async_length(tokens: &[TokenTree]) -> usize {
    if !tokens.first().is_some_and(|token| is_ident(token, "async")) {
        return 0;
    }
    let mut at = 1 + usize::from(tokens.get(1).is_some_and(|token| is_ident(token, "move")));
    if tokens.get(at).is_some_and(|token| is_punct(token, '|')) {
        let Some(close) = tokens[at + 1..].iter().position(|token| is_punct(token, '|')) else { return 0 };
        at += close + 2;
        // The body is a block, or an expression up to the next comma or semicolon.
        let end = tokens[at..]
            .iter()
            .position(|token| is_punct(token, ',') || is_punct(token, ';') || is_block(token));
        return end.map_or(tokens.len(), |end| at + end + usize::from(is_block(&tokens[at + end])));
    }
    if tokens.get(at).is_some_and(is_block) { at + 1 } else { 0 }
}

/// Returns the name of the macro whose arguments come next, if these tokens end with `name!`.
fn macro_before(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [.., TokenTree::Ident(name), TokenTree::Punct(bang)] if bang.as_char() == '!' => {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// Renames `{self}` and `{self:..}` in the literals that may be format strings.
fn rename_in_formats(arguments: TokenStream, name: &str) -> TokenStream {
    let place = FormatPlace::of(name);
    let tokens: Vec<TokenTree> = arguments.into_iter().collect();
    let mut index = 0;
    let mut renamed = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if is_punct(token, ',') {
            index += 1;
        }
        let alone = (at == 0 || is_punct(&tokens[at - 1], ','))
            && tokens.get(at + 1).is_none_or(|next| is_punct(next, ','));
        renamed.push(match token {
            TokenTree::Literal(literal) if alone && place.holds(index) => rename_in_literal(literal).into(),
            other => other.clone(),
        });
    }
    renamed.into_iter().collect()
}

/// Which argument of a macro is its format string.
enum FormatPlace {
    Nowhere,
    At(usize),
    /// Of a macro that is not known: any string may be one.
    Anywhere,
}

impl FormatPlace {
    fn of(name: &str) -> Self {
        match name {
            "format" | "format_args" | "print" | "println" | "eprint" | "eprintln" | "panic" | "todo"
            | "unimplemented" | "unreachable" => Self::At(0),
            "write" | "writeln" | "assert" | "debug_assert" => Self::At(1),
            "assert_eq" | "assert_ne" | "debug_assert_eq" | "debug_assert_ne" => Self::At(2),
            "vec" | "matches" | "dbg" | "concat" | "stringify" | "env" | "option_env" | "include"
            | "include_str" | "include_bytes" | "cfg" => Self::Nowhere,
            _ => Self::Anywhere,
        }
    }

    fn holds(&self, index: usize) -> bool {
        match self {
            Self::Nowhere => false,
            Self::At(place) => *place == index,
            Self::Anywhere => true,
        }
    }
}

fn rename_in_literal(literal: &Literal) -> Literal {
    let text = literal.to_string();
    if !(text.starts_with('"') || text.starts_with('r')) || !text.contains("self") {
        return literal.clone();
    }
    match rename_placeholders(&text).parse::<Literal>() {
        Ok(mut renamed) => {
            renamed.set_span(literal.span());
            renamed
        }
        Err(_) => literal.clone(),
    }
}

/// Renames `{self}` and `{self:spec}`, but not the escaped `{{self}}`.
fn rename_placeholders(text: &str) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open + 1);
        renamed.push_str(before);
        rest = from;
        if let Some(after) = rest.strip_prefix('{') {
            renamed.push('{');
            rest = after;
        } else if let Some(after) = rest.trim_start().strip_prefix("self")
            && after.trim_start().starts_with(['}', ':'])
        {
            renamed.push_str(THIS);
            rest = after;
        }
    }
    renamed + rest
}

/// Whether this is `self::name`, a path from the current module.
fn is_path_after(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Punct(one), TokenTree::Punct(two), ..] => {
            one.as_char() == ':' && one.spacing() == Spacing::Joint && two.as_char() == ':'
        }
        _ => false,
    }
}

fn regroup(group: &Group, stream: TokenStream) -> Group {
    let mut regrouped = Group::new(group.delimiter(), stream);
    regrouped.set_span(group.span());
    regrouped
}

fn is_punct(token: &TokenTree, symbol: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == symbol)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_block(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

#[cfg(test)]
mod tests;
