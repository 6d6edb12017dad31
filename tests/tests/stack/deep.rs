//! Values that nest deep: stored within the codec's bound, and else not, which the statistics say.

use larder::storage::MemoryStorage;
use larder::{Input, Reason, Runtime, emit, task_fn};
use serde::{Deserialize, Serialize};

/// A list that nests. Its methods recurse, as derived ones do, and its drop.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Chain {
    n: u32,
    next: Option<Box<Self>>,
}

impl Chain {
    fn of(boxes: u32) -> Self {
        (1..boxes).fold(Self { n: 0, next: None }, |next, n| Self { n, next: Some(Box::new(next)) })
    }

    fn len(&self) -> u32 {
        std::iter::successors(Some(self), |chain| chain.next.as_deref()).count() as u32
    }
}

#[task_fn]
fn chain(boxes: &Input<u32>) -> Chain {
    Chain::of(boxes.get() / 2 * 2)
}

#[task_fn]
fn length(boxes: &Input<u32>) -> u32 {
    chain::with(boxes, Chain::len)
}

#[task_fn]
fn length_of(chain: &Chain) -> u32 {
    chain.len()
}

#[task_fn]
fn says(boxes: &Input<u32>) -> u32 {
    emit(Chain::of(boxes.get()));
    1
}

#[task_fn]
fn length_of_input(chain: &Input<Chain>) -> u32 {
    chain.with(Chain::len)
}

/// With stack for what a type that nests so deep needs by itself: the engine adds nothing to that.
fn on_large_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 30).spawn(work).unwrap().join().unwrap();
}

/// Two levels of the codec for each box: the struct, and the option.
const DEEPEST: u32 = 5_000;

#[test]
fn what_nests_too_deep_is_not_stored_and_statistics_say_so() {
    on_large_stack(|| {
        for boxes in [1_000, 4_998, 5_002, 10_000, 100_000] {
            let is_stored = boxes <= DEEPEST;
            let storage = MemoryStorage::new();
            for round in 0..2 {
                let rt = Runtime::builder()
                    .threads(2)
                    .storage(storage.clone())
                    .code_identity("test")
                    .try_build()
                    .unwrap();
                let input = rt.input("boxes", boxes);
                let nested = rt.input("nested", Chain::of(boxes));
                let ask = || {
                    rt.run(|| {
                        let lengths =
                            [length(&input), length_of(&Chain::of(boxes)), length_of_input(&nested)];
                        assert_eq!(lengths, [boxes; 3]);
                        assert_eq!(says(&input), 1);
                        assert_eq!(says::collect::<Chain>(&input)[0].len(), boxes);
                    });
                };
                ask();
                let stats = rt.stats();
                assert_eq!(stats.runs(), if is_stored && round == 1 { 0 } else { 5 }, "{boxes}, {round}");
                let storage = stats.storage.unwrap();
                let too_deep = storage.unstored.iter().filter(|unstored| unstored.reason == Reason::TooDeep);
                // The output of one, the argument of another, and what the third emits.
                assert_eq!(
                    too_deep.count(),
                    if is_stored { 0 } else { 3 },
                    "{boxes}: {:?}",
                    storage.unstored
                );
                // Compared, replaced, forgotten and dropped.
                rt.update(|update| {
                    update.set(&input, boxes + 1);
                    update.set(&nested, Chain::of(boxes));
                })
                .unwrap();
                assert_eq!(rt.run(|| length(&input)), boxes);
                rt.update(|update| {
                    update.set(&input, boxes);
                    update.set(&nested, Chain::of(boxes - 1));
                })
                .unwrap();
                assert_eq!(rt.run(|| length_of_input(&nested)), boxes - 1);
                rt.update(|update| update.set(&nested, Chain::of(boxes))).unwrap();
                rt.run(|| chain::forget(&input));
                ask();
                rt.flush().unwrap();
            }
        }
    });
}

/// Work that fits into the promised stack works on threads with hardly any.
#[test]
fn a_value_that_nests_within_the_promised_stack_works_on_small_threads() {
    let storage = MemoryStorage::new();
    for round in 0..2 {
        let storage = storage.clone();
        let small = std::thread::Builder::new().stack_size(96 << 10);
        let work = move || {
            let rt =
                Runtime::builder().threads(2).storage(storage).code_identity("test").try_build().unwrap();
            let input = rt.input("boxes", 300);
            assert_eq!(rt.run(|| length(&input)), 300);
            assert_eq!(rt.stats().runs(), if round == 0 { 2 } else { 0 });
            for boxes in [301, 400, 300] {
                rt.update(|update| update.set(&input, boxes)).unwrap();
                assert_eq!(rt.run(|| length(&input)), boxes / 2 * 2);
            }
            rt.run(|| chain::forget(&input));
            assert_eq!(rt.run(|| length(&input)), 300);
            rt.flush().unwrap();
        };
        small.spawn(work).unwrap().join().unwrap();
    }
}
