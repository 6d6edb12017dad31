//! differential-dataflow: counts by group, kept up to date by one worker on this thread.

use crate::lane::{self, Contestant, Lane};
use crate::work::{GROUP, Work};
use differential_dataflow::input::Input as _;
use differential_dataflow::operators::CountTotal as _;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;
use std::rc::Rc;
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;

/// differential-dataflow 0.26.
pub const DIFFERENTIAL: Contestant = Contestant { name: "differential", enter };

fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::GroupBy { rows } => moves(rows),
        _ => None,
    }
}

/// By `count_total`, which keeps no rows but counts, since its time is totally ordered: the cheapest way that there is.
fn moves(rows: u32) -> Option<Lane> {
    let mut worker = Worker::new(WorkerConfig::default(), Allocator::Thread(Default::default()), None);
    let counts = Rc::new(RefCell::new(HashMap::<u32, isize>::new()));
    let probe = ProbeHandle::new();
    let mut input = worker.dataflow::<u64, _, _>(|scope| {
        let (input, rows) = scope.new_collection::<(u32, u32), isize>();
        let counts = counts.clone();
        let counted = rows.map(|(_, group)| group).count_total();
        counted
            .inspect(move |((group, count), _, change)| {
                if *change > 0 {
                    counts.borrow_mut().insert(*group, *count);
                }
            })
            .probe_with(&probe);
        input
    });
    for row in 0..rows {
        input.insert((row, row / GROUP));
    }
    let mut time = 1;
    input.advance_to(time);
    input.flush();
    worker.step_while(|| probe.less_than(input.time()));

    let groups = rows / GROUP;
    let (row, mut group) = (rows / 2, rows / 2 / GROUP);
    lane::edits(move || {
        let other = (group + 1) % groups;
        input.remove((row, group));
        input.insert((row, other));
        time += 1;
        input.advance_to(time);
        input.flush();
        worker.step_while(|| probe.less_than(input.time()));
        let counts = counts.borrow();
        black_box((counts[&group], counts[&other]));
        group = other;
    })
}
