//! Columns: the items of a scope and their results, each by number.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// The state of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Item,
    Gone,
    Result,
}

/// Items and results, each kind beside its own: a thread that runs items writes to memory that no other thread has touched, and results
/// become a `Vec` as they stand.
pub(crate) struct Columns<T, R> {
    items: Box<[UnsafeCell<MaybeUninit<T>>]>,
    results: Box<[UnsafeCell<MaybeUninit<R>>]>,
    states: Box<[UnsafeCell<State>]>,
}

// SAFETY: the places of a number are touched by one thread at a time: by the participant that took the number out of the share, then
// by the caller.
unsafe impl<T: Send, R: Send> Sync for Columns<T, R> {}

impl<T, R> Columns<T, R> {
    pub(crate) fn new(items: impl IntoIterator<Item = T>) -> Self {
        let items: Box<[T]> = items.into_iter().collect();
        let len = items.len();
        // SAFETY: both wrappers are transparent, so the layout is the same; what a place holds is told by its state from here on.
        let items = unsafe { Box::from_raw(Box::into_raw(items) as *mut [UnsafeCell<MaybeUninit<T>>]) };
        let results = Box::<[R]>::new_uninit_slice(len);
        // SAFETY: the wrapper is transparent.
        let results = unsafe { Box::from_raw(Box::into_raw(results) as *mut [UnsafeCell<MaybeUninit<R>>]) };
        let states = (0..len).map(|_| UnsafeCell::new(State::Item)).collect();
        Self { items, results, states }
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// Runs one item and keeps its result, which is returned by reference.
    ///
    /// # Safety
    /// No other thread touches the places of `index` now, and this is the first call with it.
    #[inline(always)]
    pub(crate) unsafe fn run(&self, index: usize, f: &impl Fn(T) -> R) -> &R {
        // SAFETY: the caller vouches for the places, and an item is in its place until it is run. It is marked as gone before
        // `f` has it; no reference to a place is held while `f` runs.
        unsafe {
            *self.states[index].get() = State::Gone;
            let item = (*self.items[index].get()).assume_init_read();
            let result = f(item);
            let place = (*self.results[index].get()).write(result);
            *self.states[index].get() = State::Result;
            place
        }
    }

    /// Takes a result, if there is one.
    ///
    /// # Safety
    /// No other thread touches the places of `index` now.
    pub(crate) unsafe fn take_result(&self, index: usize) -> Option<R> {
        // SAFETY: the caller vouches for the places; the state tells what is in them.
        unsafe {
            let state = self.states[index].get();
            if *state != State::Result {
                return None;
            }
            *state = State::Gone;
            Some((*self.results[index].get()).assume_init_read())
        }
    }

    /// The items, none of which has been run.
    pub(crate) fn into_items(mut self) -> Vec<T> {
        let states = std::mem::take(&mut self.states);
        let items = std::mem::take(&mut self.items);
        debug_assert!(states.iter().all(|state| {
            // SAFETY: they are owned here.
            unsafe { *state.get() == State::Item }
        }));
        // SAFETY: all items are in their places, and without states they are not dropped there.
        unsafe { Box::from_raw(Box::into_raw(items) as *mut [T]) }.into_vec()
    }

    /// The results, in the order of their numbers; those that there are.
    pub(crate) fn into_results(mut self) -> Vec<R> {
        if self.states.iter_mut().any(|state| *state.get_mut() != State::Result) {
            // SAFETY: they are owned here.
            return (0..self.len()).filter_map(|index| unsafe { self.take_result(index) }).collect();
        }
        self.states = Box::default();
        let results = std::mem::take(&mut self.results);
        // SAFETY: all results are in their places, and without states they are not dropped there.
        unsafe { Box::from_raw(Box::into_raw(results) as *mut [R]) }.into_vec()
    }
}

impl<T, R> Drop for Columns<T, R> {
    fn drop(&mut self) {
        // Should a destructor panic, the ones behind it are not dropped.
        for index in 0..self.states.len() {
            let state = std::mem::replace(self.states[index].get_mut(), State::Gone);
            // SAFETY: the state tells what is in the places, and does not any more.
            unsafe {
                match state {
                    State::Item => self.items[index].get_mut().assume_init_drop(),
                    State::Result => self.results[index].get_mut().assume_init_drop(),
                    State::Gone => {}
                }
            }
        }
    }
}
