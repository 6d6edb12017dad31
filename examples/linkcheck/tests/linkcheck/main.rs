//! The linkcheck example, on small folders and with its server on loopback: as its users run it, and its tasks by themselves.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]
#![expect(unreachable_pub, dead_code, reason = "the program's modules offer more than is asked of them here")]

#[path = "../../src/fetch.rs"]
mod fetch;
#[path = "../../src/markdown.rs"]
mod markdown;
#[path = "../../src/progress.rs"]
mod progress;
#[path = "../../src/stand_in.rs"]
mod stand_in;
#[path = "../../src/target.rs"]
mod target;
#[path = "../../src/tasks.rs"]
mod tasks;
#[path = "../../src/url.rs"]
mod url;

mod files;
mod headings;
mod pages;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use larder::Runtime;
use tempfile::TempDir;

use fetch::{Client, FetchError};
use stand_in::{Answers, StandIn};
use tasks::{Problem, Report, Settings};

const SITE: [&str; 7] = [
    "http://site.test/",
    "http://site.test/page #here",
    "http://site.test/moved -> /page",
    "http://site.test/gone 410",
    "http://site.test/round -> http://site.test/round",
    "http://site.test/slow after 60000",
    "https://site.test/secure",
];

const INDEX: &str = "\
# The index

[other](other.md), [its second](other.md#the-second), [itself](#the-index), [folder](sub), <a id=\"place\"></a>
[deep](sub/deep.md) ![image](picture.png) [mail](mailto:a@b.test)
[missing](missing.md)
[no such heading](other.md#the-third)
[page](http://site.test/page) [part](http://site.test/page#here) [moved](http://site.test/moved#here)
[no such part](http://site.test/page#there)
[gone](http://site.test/gone)
[unknown](http://elsewhere.test/)
[slow](http://site.test/slow)
[round](http://site.test/round)
[secure](https://site.test/secure)
";

/// A folder of Markdown, and a server.
struct Folder {
    dir: TempDir,
    executor: tokio::runtime::Runtime,
    answers: Arc<Answers>,
    _stand_in: StandIn,
    settings: Settings,
    runtime: Runtime,
}

impl Folder {
    fn new() -> Folder {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let executor = tokio::runtime::Runtime::new().unwrap();
        let answers = Arc::new(Answers::default());
        SITE.iter().for_each(|line| answers.add(line).unwrap());
        let stand_in = executor.block_on(StandIn::start(answers.clone())).unwrap();
        let client = Client { stand_in: Some(stand_in.address()), timeout: Duration::from_secs(8) };
        let settings = Settings { client, at_once: 8, top: dir.path().to_owned() };
        let folder =
            Folder { dir, executor, answers, _stand_in: stand_in, settings, runtime: Runtime::new() };
        folder.write("index.md", INDEX);
        folder.write("other.md", "# Other\n## The second\n[back](index.md#place)\n");
        folder.write("sub/deep.md", "[up](../other.md)\n");
        folder.write("picture.png", "");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn report(&self) -> Arc<Report> {
        self.runtime.refresh().unwrap();
        let session = self.runtime.run_async(async { tasks::report(&self.settings, self.dir.path()).await });
        self.executor.block_on(session)
    }

    /// The report, with how many files were parsed, links judged and pages asked for.
    fn counted(&self) -> (Arc<Report>, [u64; 3]) {
        let before = self.runtime.stats();
        let report = self.report();
        let done = self.runtime.stats().since(&before);
        let runs = |name| done.get(name).map_or(0, |function| function.runs);
        (report, ["document", "verdict", "page"].map(runs))
    }
}

fn broken(report: &Report) -> Vec<(&str, usize, &Problem)> {
    report.broken.iter().map(|broken| (broken.target.as_str(), broken.line, &broken.problem)).collect()
}

#[test]
fn what_is_broken_is_found_and_nothing_else() {
    let report = Folder::new().report();
    assert_eq!((report.files, report.links, report.unchecked), (3, 20, 1));
    let expected: [(&str, usize, Problem); 7] = [
        ("missing.md", 5, Problem::NoSuchFile),
        ("other.md#the-third", 6, Problem::NoSuchAnchor),
        ("http://site.test/page#there", 8, Problem::NoSuchAnchor),
        ("http://site.test/gone", 9, Problem::Status(410)),
        ("http://elsewhere.test/", 10, Problem::Status(404)),
        ("http://site.test/slow", 11, Problem::Fetch(FetchError::TimedOut)),
        ("http://site.test/round", 12, Problem::Fetch(FetchError::TooManyRedirections)),
    ];
    let expected: Vec<_> = expected.iter().map(|(target, line, problem)| (*target, *line, problem)).collect();
    assert_eq!(broken(&report), expected);
}

#[test]
fn after_an_edit_only_what_it_touches_runs() {
    let folder = Folder::new();
    folder.write(
        "index.md",
        &INDEX.replace("[slow](http://site.test/slow)\n[round](http://site.test/round)\n", ""),
    );
    let (first, runs) = folder.counted();
    assert_eq!(runs, [3, 18, 5], "the anchors of a page are no pages of their own");
    // Within the time that answers are believed.
    let (again, runs) = folder.counted();
    assert_eq!((runs, &again), ([0, 0, 0], &first));
    // A heading goes, and one link leads to it.
    folder.write("other.md", "# Other\n[back](index.md#place)\n");
    let (edited, runs) = folder.counted();
    assert_eq!(edited.broken.len(), first.broken.len() + 1);
    assert!(runs[0] == 1 && runs[1] <= 3 && runs[2] == 0, "{runs:?}");
    // A file comes that was missing; nothing is parsed but itself.
    folder.write("missing.md", "");
    let (repaired, runs) = folder.counted();
    assert_eq!(repaired.broken.len(), first.broken.len());
    assert!(runs[0] == 1 && runs[2] == 0, "{runs:?}");
}

#[test]
fn answers_expire_and_failures_are_not_kept() {
    let folder = Folder::new();
    folder.write("other.md", "");
    folder.write("index.md", "[gone](http://site.test/gone) [bad](http://site.test/round)\n");
    let (first, _) = folder.counted();
    assert_eq!(first.broken.len(), 2);
    // The redirections were an error, which is not kept; the status is believed.
    folder.answers.add("http://site.test/round").unwrap();
    folder.answers.add("http://site.test/gone").unwrap();
    let (second, runs) = folder.counted();
    assert_eq!((second.broken.len(), runs[2]), (1, 1));
    let deadline = Instant::now() + Duration::from_secs(200);
    loop {
        sleep(Duration::from_millis(100));
        if folder.report().broken.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "an answer is believed for ever");
    }
}

#[test]
fn slow_pages_are_awaited_at_once() {
    let folder = Folder::new();
    let pages: Vec<_> = (0..8).map(|page| format!("http://site.test/{page}")).collect();
    pages.iter().for_each(|page| folder.answers.add(&format!("{page} together 8")).unwrap());
    folder.write("index.md", &pages.iter().map(|page| format!("[page]({page})\n")).collect::<String>());
    folder.write("other.md", "");
    // No page is answered before all eight are asked for: one after the other they would time out.
    assert_eq!(broken(&folder.report()), []);
}

#[test]
fn the_program_tells_what_is_broken() {
    let folder = Folder::new();
    folder.write("list.txt", "# A list.\nhttp://site.test/page #here\nhttps://site.test/secure after 1\n");
    folder.write(
        "index.md",
        "[page](http://site.test/page#here) [secure](https://site.test/secure) [gone](nowhere.md)\n",
    );
    folder.write("other.md", "");
    let run = |arguments: &[&str]| {
        let mut linkcheck = Command::new(env!("CARGO_BIN_EXE_linkcheck"));
        linkcheck.args(arguments).current_dir(folder.dir.path()).output().unwrap()
    };
    let output = run(&["--stand-in", "list.txt", "."]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "index.md:1: nowhere.md: no such file\n");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("4 links in 3 files, 1 broken, 0 not checked;"), "{told}");
    folder.write("nowhere.md", "");
    assert_eq!(run(&["--stand-in", "list.txt"]).status.code(), Some(0));
    assert_eq!(run(&["--no-such-option"]).status.code(), Some(2));
}
