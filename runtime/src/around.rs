//! The graph in memory around a task, while the program runs.

pub use larder_backend::around::*;

use crate::Runtime;
use crate::events::TaskId;

impl Runtime {
    /// Returns the tasks that are up to `depth` reads away from one, in both directions, and the reads between them: `most` tasks at most, those
    /// first that are near. Of a task with more than 12 neighbours in one direction two of each function stand by themselves, and the others are
    /// told by their number.
    ///
    /// The name of a task comes from an event or an explanation, or from [`Ask::id`](crate::Ask::id). None if it is not in memory.
    ///
    /// ```
    /// use larder::{Input, Runtime, ask, task_fn};
    ///
    /// #[task_fn]
    /// fn words(text: &Input<String>) -> usize {
    ///     text.with(|text| text.split_whitespace().count())
    /// }
    ///
    /// #[task_fn]
    /// fn report(text: &Input<String>) -> String {
    ///     format!("{} words", words(text))
    /// }
    ///
    /// let runtime = Runtime::new();
    /// let text = runtime.input("text", "a b".to_owned());
    /// let id = runtime.run(|| {
    ///     report(&text);
    ///     ask(|| words(&text)).id()
    /// });
    /// let around = runtime.around(&id, 1, 100).expect("it is in memory");
    /// let names: Vec<_> = around.tasks.iter().map(|task| task.task.as_str()).collect();
    /// assert_eq!(names, [r#"words(input("text"))"#, r#"input("text")"#, r#"report(input("text"))"#]);
    /// assert_eq!(around.edges, [(0, 1), (2, 0)]);
    /// ```
    ///
    /// Waits for no session. Reads of a task that is not current are known if no session is open, for which it tries some 50 milliseconds
    /// ([`ReadsKnown`]). Nothing is verified or run.
    ///
    /// Cost: a look at 10,000 edges of each task that is told, at most, while sessions and updates wait; then their arguments are printed, in a session.
    #[must_use]
    pub fn around(&self, task: &TaskId, depth: usize, most: usize) -> Option<Around> {
        self.engine.around(task, depth, most)
    }

    /// Returns a page of what a task has read, in order, or of what has read it: up to `limit`, from place `from` of the list on. The place of
    /// the next page comes with it. None if the task is not in memory.
    ///
    /// Cost: as for [`Runtime::around`], of one task.
    #[must_use]
    pub fn neighbours(
        &self,
        task: &TaskId,
        direction: Direction,
        from: usize,
        limit: usize,
    ) -> Option<Neighbours> {
        self.engine.neighbours(task, direction, from, limit)
    }
}
