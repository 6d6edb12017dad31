//! The front end, edited as in an editor.

use calc::program::{Report, Source, report};
use calc::syntax::Span;
use calc::value::Value;
use larder::storage::MemoryStorage;
use larder::{Runtime, Stats};

const TEXT: &str = "\
fn area(width: num, height: num) = width * height
fn is_large(area: num): bool = area > 100

print if is_large(area(20, 6)) then 1 else 0
print area(2, 3)
";

struct Editor {
    runtime: Runtime,
    source: Source,
    text: String,
}

impl Editor {
    fn on(runtime: Runtime, text: &str) -> Editor {
        let source = runtime.input("source", text.to_owned());
        let mut editor = Editor { runtime, source, text: text.to_owned() };
        editor.edit("", "");
        editor
    }

    fn report(&self) -> Report {
        self.runtime.run(|| report(&self.source)).as_ref().clone()
    }

    /// Replaces a part of the text, and returns what ran for the new report.
    fn edit(&mut self, old: &str, new: &str) -> Stats {
        assert!(self.text.contains(old), "`{old}` is not in the text");
        self.text = self.text.replacen(old, new, 1);
        let before = self.runtime.stats();
        self.runtime
            .update(|update| update.set(&self.source, self.text.clone()))
            .expect("no session is open");
        self.report();
        self.runtime.stats().since(&before)
    }

    fn faults(&self) -> Vec<(String, String)> {
        let shown = |span: Span| self.text[span.start..span.end].to_owned();
        self.report().diagnostics.into_iter().map(|fault| (shown(fault.span), fault.message)).collect()
    }
}

/// Runs of `checked`, `parsed` and `printed`.
fn runs(stats: &Stats) -> [u64; 3] {
    ["checked", "parsed", "printed"].map(|name| stats.get(name).map_or(0, |function| function.runs))
}

#[test]
fn a_program_prints_its_values() {
    let editor = Editor::on(Runtime::new(), TEXT);
    assert_eq!(editor.report(), Report { diagnostics: vec![], printed: vec![Value::Num(1), Value::Num(6)] });
}

#[test]
fn items_that_move_are_neither_parsed_nor_checked() {
    let mut editor = Editor::on(Runtime::new(), TEXT);
    let ran = editor.edit("fn area", "# A comment.\n\n\nfn area");
    assert_eq!(runs(&ran), [0, 0, 0]);
    assert_eq!(ran.runs(), 2, "the items are cut out, and the report is put together");
}

#[test]
fn a_body_that_changes_concerns_itself_and_what_is_printed_by_it() {
    let mut editor = Editor::on(Runtime::new(), TEXT);
    let ran = editor.edit("area > 100", "area > 200");
    assert_eq!(runs(&ran), [1, 1, 1]);
    assert_eq!(editor.report().printed, [Value::Num(0), Value::Num(6)]);
    let ran = editor.edit("area > 200", "area > 100");
    assert_eq!(runs(&ran), [0, 0, 1], "the old text is known");
}

#[test]
fn a_signature_that_changes_concerns_its_callers() {
    let mut editor = Editor::on(Runtime::new(), TEXT);
    let ran = editor.edit("(area: num): bool = area > 100", "(area: num) = area");
    assert_eq!(runs(&ran), [2, 1, 1]);
    assert_eq!(editor.faults(), [("is_large".to_owned(), "this is a `num`, not a `bool`".to_owned())]);
}

#[test]
fn faults_are_told_where_they_are_also_when_they_have_moved() {
    let cases = [
        ("print nothing(1)", "nothing", "there is no function `nothing`"),
        ("print area(1)", "area", "`area` takes 2 arguments, not 1"),
        ("fn f(a: num) = b", "b", "there is no parameter `b`"),
        ("fn f(a: text) = a", "text", "`text` is no type: there are `num` and `bool`"),
        ("fn f(a: bool) = a", "a", "this is a `bool`, not a `num`"),
        ("print 1 + true", "true", "this is a `bool`, not a `num`"),
        ("print 1 2", "2", "`2` is not expected here"),
        ("print (1", "", "`)` is missing here"),
        ("print", "", "something is missing here"),
        ("say 1", "say 1", "an item begins with `fn` or `print`"),
        ("print if true then 1 else\n  false", "false", "this is a `bool`, not a `num`"),
    ];
    for (item, place, message) in cases {
        let mut editor = Editor::on(Runtime::new(), &format!("{TEXT}{item}\n"));
        let expected = [(place.to_owned(), message.to_owned())];
        assert_eq!(editor.faults(), expected, "{item}");
        let ran = editor.edit("fn area", "# höher\nfn area");
        assert_eq!(runs(&ran), [0, 0, 0], "{item}");
        assert_eq!(editor.faults(), expected, "{item}");
    }
}

#[test]
fn a_recursion_without_end_or_measure_has_no_value() {
    let editor = Editor::on(Runtime::new(), "fn f(a: num) = f(a + 1)\nprint f(1)\nprint 3\n");
    assert_eq!(editor.report(), Report { diagnostics: vec![], printed: vec![Value::Num(3)] });
    let twice = "fn f(a: num) = if a < 1 then 1 else f(a - 1) + f(a - 1)\nprint f(4)\nprint f(60)\n";
    assert_eq!(Editor::on(Runtime::new(), twice).report().printed, [Value::Num(16)]);
}

#[test]
fn items_without_measure_are_faults() {
    let cases = [
        (
            format!("print {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            "an item has 400 words and signs at most",
        ),
        (format!("print {}1{}", "(".repeat(100), ")".repeat(100)), "this is nested too deeply"),
        (format!("print 1{}", " + 1".repeat(100_000)), "an item has 400 words and signs at most"),
    ];
    for (text, message) in cases {
        let faults = Editor::on(Runtime::new(), &text).faults();
        assert_eq!(faults.into_iter().map(|(_, message)| message).collect::<Vec<_>>(), [message]);
    }
    let longest = format!("print 1{}", " + 1".repeat(190));
    assert_eq!(Editor::on(Runtime::new(), &longest).report().printed, [Value::Num(191)]);
}

#[test]
fn of_two_functions_of_a_name_the_first_counts() {
    let mut editor = Editor::on(Runtime::new(), "fn f(a: num) = 1\nfn f(a: num) = 2\nprint f(0)\n");
    assert_eq!(editor.report().printed, [Value::Num(1)]);
    editor.edit("fn f(a: num) = 1\n", "");
    assert_eq!(editor.report().printed, [Value::Num(2)]);
}

#[test]
fn nothing_runs_in_a_later_process() {
    let store = MemoryStorage::new();
    let runtime = || Runtime::builder().storage(store.clone()).build();
    let editor = Editor::on(runtime(), TEXT);
    let first = editor.report();
    editor.runtime.flush().expect("the store is in memory");
    drop(editor);
    let runtime = runtime();
    let source = runtime.input("source", TEXT.to_owned());
    assert_eq!(*runtime.run(|| report(&source)), first);
    assert_eq!(runtime.stats().runs(), 0);
}
