//! Picks the parts of a syntax tree that the census counts.
//!
//! Macro calls are counted and not looked into: what they expand to is not in the source.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Visibility};

use crate::attributes::{has_docs, is_hidden, is_test, of_item, path_attribute};
use crate::model::{
    FileCensus, Function, Import, ItemKind, ModuleFile, Reach, Undocumented, UnsafeKind, UnsafeUse,
};

pub struct Visitor<'a> {
    census: &'a mut FileCensus,
    /// Modules, types and functions around the current place.
    names: Vec<String>,
    /// How many of the first of `names` are inline modules.
    modules: usize,
    api: Api,
}

/// Whether a `pub` at the current place asks for documentation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    /// In public modules only.
    Open,
    /// In a private inline module, a body, a test, or below `#[doc(hidden)]`.
    Closed,
}

impl<'a> Visitor<'a> {
    pub fn new(census: &'a mut FileCensus) -> Self {
        Visitor { census, names: Vec::new(), modules: 0, api: Api::Open }
    }

    fn count(&mut self, kind: ItemKind) {
        *self.census.items.entry(kind).or_default() += 1;
    }

    fn scope(&self) -> String {
        self.names[..self.modules].join("::")
    }

    fn qualified(&self, name: &str) -> String {
        let mut path = self.names.join("::");
        if !path.is_empty() {
            path.push_str("::");
        }
        path + name
    }

    fn within(&mut self, name: String, api: Api, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.api, api);
        self.names.push(name);
        visit(self);
        self.names.pop();
        self.api = outer;
    }

    fn unsafe_use(&mut self, kind: UnsafeKind, keyword: Span) {
        self.census.unsafe_uses.push(UnsafeUse { line: line(keyword), kind });
    }

    fn signature(&mut self, signature: &syn::Signature) {
        if let Some(keyword) = signature.unsafety {
            self.unsafe_use(UnsafeKind::Function, keyword.span);
        }
    }

    fn body(&mut self, signature: &syn::Signature, block: &syn::Block, visit: impl FnOnce(&mut Self)) {
        let first = line(signature.fn_token.span);
        let last = u32::try_from(block.brace_token.span.close().end().line).unwrap_or(u32::MAX);
        let name = signature.ident.to_string();
        self.census.functions.push(Function {
            name: self.qualified(&name),
            line: first,
            lines: last.saturating_sub(first) + 1,
        });
        // `use` and `mod` inside a body resolve as in the module around it.
        self.within(name, Api::Closed, visit);
    }

    fn ask_for_docs(&mut self, kind: ItemKind, attributes: &[Attribute], name: &Ident) {
        if self.api == Api::Open && !has_docs(attributes) && !is_hidden(attributes) {
            let undocumented =
                Undocumented { name: self.qualified(&name.to_string()), kind, line: line(name.span()) };
            self.census.undocumented.push(undocumented);
        }
    }

    /// Asks the item itself for documentation; what is asked of its parts is returned.
    fn item(
        &mut self,
        kind: ItemKind,
        attributes: &[Attribute],
        visibility: &Visibility,
        name: &Ident,
    ) -> Api {
        if !is_public(visibility) || is_hidden(attributes) {
            return Api::Closed;
        }
        self.ask_for_docs(kind, attributes, name);
        self.api
    }

    fn import(&mut self, tree: &syn::UseTree, prefix: &str, public: bool) {
        let join = |name: &Ident| match prefix {
            "" => name.to_string(),
            "::" => format!("::{name}"),
            _ => format!("{prefix}::{name}"),
        };
        let (path, glob) = match tree {
            syn::UseTree::Path(path) => return self.import(&path.tree, &join(&path.ident), public),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, prefix, public));
            }
            syn::UseTree::Glob(_) => (prefix.to_owned(), true),
            // `use a::{self}` is `use a`.
            syn::UseTree::Name(name) if name.ident == "self" => (prefix.to_owned(), false),
            syn::UseTree::Rename(rename) if rename.ident == "self" => (prefix.to_owned(), false),
            syn::UseTree::Name(name) => (join(&name.ident), false),
            syn::UseTree::Rename(rename) => (join(&rename.ident), false),
        };
        let scope = self.scope();
        self.census.imports.push(Import { scope, path, glob, public });
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        self.census.documented = has_docs(&file.attrs) || is_hidden(&file.attrs);
        visit::visit_file(self, file);
        self.census.imports.sort();
        self.census.imports.dedup();
        self.census.unsafe_uses.sort();
    }

    // Attributes hold nothing that is counted, and documentation makes many of them.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let outer = self.api;
        if is_test(of_item(item)) {
            self.api = Api::Closed;
        }
        visit::visit_item(self, item);
        self.api = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.count(ItemKind::Function);
        self.item(ItemKind::Function, &item.attrs, &item.vis, &item.sig.ident);
        self.signature(&item.sig);
        self.body(&item.sig, &item.block, |this| visit::visit_item_fn(this, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.count(ItemKind::Module);
        let name = item.ident.to_string();
        if item.content.is_none() {
            let reach = match self.api {
                Api::Open if is_hidden(&item.attrs) => Reach::Closed,
                Api::Open if is_public(&item.vis) => Reach::Public,
                Api::Open => Reach::Private,
                Api::Closed => Reach::Closed,
            };
            let (scope, path) = (self.scope(), path_attribute(&item.attrs));
            let (line, documented) = (line(item.ident.span()), has_docs(&item.attrs));
            self.census.modules.push(ModuleFile { scope, name, path, line, reach, documented });
            return;
        }
        let api = self.item(ItemKind::Module, &item.attrs, &item.vis, &item.ident);
        let at_module_level = self.names.len() == self.modules;
        self.modules += usize::from(at_module_level);
        if at_module_level {
            self.census.inline_modules.push(self.qualified(&name));
        }
        self.within(name, api, |this| visit::visit_item_mod(this, item));
        self.modules -= usize::from(at_module_level);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.count(ItemKind::Struct);
        let api = self.item(ItemKind::Struct, &item.attrs, &item.vis, &item.ident);
        self.within(item.ident.to_string(), api, |this| visit::visit_item_struct(this, item));
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.count(ItemKind::Union);
        let api = self.item(ItemKind::Union, &item.attrs, &item.vis, &item.ident);
        self.within(item.ident.to_string(), api, |this| visit::visit_item_union(this, item));
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.count(ItemKind::Enum);
        let api = self.item(ItemKind::Enum, &item.attrs, &item.vis, &item.ident);
        self.within(item.ident.to_string(), api, |this| visit::visit_item_enum(this, item));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.count(ItemKind::Variant);
        self.ask_for_docs(ItemKind::Variant, &variant.attrs, &variant.ident);
        let api = if is_hidden(&variant.attrs) { Api::Closed } else { self.api };
        self.within(variant.ident.to_string(), api, |this| {
            for field in variant.fields.iter() {
                // The fields of a variant are as public as it is.
                if let Some(name) = &field.ident {
                    this.ask_for_docs(ItemKind::Field, &field.attrs, name);
                }
            }
            this.api = Api::Closed;
            visit::visit_variant(this, variant);
        });
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.count(ItemKind::Field);
        if let (Some(name), true) = (&field.ident, is_public(&field.vis)) {
            self.ask_for_docs(ItemKind::Field, &field.attrs, name);
        }
        visit::visit_field(self, field);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.count(ItemKind::Trait);
        if let Some(keyword) = item.unsafety {
            self.unsafe_use(UnsafeKind::Trait, keyword.span);
        }
        let api = self.item(ItemKind::Trait, &item.attrs, &item.vis, &item.ident);
        self.within(item.ident.to_string(), api, |this| visit::visit_item_trait(this, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.count(ItemKind::Method);
        self.ask_for_docs(ItemKind::Method, &item.attrs, &item.sig.ident);
        self.signature(&item.sig);
        match &item.default {
            Some(block) => self.body(&item.sig, block, |this| visit::visit_trait_item_fn(this, item)),
            None => visit::visit_trait_item_fn(self, item),
        }
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.count(ItemKind::Const);
        self.ask_for_docs(ItemKind::Const, &item.attrs, &item.ident);
        visit::visit_trait_item_const(self, item);
    }

    fn visit_trait_item_type(&mut self, item: &'ast syn::TraitItemType) {
        self.count(ItemKind::Type);
        self.ask_for_docs(ItemKind::Type, &item.attrs, &item.ident);
        visit::visit_trait_item_type(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.count(ItemKind::Impl);
        if let Some(keyword) = item.unsafety {
            self.unsafe_use(UnsafeKind::Impl, keyword.span);
        }
        // The items of a trait's impl are documented at the trait.
        let open = item.trait_.is_none() && !is_hidden(&item.attrs);
        let api = if open { self.api } else { Api::Closed };
        self.within(type_name(&item.self_ty), api, |this| visit::visit_item_impl(this, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.count(ItemKind::Method);
        self.item(ItemKind::Method, &item.attrs, &item.vis, &item.sig.ident);
        self.signature(&item.sig);
        self.body(&item.sig, &item.block, |this| visit::visit_impl_item_fn(this, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.count(ItemKind::Const);
        self.item(ItemKind::Const, &item.attrs, &item.vis, &item.ident);
        visit::visit_impl_item_const(self, item);
    }

    fn visit_impl_item_type(&mut self, item: &'ast syn::ImplItemType) {
        self.count(ItemKind::Type);
        self.item(ItemKind::Type, &item.attrs, &item.vis, &item.ident);
        visit::visit_impl_item_type(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.count(ItemKind::Type);
        self.item(ItemKind::Type, &item.attrs, &item.vis, &item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.count(ItemKind::Const);
        // `const _` has no name to document.
        if item.ident != "_" {
            self.item(ItemKind::Const, &item.attrs, &item.vis, &item.ident);
        }
        visit::visit_item_const(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.count(ItemKind::Static);
        self.item(ItemKind::Static, &item.attrs, &item.vis, &item.ident);
        visit::visit_item_static(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.count(ItemKind::ExternBlock);
        if let Some(keyword) = item.unsafety {
            self.unsafe_use(UnsafeKind::Extern, keyword.span);
        }
        visit::visit_item_foreign_mod(self, item);
    }

    fn visit_foreign_item_fn(&mut self, item: &'ast syn::ForeignItemFn) {
        self.count(ItemKind::Function);
        self.item(ItemKind::Function, &item.attrs, &item.vis, &item.sig.ident);
        visit::visit_foreign_item_fn(self, item);
    }

    fn visit_foreign_item_static(&mut self, item: &'ast syn::ForeignItemStatic) {
        self.count(ItemKind::Static);
        self.item(ItemKind::Static, &item.attrs, &item.vis, &item.ident);
        visit::visit_foreign_item_static(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.count(ItemKind::Use);
        let prefix = if item.leading_colon.is_some() { "::" } else { "" };
        self.import(&item.tree, prefix, is_public(&item.vis));
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let Some(name) = &item.ident else {
            return self.count(ItemKind::MacroCall);
        };
        self.count(ItemKind::MacroDefinition);
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")) {
            self.ask_for_docs(ItemKind::MacroDefinition, &item.attrs, name);
        }
    }

    fn visit_macro(&mut self, _: &'ast syn::Macro) {
        self.count(ItemKind::MacroCall);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_use(UnsafeKind::Block, block.unsafe_token.span);
        visit::visit_expr_unsafe(self, block);
    }
}

fn line(span: Span) -> u32 {
    u32::try_from(span.start().line).unwrap_or(u32::MAX)
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// `Type` of `impl Trait for &'a path::Type<T>`.
fn type_name(ty: &syn::Type) -> String {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        syn::Type::Reference(reference) => Some(type_name(&reference.elem)),
        syn::Type::Paren(inner) => Some(type_name(&inner.elem)),
        syn::Type::Group(inner) => Some(type_name(&inner.elem)),
        syn::Type::Ptr(inner) => Some(type_name(&inner.elem)),
        _ => None,
    }
    .unwrap_or_else(|| "_".to_owned())
}
