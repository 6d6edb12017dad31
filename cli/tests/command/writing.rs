//! Commands that write: `gc` and `compact`.

use super::*;

/// Returns the names of the functions of all tasks, sorted.
fn tasks(scene: &Scene) -> Vec<String> {
    let listed = scene.larder("ls", &["--json"]).json();
    let name =
        |task: &serde_json::Value| task["function"].as_str().unwrap().rsplit("::").next().unwrap().to_owned();
    let mut names: Vec<_> = listed["tasks"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn gc_keeps_what_roots_need() {
    let scene = Scene::new();
    let would = scene.larder("gc", &["--keep", "count_words", "--dry-run", "--json"]).json();
    assert_eq!((&would["tasks"], &would["of"]), (&3.into(), &5.into()));
    assert_eq!(tasks(&scene).len(), 5);
    scene.larder("gc", &["--keep", "count_words"]).fine();
    assert_eq!(tasks(&scene), ["count_words", "count_words"]);
    assert_eq!(scene.larder("verify", &[]).code, 0);
    scene.larder("gc", &["--keep", "report"]).fine();
    assert_eq!(scene.larder("ls", &["--json"]).json()["tasks"].as_array().unwrap().len(), 0);
}

#[test]
fn gc_drops_sources_that_nothing_has_read() {
    let scene = Scene::new();
    let sources =
        |scene: &Scene| scene.larder("stats", &["--json"]).json()["tables"]["sources"]["records"].clone();
    assert_eq!(sources(&scene), 3);
    let done = scene.larder("gc", &["--keep", "count_words", "--json"]).json();
    assert_eq!((&done["tasks"], &done["sources"]), (&3.into(), &1.into()), "{done}");
    assert_eq!(sources(&scene), 2);
    assert_eq!(scene.larder("verify", &[]).code, 0);
    // It is a store as before: tasks hit, and a change is found.
    std::fs::write(scene.path("a.txt"), "one").unwrap();
    scene.runs(&["a.txt", "b.txt"]);
    let paths = ["a.txt".to_owned(), "b.txt".to_owned()];
    let told = scene.runtime_of("store.redb", "code").run(|| report(&paths));
    assert_eq!(told, "1!\n1!");
}

#[test]
fn gc_drops_what_was_not_used_for_some_runs() {
    let scene = Scene::new();
    scene.runs(&["a.txt"]);
    scene.larder("gc", &["--unused-for", "1"]).fine();
    // The tasks that the root of the last run needs were not used themselves, and stay.
    assert_eq!(tasks(&scene), ["count_words", "report", "shout"]);
    assert_eq!(scene.larder("gc", &["--unused-for", "0"]).code, 2);
}

#[test]
fn gc_drops_replaced_code() {
    let scene = Scene::new();
    scene.runs_in("store.redb", "newer code", &["a.txt"]);
    assert_eq!(tasks(&scene).len(), 8);
    scene.larder("gc", &["--old-code"]).fine();
    assert_eq!(tasks(&scene), ["count_words", "report", "shout"]);
}

#[test]
fn gc_drops_down_to_a_size() {
    let scene = Scene::new();
    scene.larder("gc", &["--max-bytes", "1"]).fine();
    assert_eq!(tasks(&scene).len(), 0);
    assert_eq!(scene.larder("verify", &[]).code, 0);
    assert_eq!(scene.larder("gc", &["--max-bytes", "many"]).code, 2);
}

#[test]
fn compact_leaves_the_store_as_it_was() {
    let scene = Scene::new();
    let before = scene.larder("ls", &[]).fine();
    scene.larder("compact", &[]).fine();
    assert_eq!(scene.larder("ls", &[]).fine(), before);
    assert_eq!(scene.larder("verify", &[]).code, 0);
}
