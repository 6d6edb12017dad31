#![deny(warnings, missing_docs, unreachable_pub, rust_2018_idioms)]
//! Attributes, visibility, generics and `where` clauses survive, and generated code draws no warnings.

use std::fmt::Debug;
use std::hash::Hash;

use larder::task_fn;

/// Documented.
#[task_fn(transient)]
#[must_use = "it is the only reason to call this"]
#[deprecated(note = "to see that the companion does not mind")]
#[doc(alias = "old")]
pub fn attributes(text: &str) -> usize {
    text.len()
}

#[task_fn(transient)]
#[expect(unused_variables, reason = "the lint fires in the body, once")]
fn expectations(x: u32, y: u32) -> u32 {
    y
}

#[task_fn(transient)]
#[cfg(any())]
fn absent(x: NoSuchType) -> NoSuchType {}

#[cfg(not(any()))]
#[task_fn(transient)]
#[inline(never)]
fn absent(x: u32) -> u32 {
    x
}

mod inner {
    use super::*;

    #[task_fn(transient)]
    pub(super) fn restricted<'a, 'b: 'a, T, const N: usize>(x: &'a [T; N], y: &'b str) -> Vec<String>
    where
        T: Clone + Debug + Eq + Hash + Send + Sync + 'static,
        for<'c> &'c T: Sized,
    {
        let both: (&'a [T; N], &'a str) = (x, y);
        both.0.iter().map(|item| format!("{item:?}{}", both.1)).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Doc(String);

/// A trait with an `async fn` and a provided method.
trait Load {
    fn load(&self, name: &str) -> impl Future<Output = usize> + Send;
    fn unused(&self, name: &str) -> usize;
}

impl Load for Doc {
    #[task_fn(transient)]
    async fn load(&self, name: &str) -> usize {
        std::future::ready(self.0.len() + name.len()).await
    }

    #[task_fn(transient, skip_unused)]
    fn unused(&self, _name: &str) -> usize {
        self.0.len()
    }
}

#[task_fn(transient)]
fn r#type(r#fn: u32, _: u32) -> u32 {
    r#fn
}

#[task_fn(transient)]
fn function_pointers(f: fn(&str) -> &str, g: Option<fn(&mut u32)>) -> bool {
    f("a") == "a" && g.is_none()
}

#[task_fn(transient)]
fn static_borrows(x: &'static str, y: Option<&'static str>) -> &'static str {
    y.unwrap_or(x)
}

fn main() {
    if false {
        #[allow(deprecated, reason = "that is what is tried")]
        let _ = attributes("");
        let _ = attributes::is_cached("");
        expectations(1, 2);
        absent(1);
        inner::restricted(&[1], "");
        drop(Doc(String::new()).load(""));
        Doc(String::new()).unused("");
        r#type(1, 2);
        r#type::forget(1, 2);
        function_pointers(|x| x, None);
        static_borrows("", None);
    }
}
