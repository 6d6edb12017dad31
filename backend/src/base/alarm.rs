//! Alarms: futures are woken at a time. They have no clock of their own, and the engine names no executor that has one.
//!
//! One thread per process wakes them, `larder-alarm`: started by the first alarm, ended when there has been none for a while.
//! Without it (it cannot be started) futures look at the clock when they are polled for another reason.

use std::collections::BTreeMap;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use larder_storage::Signal;
use parking_lot::Mutex;

use crate::base::wakes::wake_all;

/// How long the thread stays when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(10);

struct Clock {
    set: Mutex<Set>,
    /// Signalled when the first alarm is earlier than before.
    earlier: Signal,
}

struct Set {
    alarms: BTreeMap<Key, Waker>,
    next: u64,
    /// The process whose thread waits for the alarms.
    served_by: Option<u32>,
}

/// The time of an alarm and its number.
type Key = (Instant, u64);

static CLOCK: Clock = Clock {
    set: Mutex::new(Set { alarms: BTreeMap::new(), next: 0, served_by: None }),
    earlier: Signal::new(),
};

/// An alarm, set or not. Dropping it takes it back.
#[derive(Default)]
pub(crate) struct Alarm(Option<Key>);

impl Alarm {
    /// Wakes `waker` at `at`, and not at the time that was set before.
    pub(crate) fn set(&mut self, at: Instant, waker: &Waker) {
        let waker = waker.clone();
        let mut set = CLOCK.set.lock();
        let before = self.0.take().and_then(|key| set.alarms.remove(&key));
        set.next += 1;
        let key = (at, set.next);
        set.alarms.insert(key, waker);
        self.0 = Some(key);
        let is_first = set.alarms.first_key_value().is_some_and(|(first, _)| *first == key);
        let waits = is_first && serve(&mut set);
        // The thread takes the lock as soon as it is woken.
        drop(set);
        if waits {
            CLOCK.earlier.notify_one();
        }
        drop(before);
    }

    /// Takes the alarm back.
    pub(crate) fn clear(&mut self) {
        let Some(key) = self.0.take() else { return };
        let waker = CLOCK.set.lock().alarms.remove(&key);
        // The user's code may run in here.
        drop(waker);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Starts the thread if it does not run in this process. Returns whether it waits, and has to look at the first alarm.
fn serve(set: &mut Set) -> bool {
    let me = std::process::id();
    if set.served_by == Some(me) {
        return true;
    }
    let started = thread::Builder::new().name("larder-alarm".into()).spawn(wait);
    set.served_by = started.is_ok().then_some(me);
    false
}

/// The thread's work.
fn wait() {
    let mut set = CLOCK.set.lock();
    loop {
        let now = Instant::now();
        match set.alarms.first_key_value() {
            Some((&(at, _), _)) if at <= now => {
                let Some((_, waker)) = set.alarms.pop_first() else { continue };
                drop(set);
                // Others wait for this thread, so a waker's panic stays with it.
                wake_all([waker]);
                set = CLOCK.set.lock();
            }
            Some((&(at, _), _)) => {
                CLOCK.earlier.wait_until(&mut set, at);
            }
            None => {
                let timed_out = CLOCK.earlier.wait_until(&mut set, now + IDLE);
                if timed_out && set.alarms.is_empty() {
                    set.served_by = None;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::task::Wake;

    use super::*;

    /// Tells its number when it is woken, and whether the time of its alarm had come.
    struct Bell {
        rings: mpsc::Sender<(u32, bool)>,
        number: u32,
        at: Instant,
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            let _ = self.rings.send((self.number, Instant::now() >= self.at));
        }
    }

    /// Keeps the thread of the alarms until the test lets it go on.
    struct Hold {
        held: mpsc::Sender<()>,
        goes_on: Mutex<mpsc::Receiver<()>>,
    }

    impl Wake for Hold {
        fn wake(self: Arc<Self>) {
            let _ = self.held.send(());
            let _ = self.goes_on.lock().recv();
        }
    }

    #[test]
    fn alarms_go_off_in_the_order_of_their_times_and_not_when_they_are_taken_back() {
        let (held, is_held) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let hold = Waker::from(Arc::new(Hold { held, goes_on: Mutex::new(goes_on) }));
        let start = Instant::now();
        let mut first = Alarm::default();
        first.set(start, &hold);
        // However long it takes to set the others, none of them goes off meanwhile.
        assert!(is_held.recv().is_ok());

        let (rings, rung) = mpsc::channel();
        let mut alarms: Vec<Alarm> = (0..5).map(|_| Alarm::default()).collect();
        let mut set = |alarm: usize, at, number| {
            let bell = Bell { rings: rings.clone(), number, at };
            alarms[alarm].set(at, &Waker::from(Arc::new(bell)));
        };
        let at = |millis| start + Duration::from_millis(millis);
        set(0, at(60), 0);
        set(1, at(30), 1);
        set(2, at(10), 2);
        set(2, at(45), 22);
        set(3, at(20), 3);
        set(4, start + Duration::from_secs(86_400), 4);
        alarms[3].clear();
        assert!(go_on.send(()).is_ok());
        let order: Vec<_> = (0..3).map(|_| rung.recv().ok()).collect();
        assert_eq!(order, [1, 22, 0].map(|number| Some((number, true))));
        assert!(rung.try_recv().is_err(), "one is taken back, the other is not due");
    }
}
