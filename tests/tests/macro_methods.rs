//! `#[task_fn]` on methods: `self` in every guise, traits, generics.

#![allow(clippy::useless_vec, reason = "what stands in macro calls is what is tested")]

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::hash::Hash;
use std::path::{Path, PathBuf};

use larder::{Runtime, ask, task_fn};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Doc {
    text: String,
    limit: Option<usize>,
}

impl Display for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

mod helper {
    pub(super) fn twice(n: usize) -> usize {
        n * 2
    }
}

macro_rules! longest {
    ($of:expr) => {
        $of.text.split(' ').map(str::len).max().unwrap_or(0)
    };
}

impl Doc {
    const SEPARATOR: char = ' ';

    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), limit: None }
    }

    /// The number of words.
    #[task_fn(transient)]
    #[must_use]
    pub(crate) fn words(&self, shortest: usize) -> usize {
        self.text.split(Self::SEPARATOR).filter(|word| word.len() >= shortest).count()
    }

    #[task_fn(transient)]
    fn limited(&self, mut n: usize, (add, _): (usize, usize)) -> Option<usize> {
        n += add;
        let limit = self.limit?;
        if limit > n {
            return Some(n);
        }
        'found: {
            for word in self.text.split(' ') {
                if word.len() > limit {
                    break 'found;
                }
            }
            return None;
        }
        Some(limit)
    }

    #[task_fn(transient)]
    fn every_guise(&self, key: &str, this: u32) -> String {
        struct Inner(usize);
        impl Inner {
            fn get(&self) -> usize {
                self.0
            }
        }
        let inner = Inner(self::helper::twice(self.text.len()));
        let closure = || self.words(1) + Self::words(self, 2);
        let width = 8;
        assert!(!self.text.is_empty(), "{self} is empty");
        [
            format!("{self}|{self:?}|{self:>width$}|{{self}}|{0}", self.text),
            longest!(self).to_string(),
            inner.get().to_string(),
            closure().to_string(),
            matches!(self, Self { limit: None, .. }).to_string(),
            vec!["{self}"].concat(),
            format!("{key}{this}"),
        ]
        .join(";")
    }

    #[allow(clippy::needless_arbitrary_self_type, reason = "this form has to work, too")]
    #[task_fn(transient)]
    fn typed_receiver(self: &Self, other: &Self) -> Self {
        Self { text: format!("{self}{other}"), limit: None }
    }

    /// No receiver; that it names `Self` tells that it stands in an `impl`.
    #[task_fn(transient)]
    fn parsed(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }

    /// No receiver and no `Self`, so that it has to say that there is no place for a companion.
    #[task_fn(transient, no_companion)]
    fn triple(n: u32) -> u32 {
        n * 3
    }

    #[task_fn(transient, skip_unused)]
    fn unused(&self, _context: &dyn Fn(), n: u32) -> usize {
        self.text.len() + n as usize
    }
}

#[test]
fn self_works_in_every_guise() {
    Runtime::new().run(|| {
        let doc = Doc::new("a bb ccc");
        assert_eq!((doc.words(2), doc.words(3), Doc::new("x").words(1)), (2, 1, 1));
        assert_eq!(doc.limited(1, (0, 0)), None);
        assert_eq!(Doc { limit: Some(3), ..doc.clone() }.limited(1, (1, 0)), Some(2));
        assert_eq!(Doc { limit: Some(2), ..doc.clone() }.limited(1, (1, 0)), Some(2));
        assert_eq!(Doc { limit: Some(3), ..doc.clone() }.limited(3, (1, 0)), None);
        let expected =
            "a bb ccc|Doc { text: \"a bb ccc\", limit: None }|a bb ccc|{self}|a bb ccc;3;16;5;true;{self};k1";
        assert_eq!(doc.every_guise("k", 1), expected);
        assert_eq!(doc.typed_receiver(&doc).text, "a bb ccca bb ccc");
        assert_eq!(Doc::parsed("x"), Ok(Doc::new("x")));
        assert_eq!(Doc::triple(2), 6);
        assert_eq!(doc.unused(&|| (), 2), 10);
    });
}

trait Measure {
    fn measure(&self, unit: &str) -> usize;

    #[task_fn(transient)]
    fn provided(&self, n: usize) -> usize
    where
        Self: Clone + Hash + Eq + Send + Sync + Sized + 'static,
    {
        self.measure("") + n
    }
}

impl Measure for Doc {
    #[task_fn(transient)]
    fn measure(&self, unit: &str) -> usize {
        self.text.len() + unit.len()
    }
}

impl Measure for String {
    #[task_fn(transient)]
    fn measure(&self, unit: &str) -> usize {
        self.len() * 100 + unit.len()
    }
}

fn through_generics<M: Measure + ?Sized>(of: &M) -> usize {
    of.measure("mm")
}

#[test]
fn trait_methods_work_through_dyn_and_generics() {
    Runtime::new().run(|| {
        let doc = Doc::new("abc");
        let objects: [&dyn Measure; 2] = [&doc, &"abc".to_owned()];
        assert_eq!(objects.map(|object| object.measure("mm")), [5, 302]);
        assert_eq!((through_generics(&doc), through_generics(objects[1])), (5, 302));
        assert_eq!((doc.provided(1), "abc".to_owned().provided(1)), (4, 301));
    });
}

/// Neither hashed nor compared.
#[derive(Clone)]
struct Tool(HashMap<u32, u32>);

/// Neither kept nor sent: nothing that a key could be made of.
struct Context<'a>(#[expect(dead_code, reason = "no body may read it")] &'a Cell<u32>);

trait Render {
    fn render(&self, of: &str, at: &Path, parts: &[u8], tool: &Tool, context: &Context<'_>) -> String;
    fn unused(&self, context: &Context<'_>, visit: &dyn Fn(), n: u32) -> u32;
    #[allow(clippy::too_many_arguments, reason = "the most that a task function takes")]
    #[rustfmt::skip]
    fn twelve(&self, a: &str, b: &[u8], c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: &Path) -> String;
}

impl Render for Doc {
    #[task_fn(transient, skip_unused)]
    fn render(
        &self,
        of: &str,
        at: &Path,
        parts: &[u8],
        #[skip] tool: &Tool,
        _context: &Context<'_>,
    ) -> String {
        format!("{self} {of} {} {parts:?} {}", at.display(), tool.0.len())
    }

    #[task_fn(transient, skip_unused)]
    fn unused(&self, _context: &Context<'_>, _visit: &dyn Fn(), n: u32) -> u32 {
        n * 2
    }

    #[task_fn(transient)]
    #[rustfmt::skip]
    fn twelve(&self, a: &str, b: &[u8], c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: &Path) -> String {
        format!("{self}{a}{b:?}{c}{d}{e}{f}{g}{h}{i}{j}{k}{}", l.display())
    }
}

#[test]
fn borrowed_skipped_and_unused_parameters_work_through_dyn() {
    let runtime = Runtime::new();
    let doc = Doc::new("doc");
    let object: &dyn Render = &doc;
    let cell = Cell::new(0);
    let context = Context(&cell);
    runtime.run(|| {
        let none = Tool(HashMap::new());
        let first = object.render("a", Path::new("b"), &[1], &Tool([(1, 1)].into()), &context);
        assert_eq!(first, "doc a b [1] 1");
        let owned = (String::from("a"), PathBuf::from("b"), vec![1]);
        assert_eq!(doc.render(&owned.0, &owned.1, &owned.2, &none, &Context(&Cell::new(1))), first);
        assert!(ask(|| object.render("a", Path::new("b"), &[1], &none, &context)).is_cached());
        assert!(!ask(|| object.render("a", Path::new("b"), &[2], &none, &context)).is_cached());
        assert!(!ask(|| object.render("a", Path::new("c"), &[1], &none, &context)).is_cached());

        assert_eq!(object.unused(&context, &|| (), 4), 8);
        assert_eq!(object.unused(&Context(&Cell::new(1)), &|| cell.set(1), 4), 8);

        let twelve = |last: &str| object.twelve("a", &[1], 1, 2, 3, 4, 5, 6, 7, 8, 9, Path::new(last));
        assert_eq!((twelve("l"), twelve("l")), ("doca[1]123456789l".into(), "doca[1]123456789l".into()));
        assert!(!ask(|| twelve("m")).is_cached());
        assert_eq!(Render::unused(&Doc::new("cod"), &context, &|| (), 4), 8);
    });
    let runs = |name| runtime.stats().get(name).map(|function| function.runs);
    assert_eq!([runs("render"), runs("unused"), runs("twelve")], [Some(1), Some(2), Some(1)]);
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Pair<T>(T, T);

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Pair<T> {
    #[task_fn(transient)]
    fn sized<U, const N: usize>(&self, others: [U; N]) -> usize
    where
        U: Clone + Eq + Hash + Send + Sync + 'static,
    {
        size_of_val(self) + size_of::<U>() * others.len()
    }
}

trait Size<T> {
    fn size(&self) -> usize;
}

impl<T: 'static> Size<T> for Doc {
    /// `T` is in neither the receiver nor the signature.
    #[task_fn(transient)]
    fn size(&self) -> usize {
        size_of::<T>()
    }
}

#[test]
fn instances_of_generic_methods_share_nothing() {
    Runtime::new().run(|| {
        assert_eq!(Pair(1u8, 2).sized([1u16]), 4);
        assert_eq!(Pair(1u8, 2).sized([1u32, 2]), 10);
        assert_eq!(Pair(1u16, 2).sized([1u32, 2]), 12);
        let doc = Doc::new("");
        assert_eq!(<Doc as Size<u8>>::size(&doc), 1);
        assert_eq!(<Doc as Size<u64>>::size(&doc), 8);
    });
}
