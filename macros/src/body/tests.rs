use super::*;
use quote::quote;

fn renames(before: TokenStream, after: TokenStream) {
    assert_eq!(rename_self(before).to_string(), after.to_string());
}

#[test]
fn self_is_renamed_wherever_it_is_the_receiver() {
    renames(quote!(self.a + f(&self, [self.b])), quote!(__this.a + f(&__this, [__this.b])));
    renames(quote!(|x| self.a(x)), quote!(|x| __this.a(x)));
    renames(quote!(self::helper(self)), quote!(self::helper(__this)));
    renames(quote!(vec![self.a; my!(self)]), quote!(vec![__this.a; my!(__this)]));
    renames(quote!(Self::new(self)), quote!(Self::new(__this)));
}

#[test]
fn nested_items_keep_their_own_self() {
    renames(
        quote!(struct L(u8); impl L { fn f(&self) -> u8 { self.0 } } L(self.0).f()),
        quote!(struct L(u8); impl L { fn f(&self) -> u8 { self.0 } } L(__this.0).f()),
    );
    renames(
        quote!(
            fn f<T>(self: T) {
                self
            },
            self
        ),
        quote!(
            fn f<T>(self: T) {
                self
            },
            __this
        ),
    );
    renames(
        quote!(m! { impl A for B { fn f(&self) { self } } }),
        quote!(m! { impl A for B { fn f(&self) { self } } }),
    );
    renames(quote!(let f: fn(u8) = g; { self }), quote!(let f: fn(u8) = g; { __this }));
}

#[test]
fn format_strings_follow_and_other_strings_do_not() {
    renames(
        quote!(format!("{self} {self:?} {{self}} {x}")),
        quote!(format!("{__this} {__this:?} {{self}} {x}")),
    );
    renames(quote!(write!(f, "{self:>4}", "{self}")), quote!(write!(f, "{__this:>4}", "{self}")));
    renames(quote!(assert_eq!(a, "{self}", "{self}")), quote!(assert_eq!(a, "{self}", "{__this}")));
    renames(quote!(vec!["{self}"]), quote!(vec!["{self}"]));
    renames(quote!(f("{self}")), quote!(f("{self}")));
    renames(quote!(info!(target: "{self}", "{self}")), quote!(info!(target: "{self}", "{__this}")));
    renames(quote!(println!(r#"{self} "{selfish}""#)), quote!(println!(r#"{__this} "{selfish}""#)));
    renames(quote!(a(format!("{self}"))), quote!(a(format!("{__this}"))));
}

#[test]
fn only_an_await_of_the_body_itself_counts() {
    assert!(awaits(quote!(f().await)));
    assert!(awaits(quote!(if a {
        loop {
            g(f().await?)
        }
    })));
    assert!(awaits(quote!(assert!(f().await))));
    assert!(awaits(quote!(let a = async { 1 }; a.await)));
    assert!(awaits(quote!(tokio::join!(a, b))));
    assert!(!awaits(quote!(async { f().await })));
    assert!(!awaits(quote!(let c = async move |x| { x.await }; 1)));
    assert!(!awaits(quote!(let c = async |x| x.await; 1)));
    assert!(!awaits(quote!(
        async fn g() {
            f().await
        },
        spawn(g())
    )));
    assert!(!awaits(quote!(x.awaited + "f().await".len())));
}

#[test]
fn the_type_self_is_seen_outside_of_nested_items() {
    assert!(names_self_type(quote!((x: u32) -> Option<Self> { None })));
    assert!(!names_self_type(quote!({
        struct A(Option<Box<Self>>);
        impl A {
            fn f() -> Self {
                A(None)
            }
        }
        self
    })));
}
