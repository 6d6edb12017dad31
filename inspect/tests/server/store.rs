//! Answers about a store.

use larder_storage::{BackingStorage, Batch, ENVELOPE_BYTES, Table, Visit};

use super::*;

fn functions(serving: &Serving) -> Value {
    // Counted by a thread of its own; the page asks again as well.
    loop {
        let answer = get(serving, "/api/functions").fine();
        if answer["ready"] == true {
            return answer;
        }
    }
}

fn tasks(serving: &Serving, query: &str) -> Vec<Value> {
    get(serving, &format!("/api/tasks?{query}")).fine()["tasks"].as_array().unwrap().clone()
}

#[test]
fn functions_are_counted() {
    let scene = Scene::of(&["a.txt", "b.txt", "c.txt"]);
    let answer = functions(&scene.serve());
    let counted = |end: &str| {
        let functions = answer["functions"].as_array().unwrap();
        functions.iter().find(|of| of["path"].as_str().unwrap().ends_with(end)).unwrap()["tasks"].clone()
    };
    assert_eq!((counted("::count_words"), counted("::report")), (3.into(), 1.into()));
    assert_eq!(answer["tasks"], 4);
}

#[test]
fn pages_of_tasks_hold_each_task_once() {
    let names: Vec<String> = (0..30).map(|number| format!("{number}.txt")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let serving = Scene::of(&names).serve();
    let (mut ids, mut next) = (Vec::new(), String::new());
    loop {
        let page = get(&serving, &format!("/api/tasks?limit=7&after={next}")).fine();
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 7);
        ids.extend(tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(id) => next = id.to_owned(),
            None => break,
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 31);
    assert!(get(&serving, "/api/tasks?limit=100000").fine()["tasks"].as_array().unwrap().len() <= 200);
    assert_eq!(get(&serving, "/api/tasks?after=xyz").status, 404);
}

#[test]
fn tasks_are_found_by_function_text_and_source() {
    let serving = Scene::of(&["a.txt", "b.txt"]).serve();
    assert_eq!(tasks(&serving, "function=count_words").len(), 2);
    assert_eq!(tasks(&serving, "text=b.txt").len(), 2);
    assert_eq!(tasks(&serving, "function=count_words&text=b.txt").len(), 1);
    assert_eq!(tasks(&serving, "text=nowhere").len(), 0);
    assert_eq!(get(&serving, "/api/tasks?function=nothing").status, 404);
    let sources = get(&serving, "/api/sources?text=b.t").fine();
    assert_eq!(sources["sources"][0]["name"], "b.txt");
    let key = sources["sources"][0]["key"].as_str().unwrap();
    let leaf = get(&serving, &format!("/api/task?id={key}")).fine();
    assert_eq!((&leaf["leaf"]["kind"], &leaf["dependents_in_all"]), (&"file".into(), &1.into()));
}

#[test]
fn a_task_tells_what_it_has_read_and_why_it_would_run() {
    let scene = Scene::of(&["a.txt", "b.txt"]);
    let serving = scene.serve();
    let id = tasks(&serving, "function=report")[0]["id"].as_str().unwrap().to_owned();
    let task = get(&serving, &format!("/api/task?id={id}&from=1&limit=1")).fine();
    assert_eq!((&task["reads_in_all"], task["reads"].as_array().unwrap().len()), (&2.into(), 1));
    assert_eq!(task["reads"][0]["task"]["arguments"], "\"b.txt\"");
    let explained = || get(&serving, &format!("/api/explain?id={id}")).fine();
    assert_eq!(explained()["verdict"], "valid");
    std::fs::write(scene.folder.path().join("b.txt"), "another length").unwrap();
    let found = explained();
    assert_eq!(
        (&found["verdict"], &found["differences"][0]["leaf"]["name"]),
        (&"may run".into(), &"b.txt".into())
    );
    assert_eq!(get(&serving, "/api/explain?id=00").status, 404);
}

#[test]
fn the_graph_has_both_directions_and_tells_crowds_by_function() {
    let names: Vec<String> = (0..40).map(|number| format!("{number}.txt")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let serving = Scene::of(&names).serve();
    let id = tasks(&serving, "function=report")[0]["id"].as_str().unwrap().to_owned();
    let graph = get(&serving, &format!("/api/graph?id={id}&depth=2")).fine();
    let nodes = graph["nodes"].as_array().unwrap();
    let groups: Vec<_> = nodes.iter().filter(|node| node["kind"] == "group").collect();
    assert_eq!(groups.len(), 1, "{graph}");
    assert_eq!(groups[0]["count"], 38);
    // The root, two of its reads, the others as one, and the files of the two.
    assert_eq!(nodes.len(), 6, "{graph}");
    assert_eq!(graph["edges"].as_array().unwrap().len(), 5, "{graph}");
    let read = tasks(&serving, "function=count_words")[0]["id"].as_str().unwrap().to_owned();
    let around = get(&serving, &format!("/api/graph?id={read}")).fine();
    let kinds: Vec<_> =
        around["nodes"].as_array().unwrap().iter().map(|node| node["function"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"file") && kinds.iter().any(|kind| kind.ends_with("::report")), "{around}");
    assert_eq!(get(&serving, &format!("/api/graph?id={id}&depth=9&most=3")).fine()["cut"], true);
}

#[test]
fn names_come_as_json_whatever_they_are() {
    let name = "<img src=x onerror=alert(1)>\"&'.txt";
    let serving = Scene::of(&[name, "\u{202e}txt.a"]).serve();
    let answer = get(&serving, "/api/tasks?function=count_words&text=img");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    assert_eq!(answer.fine()["tasks"][0]["arguments"], format!("\"{name}\""));
    assert_eq!(get(&serving, "/api/sources?text=img").fine()["sources"][0]["name"], name);
    // Marks that turn the direction of text are written out where a name is text.
    let turned = get(&serving, "/api/sources?text=txt.a").fine();
    let id = turned["sources"][0]["key"].as_str().unwrap();
    let graph = get(&serving, &format!("/api/graph?id={id}")).fine();
    assert_eq!(graph["nodes"][0]["arguments"], "\\u{202e}txt.a");
}

#[test]
fn the_owner_may_run_meanwhile_and_a_reload_shows_what_it_has_written() {
    let scene = Scene::of(&["a.txt"]);
    let serving = scene.serve();
    assert_eq!(functions(&serving)["tasks"], 2);
    scene.runs(&["b.txt", "c.txt"]);
    assert_eq!(functions(&serving)["tasks"], 2);
    assert_eq!(get(&serving, "/api/reload").fine()["run"], 1);
    assert_eq!(functions(&serving)["tasks"], 5);
    // A store that is gone, or is none any more: the last copy is shown on.
    std::fs::write(scene.store(), "no store").unwrap();
    assert_eq!(get(&serving, "/api/reload").status, 500);
    assert_eq!(functions(&serving)["tasks"], 5);
}

#[test]
fn a_task_tells_why_it_ran_last_in_an_earlier_process() {
    let scene = Scene::of(&["a.txt", "b.txt"]);
    std::fs::write(scene.folder.path().join("b.txt"), "one two three").unwrap();
    scene.runs(&["a.txt", "b.txt"]);
    let serving = scene.serve();
    let id = tasks(&serving, "function=report")[0]["id"].as_str().unwrap().to_owned();
    let run = get(&serving, &format!("/api/explain?id={id}")).fine()["last_run"].clone();
    let steps = run["steps"].as_array().unwrap();
    let functions: Vec<_> = steps.iter().filter_map(|step| step["task"]["function"].as_str()).collect();
    assert!(functions[0].ends_with("::report") && functions[1].ends_with("::count_words"), "{run}");
    assert_eq!((&run["leaf"]["name"], &run["steps"][0]["position"]), (&"b.txt".into(), &1.into()), "{run}");
}

/// Replaces the records of a table by wrong ones with sound checksums, so that nothing but decoding finds out.
fn garble(store: &std::path::Path, table: Table, round: usize) {
    let storage = RedbStorage::open(store).unwrap();
    let mut records = Vec::new();
    storage
        .scan(table, &[], &mut |key, value| {
            records.push((key.to_vec(), value[ENVELOPE_BYTES..].to_vec()));
            Visit::Continue
        })
        .unwrap();
    let mut batch = Batch::new();
    for (number, (key, mut payload)) in records.into_iter().enumerate() {
        match round {
            0 => payload.clear(),
            1 => payload.truncate(payload.len() / 2),
            2 => payload.extend([0xff; 40]),
            _ => {
                let at = (round * 7919 + number * 31) % payload.len().max(1);
                payload.iter_mut().skip(at).take(8).for_each(|byte| *byte ^= 0x80 | round as u8);
            }
        }
        batch.seal(table, &key, |out| out.extend_from_slice(&payload));
    }
    storage.commit(batch.writes()).unwrap();
}

#[test]
fn records_that_are_wrong_fail_no_question() {
    let names: Vec<String> = (0..20).map(|number| format!("{number}.txt")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let scene = Scene::of(&names);
    let id = tasks(&scene.serve(), "function=report")[0]["id"].as_str().unwrap().to_owned();
    let sound = std::fs::read(scene.store()).unwrap();
    let mut served = 0;
    for (table, round) in Table::ALL.into_iter().flat_map(|table| (0..8).map(move |round| (table, round))) {
        std::fs::write(scene.store(), &sound).unwrap();
        garble(&scene.store(), table, round);
        // The head of the store is a record as well: without it there is no store.
        let Ok(serving) = Inspector::new().token(TOKEN).store(scene.store(), "127.0.0.1:0") else { continue };
        served += 1;
        functions(&serving);
        let plain = ["tasks", "tasks?text=1", "sources?text=1"].map(str::to_owned);
        let of_task = ["task", "explain", "graph"].map(|question| format!("{question}?id={id}&depth=3"));
        for question in plain.iter().chain(&of_task) {
            let answer = get(&serving, &format!("/api/{question}"));
            let is_fine = matches!(answer.status, 200 | 404);
            assert!(is_fine, "{table:?} {round} {question}: {} {}", answer.status, answer.body);
        }
    }
    assert!(served >= (Table::ALL.len() - 1) * 8, "only a store without a head is refused: {served}");
}

#[test]
fn a_server_that_is_dropped_answers_no_more() {
    let scene = Scene::of(&["a.txt"]);
    let token = "fedcba9876543210";
    let serving = Inspector::new().token(token).store(scene.store(), "127.0.0.1:0").unwrap();
    let address = serving.address();
    // Another server may have the port by then, and does not know this token.
    let is_served = || {
        let request = format!(
            "GET /api/about HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        TcpStream::connect(address).is_ok()
            && send(address, request.as_bytes()).is_some_and(|answer| answer.status == 200)
    };
    assert!(is_served());
    drop(serving);
    assert!(!is_served());
    let missing = Inspector::new().store(scene.folder.path().join("nothing"), "127.0.0.1:0");
    assert!(missing.is_err());
}
