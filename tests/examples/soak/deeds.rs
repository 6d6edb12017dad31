//! Deeds of a thread of the soak, at random.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use larder::{Activity, CancelToken, Runtime, Task, TaskError, TaskExt};

use crate::tasks::{
    self, INPUTS, Inputs, KEYS, anode, aturns, carries, fans_out, heavy, lasts, leaf, lifts, node, streams,
    through, turns, volatile,
};
use larder_tests::executor::block_on;

/// Random enough, and reproducible.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn split(&mut self) -> Self {
        Self::new(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    fn key(&mut self) -> u32 {
        self.below(KEYS.into()) as u32
    }
}

/// A runtime, its inputs, and an executor.
pub(super) struct World {
    runtime: Runtime,
    inputs: Inputs,
    executor: tokio::runtime::Runtime,
    /// Handles that outlive the session that they were made in.
    handles: Mutex<Vec<Task<u64>>>,
    at_first: Activity,
}

impl World {
    pub(super) fn new(runtime: Runtime) -> World {
        let inputs = (0..INPUTS).map(|n| runtime.transient_input(&format!("input {n}"), n as u64));
        let inputs = Inputs(inputs.collect());
        let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        let executor = executor.expect("an executor can be had");
        let at_first = runtime.activity();
        World { runtime, inputs, executor, handles: Mutex::default(), at_first }
    }

    /// Does so many deeds, or fewer if the time is up.
    pub(super) fn work(&self, mut random: Random, deeds: u64, end: Instant) -> u64 {
        for done in 0..deeds {
            if Instant::now() >= end {
                return done;
            }
            self.deed(&mut random);
        }
        deeds
    }

    /// Failures are fine: panics, cycles and cancellations are meant.
    fn deed(&self, random: &mut Random) {
        let (which, n) = (random.below(14), random.key());
        match which {
            0..=2 => drop(self.runtime.try_run(|| self.ask(random, n))),
            3 => self.await_here(random, n),
            4 => self.await_and_drop(random, n),
            5 => self.spawn(random, n),
            6 => self.update(random),
            7 => self.cancel(random, n),
            8 => self.forget(random),
            9 => self.handles(random, n),
            10 => drop(self.runtime.try_run(|| node::collect::<u64>(&self.inputs, n))),
            11 => self.nested(random, n),
            _ => drop(self.runtime.try_run(|| (self.ask(random, n), self.ask(random, n / 2)))),
        }
    }

    fn ask(&self, random: &mut Random, n: u32) -> u64 {
        let inputs = &self.inputs;
        match random.below(12) {
            0 => leaf(inputs, n),
            1 => node(inputs, n),
            2 => anode::task(inputs, n).get(),
            3 => fans_out(inputs, n),
            4 => streams::task(inputs, n).get(),
            5 => carries(inputs, n),
            6 => turns(inputs, n),
            7 => aturns::task(inputs, n).get(),
            8 => volatile(inputs, n),
            9 => lifts::task(inputs, n).get(),
            10 => lasts::task(inputs, n).get().unwrap_or(0),
            _ => through(inputs, n, &node::task(inputs, n)),
        }
    }

    /// A session in a future that lives on its own.
    fn session(&self, which: u64, n: u32) -> impl Future<Output = Result<u64, TaskError>> + Send + use<> {
        let (runtime, inputs) = (self.runtime.clone(), self.inputs.clone());
        async move {
            let session = runtime.try_run_async(async {
                match which {
                    0 => anode(&inputs, n).await,
                    1 => streams(&inputs, n).await,
                    2 => aturns(&inputs, n).await,
                    3 => heavy::task(&inputs, n).get_async().await,
                    4 => lasts(&inputs, n).await.unwrap_or(0),
                    _ => lifts(&inputs, n).await,
                }
            });
            session.await
        }
    }

    fn await_here(&self, random: &mut Random, n: u32) {
        drop(block_on(self.session(random.below(6), n)));
    }

    /// Polls a few times, on any thread, then drops: the executions that it drove have to be taken over by others, or to end.
    fn await_and_drop(&self, random: &mut Random, n: u32) {
        let mut session = Box::pin(self.session(random.below(6), n));
        for _ in 0..random.below(5) {
            if poll_once(session.as_mut()).is_ready() {
                return;
            }
            thread::yield_now();
        }
        if random.below(2) == 0 {
            // Another thread goes on with it, and drops it.
            thread::scope(|scope| {
                scope.spawn(move || {
                    _ = poll_once(session.as_mut());
                    drop(session);
                });
            });
        }
    }

    fn spawn(&self, random: &mut Random, n: u32) {
        let tasks: Vec<_> =
            (0..random.below(4)).map(|_| self.executor.spawn(self.session(random.below(6), n))).collect();
        for task in tasks {
            if random.below(2) == 0 {
                task.abort();
            }
            drop(block_on(task));
        }
    }

    fn update(&self, random: &mut Random) {
        let input = &self.inputs.0[random.below(INPUTS as u64) as usize];
        let value = random.below(40);
        let updated = match random.below(3) {
            0 => self.runtime.update(|update| update.set(input, value)),
            1 => self.runtime.update_with(larder::UpdatePolicy::Cancel, |update| update.set(input, value)),
            _ => block_on(self.runtime.update_async(|update| update.set(input, value))),
        };
        updated.expect("this thread has no session open");
    }

    fn cancel(&self, random: &mut Random, n: u32) {
        let token = match random.below(2) {
            0 => CancelToken::new(),
            _ => CancelToken::with_deadline(Instant::now() + Duration::from_micros(random.below(500))),
        };
        let (which, asynchronous, pause) = (random.split(), random.below(2) == 0, random.below(200));
        thread::scope(|scope| {
            let canceller = token.clone();
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(pause));
                canceller.cancel();
            });
            let mut which = which;
            if asynchronous {
                let inputs = self.inputs.clone();
                drop(block_on(
                    self.runtime.session().token(&token).try_run_async(async { streams(&inputs, n).await }),
                ));
            } else {
                drop(self.runtime.session().token(&token).try_run(|| self.ask(&mut which, n)));
            }
        });
    }

    fn forget(&self, random: &mut Random) {
        let n = random.key();
        self.runtime.run(|| match random.below(5) {
            0 => leaf::forget(&self.inputs, n),
            1 => node::forget(&self.inputs, n),
            2 => anode::forget(&self.inputs, n),
            3 => streams::forget(&self.inputs, n),
            _ => fans_out::forget(&self.inputs, n),
        });
    }

    fn handles(&self, random: &mut Random, n: u32) {
        let mut handles = self.handles.lock().expect("nothing panics under the lock");
        handles.push(self.runtime.run(|| anode::task(&self.inputs, n)));
        if handles.len() > 20 {
            let at = random.below(20) as usize;
            let handle = handles.swap_remove(at);
            drop(handles);
            drop(self.runtime.try_run(|| handle.get()));
        }
    }

    /// A session within a session, and an attempt that is caught.
    fn nested(&self, random: &mut Random, n: u32) {
        drop(self.runtime.try_run(|| {
            let inner = self.runtime.try_run(|| self.ask(random, n));
            inner.unwrap_or(0).wrapping_add(self.ask(random, n / 2))
        }));
    }

    /// Ends the world, if nothing is left over in it.
    pub(super) fn end(self) -> Result<(), String> {
        let World { runtime, inputs, executor, handles, at_first } = self;
        drop(executor);
        drop(handles);
        let activity = runtime.activity();
        let busy = (activity.running, activity.async_runs, activity.waiting);
        if busy != (0, 0, 0) {
            return Err(format!("{activity:?}, while nobody does anything"));
        }
        if tasks::live_futures() != 0 {
            return Err(format!("{} futures are left over", tasks::live_futures()));
        }
        // A task that others depend on goes when they have gone.
        for _ in 0..100 {
            if runtime.activity().tasks <= at_first.tasks {
                return Ok(());
            }
            runtime.run(|| tasks::forget_all(&inputs));
        }
        Err(format!("{:?} when all is forgotten, {at_first:?} at first", runtime.activity()))
    }
}

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
