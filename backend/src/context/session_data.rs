//! Session data: what a session brings along for the bodies that run in it, by type. No dependency is recorded.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use crate::context::local::Local;

/// A value of any type that sessions share.
pub type AnyData = Arc<dyn Any + Send + Sync>;

/// The data of a session: a list, the latest first. A session inside of another one begins with the other's.
#[derive(Clone)]
pub(crate) struct SessionData(Arc<Link>);

struct Link {
    value: AnyData,
    before: Option<SessionData>,
}

impl SessionData {
    /// Returns the data of a session that brings these along, inside of one that has `outer`.
    pub(crate) fn within(outer: Option<Self>, data: &[AnyData]) -> Option<Self> {
        data.iter().fold(outer, |before, value| Some(Self(Arc::new(Link { value: value.clone(), before }))))
    }

    fn get<D: Any + Send + Sync>(&self) -> Option<Arc<D>> {
        std::iter::successors(Some(self), |data| data.0.before.as_ref())
            .find_map(|data| data.0.value.clone().downcast().ok())
    }
}

impl fmt::Debug for SessionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionData(..)")
    }
}

/// Returns the data of type `D` that the session was given ([`Session::with`](https://docs.rs/larder)), if it was given any.
///
/// For what a body needs to do its work and what does not decide its result: a logger, a progress bar, a pool of connections, a
/// counter. It is *not tracked*: no task runs again because another session brings other data, and a result that was computed with
/// one session's data is handed out in all others, and by the store. So it must not influence what a body returns, emits or
/// reads. Data that does is an input, or an argument.
///
/// It is the same on all threads that work for the session: in scopes, `par_map`, carried work and async bodies. An async or `heavy`
/// execution that several sessions wait for has the data of the one that began it. `None` outside of a session, and in updates. Cost: a
/// comparison of types for each value that the session has, and a reference count.
#[must_use]
pub fn session_data<D: Any + Send + Sync>() -> Option<Arc<D>> {
    Local::current()?.data.borrow().as_ref()?.get()
}

/// Runs `work` with more data in the session that is open on this thread.
#[doc(hidden)]
pub fn with_session_data<R>(data: &[AnyData], work: impl FnOnce() -> R) -> R {
    let _given = Local::current().map(|local| GivenData::put(&local.data, data));
    work()
}

/// Data that is in force until this is dropped.
pub(crate) struct GivenData<'a> {
    place: &'a RefCell<Option<SessionData>>,
    before: Option<SessionData>,
}

impl<'a> GivenData<'a> {
    pub(crate) fn put(place: &'a RefCell<Option<SessionData>>, data: &[AnyData]) -> Self {
        let before = place.borrow().clone();
        place.replace(SessionData::within(before.clone(), data));
        Self { place, before }
    }
}

impl Drop for GivenData<'_> {
    fn drop(&mut self) {
        // Dropped when the borrow has ended: this may run the `Drop` of the user's data.
        let given = self.place.replace(self.before.take());
        drop(given);
    }
}
