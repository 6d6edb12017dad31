//! The server as an editor sees it: a process that speaks the language server protocol.
//!
//! `LARDER_EDITS=100000` edits so often; 10,000 times without it.

use std::io::{BufReader, BufWriter};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use lsp_server::{Message, Notification, Request, RequestId};
use serde_json::{Value, json};

const URI: &str = "file:///sheet.calc";

struct Editor {
    server: Child,
    to: Option<BufWriter<ChildStdin>>,
    from: BufReader<ChildStdout>,
    requests: i32,
    version: i32,
}

impl Editor {
    fn start() -> Self {
        let mut server = Command::new(env!("CARGO_BIN_EXE_calc_server"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let to = server.stdin.take().map(BufWriter::new);
        let from = BufReader::new(server.stdout.take().expect("it is piped"));
        let mut editor = Self { server, to, from, requests: 0, version: 0 };
        editor.ask("initialize", json!({ "capabilities": {} }));
        editor.tell("initialized", json!({}));
        editor
    }

    fn write(&mut self, message: &Message) {
        let to = self.to.as_mut().expect("the server is not told to end");
        message.write(to).expect("the server listens");
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.write(&Notification { method: method.to_owned(), params }.into());
    }

    fn read(&mut self) -> Message {
        Message::read(&mut self.from).expect("the server speaks the protocol").expect("the server is there")
    }

    /// Asks, and passes over what the server tells meanwhile.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.requests += 1;
        let id = RequestId::from(self.requests);
        self.write(&Request { id: id.clone(), method: method.to_owned(), params }.into());
        loop {
            if let Message::Response(response) = self.read()
                && response.id == id
            {
                return response.result.unwrap_or_default();
            }
        }
    }

    fn open(&mut self, text: &str) {
        self.version += 1;
        let item = json!({ "uri": URI, "languageId": "calc", "version": self.version, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": item }));
    }

    fn edit(&mut self, text: &str) {
        self.version += 1;
        let document = json!({ "uri": URI, "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.tell("textDocument/didChange", params);
    }

    /// The problems of the newest version: lines and messages, in order.
    fn problems(&mut self) -> Vec<(u64, String)> {
        loop {
            let Message::Notification(told) = self.read() else { continue };
            if told.method != "textDocument/publishDiagnostics" || told.params["version"] != self.version {
                continue;
            }
            let problems = told.params["diagnostics"].as_array().expect("they are a list");
            let mut problems: Vec<_> = problems
                .iter()
                .map(|problem| {
                    let line = problem["range"]["start"]["line"].as_u64().expect("it is a number");
                    (line, problem["message"].as_str().unwrap_or_default().to_owned())
                })
                .collect();
            problems.sort();
            return problems;
        }
    }

    fn value_on(&mut self, line: u32) -> Value {
        let params = json!({ "textDocument": { "uri": URI }, "position": { "line": line, "character": 0 } });
        self.ask("textDocument/hover", params)["contents"].clone()
    }

    fn end(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        drop(self.to.take());
        assert!(self.server.wait().expect("it is a child").success());
    }
}

#[test]
fn values_and_problems_follow_the_edits() {
    let mut editor = Editor::start();
    editor.open("price = 12\ntotal = price * (1 + tax)\n");
    assert_eq!(editor.problems(), [(1, "`tax` has no value".to_owned())]);
    editor.edit("price = 12\ntotal = price * (1 + tax)\ntax = 2");
    assert_eq!(editor.problems(), []);
    assert_eq!(editor.value_on(1), "total = 36");
    editor.edit("price = total\ntotal = price * (1 + tax)\ntax = 1 / 0\nodd\ntax = 3");
    let problems = editor.problems();
    assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{problems:?}");
    editor.edit("price = 1\ntotal = price");
    assert_eq!(editor.problems(), []);
    assert_eq!(editor.value_on(1), "total = 1");
    assert_eq!(editor.value_on(7), Value::Null);
    assert_eq!(editor.ask("calc/unknown", json!({})), Value::Null);
    editor.end();
}

#[test]
fn memory_does_not_grow_with_the_number_of_edits() {
    let edits: u32 =
        std::env::var("LARDER_EDITS").ok().and_then(|edits| edits.parse().ok()).unwrap_or(10_000);
    let mut editor = Editor::start();
    editor.open("");
    let mut bytes = Vec::new();
    for edit in 0..edits {
        let line = |number: u32| {
            let added = if number == edit % 20 { edit } else { 1 };
            let before = if number == 0 { "1".to_owned() } else { format!("x{}", number - 1) };
            format!("x{number} = {before} + {added}\n")
        };
        editor.edit(&(0..20).map(line).collect::<String>());
        assert_eq!(editor.problems(), []);
        if edit % (edits / 20) == edits / 20 - 1 {
            assert_eq!(editor.value_on(19), format!("x19 = {}", 20 + edit));
            let memory = editor.ask("calc/memory", json!({}));
            bytes.push(memory["bytes"].as_u64().expect("it is a number"));
        }
    }
    let (early, late) = (&bytes[2..10], &bytes[10..]);
    assert!(late.iter().max() <= early.iter().max().map(|most| most + most / 10).as_ref(), "{bytes:?}");
    editor.end();
}
