//! Lanes: each number is taken once, and none is left, however rations are given back.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use super::explore;
use crate::parallel::lanes::Lanes;

struct Scope {
    lanes: Lanes,
    ran: Vec<AtomicUsize>,
    /// The caller has come to the end.
    is_over: AtomicBool,
}

impl Scope {
    fn new(items: usize, participants: usize, batch: usize) -> Arc<Self> {
        let ran = (0..items).map(|_| AtomicUsize::new(0)).collect();
        let lanes = Lanes::new(items, participants, batch);
        Arc::new(Self { lanes, ran, is_over: AtomicBool::new(false) })
    }

    /// Works as a participant. Each item is slow, so the rest of a ration is given back whenever it is sought. Returns how many helpers
    /// were to be called.
    fn work(&self, most: usize) -> usize {
        let lane = self.lanes.occupy().expect("there are as many lanes as participants");
        let mut called = 0;
        while let Some(mut items) = self.lanes.take(lane, most) {
            while let Some(index) = items.next() {
                self.ran[index].fetch_add(1, SeqCst);
                thread::yield_now();
                if !items.is_empty() && self.lanes.is_sought() {
                    called += self.lanes.give_back(lane, items);
                    break;
                }
            }
            self.lanes.end_ration(lane);
        }
        self.lanes.end_ration(lane);
        lane.vacate();
        called
    }

    /// Works as a helper, and as those that it calls: a thread that has left comes again.
    fn help(&self, most: usize) {
        let mut entries = 1;
        while entries > 0 {
            entries += self.work(most);
            self.lanes.leave();
            entries -= 1;
        }
    }

    fn call(&self, most: usize) {
        self.work(most);
        while self.lanes.waits(|| false) {
            self.work(most);
        }
        self.is_over.store(true, SeqCst);
    }
}

fn runs(items: usize, batch: usize, rations: &'static [usize]) {
    explore(move || {
        let scope = Scope::new(items, rations.len(), batch);
        let helpers: Vec<_> = rations[1..]
            .iter()
            .map(|most| {
                let scope = scope.clone();
                thread::spawn(move || scope.help(*most))
            })
            .collect();
        scope.call(rations[0]);
        helpers.into_iter().for_each(|helper| helper.join().expect("no thread panics"));
        assert!(scope.is_over.load(SeqCst));
        assert!(scope.ran.iter().all(|ran| ran.load(SeqCst) == 1), "each item runs once");
    });
}

#[test]
fn a_caller_that_waits_for_a_ration_is_called() {
    runs(6, 3, &[1, 3]);
}

#[test]
fn rations_of_all_are_given_back() {
    runs(7, 4, &[4, 4, 2]);
}
