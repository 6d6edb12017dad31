//! Work after a change: the tasks that run again, and those that do not, asked again and again in one process.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use larder::Stats;

use crate::memoized::Census;
use crate::model::{Diagnostic, Problem, Report};
use crate::roots::Roots;
use crate::{MANIFEST, Tree};

const FILES: [(&str, &str); 6] = [
    ("one/Cargo.toml", MANIFEST),
    ("one/src/lib.rs", "pub mod deep;\nfn f() {}\n"),
    ("one/src/deep/mod.rs", "fn g() {}\n"),
    ("two/Cargo.toml", "[package]\nname = \"two\"\n"),
    ("two/src/lib.rs", "fn h() {}\n"),
    ("two/src/main.rs", "fn main() {}\n"),
];

struct Sitting {
    tree: Tree,
    roots: Roots,
    census: Census,
    before: Stats,
}

struct Step {
    report: Arc<Report>,
    diagnostics: Vec<Diagnostic>,
    sources_changed: usize,
    stats: Stats,
}

impl Sitting {
    /// Over a whole tree, which has been counted once.
    fn over(files: &[(&str, &str)]) -> Sitting {
        let tree = Tree::new(files);
        let roots = Roots::resolve(&[tree.path().to_owned()]);
        Sitting::begin(tree, roots)
    }

    fn begin(tree: Tree, roots: Roots) -> Sitting {
        let mut sitting = Sitting { tree, roots, census: Census::default(), before: Stats::default() };
        sitting.step();
        sitting
    }

    fn step(&mut self) -> Step {
        let sources_changed = self.census.refresh().changed;
        let (report, diagnostics) = self.census.report(&self.roots);
        let now = self.census.stats();
        let stats = now.since(&self.before);
        self.before = now;
        Step { report, diagnostics, sources_changed, stats }
    }

    fn step_after(&mut self, path: &str, text: &str) -> Step {
        self.tree.write(path, text.as_bytes());
        self.step()
    }
}

impl Step {
    /// All bodies that ran, by task function.
    #[track_caller]
    fn check_runs(&self, expected: &[(&str, u64)]) {
        let functions =
            self.stats.functions.iter().filter(|function| !function.is_source && function.runs > 0);
        let mut runs: Vec<_> = functions.map(|function| (function.name, function.runs)).collect();
        runs.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(runs, expected, "{}", self.stats);
    }

    fn functions(&self) -> u64 {
        self.report.totals.functions
    }
}

#[test]
fn a_first_report_runs_each_body_once() {
    let tree = Tree::new(&FILES);
    let census = Census::default();
    let (report, _) = census.report(&Roots::resolve(&[tree.path().to_owned()]));
    let stats = census.stats();
    // Directories: the root, and of each crate itself, `src`, and in one of them `src/deep`.
    let expected = [
        ("parse_file", 4),
        ("crate_census", 2),
        ("package", 6),
        ("subdirectories", 6),
        ("par_fold_part", 1),
        ("overview", 1),
    ];
    for (name, runs) in expected {
        assert_eq!(stats.get(name).map(|function| function.runs), Some(runs), "{name}");
    }
    assert_eq!((report.totals.files, report.totals.crates, report.totals.functions), (4, 2, 4));
}

#[test]
fn a_second_report_runs_nothing_and_is_the_same() {
    let mut sitting = Sitting::over(&FILES);
    let [first, second] = [(); 2].map(|()| sitting.step());
    first.check_runs(&[]);
    second.check_runs(&[]);
    assert_eq!(second.stats.hits(), 3, "the overview and its two crates; collecting asks for no value");
    assert_eq!(first.report, second.report);
}

#[test]
fn an_edited_file_is_parsed_and_its_crate_added_up_again() {
    let mut sitting = Sitting::over(&FILES);
    let step = sitting.step_after("one/src/deep/mod.rs", "fn g() {}\nfn more() {}\n");
    step.check_runs(&[("parse_file", 1), ("crate_census", 1), ("par_fold_part", 1), ("overview", 1)]);
    assert_eq!((step.functions(), step.sources_changed), (5, 1));
}

#[test]
fn an_edit_that_counts_for_nothing_ends_at_its_file() {
    let mut sitting = Sitting::over(&FILES);
    let step = sitting.step_after("two/src/lib.rs", "fn h(){ }\n");
    step.check_runs(&[("parse_file", 1)]);
    assert_eq!(step.stats.get("parse_file").unwrap().cut_off, 1);
}

#[test]
fn a_file_written_again_as_it_was_runs_nothing() {
    let mut sitting = Sitting::over(&FILES);
    let step = sitting.step_after("one/src/lib.rs", FILES[1].1);
    step.check_runs(&[]);
    assert_eq!(step.sources_changed, 0);
}

#[test]
fn a_new_file_is_parsed_alone() {
    let mut sitting = Sitting::over(&FILES);
    // The directory that it is in is looked at again (by its parent too, for the tag of a cache), and the lists of files at it
    // and above are put together again.
    let lists = [("package", 1), ("subdirectories", 2), ("crate_files", 3)];
    let step = sitting.step_after("one/src/deep/new.rs", "fn n() {}\n");
    step.check_runs(
        &[&lists[..], &[("parse_file", 1), ("crate_census", 1), ("par_fold_part", 1), ("overview", 1)]]
            .concat(),
    );
    assert_eq!((step.functions(), step.report.totals.files), (5, 5));
    fs::remove_file(sitting.tree.path().join("one/src/deep/new.rs")).unwrap();
    let step = sitting.step();
    step.check_runs(&[&lists[..], &[("crate_census", 1), ("par_fold_part", 1), ("overview", 1)]].concat());
    assert_eq!((step.functions(), step.report.totals.files), (4, 4));
}

#[test]
fn a_file_that_is_no_source_ends_at_its_directory() {
    let mut sitting = Sitting::over(&FILES);
    let step = sitting.step_after("one/src/README.md", "no source");
    step.check_runs(&[("package", 1), ("subdirectories", 2), ("crate_files", 1)]);
}

#[test]
fn a_broken_file_is_told_on_every_report_and_nothing_else_is_lost() {
    let mut sitting = Sitting::over(&FILES);
    let broken = |step: &Step, line| {
        let [diagnostic] = &*step.diagnostics else { panic!("{:?}", step.diagnostics) };
        assert_eq!((diagnostic.problem, diagnostic.line), (Problem::DoesNotParse, Some(line)));
        assert!(diagnostic.file.ends_with("one/src/lib.rs"));
        assert_eq!((step.functions(), step.report.totals.files, step.report.totals.broken_files), (3, 4, 1));
    };
    let step = sitting.step_after("one/src/lib.rs", "fn f() {}\nfn f( {\n");
    step.check_runs(&[("parse_file", 1), ("crate_census", 1), ("par_fold_part", 1), ("overview", 1)]);
    broken(&step, 2);
    // A hit says it again.
    let step = sitting.step();
    step.check_runs(&[]);
    broken(&step, 2);
    // So does a report that runs, but not for this file.
    let step = sitting.step_after("two/src/lib.rs", "fn other() {\n    1\n}\n");
    step.check_runs(&[("parse_file", 1), ("crate_census", 1), ("par_fold_part", 1), ("overview", 1)]);
    broken(&step, 2);
    // Equal counts with another message: the result stops at the file, the message gets through.
    let step = sitting.step_after("one/src/lib.rs", "fn f( {}}\nfn f();\n");
    step.check_runs(&[("parse_file", 1)]);
    broken(&step, 1);
    let step = sitting.step_after("one/src/lib.rs", FILES[1].1);
    assert_eq!((&*step.diagnostics, step.functions()), (&[][..], 4));
}

#[test]
fn bytes_that_are_not_utf8_are_told_until_they_are() {
    let mut sitting = Sitting::over(&FILES);
    sitting.tree.write("two/src/lib.rs", b"\n\xff\n");
    let step = sitting.step();
    let [diagnostic] = &*step.diagnostics else { panic!("{:?}", step.diagnostics) };
    assert_eq!((diagnostic.problem, diagnostic.line), (Problem::NotUtf8, Some(2)));
    let step = sitting.step_after("two/src/lib.rs", FILES[4].1);
    step.check_runs(&[("parse_file", 1), ("crate_census", 1), ("par_fold_part", 1), ("overview", 1)]);
    assert_eq!((&*step.diagnostics, step.functions()), (&[][..], 4));
}

#[test]
fn listed_files_are_added_up_by_crate_and_only_where_they_change() {
    let tree = Tree::new(&FILES);
    let listed =
        ["one/src/lib.rs", "one/src/deep/mod.rs", "two/src/lib.rs"].map(|path| tree.path().join(path));
    let roots = Roots::resolve(&listed);
    let mut sitting = Sitting::begin(tree, roots);
    let step = sitting.step_after("one/src/lib.rs", "fn f() {}\nfn more() {}\n");
    step.check_runs(&[("parse_file", 1), ("census_of_files", 1), ("par_fold_part", 1), ("overview", 1)]);
    assert_eq!((step.functions(), step.report.totals.crates), (4, 2));
    // A file that is not listed is not read.
    sitting.step_after("two/src/main.rs", "fn main() { 1 }\n").check_runs(&[]);
}

#[test]
fn a_report_shares_its_crates_with_the_tasks_that_they_come_from() {
    let mut sitting = Sitting::over(&FILES);
    let before = sitting.step().report;
    let after = sitting.step_after("one/src/lib.rs", "fn f() {}\nfn more() {}\n").report;
    let of = |report: &Report, name: &Path| {
        report.crates.iter().find(|one| one.dir.file_name() == Some(name.as_os_str())).cloned().unwrap()
    };
    assert!(!Arc::ptr_eq(&of(&before, Path::new("one")), &of(&after, Path::new("one"))));
    assert!(Arc::ptr_eq(&of(&before, Path::new("two")), &of(&after, Path::new("two"))));
}
