//! On a thread with little stack, everything that the engine calls of a value has the 256 KiB that a body is promised.

use std::backtrace::Backtrace;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, TaskExt, current, emit, par_map, task_fn};
use larder_tests::executor::{block_on, give_way};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Less than what is promised, by what calls in between take: of 256 KiB, or of the whole stack of the small thread.
const ENOUGH: usize = 224 << 10;
const SMALL: usize = 192 << 10;

/// Where there was too little, and how often each method has been called.
static TOO_LITTLE: Mutex<Vec<String>> = Mutex::new(Vec::new());
static CALLS: [AtomicUsize; 7] = [const { AtomicUsize::new(0) }; 7];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Method {
    Clone,
    Eq,
    Drop,
    Encode,
    Decode,
    Debug,
    ToOwned,
}

fn look(method: Method) {
    CALLS[method as usize].fetch_add(1, Relaxed);
    let left = stacker::remaining_stack().unwrap();
    if left < ENOUGH {
        let trace = Backtrace::force_capture().to_string();
        let of_larder: Vec<_> = trace.lines().filter(|line| line.contains("larder")).take(14).collect();
        TOO_LITTLE.lock().unwrap().push(format!("{method:?} with {left}:\n{}", of_larder.join("\n")));
    }
}

/// A value that looks how much stack there is whenever something is done with it.
#[derive(Default)]
struct Looks(u32);

impl Clone for Looks {
    fn clone(&self) -> Self {
        look(Method::Clone);
        Self(self.0)
    }
}

impl PartialEq for Looks {
    fn eq(&self, other: &Self) -> bool {
        look(Method::Eq);
        self.0 == other.0
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        look(Method::Drop);
    }
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        look(Method::Debug);
        write!(f, "Looks({})", self.0)
    }
}

impl Serialize for Looks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        look(Method::Encode);
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for Looks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        look(Method::Decode);
        u32::deserialize(deserializer).map(Self)
    }
}

/// A key. It is hashed and compared where it is passed, by the caller, so that is not looked at.
#[derive(Debug, Serialize, Deserialize)]
struct Key(Looks);

impl Clone for Key {
    fn clone(&self) -> Self {
        look(Method::ToOwned);
        Self(Looks(self.0.0))
    }
}
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0
    }
}
impl Eq for Key {}
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.0.hash(state);
    }
}

#[task_fn]
fn made(input: &Input<u32>, n: u32) -> Looks {
    Looks(input.get() / 2 + n)
}

#[task_fn]
fn over_made(input: &Input<u32>, n: u32) -> Looks {
    emit(Looks(n));
    Looks(made::with(input, n, |made| made.0))
}

#[task_fn]
fn of_key(key: &Key, input: &Input<u32>) -> Looks {
    emit(Looks(7));
    Looks(key.0.0 + input.get())
}

#[task_fn]
fn of_input(input: &Input<Looks>) -> u32 {
    input.with(|looks| looks.0)
}

#[task_fn]
async fn later(key: &Key, input: &Input<u32>) -> Looks {
    give_way().await;
    emit(Looks(8));
    let value = Looks(made::with(input, key.0.0, |made| made.0));
    give_way().await;
    value
}

/// Values that are handed out are cloned and dropped where the caller stands: in a body here.
#[task_fn(transient)]
async fn over_later(input: &Input<u32>, n: u32) -> u32 {
    let later = later(&Key(Looks(5)), input).await.0;
    later + heavy::task(n + 100).get_async().await.0
}

/// Left pending: what it holds is dropped by the engine.
#[task_fn(transient)]
async fn never(key: &Key) -> Looks {
    let held = Looks(key.0.0);
    std::future::pending::<()>().await;
    held
}

#[task_fn(transient, heavy)]
fn heavy(n: u32) -> Looks {
    Looks(n)
}

#[task_fn(transient)]
fn fails(key: &Key) -> Looks {
    emit(Looks(9));
    emit(Looks(10));
    panic!("no value for {}", key.0.0)
}

#[task_fn(transient)]
fn circle(key: &Key) -> Looks {
    Looks(circle::with(key, |own| own.0))
}

#[task_fn(transient, cycle_initial = Looks(0))]
fn settles(input: &Input<u32>) -> Looks {
    Looks(around::with(input, |around| around.0).max(input.get()).min(9))
}

#[task_fn(transient, cycle_initial = Looks(0))]
fn around(input: &Input<u32>) -> Looks {
    Looks(settles::with(input, |settles| settles.0))
}

#[task_fn(transient)]
fn in_scope(input: &Input<u32>) -> u32 {
    let carried = current();
    let carried = carried.run(|| made::with(input, 90, |made| made.0));
    par_map([1, 2, 3], |n| made::with(input, 90 + n, |made| made.0)).into_iter().sum::<u32>() + carried
}

fn use_it(rt: &Runtime) {
    let number = rt.input("number", 4u32);
    let looks = rt.input("looks", Looks(1));
    let ask = |round: u32| {
        rt.run(|| {
            let key = Key(Looks(3));
            over_made::with(&number, 1, |_| ());
            of_key::with(&key, &number, |_| ());
            of_input(&looks);
            settles::with(&number, |_| ());
            in_scope(&number);
            _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fails::with(&key, |_| ())));
            _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| circle::with(&key, |_| ())));
            later::task(&key, &number).with(|_| ());
            heavy::task(round).with(|_| ());
            let other = Key(Looks(round));
            let mut pending = Box::pin(never(&other));
            let waker = std::task::Waker::noop();
            assert!(Future::poll(pending.as_mut(), &mut std::task::Context::from_waker(waker)).is_pending());
            drop(pending);
            // The keys are the caller's to drop.
            std::mem::forget((key, other));
        });
        block_on(rt.run_async(async {
            over_later(&number, round).await;
        }));
    };
    ask(0);
    // To an equal value of `made`, then to another.
    for (round, value) in [(1, 5), (2, 6), (3, 8)] {
        rt.update(|update| {
            update.set(&number, value);
            update.set(&looks, Looks(1 + round / 2));
        })
        .unwrap();
        ask(round);
    }
    rt.refresh().unwrap();
    rt.run(|| {
        made::forget(&number, 1);
        over_made::forget(&number, 1);
        settles::forget(&number);
        let key = std::mem::ManuallyDrop::new(Key(Looks(3)));
        later::forget(&key, &number);
    });
    // Done by the opener of a session.
    rt.run(|| over_made::with(&number, 1, |_| ()));
    rt.run(|| over_made::forget(&number, 1));
    // And by an update.
    rt.update(|update| update.remove(&looks)).unwrap();
    rt.flush().unwrap();
}

/// The engine ran drops of what was forgotten, comparisons of inputs, decoding and more on whatever stack its caller had left: with a
/// value that nests, which takes stack in all of these, the process was aborted where the body had run on a stack that had grown.
#[test]
fn what_the_engine_calls_of_a_value_has_the_stack_that_a_body_is_promised() {
    let storage = MemoryStorage::new();
    let on_small_thread = |work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().stack_size(SMALL).spawn(work).unwrap().join().unwrap();
    };
    for number in [4u32, 5, 6, 4] {
        let open = {
            let storage = storage.clone();
            move || Runtime::builder().threads(2).storage(storage).code_identity("test").try_build().unwrap()
        };
        on_small_thread(Box::new(move || {
            let rt = open();
            // The second process finds other inputs than the first has left.
            rt.input("number", number);
            use_it(&rt);
            // All that is left goes with the runtime.
            drop(rt);
        }));
    }
    on_small_thread(Box::new(|| use_it(&Runtime::new())));
    let too_little = TOO_LITTLE.lock().unwrap();
    for method in [
        Method::Clone,
        Method::Eq,
        Method::Drop,
        Method::Encode,
        Method::Decode,
        Method::Debug,
        Method::ToOwned,
    ] {
        assert!(CALLS[method as usize].load(Relaxed) > 0, "{method:?} was not called");
    }
    let mut different: Vec<_> = too_little.clone();
    different.sort();
    different.dedup_by_key(|text| text.split_once(':').map(|(_, trace)| trace.to_owned()));
    assert!(
        too_little.is_empty(),
        "{} times, at {}:\n{}",
        too_little.len(),
        different.len(),
        different.join("\n\n")
    );
}
