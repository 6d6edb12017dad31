//! `#[task_fn]` on `async fn`: free, generic, methods, traits.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::future::Future;
use std::task::Waker;

use larder::{Runtime, TaskCall, task_fn};
use larder_tests::executor::{block_on, give_way};

#[task_fn(transient)]
async fn length(text: &str, mut more: usize) -> Result<usize, String> {
    more += 1;
    if text.is_empty() {
        return Err("empty".into());
    }
    give_way().await;
    let number: usize = text.parse().map_err(|_| "no number")?;
    Ok(number + more)
}

#[task_fn(transient, max_future = 512)]
async fn generic<T: Clone + Eq + std::hash::Hash + Send + Sync + 'static>(x: T) -> Vec<T> {
    give_way().await;
    vec![x]
}

#[task_fn(transient, skip_unused)]
async fn unused(_context: &Waker, x: u32) -> u32 {
    give_way().await;
    x
}

#[test]
fn an_async_call_is_looked_up_at_once() {
    Runtime::new().run(|| {
        let call: TaskCall<Result<usize, String>> = length("20", 1);
        assert!(!length::is_cached("20", 1));
        assert_eq!(block_on(call), Ok(22));
        assert!(length::is_cached("20", 1));
        assert_eq!(block_on(length("20", 1)), Ok(22));
        assert_eq!(block_on(length("", 1)), Err("empty".to_owned()));
        assert_eq!(block_on(length("x", 1)), Err("no number".to_owned()));
        assert_eq!(block_on(length::uncached("20", 2)), Ok(23));
        assert!(length::forget("20", 1));
        assert_eq!(block_on(generic(1u8)), [1]);
        assert_eq!(block_on(generic("a".to_owned())), ["a"]);
        assert_eq!(block_on(unused(Waker::noop(), 2)), 2);
    });
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Page(String);

trait Load {
    fn load(&self, times: usize) -> impl Future<Output = String> + Send;
}

impl Load for Page {
    #[task_fn(transient)]
    async fn load(&self, times: usize) -> String {
        let later = async || self.0.clone();
        give_way().await;
        format!("{self:?}{}", later().await).repeat(times)
    }
}

trait LoadAsync {
    #[allow(async_fn_in_trait, reason = "declared as users do")]
    async fn load_async(&self) -> usize;
}

impl LoadAsync for Page {
    #[task_fn(transient)]
    async fn load_async(&self) -> usize {
        self.load(1).await.len()
    }
}

impl Page {
    #[task_fn(transient)]
    async fn checked(&self, (from, to): (usize, usize)) -> Option<String> {
        give_way().await;
        let part = self.0.get(from..to)?;
        if part.is_empty() {
            return None;
        }
        Some(part.to_owned())
    }
}

#[test]
fn async_methods_work_in_impls_and_traits() {
    Runtime::new().run(|| {
        let page = Page("abc".to_owned());
        assert_eq!(block_on(page.load(2)), "Page(\"abc\")abcPage(\"abc\")abc");
        assert_eq!(block_on(page.load_async()), 14);
        assert_eq!(block_on(page.checked((1, 2))), Some("b".to_owned()));
        assert_eq!(block_on(page.checked((1, 9))), None);
        assert_eq!(block_on(page.checked((1, 1))), None);
    });
}
