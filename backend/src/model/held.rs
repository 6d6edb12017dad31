//! Held: handles that threads clone and drop, against a task that is not wanted any more. Cell and list are the real ones; the gate
//! is a lock, held by those that make a handle from the node or reclaim it.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};
use shuttle::thread;

use super::{Nodes, explore, on_threads};
use crate::base::sync::Mutex;
use crate::graph::held::{Held, Released, Shared};

/// A node that can be freed, and what the program has of it.
struct Place {
    /// None when the node has been freed.
    shared: Mutex<Option<Shared>>,
    is_freed: AtomicBool,
    /// Handles in the arguments of tasks that can be reached by no other way, with the gate.
    inner: Mutex<Vec<Held>>,
    released: Arc<Released>,
    _nodes: Nodes,
}

impl Place {
    /// A node with so many handles, and so many more in arguments.
    fn new(handles: usize, inner: usize) -> (Arc<Self>, Vec<Held>) {
        let (released, nodes) = (Arc::<Released>::default(), Nodes::new(1));
        let (shared, held) = Shared::new(1, &released, nodes.nodes[0], false);
        let inner = Mutex::new((0..inner).map(|_| shared.hold()).collect());
        let handles = (1..handles).map(|_| shared.hold()).chain([held]).collect();
        let (shared, is_freed) = (Mutex::new(Some(shared)), AtomicBool::new(false));
        (Arc::new(Self { shared, is_freed, inner, released, _nodes: nodes }), handles)
    }

    /// Clones a handle and drops both.
    fn use_and_drop(&self, handle: Held) {
        let other = handle.clone();
        thread::yield_now();
        drop(handle);
        assert!(!self.is_freed.load(SeqCst), "the node was freed while it was held");
        drop(other);
    }

    /// A session makes a handle, if the node is still there.
    fn hold(&self) -> Option<Held> {
        self.shared.lock().as_ref().map(Shared::hold)
    }

    /// Forgets the task.
    fn forget(&self) {
        let mut shared = self.shared.lock();
        if let Some(there) = &*shared {
            there.abandon();
        }
        self.look(&mut shared);
    }

    /// Removes the input that the node is, as `Lists::remove_input` and `Lists::look_at_handles` do.
    fn remove_input(&self) {
        let mut shared = self.shared.lock();
        if let Some(there) = &*shared {
            there.abandon();
        }
        self.look_at_handles(&mut shared);
        self.look(&mut shared);
    }

    /// One slice: what was listed is looked at.
    fn reclaim(&self) {
        let mut shared = self.shared.lock();
        for handle in self.released.take() {
            handle.into_node();
            self.look_at_handles(&mut shared);
            self.look(&mut shared);
        }
    }

    /// The tasks whose arguments hold the input go, if nothing else holds it.
    fn look_at_handles(&self, shared: &mut Option<Shared>) {
        let mut inner = self.inner.lock();
        let Some(there) = shared else { return };
        if !inner.is_empty() && there.abandon_but(inner.len()) {
            drop(std::mem::take(&mut *inner));
        }
    }

    /// The node goes, if nothing holds it.
    fn look(&self, shared: &mut Option<Shared>) {
        if shared.as_ref().is_some_and(|shared| !shared.is_held()) {
            self.is_freed.store(true, SeqCst);
            drop(shared.take());
        }
    }

    /// All threads have ended, and sessions go on.
    fn check_that_nothing_is_left(&self) {
        while self.released.any() {
            self.reclaim();
        }
        assert!(self.is_freed.load(SeqCst), "the node is left, and nothing holds it");
        assert_eq!(Arc::strong_count(&self.released), 1, "the cell is left");
    }
}

/// Runs `work` on one thread, while each handle is used and dropped on one of its own.
fn against_drops(place: &Arc<Place>, handles: Vec<Held>, work: impl Fn(&Place) + Send + Sync + 'static) {
    let (shared, threads) = (place.clone(), handles.len() + 1);
    let handles: Vec<_> = handles.into_iter().map(|handle| Mutex::new(Some(handle))).collect();
    on_threads(threads, move |number| match handles.get(number) {
        Some(handle) => {
            let handle = handle.lock().take();
            handle.into_iter().for_each(|handle| shared.use_and_drop(handle));
        }
        None => work(&shared),
    });
}

#[test]
fn a_forgotten_task_stays_while_it_is_held_and_goes_with_its_last_handle() {
    explore(|| {
        let (place, handles) = Place::new(2, 0);
        against_drops(&place, handles, |place| {
            place.forget();
            place.reclaim();
        });
        place.check_that_nothing_is_left();
    });
}

#[test]
fn a_session_that_makes_a_handle_keeps_a_forgotten_task() {
    explore(|| {
        let (place, handles) = Place::new(1, 0);
        let session = place.clone();
        let session = thread::spawn(move || {
            if let Some(handle) = session.hold() {
                session.use_and_drop(handle);
            }
        });
        against_drops(&place, handles, |place| {
            place.forget();
            place.reclaim();
        });
        session.join().expect("it does not panic");
        place.check_that_nothing_is_left();
    });
}

#[test]
fn a_removed_input_goes_when_only_arguments_hold_it() {
    explore(|| {
        let (place, handles) = Place::new(2, 2);
        against_drops(&place, handles, |place| {
            place.remove_input();
            place.reclaim();
        });
        place.check_that_nothing_is_left();
    });
}

#[test]
fn the_end_of_an_engine_leaves_no_cell_whenever_handles_are_dropped() {
    explore(|| {
        let (place, handles) = Place::new(2, 0);
        against_drops(&place, handles, |place| {
            place.forget();
            let listed = place.released.close();
            drop(place.shared.lock().take());
            drop(listed);
        });
        assert_eq!(Arc::strong_count(&place.released), 1, "a cell is left");
    });
}
