//! Paths as arguments: the same if they are the same bytes.
//!
//! `Path`'s own comparison overlooks `.` and slashes that are too many: `f/`, `f/.` and `f` are equal to it. The system tells them
//! apart (`f/` is an error if `f` is a file), and so can every body that is given one. Two spellings are two tasks, so that the
//! answer for one is never handed out for the other.
//!
//! Arguments of these types are compared so: `Path`, `PathBuf`, `Box<Path>`, `Arc<Path>`, and lists and options of `PathBuf`. A type
//! of the user's that holds a path is compared by its own `Eq`.

use std::any::TypeId;
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An argument that is made of paths.
enum Paths<'a> {
    One(&'a OsStr),
    Perhaps(Option<&'a OsStr>),
    Many(&'a [PathBuf]),
}

/// Feeds a part of the arguments to `state`. Borrowed and owned forms are fed alike.
#[inline(always)]
pub(super) fn hash_part<T: ?Sized + Hash + 'static, H: Hasher>(part: &T, state: &mut H) {
    match Paths::of(part) {
        None => part.hash(state),
        Some(Paths::One(path)) => path.hash(state),
        Some(Paths::Perhaps(path)) => path.hash(state),
        Some(Paths::Many(paths)) => {
            paths.len().hash(state);
            paths.iter().for_each(|path| path.as_os_str().hash(state));
        }
    }
}

/// Whether two parts of arguments are the same.
#[inline(always)]
pub(super) fn same_part<T: ?Sized + PartialEq + 'static>(left: &T, right: &T) -> bool {
    match (Paths::of(left), Paths::of(right)) {
        (Some(Paths::One(left)), Some(Paths::One(right))) => left == right,
        (Some(Paths::Perhaps(left)), Some(Paths::Perhaps(right))) => left == right,
        (Some(Paths::Many(left)), Some(Paths::Many(right))) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| left.as_os_str() == right.as_os_str())
        }
        _ => left == right,
    }
}

impl<'a> Paths<'a> {
    /// Nothing of this is left in a call with arguments of other types: the comparisons are constants.
    #[inline(always)]
    fn of<T: ?Sized + 'static>(part: &'a T) -> Option<Self> {
        if let Some(path) = is::<T, Path>(part) {
            Some(Paths::One(path.as_os_str()))
        } else if let Some(path) = is::<T, PathBuf>(part) {
            Some(Paths::One(path.as_os_str()))
        } else if let Some(path) = is::<T, Box<Path>>(part) {
            Some(Paths::One(path.as_os_str()))
        } else if let Some(path) = is::<T, Arc<Path>>(part) {
            Some(Paths::One(path.as_os_str()))
        } else if let Some(path) = is::<T, Option<PathBuf>>(part) {
            Some(Paths::Perhaps(path.as_deref().map(Path::as_os_str)))
        } else if let Some(paths) = is::<T, [PathBuf]>(part) {
            Some(Paths::Many(paths))
        } else {
            is::<T, Vec<PathBuf>>(part).map(|paths| Paths::Many(paths))
        }
    }
}

/// The part as a `U`, if that is its type.
#[inline(always)]
fn is<T: ?Sized + 'static, U: ?Sized + 'static>(part: &T) -> Option<&U> {
    // SAFETY: `T` and `U` are one type, and so are references to them.
    (TypeId::of::<T>() == TypeId::of::<U>()).then(|| unsafe { mem::transmute_copy::<&T, &U>(&part) })
}
