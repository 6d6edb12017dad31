//! Seats: the waiters of an async run, and how they are woken.

use std::task::Waker;

use crate::base::sync::{Mutex, MutexGuard};
use crate::base::wakes;
use crate::context::async_runs::SeatId;

use super::lost::{Drivers, Says, Verdict};

/// The seats of an async run that its waiters drive. Held for moments; nothing is locked or woken under it.
#[derive(Default)]
pub(crate) struct Seats(Mutex<Waiters>);

/// The next step of a waiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Boarded {
    /// It drives, until it calls [`Seats::alight`].
    Drives,
    /// Another waiter drives; it is woken.
    Waits,
    /// The async run is over.
    Over,
}

impl Seats {
    /// Takes a seat; `None` if the async run is over.
    pub(crate) fn join(&self) -> Option<SeatId> {
        self.0.lock().join()
    }

    /// Becomes the driver, if there is none.
    pub(crate) fn board(&self, seat: SeatId, waker: &Waker) -> Boarded {
        let (_replaced, mut waiters) = with_waker(&self.0, seat, waker);
        if waiters.over { Boarded::Over } else { waiters.board(seat) }
    }

    /// Judges a panic of the body in the poll of the driver, which is at `seat`. If others are to begin again, they are woken when it
    /// alights.
    pub(crate) fn judge(&self, seat: SeatId, says: Says) -> Verdict {
        let waiters = &mut *self.0.lock();
        let seats_ever = waiters.last_seat.map_or(0, SeatId::taken);
        let verdict = waiters.drivers.judge(says, seat, waiters.seats, seats_ever);
        waiters.woken |= verdict == Verdict::LeavesItToOthers;
        verdict
    }

    /// Ends driving, and perhaps the async run. Wakes the others if it does, or if the async run was woken meanwhile.
    pub(crate) fn alight(&self, over: bool) {
        let wakers = {
            let mut waiters = self.0.lock();
            waiters.driven = false;
            waiters.over = over;
            let wake = over || waiters.woken;
            if wake { std::mem::take(&mut waiters.wakers) } else { Wakers::default() }
        };
        wakers.wake();
    }

    /// Gives up a seat. Whether it was the last, so that the async run is over, and the caller has to end it.
    #[must_use]
    pub(crate) fn leave(&self, seat: SeatId) -> bool {
        let (waker, ends, stranded) = {
            let mut waiters = self.0.lock();
            let waker = waiters.leave(seat);
            waiters.drivers.leaves(seat);
            let ends = waiters.seats == 0 && !waiters.over;
            waiters.over |= ends;
            let is_stranded = !ends && waiters.drivers.is_stranded(waiters.seats);
            (waker, ends, if is_stranded { std::mem::take(&mut waiters.wakers) } else { Wakers::default() })
        };
        drop(waker);
        stranded.wake();
        ends
    }

    /// Whether a waiter drives.
    pub(crate) fn is_driven(&self) -> bool {
        self.0.lock().driven
    }

    /// Wakes all waiters; or lets the driver do it when it alights.
    pub(crate) fn wake(&self) {
        let wakers = {
            let mut waiters = self.0.lock();
            if waiters.driven {
                waiters.woken = true;
                return;
            }
            std::mem::take(&mut waiters.wakers)
        };
        wakers.wake();
    }
}

/// The waiters of an async run.
#[derive(Default)]
pub(crate) struct Waiters {
    pub(crate) seats: usize,
    last_seat: Option<SeatId>,
    pub(crate) wakers: Wakers,
    driven: bool,
    /// Woken while it was driven.
    woken: bool,
    pub(crate) over: bool,
    drivers: Drivers,
}

/// The wakers of waiters, by their seats. One is the usual number: that needs no allocation.
#[derive(Default)]
pub(crate) struct Wakers {
    one: Option<(SeatId, Waker)>,
    more: Vec<(SeatId, Waker)>,
}

impl Wakers {
    pub(crate) fn wake(self) {
        wakes::wake_all(self.one.into_iter().chain(self.more).map(|(_, waker)| waker));
    }
}

impl Waiters {
    pub(crate) fn join(&mut self) -> Option<SeatId> {
        if self.over {
            return None;
        }
        self.seats += 1;
        let seat = self.last_seat.map_or(SeatId::FIRST, SeatId::next);
        self.last_seat = Some(seat);
        Some(seat)
    }

    /// Becomes driven, unless it is.
    fn board(&mut self, seat: SeatId) -> Boarded {
        if self.driven || self.drivers.yields(seat, self.seats) {
            return Boarded::Waits;
        }
        self.driven = true;
        self.drivers.drives(seat);
        self.woken = false;
        Boarded::Drives
    }

    /// Whether waking the waiter at `seat` wakes `waker`.
    fn knows(&self, seat: SeatId, waker: &Waker) -> bool {
        let Wakers { one, more } = &self.wakers;
        one.iter().chain(more).any(|(other, known)| *other == seat && known.will_wake(waker))
    }

    /// Returns the waker that it replaces, to be dropped under no lock.
    fn set_waker(&mut self, seat: SeatId, waker: Waker) -> Option<Waker> {
        let Wakers { one, more } = &mut self.wakers;
        if let Some((_, known)) = one.iter_mut().chain(more.iter_mut()).find(|(other, _)| *other == seat) {
            return Some(std::mem::replace(known, waker));
        }
        if one.is_none() {
            *one = Some((seat, waker));
        } else {
            more.push((seat, waker));
        }
        None
    }

    /// Returns the waker, to be dropped under no lock.
    pub(crate) fn leave(&mut self, seat: SeatId) -> Option<Waker> {
        self.seats -= 1;
        let Wakers { one, more } = &mut self.wakers;
        if one.as_ref().is_some_and(|(other, _)| *other == seat) {
            return one.take().map(|(_, waker)| waker);
        }
        let at = more.iter().position(|(other, _)| *other == seat)?;
        Some(more.swap_remove(at).1)
    }
}

/// Locks `waiters`, with `waker` known for the waiter at `seat` unless all is over. Returns what the lock must not be held for: the
/// waker that was known before. A waker is the user's to clone and to drop.
pub(crate) fn with_waker<'a>(
    waiters: &'a Mutex<Waiters>,
    seat: SeatId,
    waker: &Waker,
) -> (Option<Waker>, MutexGuard<'a, Waiters>) {
    let known = waiters.lock();
    if known.over || known.knows(seat, waker) {
        return (None, known);
    }
    drop(known);
    let clone = waker.clone();
    let mut waiters = waiters.lock();
    let unused = if waiters.over { Some(clone) } else { waiters.set_waker(seat, clone) };
    (unused, waiters)
}
