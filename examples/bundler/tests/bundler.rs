//! The generated project, edited, with the bodies counted.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

use std::path::Path;

use bundler::bundle::{chunks, reached};
use bundler::generated;
use bundler::output::{Changes, Output};
use larder::storage::MemoryStorage;
use larder::{Builder, Runtime};
use tempfile::TempDir;

struct Project {
    folder: TempDir,
    output: TempDir,
    outputs: Output,
    runtime: Runtime,
}

impl Project {
    fn new() -> Project {
        let (folder, output) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        generated::write(folder.path()).unwrap();
        let outputs = Output::to(output.path());
        let runtime = Runtime::builder().base(folder.path()).build();
        let mut project = Project { folder, output, outputs, runtime };
        project.build();
        project
    }

    /// Builds, and returns the bodies that ran, selections included, the files that were written, and the problems.
    fn build(&mut self) -> (u64, Changes, Vec<String>) {
        let before = self.runtime.stats();
        let chunks = self.runtime.run(|| chunks(Path::new(generated::ENTRY)));
        let changes = self.outputs.write(&chunks).unwrap();
        let problems = chunks.values().flat_map(|chunk| chunk.problems.clone()).collect();
        (self.runtime.stats().since(&before).runs(), changes, problems)
    }

    fn write(&mut self, path: &str, text: &str) -> (u64, Changes, Vec<String>) {
        std::fs::write(self.folder.path().join(path), text).unwrap();
        self.runtime.refresh().unwrap();
        self.build()
    }
}

fn written(names: &[&str]) -> Changes {
    Changes { written: names.iter().map(|name| (*name).to_owned()).collect(), removed: vec![] }
}

#[test]
fn all_that_the_entry_reaches_is_bundled() {
    let project = Project::new();
    assert_eq!(project.runtime.run(|| reached(Path::new(generated::ENTRY))).len(), 300);
    let main = std::fs::read_to_string(project.output.path().join("main.js")).unwrap();
    assert!(main.contains("use \"./part0/m0\" from \"part0/m0.js\""), "{main}");
    assert!(main.ends_with("let main = 1\n"), "{main}");
    assert_eq!(std::fs::read_dir(project.output.path()).unwrap().count(), 20);
}

#[test]
fn the_code_of_a_module_concerns_itself_and_its_chunk() {
    let mut project = Project::new();
    let (bodies, changes, _) =
        project.write("part3/m5.js", "import \"shared5\"\nimport \"./m6\"\nlet m5 = 50\n");
    assert_eq!(bodies, 4, "the module, as it stands in the chunk, the chunk, and the list of chunks");
    assert_eq!(changes, written(&["part3.js"]));
}

#[test]
fn a_file_that_is_not_asked_for_concerns_nothing() {
    let mut project = Project::new();
    let (bodies, changes, _) = project.write("part3/notes.js", "let notes = 1\n");
    assert_eq!((bodies, changes), (0, written(&[])));
}

#[test]
fn a_name_that_resolves_elsewhere_concerns_its_importers() {
    let mut project = Project::new();
    // `shared4` is imported by the modules 4, 13 and 22 of each part.
    let (bodies, changes, problems) = project.write("modules/shared4.js", "let shared4 = 40\n");
    assert!(problems.is_empty());
    assert_eq!(changes.removed, ["modules-shared4.js"]);
    assert_eq!(changes.written.len(), 11);
    assert_eq!(project.runtime.run(|| reached(Path::new(generated::ENTRY))).len(), 300);
    // Ten folders resolve it; thirty modules link and render it; ten chunks and the new one; the new module; what is reached, and the list.
    assert_eq!(bodies, 10 + 2 * 30 + 11 + 4 + 2);
}

#[test]
fn an_import_that_leads_nowhere_is_told_until_it_leads_somewhere() {
    let mut project = Project::new();
    let (_, _, problems) = project.write("part9/m28.js", "import \"./m29\"\nlet m28 = 28\n");
    assert_eq!(problems, ["part9/m28.js: there is no `./m29`"]);
    let (bodies, changes, problems) = project.write("part9/m29.js", "let m29 = 29\n");
    assert_eq!((changes, problems), (written(&["part9.js"]), vec![]));
    assert!(bodies <= 11, "{bodies} bodies");
}

#[test]
fn an_output_that_could_not_be_written_is_written_the_next_time() {
    let mut project = Project::new();
    let place = project.output.path().join("part3.js");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    std::fs::write(project.folder.path().join("part3/m28.js"), "let m28 = 0\n").unwrap();
    project.runtime.refresh().unwrap();
    let chunks = project.runtime.run(|| chunks(Path::new(generated::ENTRY)));
    assert!(project.outputs.write(&chunks).is_err());
    std::fs::remove_dir(&place).unwrap();
    assert_eq!(project.outputs.write(&chunks).unwrap(), written(&["part3.js"]));
}

#[test]
fn a_copy_of_the_project_at_another_place_runs_nothing() {
    let store = MemoryStorage::new();
    let run = |builder: Builder| {
        let folder = TempDir::new().unwrap();
        generated::write(folder.path()).unwrap();
        let runtime = builder.base(folder.path()).storage(store.clone()).build();
        let chunks = runtime.run(|| chunks(Path::new(generated::ENTRY)));
        runtime.flush().unwrap();
        (chunks, runtime.stats().runs())
    };
    let (first, _) = run(Runtime::builder());
    let (second, bodies) = run(Runtime::builder());
    assert_eq!((first, 0), (second, bodies));
}

#[test]
fn a_change_is_noticed_by_the_watcher() {
    let project = Project::new();
    let changes = bundler::watch::Changes::below(project.folder.path()).unwrap();
    std::fs::write(project.folder.path().join("part3/m5.js"), "let m5 = 5\n").unwrap();
    assert!(changes.wait());
    assert_eq!(project.runtime.refresh().unwrap().changed, 1);
}
