//! The ways in which a step asks for nodes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use larder::{CancelToken, TaskError};
use larder_tests::executor::block_on;
use larder_tests::generate::Executor;
use larder_tests::world::World;

pub(super) type Answers<T> = Vec<(usize, Result<T, TaskError>)>;

/// Asks for nodes in one session.
pub(super) fn ask(world: &World, roots: &[u16]) -> Answers<i64> {
    let roots = world.roots(roots);
    let answers = world.runtime.try_run(|| roots.iter().map(|root| (*root, world.ask(*root))).collect());
    answers.expect("every answer is caught")
}

/// Asks for nodes in several sessions, each on a thread of its own.
pub(super) fn ask_at_once(world: &World, threads: &[Vec<u16>]) -> Answers<i64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = threads.iter().map(|roots| scope.spawn(move || ask(world, roots))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a session is no panic")).collect()
    })
}

pub(super) fn ask_emitted(world: &World, roots: &[u16]) -> Answers<Vec<i64>> {
    let mut roots = world.roots(roots);
    roots.retain(|root| world.program.has_handles(*root));
    let answers =
        world.runtime.try_run(|| roots.iter().map(|root| (*root, world.ask_emitted(*root))).collect());
    answers.expect("every answer is caught")
}

/// Asks for nodes in a session that is cancelled after so many bodies.
pub(super) fn ask_and_cancel(
    world: &World,
    roots: &[u16],
    bodies: u32,
    change: impl FnOnce(),
) -> Answers<i64> {
    world.set_fuse(bodies);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let answers = ask(world, roots);
            world.end_fuse();
            answers
        });
        world.at_the_end_of_the_fuse(change);
        asking.join().expect("a session is no panic")
    })
}

fn tokio() -> &'static tokio::runtime::Runtime {
    static TOKIO: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    TOKIO.get_or_init(|| {
        let builder = &mut tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).build().expect("threads can be had")
    })
}

/// Asks for nodes at once in one session; the answers are in the order in which they come.
async fn ask_by_futures(world: &World, roots: &[u16]) -> Answers<i64> {
    let asks = async {
        let ask = |root: usize| Box::pin(async move { (root, world.ask_async(root).await) });
        let mut asking: Vec<_> = world.roots(roots).into_iter().map(ask).collect();
        let mut answers = Vec::new();
        poll_fn(|context| {
            asking.retain_mut(|ask| match ask.as_mut().poll(context) {
                Poll::Ready(answer) => {
                    answers.push(answer);
                    false
                }
                Poll::Pending => true,
            });
            if asking.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        answers
    };
    world.runtime.try_run_async(asks).await.expect("every answer is caught")
}

pub(super) fn ask_on(executor: Executor, world: &World, roots: &[u16]) -> Answers<i64> {
    match executor {
        Executor::Thread => block_on(ask_by_futures(world, roots)),
        Executor::Tokio => tokio().block_on(ask_by_futures(world, roots)),
        Executor::Smol => smol::block_on(ask_by_futures(world, roots)),
    }
}

/// Polls a session of futures so many times, and drops it if it has not ended then.
pub(super) fn ask_and_drop(world: &World, roots: &[u16], polls: u32) -> Answers<i64> {
    let mut asks = pin!(ask_by_futures(world, roots));
    for _ in 0..polls {
        if let Poll::Ready(answers) = asks.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answers;
        }
    }
    Vec::new()
}

/// Asks for nodes in a session with a token, which is cancelled after so many bodies.
pub(super) fn ask_with_token(world: &World, roots: &[u16], bodies: u32) -> Answers<i64> {
    let token = CancelToken::new();
    world.set_fuse(bodies);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let answers = world.runtime.session().token(&token).try_run(|| ask(world, roots));
            world.end_fuse();
            answers.unwrap_or_default()
        });
        world.at_the_end_of_the_fuse(|| token.cancel());
        asking.join().expect("a session is no panic")
    })
}
