//! Aside: the other ways to use a call that is written as a call. `ask(|| page.words(3)).is_cached()` works for whatever
//! is called: methods, trait methods, `dyn`, generics.
//!
//! The closure runs with no session in sight. So the call in it finds no record of its thread, and on that cold way it
//! meets the question ([`meet`]), answers it with its own types, and leaves the closure by unwinding. A call that is not asked
//! about pays nothing for this.

use std::any::Any;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::call::args::Args;
use crate::call::storable::Persist;
use crate::context::local::{Naming, OutOfSight};
use crate::entry::ask::{clear, forget, forget_all_of, invalidate, is_cached, place, task};
use crate::entry::explain::explain;
use crate::entry::explanation::Explanation;
use crate::entry::part::{PartValue, StoredPartOf};
use crate::evaluate::emit::{self, Collect};
use crate::evaluate::handle::Task;
use crate::evaluate::lookup::{inside, outside};
use crate::graph::emitted::Emitted;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::{RawTaskFn, TaskFn};
use crate::graph::task_name::{TaskId, TaskRef};

thread_local! {
    /// Without a destructor, so that a thread that ends can ask, too.
    static ASKED: Cell<Option<ManuallyDrop<Asked>>> = const { Cell::new(None) };
}

/// A question that waits for its call.
struct Asked {
    question: Question,
    /// Puts the session back in sight.
    session: OutOfSight,
}

#[derive(Clone, Copy)]
enum Question {
    IsCached,
    Forget,
    ForgetAllOf,
    Invalidate,
    Clear,
    Task,
    Place,
    Uncached,
}

/// The answer that unwinds from the call to the question.
enum Answer {
    Flag(bool),
    Count(usize),
    /// A `Task<O>`.
    Task(Box<dyn Any + Send>),
    /// The node of the call.
    Node(&'static RawTaskFn, NodeRef),
    /// An `O`; none if it takes an executor to compute it.
    Output(Option<Box<dyn Any + Send>>),
}

/// A question about a call. Made by [`ask`].
#[must_use = "a question is asked by one of its methods"]
pub struct Ask<F>(F);

/// Asks about the call that `call` makes, instead of making it. For methods, beside which there is no room for a companion.
///
/// The first task function that the closure calls is the one that is asked about: compute its arguments before. The closure is
/// left by unwinding, and so cannot be used where panics abort.
///
/// # Panics
/// Its methods do if `call` calls no task function, and in a program that is compiled with `panic = "abort"`.
pub fn ask<R, F: FnOnce() -> R>(call: F) -> Ask<F> {
    Ask(call)
}

impl<R, F: FnOnce() -> R> Ask<F> {
    /// Whether the call would be answered from memory without verifying anything.
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn is_cached(self) -> bool {
        self.flag(Question::IsCached)
    }

    /// Drops the output of the call as soon as no session is open. Returns whether there was anything to drop.
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn forget(self) -> bool {
        self.flag(Question::Forget)
    }

    /// Drops the output of the call as [`Ask::forget`] does, and all that only this call has needed. Returns whether there was anything
    /// to drop.
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn forget_all_of(self) -> bool {
        self.flag(Question::ForgetAllOf)
    }

    /// Makes the call run again when a later session asks for it, though nothing that it has read has changed. Its readers run again if its
    /// value differs then. See [`Update::invalidate`](crate::Update::invalidate).
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn invalidate(self) {
        self.flag(Question::Invalidate);
    }

    /// Drops the outputs of all calls of the function that the call is one of, also of those that only the store knows. Returns how many there
    /// were. Cost: a look at each task, in memory and in the store.
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn clear(self) -> usize {
        let Answer::Count(count) = self.put(Question::Clear) else {
            unreachable!("the answer is to the question")
        };
        count
    }

    /// Returns a handle to the call. Runs nothing. `T` is the output of the task function: for an `async fn`, what awaiting gives.
    ///
    /// # Panics
    /// Outside of a session, if the output is of another type, and as [`ask`] says.
    pub fn task<T: Clone + Send + Sync + 'static>(self) -> Task<T> {
        let Answer::Task(task) = self.put(Question::Task) else {
            unreachable!("the answer is to the question")
        };
        match task.downcast() {
            Ok(task) => *task,
            Err(_) => {
                panic!("the call that `larder::ask(..).task()` met returns another type than the handle's")
            }
        }
    }

    /// Selects a part of the call's output by a key, as [`Task::part`] does. `T` is the output of the task function. The part keeps a handle
    /// to the call.
    ///
    /// # Panics
    /// Panics as [`Task::part`] does, and as [`ask`] says.
    #[track_caller]
    pub fn part<T, Q, P>(self, key: &Q, select: impl Fn(&T, &Q) -> P + Copy + 'static) -> P
    where
        T: Clone + Send + Sync + 'static,
        Q: ?Sized + StoredPartOf,
        P: PartValue + Persist,
    {
        self.task::<T>().part(key, select)
    }

    /// Returns all values of type `D` that the call and what it depends on emitted; makes the call if need be.
    ///
    /// # Panics
    /// Panics as the call itself does, and as [`ask`] says.
    pub fn collect<D: Emitted>(self) -> Vec<D> {
        let Answer::Node(task_fn, node) = self.put(Question::Place) else {
            unreachable!("the answer is to the question")
        };
        emit::collect(inside(task_fn), node, Collect::PassesOn)
    }

    /// Returns all values of type `D` that the call and what it depends on emitted, to be dealt with by the task that runs now, which does not pass them
    /// on. See [`Task::take`].
    ///
    /// # Panics
    /// Panics as the call itself does, and as [`ask`] says.
    pub fn take<D: Emitted>(self) -> Vec<D> {
        let Answer::Node(task_fn, node) = self.put(Question::Place) else {
            unreachable!("the answer is to the question")
        };
        emit::collect(inside(task_fn), node, Collect::Takes)
    }

    /// Explains why the call has run last. Runs nothing. See [`Explanation`].
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn explain(self) -> Explanation {
        let Answer::Node(task_fn, node) = self.put(Question::Place) else {
            unreachable!("the answer is to the question")
        };
        explain(inside(task_fn), node)
    }

    /// Returns the name of the call. Runs nothing.
    ///
    /// # Panics
    /// Outside of a session, and as [`ask`] says.
    pub fn id(self) -> TaskId {
        let Answer::Node(_, node) = self.put(Question::Place) else {
            unreachable!("the answer is to the question")
        };
        let _no_session = Naming::begin();
        TaskRef::to(node).id()
    }

    fn flag(self, question: Question) -> bool {
        let Answer::Flag(flag) = self.put(question) else { unreachable!("the answer is to the question") };
        flag
    }

    fn put(self, question: Question) -> Answer {
        if cfg!(panic = "abort") {
            panic!("`larder::ask` works in programs that unwind: set `panic = \"unwind\"`");
        }
        ASKED.set(Some(ManuallyDrop::new(Asked { question, session: OutOfSight::begin() })));
        let outcome = catch_unwind(AssertUnwindSafe(self.0));
        // A call has taken the question, and has put the session back in sight; unless there was none.
        drop(ASKED.take().map(ManuallyDrop::into_inner));
        match outcome.map_err(|payload| payload.downcast()) {
            Err(Ok(answer)) => *answer,
            Err(Err(payload)) => resume_unwind(payload),
            Ok(_) => panic!("the closure that was given to `larder::ask` calls no task function"),
        }
    }
}

impl<R: 'static, F: FnOnce() -> R> Ask<F> {
    /// Runs the plain body on these arguments: looks nothing up and keeps nothing. The reads of the body are reads of the
    /// caller. Works outside of a session, too, if the body does.
    ///
    /// # Panics
    /// If the body does, for an `async fn`, and as [`ask`] says.
    pub fn uncached(self) -> R {
        let Answer::Output(output) = self.put(Question::Uncached) else {
            unreachable!("the answer is to the question")
        };
        match output.map(<Box<dyn Any + Send>>::downcast) {
            Some(Ok(output)) => *output,
            _ => panic!("`larder::ask(..).uncached()` runs bodies of sync task functions only"),
        }
    }
}

/// Whether the call that this thread makes next is asked about.
pub(crate) fn is_asked_about() -> bool {
    let asked = ASKED.take();
    let is_asked = asked.is_some();
    ASKED.set(asked);
    is_asked
}

/// A call that finds no session: answers the question about it, if there is one.
///
/// # Panics
/// If there is none: the call is made outside of a session.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn meet<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> ! {
    let asked = ASKED.take().map(ManuallyDrop::into_inner);
    let Some(Asked { question, session }) = asked else { outside(task_fn.raw()) };
    drop(session);
    let answer = match question {
        Question::IsCached => Answer::Flag(is_cached::<A, O>(task_fn, args)),
        Question::Forget => Answer::Flag(forget::<A, O>(task_fn, args)),
        Question::ForgetAllOf => Answer::Flag(forget_all_of::<A, O>(task_fn, args)),
        Question::Invalidate => {
            invalidate::<A, O>(task_fn, args);
            Answer::Flag(true)
        }
        Question::Clear => Answer::Count(clear(task_fn)),
        Question::Task => Answer::Task(Box::new(task::<A, O>(task_fn, args))),
        Question::Place => Answer::Node(task_fn.raw(), place::<A, O>(task_fn, args).1),
        Question::Uncached => {
            let output = task_fn.run_plain(&args.into_key());
            Answer::Output(output.map(|output| Box::new(output) as Box<dyn Any + Send>))
        }
    };
    resume_unwind(Box::new(answer))
}
