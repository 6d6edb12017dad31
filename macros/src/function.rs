//! The item under the attribute: a function whose body stays unparsed, so that expanding a long function costs
//! no more than a short one.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Attribute, Error, Signature, Token, Visibility};

pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// The braces of the body; `None` for a declaration in a trait.
    pub(crate) body: Option<Group>,
}

/// Parses the item, or says what stands there instead of a function.
pub(crate) fn parse(item: TokenStream) -> syn::Result<Function> {
    Function::parse.parse2(item)
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if let Some(error) = other_item(input) {
            return Err(error);
        }
        let sig = input.parse()?;
        let body = if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
            None
        } else {
            Some(braces(input)?)
        };
        Ok(Self { attrs, vis, sig, body })
    }
}

fn braces(input: ParseStream<'_>) -> syn::Result<Group> {
    let span = input.span();
    let mut tree: TokenTree = input.parse()?;
    loop {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return Ok(group),
            // A `$body:block` of a surrounding `macro_rules!` arrives wrapped in an invisible group.
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                let mut inner = group.stream().into_iter();
                match (inner.next(), inner.next()) {
                    (Some(only), None) => tree = only,
                    _ => return Err(Error::new(span, "expected the body of the function")),
                }
            }
            _ => return Err(Error::new(span, "expected the body of the function")),
        }
    }
}

/// Returns the error for an item that is plainly no function; anything else is left to the parser of signatures.
fn other_item(input: ParseStream<'_>) -> Option<Error> {
    let on_methods = "put it on the methods of the `impl` instead, one by one";
    let (what, fix) = if input.peek(Token![impl]) || (input.peek(Token![unsafe]) && input.peek2(Token![impl]))
    {
        ("an `impl` block", on_methods)
    } else if input.peek(Token![trait]) || (input.peek(Token![unsafe]) && input.peek2(Token![trait])) {
        ("a trait", on_methods)
    } else if input.peek(Token![struct]) || input.peek(Token![enum]) || input.peek(Token![union]) {
        ("a type", "put it on the functions that compute values of the type")
    } else if input.peek(Token![mod]) {
        ("a module", "put it on the functions in the module, one by one")
    } else if input.peek(Token![static]) || (input.peek(Token![const]) && !is_fn_after_const(input)) {
        ("a constant", "write a function that returns the value")
    } else if input.peek(Token![let]) {
        ("a variable", "write a closure as a function of its own, with what it captures as parameters")
    } else if input.peek(Token![type]) || input.peek(Token![use]) {
        ("this item", "put it on a function")
    } else {
        return None;
    };
    Some(input.error(format!("`#[task_fn]` is for functions, and this is {what}; {fix}")))
}

fn is_fn_after_const(input: ParseStream<'_>) -> bool {
    input.peek2(Token![fn])
        || input.peek2(Token![async])
        || input.peek2(Token![unsafe])
        || input.peek2(Token![extern])
}
