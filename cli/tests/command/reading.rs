//! Commands that only read.

use std::io::Read;

use super::*;

#[test]
fn stats_count_by_function() {
    let scene = Scene::new();
    let stats = scene.larder("stats", &["--json"]).json();
    assert_eq!((&stats["tasks"], &stats["run"], &stats["snapshot"]), (&5.into(), &0.into(), &false.into()));
    let functions = stats["functions"].as_array().unwrap();
    let tasks = |name: &str| {
        let is_named = |of: &&serde_json::Value| of["path"].as_str().unwrap().ends_with(name);
        functions.iter().find(is_named).unwrap()["tasks"].as_u64().unwrap()
    };
    assert_eq!((tasks("::count_words"), tasks("::shout"), tasks("::report")), (2, 2, 1));
    let text = scene.larder("stats", &[]).fine();
    assert!(text.contains("format 3, codec 1"), "{text}");
    assert!(text.contains("in all"), "{text}");
}

#[test]
fn ls_lists_calls_with_their_arguments() {
    let scene = Scene::new();
    let text = masked(&scene.larder("ls", &[]).fine());
    let lines = sorted(&text);
    let mut calls: Vec<&str> =
        lines.iter().filter_map(|line| line.split_once("command::")).map(|(_, call)| call).collect();
    calls.sort_unstable();
    assert_eq!(
        calls,
        [
            "count_words(\"a.txt\")",
            "count_words(\"b.txt\")",
            "report(02 \"a.txt\" \"b.txt\")",
            "shout(\"a.txt\" 21)",
            "shout(\"b.txt\" 21)",
        ],
        "{text}"
    );
}

#[test]
fn ls_filters() {
    let scene = Scene::new();
    let list = |args: &[&str]| {
        let listed = scene.larder("ls", &[args, &["--json"]].concat()).json();
        listed["tasks"].as_array().unwrap().len()
    };
    assert_eq!(list(&[]), 5);
    assert_eq!(list(&["--function", "shout"]), 2);
    assert_eq!(list(&["--function", "shout", "--text", "b.txt"]), 1);
    assert_eq!(list(&["--path", "a.txt"]), 1);
    assert_eq!(list(&["--stale"]), 0);
    assert_eq!(list(&["--text", "nowhere"]), 0);
    assert_eq!(scene.larder("ls", &["--function", "nothing"]).code, 4);
    assert_eq!(scene.larder("ls", &["--path", "nothing"]).code, 4);
}

#[test]
fn pages_of_ls_hold_every_task_once() {
    let scene = Scene::new();
    let (mut ids, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = vec!["--json", "-n", "2"];
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = scene.larder("ls", &args).json();
        ids.extend(
            page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        after = Some(next.to_owned());
    }
    let all = scene.larder("ls", &["--json"]).json();
    let all: Vec<_> =
        all["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(ids, all);
    assert_eq!(ids.len(), 5);
}

#[test]
fn show_names_reads_and_dependents() {
    let scene = Scene::new();
    let text = masked(&scene.larder("show", &["shout", "a.txt"]).fine());
    assert!(text.contains("2 reads\n"), "{text}");
    assert!(text.contains("env LARDER_CLI_TEST_END"), "{text}");
    assert!(text.contains("::count_words(\"a.txt\")"), "{text}");
    assert!(text.contains("read by 1 task\n"), "{text}");
    let shown = scene.larder("show", &["count_words", "a.txt", "--json"]).json();
    assert_eq!(shown["reads"][0]["leaf"]["name"], "a.txt");
    assert_eq!(shown["reads"][0]["leaf"]["stamp"]["size"], 13);
    // By the beginning of its id.
    let id = shown["id"].as_str().unwrap();
    assert_eq!(scene.larder("show", &[&id[..12], "--json"]).json()["id"], id);
}

#[test]
fn names_that_fit_several_tasks_or_none_are_errors() {
    let scene = Scene::new();
    let several = scene.larder("show", &["shout"]);
    assert_eq!(several.code, 4);
    assert!(several.err.contains("a.txt") && several.err.contains("b.txt"), "{}", several.err);
    let none = scene.larder("show", &["nothing"]);
    assert_eq!(none.code, 4);
    assert!(none.err.contains("count_words"), "{}", none.err);
    assert_eq!(scene.larder("show", &["shout", "nowhere"]).code, 4);
    assert_eq!(scene.larder("show", &[]).code, 2);
}

#[test]
fn explain_finds_the_source_that_differs_and_the_chain() {
    let scene = Scene::new();
    let valid = scene.explain(&["report", "--json"]).json();
    assert_eq!(valid["verdict"], "valid", "{valid}");
    assert_eq!((&valid["visited"], &valid["leaves"]), (&5.into(), &3.into()));
    std::fs::write(scene.path("b.txt"), "five six").unwrap();
    let found = scene.explain(&["report", "--json"]).json();
    assert_eq!(found["verdict"], "may run");
    let differences = found["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{found}");
    assert_eq!(differences[0]["leaf"]["name"], "b.txt");
    let chain: Vec<_> = differences[0]["chain"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["function"].as_str().unwrap())
        .collect();
    assert_eq!(
        chain.iter().map(|path| path.rsplit("::").next().unwrap()).collect::<Vec<_>>(),
        ["report", "shout", "count_words"]
    );
    assert_eq!(scene.explain(&["shout", "a.txt", "--json"]).json()["verdict"], "valid");
    let text = scene.explain(&["count_words", "b.txt"]).fine();
    assert!(text.contains("file b.txt differs"), "{text}");
    assert!(text.contains("Its body runs"), "{text}");
}

#[test]
fn explain_looks_at_the_environment() {
    let scene = Scene::new();
    let base = scene.folder.path();
    let mut command = Command::new(LARDER);
    command.arg("explain").arg(scene.store()).args(["report", "--json", "--base"]).arg(base);
    let output = command.env("LARDER_CLI_TEST_END", "?").output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["differences"].as_array().unwrap().len(), 2);
    assert_eq!(found["differences"][0]["leaf"]["kind"], "env");
}

#[test]
fn graphs_go_both_ways() {
    let scene = Scene::new();
    let graph = scene.larder("graph", &["report", "--json"]).json();
    assert_eq!((graph["nodes"].as_array().unwrap().len(), graph["edges"].as_array().unwrap().len()), (8, 8));
    let near = scene.larder("graph", &["report", "--json", "--depth", "1"]).json();
    assert_eq!(near["nodes"].as_array().unwrap().len(), 3);
    let up = scene.larder("graph", &["--path", "a.txt", "--json"]).json();
    assert_eq!((up["nodes"].as_array().unwrap().len(), up["edges"].as_array().unwrap().len()), (4, 3));
    let dot = scene.larder("graph", &["--function", "report"]).fine();
    assert!(dot.starts_with("digraph larder {") && dot.ends_with("}\n"), "{dot}");
    assert!(dot.contains("\\\"a.txt\\\""), "{dot}");
    assert!(scene.larder("graph", &["report", "--most", "2", "--json"]).json()["cut"].as_bool().unwrap());
}

#[test]
fn verify_finds_nothing_in_a_sound_store() {
    let scene = Scene::new();
    let text = scene.larder("verify", &[]).fine();
    assert!(text.ends_with("sound\n"), "{text}");
    assert_eq!(scene.larder("verify", &["--json"]).json()["sound"], true);
}

#[test]
fn diff_compares_calls_and_outputs_over_builds() {
    let scene = Scene::new();
    let same = scene.larder("diff", &[scene.store().to_str().unwrap()]).fine();
    assert!(same.contains("5 tasks with equal outputs, 0 added, 0 removed, 0 with other outputs"), "{same}");
    std::fs::write(scene.path("b.txt"), "five six").unwrap();
    std::fs::write(scene.path("c.txt"), "").unwrap();
    // Other code: all ids differ, and calls do not.
    scene.runs_in("other.redb", "other code", &["b.txt", "c.txt"]);
    let found = scene.larder("diff", &[scene.path("other.redb").to_str().unwrap(), "--json"]);
    assert_eq!(found.code, 1);
    let found = found.json();
    assert_eq!(
        (&found["added_in_all"], &found["removed_in_all"], &found["changed_in_all"]),
        (&3.into(), &3.into(), &2.into())
    );
    assert_eq!(found["functions"].as_array().unwrap().len(), 3);
}

#[test]
fn a_store_that_its_owner_has_open_is_read_as_a_copy() {
    let scene = Scene::new();
    let owner = scene.runtime_of("store.redb", "code");
    for command in ["stats", "ls", "show", "explain", "graph", "verify", "diff"] {
        let ran = on(command, &scene.store());
        assert_eq!(ran.code, 0, "{command}: {}", ran.err);
        assert!(ran.err.contains("another process has"), "{command}: {}", ran.err);
    }
    assert_eq!(scene.larder("stats", &["--json"]).json()["snapshot"], true);
    for command in ["gc", "compact"] {
        let ran = on(command, &scene.store());
        assert_eq!(ran.code, 3, "{command}: {}", ran.out);
        let lines: Vec<_> = ran.err.lines().collect();
        let [line] = lines[..] else { panic!("{command} says one thing: {}", ran.err) };
        assert!(line.contains("store.redb` is open in another process, and was not touched"), "{line}");
    }
    drop(owner);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let scene = Scene::new();
    for args in [&["ls", "-n", "0"][..], &["graph", "--json"], &["stats"], &["completions", "bash"]] {
        let mut command = Command::new(LARDER);
        command.args(&args[..1]);
        if args[0] != "completions" {
            command.arg(scene.store());
        }
        let mut child =
            command.args(&args[1..]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert!(child.wait().unwrap().success() && err.is_empty(), "{args:?}: {err}");
    }
}

#[test]
fn scripts_and_the_manual_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(Command::new(LARDER).args(["completions", shell])).fine();
        assert!(script.contains("explain"), "{shell}");
    }
    let page = run(Command::new(LARDER).arg("man")).fine();
    assert!(page.contains(".TH larder") && page.contains("LARDER EXPLAIN"), "{page}");
    let help = run(Command::new(LARDER).arg("--help")).fine();
    assert!(help.contains("Exit codes") && help.contains("serve"), "{help}");
    assert_eq!(run(&mut Command::new(LARDER)).code, 2);
}

#[task_fn(cycle_initial = 0)]
fn rises(path: &str) -> usize {
    falls_not(path).min(count_words(path))
}

#[task_fn]
fn falls_not(path: &str) -> usize {
    rises(path) + 1
}

#[test]
fn a_component_is_shown_with_its_members_and_explained_down_to_the_file() {
    let scene = Scene::new();
    scene.runtime_of("store.redb", "code").run(|| assert_eq!(falls_not("a.txt"), 4));
    assert_eq!(scene.larder("verify", &[]).code, 0);
    let shown = scene.larder("show", &["component"]).fine();
    assert!(shown.contains("larder::component(2 members)\n") && shown.contains("\n2 members\n"), "{shown}");
    for member in ["rises", "falls_not"] {
        let line = shown.lines().filter(|line| line.contains(&format!("::{member}(")));
        assert_eq!(line.count(), 2, "as a member, and as what reads it: {shown}");
        let shown = scene.larder("show", &[member]).fine();
        assert!(shown.contains("larder::component(2 members)"), "{shown}");
    }
    let json = scene.larder("show", &["component", "--json"]).json();
    assert_eq!(json["members"].as_array().map(Vec::len), Some(2));
    std::fs::write(scene.path("a.txt"), "one").unwrap();
    let explained = scene.explain(&["falls_not"]).out;
    assert!(explained.contains("a.txt"), "{explained}");
    assert!(explained.contains("component"), "{explained}");
}

/// The names of functions and leaves in the chain of a last run.
fn chain_of(explained: &serde_json::Value) -> Vec<String> {
    let run = &explained["last_run"];
    let steps = run["steps"].as_array().unwrap().iter();
    let name = |step: &serde_json::Value| {
        let function = step["task"]["function"].as_str().map(|path| path.rsplit("::").next().unwrap());
        function.or_else(|| run["leaf"]["name"].as_str()).unwrap_or("?").to_owned()
    };
    steps.map(name).collect()
}

#[test]
fn explain_tells_why_a_run_of_an_earlier_process_has_happened() {
    let scene = Scene::new();
    let first = scene.explain(&["report", "--json"]).json();
    assert_eq!(
        (&first["last_run"]["steps"][0]["why"], chain_of(&first).len()),
        (&"first".into(), 1),
        "{first}"
    );

    // The number of words stays, so `count_words` is cut off; then it grows.
    std::fs::write(scene.path("a.txt"), "three four five!").unwrap();
    std::fs::write(scene.path("b.txt"), "four five").unwrap();
    scene.runs(&["a.txt", "b.txt"]);
    let explained = scene.explain(&["report", "--json"]).json();
    assert_eq!(chain_of(&explained), ["report", "shout", "count_words", "b.txt"], "{explained}");
    let steps = explained["last_run"]["steps"].as_array().unwrap();
    assert_eq!(
        (&steps[0]["position"], &steps[0]["run"], &steps[0]["cause"]),
        (&1.into(), &1.into(), &"unknown".into())
    );
    assert!(steps[0]["at"].as_u64().unwrap() > 1_600_000_000_000, "{explained}");
    assert_eq!((&steps[3]["why"], &explained["verdict"]), (&"leaf".into(), &"valid".into()));
    let text = scene.explain(&["report"]).fine();
    assert!(text.contains("ran in run 1 at 2") && text.contains(": its read 1 differed"), "{text}");
    assert!(text.contains("file b.txt had changed"), "{text}");
    // The other task of that function has not run again.
    let other = scene.explain(&["shout", "a.txt", "--json"]).json();
    assert_eq!(other["last_run"]["steps"][0]["why"], "first", "{other}");
    let cut_off = scene.explain(&["count_words", "a.txt", "--json"]).json();
    assert_eq!(chain_of(&cut_off), ["count_words", "a.txt"]);

    // Back to the first state nothing runs, so the last run is still that one.
    std::fs::write(scene.path("a.txt"), "one two three").unwrap();
    std::fs::write(scene.path("b.txt"), "four").unwrap();
    scene.runs(&["a.txt", "b.txt"]);
    let explained = scene.explain(&["report", "--json"]).json();
    assert_eq!(chain_of(&explained), ["report", "shout", "count_words", "b.txt"], "{explained}");
}

#[test]
fn explain_tells_that_a_task_ran_because_its_code_is_new() {
    let scene = Scene::new();
    scene.runs_in("store.redb", "other code", &["a.txt", "b.txt"]);
    let list = scene.larder("ls", &["--function", "report", "--json"]).json();
    let mut whys = Vec::new();
    for task in list["tasks"].as_array().unwrap() {
        let explained = scene.explain(&[task["id"].as_str().unwrap(), "--json"]).json();
        let step = &explained["last_run"]["steps"][0];
        let codes = step["other_code"].as_array().unwrap().len();
        whys.push((step["why"].as_str().unwrap().to_owned(), codes));
    }
    whys.sort_unstable();
    assert_eq!(whys, [("code".to_owned(), 1), ("first".to_owned(), 0)]);
}
