//! The server: one thread reads what the editor says, another one checks documents.
//!
//! An edit cancels the check that is under way: it ends at its next call of a task function, and what it has computed so far stays.
//! The checker takes the newest edit of each document and passes over those before it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};

use larder::{Runtime, UpdatePolicy};
use lsp_server::{Connection, Message, Notification, Request, Response};
use lsp_types::notification::PublishDiagnostics;
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _,
};
use lsp_types::request::{HoverRequest, Request as _};
use lsp_types::{
    Diagnostic, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, Hover,
    HoverContents, HoverParams, HoverProviderCapability, MarkedString, Position, PublishDiagnosticsParams,
    Range, ServerCapabilities, TextDocumentSyncCapability, TextDocumentSyncKind, Uri,
};

use crate::analysis::{Document, Problem, check, items, value};

/// After so many sessions the parsed texts of lines that are gone are collected.
const COLLECT_AFTER: u32 = 200;

/// Asks for what the server has in memory: `{"bytes": .., "tasks": ..}`.
const MEMORY: &str = "calc/memory";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A document to be checked, as of a version.
struct Job {
    uri: Uri,
    document: Document,
    version: i32,
}

/// Serves an editor until it says goodbye.
pub(crate) fn serve(connection: &Connection) -> Result<()> {
    let capabilities = ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        ..ServerCapabilities::default()
    };
    connection.initialize(serde_json::to_value(capabilities)?)?;
    let runtime = Runtime::builder().collect_after(COLLECT_AFTER).build();
    let (jobs, queue) = channel();
    std::thread::scope(|scope| {
        let checker = scope.spawn(|| check_all(connection, &runtime, queue));
        let mut server = Server { connection, runtime: &runtime, documents: HashMap::new(), jobs };
        let outcome = server.listen();
        drop(server);
        checker.join().expect("the checker does not panic")?;
        outcome
    })
}

/// Checks documents as they come, and tells the editor what is wrong with them.
fn check_all(connection: &Connection, runtime: &Runtime, queue: Receiver<Job>) -> Result<()> {
    while let Ok(job) = queue.recv() {
        let mut newest = HashMap::from([(job.uri.to_string(), job)]);
        newest.extend(queue.try_iter().map(|job| (job.uri.to_string(), job)));
        for job in newest.into_values() {
            // Another edit has come if not; it is in the queue.
            if let Ok(diagnostics) = runtime.try_run(|| diagnostics(&job.document)) {
                let params = PublishDiagnosticsParams::new(job.uri, diagnostics, Some(job.version));
                let told = Notification::new(PublishDiagnostics::METHOD.to_owned(), params);
                connection.sender.send(told.into())?;
            }
        }
    }
    Ok(())
}

fn diagnostics(document: &Document) -> Vec<Diagnostic> {
    let items = items(document.clone());
    let on_line = |line: u32, message: String| {
        let range = Range::new(Position::new(line, 0), Position::new(line, u32::MAX));
        Diagnostic::new_simple(range, message)
    };
    let problems = check::collect::<Problem>(document.clone()).into_iter();
    let of_names = problems.filter_map(|problem| Some((*items.lines.get(&problem.name)?, problem.message)));
    of_names.chain(items.odd.iter().cloned()).map(|(line, message)| on_line(line, message)).collect()
}

struct Server<'a> {
    connection: &'a Connection,
    runtime: &'a Runtime,
    documents: HashMap<String, Document>,
    jobs: Sender<Job>,
}

impl Server<'_> {
    fn listen(&mut self) -> Result<()> {
        for message in &self.connection.receiver {
            match message {
                Message::Request(request) => {
                    if self.connection.handle_shutdown(&request)? {
                        return Ok(());
                    }
                    let response = self.answer(request)?;
                    self.connection.sender.send(response.into())?;
                }
                Message::Notification(told) => self.hear(told)?,
                Message::Response(_) => {}
            }
        }
        Ok(())
    }

    fn answer(&self, request: Request) -> Result<Response> {
        Ok(match request.method.as_str() {
            HoverRequest::METHOD => {
                Response::new_ok(request.id, self.hover(&serde_json::from_value(request.params)?))
            }
            MEMORY => {
                let memory = self.runtime.memory();
                let tasks: usize = memory.functions.iter().map(|function| function.tasks).sum();
                Response::new_ok(request.id, serde_json::json!({ "bytes": memory.bytes, "tasks": tasks }))
            }
            other => {
                let code = lsp_server::ErrorCode::MethodNotFound as i32;
                Response::new_err(request.id, code, format!("`{other}` is not known here"))
            }
        })
    }

    /// The value of the name that is defined on a line.
    fn hover(&self, params: &HoverParams) -> Option<Hover> {
        let at = &params.text_document_position_params;
        let document = self.documents.get(at.text_document.uri.as_str())?;
        let line = at.position.line;
        self.runtime.run(|| {
            let items = items(document.clone());
            let name = items.names.iter().find(|name| items.lines[*name] == line)?;
            let value = value(document.clone(), name)?;
            let contents = HoverContents::Scalar(MarkedString::String(format!("{name} = {value}")));
            Some(Hover { contents, range: None })
        })
    }

    fn hear(&mut self, told: Notification) -> Result<()> {
        match told.method.as_str() {
            DidOpenTextDocument::METHOD => {
                let DidOpenTextDocumentParams { text_document } = serde_json::from_value(told.params)?;
                self.edit(text_document.uri, text_document.version, text_document.text)
            }
            DidChangeTextDocument::METHOD => {
                let params: DidChangeTextDocumentParams = serde_json::from_value(told.params)?;
                match params.content_changes.into_iter().next_back() {
                    Some(change) => {
                        self.edit(params.text_document.uri, params.text_document.version, change.text)
                    }
                    None => Ok(()),
                }
            }
            DidCloseTextDocument::METHOD => {
                let DidCloseTextDocumentParams { text_document } = serde_json::from_value(told.params)?;
                if let Some(document) = self.documents.remove(text_document.uri.as_str()) {
                    // The input goes, and with it all that was computed from it.
                    self.runtime.update_with(UpdatePolicy::Cancel, |update| update.remove(&document))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn edit(&mut self, uri: Uri, version: i32, text: String) -> Result<()> {
        let document = match self.documents.get(uri.as_str()) {
            Some(document) => {
                self.runtime.update_with(UpdatePolicy::Cancel, |update| update.set(document, text))?;
                document.clone()
            }
            None => {
                let document = self.runtime.transient_input(uri.as_str(), text);
                self.documents.insert(uri.to_string(), document.clone());
                document
            }
        };
        self.jobs.send(Job { uri, document, version })?;
        Ok(())
    }
}
