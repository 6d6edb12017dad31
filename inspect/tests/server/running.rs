//! A running program, followed.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU32, Ordering};

use larder::Input;
use larder_inspect::InspectRuntime;

use super::*;

#[task_fn]
fn words(text: &Input<String>) -> usize {
    text.with(|text| text.split_whitespace().count())
}

#[task_fn]
fn long(text: &Input<String>) -> bool {
    words(text) > 3
}

#[task_fn(transient)]
fn busy(text: &Input<String>, number: u32) -> usize {
    text.with(String::len) + number as usize
}

fn serve(runtime: &Runtime) -> Serving {
    Inspector::new().token(TOKEN).runtime(runtime, "127.0.0.1:0").unwrap()
}

fn find(serving: &Serving, text: &str) -> Value {
    let found = get(serving, &format!("/api/tasks?text={text}")).fine();
    found["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|task| task["kind"] == "task")
        .unwrap_or_else(|| panic!("{found}"))
        .clone()
}

/// A page that follows.
struct Follower(BufReader<TcpStream>);

impl Follower {
    fn of(serving: &Serving) -> Self {
        let address = serving.address();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /api/live HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
            .unwrap();
        Self(BufReader::new(stream))
    }

    /// Returns the next message.
    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream goes on");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

#[test]
fn counts_of_functions_have_hits_as_well() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", "a b".to_owned());
    runtime.run(|| (words(&text), words(&text), words(&text)));
    let answer = get(&serving, "/api/functions").fine();
    let of = answer["functions"].as_array().unwrap().iter().find(|of| of["name"] == "words").unwrap().clone();
    assert_eq!((&of["calls"], &of["runs"]), (&3.into(), &1.into()), "{of}");
    let hits = of["thread_hits"].as_u64().unwrap() + of["memory_hits"].as_u64().unwrap();
    assert_eq!(hits, 2, "{of}");
}

#[test]
fn a_task_says_why_it_ran_down_to_the_input() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", "a b".to_owned());
    runtime.run(|| long(&text));
    assert_eq!(find(&serving, "long")["state"], "new");
    runtime.update(|update| update.set(&text, "a b c d".to_owned())).unwrap();
    runtime.run(|| long(&text));
    let task = find(&serving, "long");
    assert_eq!(task["state"], "changed");
    let id = task["id"].as_str().unwrap();
    let explained = get(&serving, &format!("/api/explain?id={id}")).fine();
    let names: Vec<_> =
        explained["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["long(input(\"text\"))", "words(input(\"text\"))", "input(\"text\")"], "{explained}");
    assert!(explained["steps"][2]["text"].as_str().unwrap().contains("set by update 1"), "{explained}");
    let graph = get(&serving, &format!("/api/graph?id={id}&depth=3")).fine();
    assert_eq!(
        (graph["nodes"].as_array().unwrap().len(), graph["edges"].as_array().unwrap().len()),
        (3, 2),
        "{graph}"
    );
    // Another value that makes no difference: cut off below, verified above.
    runtime.update(|update| update.set(&text, "e f g h".to_owned())).unwrap();
    runtime.run(|| long(&text));
    assert_eq!(
        (&find(&serving, "words")["state"], &find(&serving, "long")["state"]),
        (&"cut off".into(), &"verified".into())
    );
    assert_eq!(get(&serving, "/api/task?id=nothing").status, 404);
    assert_eq!(get(&serving, "/api/task?id=99999999").status, 404);
}

#[test]
fn sessions_and_updates_stand_in_the_timeline() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", "a b".to_owned());
    runtime.run(|| words(&text));
    runtime.update(|update| update.set(&text, "c".to_owned())).unwrap();
    let timeline = get(&serving, "/api/timeline").fine();
    let kinds: Vec<_> =
        timeline["rows"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"session") && kinds.contains(&"update"), "{timeline}");
}

#[test]
fn memory_is_measured_while_a_page_follows_and_the_sessions_for_it_are_not_told() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", "a b".to_owned());
    runtime.run(|| words(&text));
    let before = get(&serving, "/api/timeline").fine()["rows"].as_array().unwrap().len();
    assert_eq!(get(&serving, "/api/memory").fine()["times"].as_array().unwrap().len(), 0);
    let _follower = Follower::of(&serving);
    let memory = loop {
        let memory = get(&serving, "/api/memory").fine();
        if !memory["times"].as_array().unwrap().is_empty() {
            break memory;
        }
    };
    let paths: Vec<_> =
        memory["functions"].as_array().unwrap().iter().map(|of| of["path"].as_str().unwrap()).collect();
    assert!(paths.iter().any(|path| path.ends_with("::words")), "{memory}");
    assert_eq!(get(&serving, "/api/timeline").fine()["rows"].as_array().unwrap().len(), before);
}

#[test]
fn a_follower_gets_the_last_state_of_every_task_however_much_happens() {
    const TASKS: u32 = 3000;
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", String::new());
    let mut follower = Follower::of(&serving);
    for round in 1..=5 {
        runtime.update(|update| update.set(&text, "x".repeat(round))).unwrap();
        runtime.run(|| (0..TASKS).map(|number| busy(&text, number)).sum::<usize>());
    }
    // A last change in each, of which the follower must not miss one.
    runtime.update(|update| update.remove(&text)).unwrap();
    let text = runtime.input("other", String::new());
    runtime.run(|| (0..TASKS).map(|number| busy(&text, number)).sum::<usize>());
    let mut last = std::collections::HashMap::new();
    let is_done = |last: &std::collections::HashMap<String, (String, u64)>| {
        let of = |name: &str, state: &str| {
            last.iter().filter(|(task, (is, _))| task.contains(name) && is == state).count()
        };
        of("\"other\"", "new") == TASKS as usize
    };
    while !is_done(&last) {
        let message = follower.next();
        assert_eq!(message["forgotten"], 0);
        for task in message["tasks"].as_array().unwrap() {
            let text = |field: &str| task[field].as_str().unwrap().to_owned();
            last.insert(text("arguments"), (text("state"), task["told"].as_u64().unwrap()));
        }
    }
    let first: Vec<_> = last.iter().filter(|(task, _)| task.contains("\"text\"), ")).collect();
    assert_eq!(first.len(), TASKS as usize);
    assert!(first.iter().all(|(_, (state, told))| state == "changed" && *told == 5), "{:?}", first[0]);
}

#[test]
fn tasks_beyond_what_is_kept_go_the_oldest_first_and_are_counted() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", String::new());
    runtime.run(|| (0..20_010).map(|number| busy(&text, number)).sum::<usize>());
    let page = get(&serving, "/api/tasks?limit=2").fine();
    assert_eq!(page["forgotten"], 10);
    assert!(page["tasks"][0]["arguments"].as_str().unwrap().contains("20009"), "{page}");
    let next = page["next"].as_str().unwrap();
    let page = get(&serving, &format!("/api/tasks?limit=2&after={next}")).fine();
    assert!(page["tasks"][0]["arguments"].as_str().unwrap().contains("20007"), "{page}");
    assert_eq!(get(&serving, "/api/tasks?text=,%209)").fine()["tasks"].as_array().unwrap().len(), 0);
}

#[test]
fn followers_are_bounded_and_one_that_goes_makes_room() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    let text = runtime.input("text", String::new());
    runtime.run(|| words(&text));
    let mut followers: Vec<_> = (0..16).map(|_| Follower::of(&serving)).collect();
    followers.iter_mut().for_each(|follower| _ = follower.next());
    assert_eq!(get(&serving, "/api/live").status, 503);
    drop(followers.pop());
    let mut number = 0;
    loop {
        // Each event makes the server write to the one that has gone.
        number += 1;
        runtime.run(|| busy(&text, number));
        let mut follower = Follower::of(&serving);
        let mut line = String::new();
        follower.0.read_line(&mut line).unwrap();
        if line.contains("200") {
            break;
        }
    }
}

static NAMED: AtomicU32 = AtomicU32::new(0);

/// An argument whose name is hostile, or fails.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Odd(u32);

impl std::fmt::Debug for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        NAMED.fetch_add(1, Ordering::Relaxed);
        assert_ne!(self.0, 1, "this one has no name");
        f.write_str("</script>\r\n\r\ndata: {\"forged\":1}\n\n\u{0}")
    }
}

#[task_fn(transient)]
fn odd(argument: Odd) -> u32 {
    argument.0
}

#[test]
fn a_name_is_text_whatever_it_is_and_one_that_fails_hurts_no_task() {
    let runtime = Runtime::new();
    let serving = serve(&runtime);
    assert_eq!(runtime.run(|| odd(Odd(1)) + odd(Odd(2))), 3);
    assert!(NAMED.load(Ordering::Relaxed) > 0);
    let message = Follower::of(&serving).next();
    assert!(message.get("forged").is_none(), "{message}");
    let text = message["tasks"].to_string();
    assert!(text.contains("</script>"), "{text}");
}

#[test]
fn a_page_that_is_dropped_leaves_the_program_alone() {
    let runtime = Runtime::new();
    let serving = runtime.inspect("127.0.0.1:0").unwrap();
    let text = runtime.input("text", "a".to_owned());
    // In a session: neither waits for the other.
    runtime.run(|| {
        words(&text);
        drop(serving);
        assert_eq!(words(&text), 1);
    });
    assert!(runtime.inspect("0.0.0.0:0").is_err());
}

#[task_fn(transient)]
fn sum(text: &Input<String>, other: &Input<String>, most: u32) -> usize {
    (0..most).map(|number| busy(text, number)).sum::<usize>() + words(other)
}

#[task_fn(transient)]
fn above(text: &Input<String>, other: &Input<String>, most: u32, number: u32) -> usize {
    sum(text, other, most) + number as usize
}

fn names(rows: &Value) -> Vec<String> {
    let name = |row: &Value| {
        let function = row["function"].as_str().unwrap().rsplit("::").next().unwrap();
        format!("{function}({})", row["arguments"].as_str().unwrap_or_default())
    };
    rows.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_task_is_shown_with_all_its_reads_and_readers_page_by_page() {
    let runtime = Runtime::new();
    let [text, other] = ["text", "other"].map(|name| runtime.input(name, "a b".to_owned()));
    // Before the page is there: nothing is told of these.
    runtime.run(|| words(&other));
    let serving = serve(&runtime);
    runtime.run(|| (0..60).map(|number| above(&text, &other, 120, number)).sum::<usize>());
    let id = find(&serving, "sum(")["id"].as_str().unwrap().to_owned();
    let (mut reads, mut readers) = (Vec::new(), Vec::new());
    for (field, all) in [("reads", &mut reads), ("dependents", &mut readers)] {
        let mut from = Some(0);
        while let Some(at) = from {
            let page = get(&serving, &format!("/api/task?id={id}&limit=50&from={at}")).fine();
            assert_eq!((&page["in_memory"], &page["reads_known"]), (&true.into(), &"yes".into()), "{page}");
            assert_eq!((&page["reads_in_all"], &page["dependents_in_all"]), (&121.into(), &60.into()));
            assert!(page[field].as_array().unwrap().len() <= 50);
            all.extend(names(&page[field]));
            from = page[format!("{field}_next")].as_u64();
        }
    }
    let expected: Vec<_> = (0..120).map(|number| format!("busy(input(\"text\"), {number})")).collect();
    assert_eq!(reads[..120], expected);
    assert_eq!(reads[120], "words(input(\"other\"))");
    let reader = |number| format!("above(input(\"text\"), input(\"other\"), 120, {number})");
    let mut expected: Vec<_> = (0..60).map(reader).collect();
    expected.sort_unstable();
    readers.sort_unstable();
    assert_eq!(readers, expected);
}

#[test]
fn the_graph_of_a_program_has_reads_and_readers_and_says_which_was_the_reason() {
    let runtime = Runtime::new();
    let [text, other] = ["text", "other"].map(|name| runtime.input(name, "a b".to_owned()));
    runtime.run(|| words(&other));
    let serving = serve(&runtime);
    let ask = || runtime.run(|| above(&text, &other, 100, 1));
    ask();
    let id = find(&serving, "sum(")["id"].as_str().unwrap().to_owned();
    let graph = || get(&serving, &format!("/api/graph?id={id}&depth=2&most=80")).fine();
    let first = graph();
    let nodes = first["nodes"].as_array().unwrap();
    let place = |part: &str| names(&first["nodes"]).iter().position(|name| name.starts_with(part)).unwrap();
    let edges: Vec<(usize, usize)> = serde_json::from_value(first["edges"].clone()).unwrap();
    let (words, leaf, above) = (place("words("), place("Input(\"other\")"), place("above("));
    assert!(place("sum(") == 0 && nodes[leaf]["kind"] == "leaf", "{first}");
    // `words` has run before anything was told, and is there all the same.
    for edge in [(above, 0), (0, words), (words, leaf)] {
        assert!(edges.contains(&edge), "{edge:?} in {first}");
    }
    let group = nodes.iter().position(|node| node["kind"] == "group").unwrap();
    let told = (&nodes[group]["count"], edges.contains(&(0, group)));
    assert_eq!(told, (&98.into(), true), "two of a function stand by themselves");
    assert_eq!((&first["reasons"], &first["partial"]), (&serde_json::json!([]), &false.into()));
    runtime.update(|update| update.set(&other, "a b c d".to_owned())).unwrap();
    // No session is open: the reads of stale tasks are known, too.
    let stale = graph();
    assert_eq!((&stale["nodes"][0]["value"], &stale["edges"]), (&"stale".into(), &first["edges"]));
    ask();
    let after = graph();
    let reasons: Vec<usize> = serde_json::from_value(after["reasons"].clone()).unwrap();
    let mut reasons: Vec<_> = reasons.into_iter().map(|at| edges[at]).collect();
    reasons.sort_unstable();
    let mut expected = [(0, words), (words, leaf), (above, 0)];
    expected.sort_unstable();
    assert_eq!((&after["edges"], &reasons[..]), (&first["edges"], &expected[..]));
    // One that was met in the graph alone can be asked about.
    let other = after["nodes"][leaf]["id"].as_str().unwrap().to_owned();
    let page = get(&serving, &format!("/api/task?id={other}")).fine();
    assert_eq!(names(&page["dependents"]), [r#"words(input("other"))"#]);
    // One that is gone is told by its reasons.
    runtime.update(|update| update.remove(&text)).unwrap();
    runtime.shrink_to(0).unwrap();
    let gone = graph();
    assert_eq!(gone["in_memory"], false, "{gone}");
}

#[test]
fn the_graph_is_seen_past_a_session_that_stays_open() {
    let runtime = Runtime::new();
    let [text, other] = ["text", "other"].map(|name| runtime.input(name, "a b".to_owned()));
    let serving = serve(&runtime);
    runtime.run(|| above(&text, &other, 3, 1));
    let id = find(&serving, "sum(")["id"].as_str().unwrap().to_owned();
    let page = || get(&serving, &format!("/api/task?id={id}")).fine();
    runtime.run(|| assert_eq!(page()["reads_in_all"], 4, "it is current"));
    runtime.update(|update| update.set(&other, "a b c d".to_owned())).unwrap();
    runtime.run(|| {
        let stale = page();
        assert_eq!(
            (&stale["reads_known"], &stale["reads_in_all"]),
            (&"not now".into(), &0.into()),
            "{stale}"
        );
        let partial = get(&serving, &format!("/api/graph?id={id}")).fine();
        assert_eq!(partial["partial"], true, "{partial}");
        above(&text, &other, 3, 1);
        assert_eq!(page()["reads_in_all"], 4, "it is current again");
    });
}
