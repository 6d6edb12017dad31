//! A store as a source: a copy of the file, as it was at one moment.
//!
//! Counts and sizes by function, for which the whole store is read, are made once, by a thread of its own, and the page shows the rest meanwhile. A
//! search looks at so many records for one answer, and the page asks on from there. So every answer takes a time that does not grow with the store.

mod around;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use larder_storage::inspect::{KeyPrefix, StoreReader, preview};
use larder_storage::{Digest, FunctionId, TaskKey, Visit};
use serde_json::{Value, json};

use crate::source::{Question, Source, TasksQuestion};
use crate::stored::{Explained, Functions, LookError, Shown, arguments, contains, leaf_json, stats_json};

/// Records that one answer of a search looks at.
const LOOKED_AT: usize = 50_000;
/// Tasks that an explanation visits.
const VISITED: usize = 20_000;
/// Differences that an explanation shows.
const DIFFERENCES: usize = 50;
/// Characters of a text that an answer has at most.
const LONGEST: usize = 4096;
/// Characters of arguments in a list.
const SHOWN: usize = 200;

/// A store file, and the last copy of it.
pub(crate) struct StoreSource {
    path: PathBuf,
    base: Option<PathBuf>,
    copy: Mutex<Arc<Copied>>,
    /// Held while a copy is made, of which there is one at a time.
    copying: Mutex<()>,
}

/// A copy of a store.
struct Copied {
    reader: StoreReader,
    functions: Functions,
    at: SystemTime,
    /// Counts and sizes, once they are known.
    measured: Mutex<Option<Result<Value, String>>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values behind these locks are replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreSource {
    pub(crate) fn open(path: &Path, base: Option<PathBuf>) -> Result<Arc<Self>, LookError> {
        let copy = Mutex::new(Copied::of(path)?);
        Ok(Arc::new(Self { path: path.to_owned(), base, copy, copying: Mutex::default() }))
    }

    fn copied(&self) -> Arc<Copied> {
        held(&self.copy).clone()
    }
}

impl Copied {
    fn of(path: &Path) -> Result<Arc<Self>, LookError> {
        let at = SystemTime::now();
        let reader = StoreReader::open_copy(path)?;
        let functions = Functions::of(&reader)?;
        let copied = Arc::new(Self { reader, functions, at, measured: Mutex::default() });
        let to_measure = copied.clone();
        let measuring = std::thread::Builder::new().name("larder-measure".to_owned()).spawn(move || {
            let measure = to_measure.reader.measure();
            let measured = measure.map(|measure| stats_json(&to_measure.reader, &measure));
            *held(&to_measure.measured) = Some(measured.map_err(|error| error.to_string()));
        });
        if let Err(error) = measuring {
            *held(&copied.measured) = Some(Err(format!("nothing was measured: {error}")));
        }
        Ok(copied)
    }

    /// Returns the key that is written out as `larder ls` prints it, or the beginning of which it is.
    fn key(&self, id: &str) -> Result<Digest, LookError> {
        let none = || LookError::Name(format!("nothing is stored by the id `{id}`"));
        if let Some(digest) = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32) {
            return Ok(Digest(digest));
        }
        let prefix = KeyPrefix::parse(id).ok_or_else(none)?;
        let mut found = Vec::new();
        self.reader.tasks_with_prefix(&prefix, |key, _| {
            found.push(key.0);
            if found.len() > 1 { Visit::Stop } else { Visit::Continue }
        })?;
        match found[..] {
            [key] => Ok(key),
            [] => Err(none()),
            _ => Err(LookError::Name(format!("`{id}` is the beginning of several ids"))),
        }
    }

    fn functions(&self) -> Value {
        match &*held(&self.measured) {
            Some(Ok(measured)) => {
                let mut answer = measured.clone();
                answer["ready"] = true.into();
                answer
            }
            Some(Err(error)) => json!({ "ready": true, "functions": [], "error": error }),
            None => json!({ "ready": false, "functions": self.functions.all().map(|function| json!({
                "id": function.id.0.to_string(), "path": function.path, "code": function.code.to_string(),
            })).collect::<Vec<_>>() }),
        }
    }

    fn tasks(&self, question: &TasksQuestion) -> Result<Value, LookError> {
        let after = question.after.as_deref().map(|id| self.key(id)).transpose()?.map(TaskKey);
        let wanted: Option<Vec<FunctionId>> =
            question.function.as_deref().map(|name| self.functions.find(name)).transpose()?;
        let (mut tasks, mut last, mut looked_at, mut is_more) = (Vec::new(), None, 0, false);
        self.reader.tasks(after, |key, record| {
            if tasks.len() == question.limit || looked_at == LOOKED_AT {
                is_more = true;
                return Visit::Stop;
            }
            looked_at += 1;
            last = Some(key);
            let fits = (record.stale || !question.stale)
                && wanted
                    .as_ref()
                    .is_none_or(|wanted| record.function().is_some_and(|id| wanted.contains(&id)))
                && question.text.as_deref().is_none_or(|text| contains(arguments(record), text));
            if fits {
                tasks.push(json!({
                    "id": key.0.to_string(),
                    "function": self.functions.path(record),
                    "arguments": preview(arguments(record), SHOWN),
                    "state": if record.stale { "stale" } else { "valid" },
                    "reads": StoreReader::read_count(&record.current),
                    "bytes": StoreReader::output_bytes(&record.current.output),
                }));
            }
            Visit::Continue
        })?;
        let next = last.filter(|_| is_more).map(|key| key.0.to_string());
        Ok(json!({ "tasks": tasks, "next": next, "looked_at": looked_at }))
    }

    fn sources(&self, text: &str, limit: usize) -> Result<Value, LookError> {
        let (mut sources, mut looked_at, mut is_cut) = (Vec::new(), 0, false);
        self.reader.leaves(|leaf| {
            if sources.len() == limit || looked_at == LOOKED_AT {
                is_cut = true;
                return Visit::Stop;
            }
            looked_at += 1;
            if contains(&leaf.name, text) {
                sources.push(leaf_json(&leaf));
            }
            Visit::Continue
        })?;
        Ok(json!({ "sources": sources, "cut": is_cut }))
    }

    fn task(&self, id: &str, from: usize, limit: usize) -> Result<Value, LookError> {
        let key = self.key(id)?;
        if let Some(leaf) = self.reader.leaf(key)? {
            let readers = self.reader.dependents(key)?.tasks;
            let page: Result<Vec<Value>, LookError> = readers
                .iter()
                .skip(from)
                .take(limit)
                .map(|key| self.functions.json(&self.reader, *key))
                .collect();
            return Ok(
                json!({ "leaf": leaf_json(&leaf), "dependents_in_all": readers.len(), "dependents": page? }),
            );
        }
        let Some(task) = self.reader.task(TaskKey(key))? else {
            return Err(LookError::Name(format!("nothing is stored by the id `{key}`")));
        };
        Shown::of(&self.reader, &self.functions, &task, from..from.saturating_add(limit))?.json()
    }

    fn explain(&self, id: &str, base: Option<&Path>) -> Result<Value, LookError> {
        let key = TaskKey(self.key(id)?);
        match Explained::of(&self.reader, &self.functions, key, (base, VISITED, DIFFERENCES))? {
            Some(explained) => explained.json(),
            None => Err(LookError::Name(format!("no task is stored by the id `{id}`"))),
        }
    }
}

impl Source for StoreSource {
    fn answer(&self, question: &Question) -> Result<Value, LookError> {
        let copied = self.copied();
        let mut answer = match question {
            Question::About | Question::Reload => {
                let copied = if matches!(question, Question::Reload) { self.reload()? } else { copied };
                let head = copied.reader.head();
                let age = copied.at.elapsed().unwrap_or_default();
                json!({
                    "kind": "store",
                    "name": crate::stored::escaped(self.path.as_os_str().as_encoded_bytes()),
                    "run": head.generation.0,
                    "format": head.format,
                    "created_with": head.created_with,
                    "copied_seconds_ago": age.as_secs(),
                })
            }
            Question::Functions => copied.functions(),
            Question::Tasks(tasks) => copied.tasks(tasks)?,
            Question::Sources { text, limit } => copied.sources(text, *limit)?,
            Question::Task { id, from, limit } => copied.task(id, *from, *limit)?,
            Question::Explain { id } => copied.explain(id, self.base.as_deref())?,
            Question::Graph { id, depth, most } => {
                around::graph(&copied.reader, &copied.functions, copied.key(id)?, (*depth, *most))?
            }
            Question::Timeline | Question::Memory => {
                return Err(LookError::Name(
                    "a store has no clock; this is told of running programs".to_owned(),
                ));
            }
        };
        cut(&mut answer);
        Ok(answer)
    }
}

impl StoreSource {
    /// Makes a new copy, which further answers are about.
    fn reload(&self) -> Result<Arc<Copied>, LookError> {
        let Ok(_one) = self.copying.try_lock() else {
            return Err(LookError::Name("a copy is made already; look again when it is there".to_owned()));
        };
        let copied = Copied::of(&self.path)?;
        *held(&self.copy) = copied.clone();
        Ok(copied)
    }
}

/// Shortens the texts of an answer: arguments may be large, and a page shows their beginning.
fn cut(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(LONGEST) {
                text.truncate(at);
                text.push('…');
            }
        }
        Value::Array(values) => values.iter_mut().for_each(cut),
        Value::Object(fields) => fields.values_mut().for_each(cut),
        _ => {}
    }
}
