//! The thread that drives requests, so that a caller can be on any thread and waits no longer than it wants to.

use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::SharedError;

/// A runtime on a thread of its own, which begins with the first request and ends when this is dropped.
#[derive(Default)]
pub(super) struct Driver {
    thread: OnceLock<Option<Thread>>,
}

struct Thread {
    handle: Handle,
    /// Dropped, it ends the thread.
    _runs: oneshot::Sender<()>,
}

impl Driver {
    /// Runs a request until it ends or the moment has come. A request that is late is dropped, with its connection.
    pub(super) fn run<R: Send + 'static>(
        &self,
        until: Instant,
        request: impl Future<Output = Result<R, SharedError>> + Send + 'static,
    ) -> Result<R, SharedError> {
        let Some(thread) = self.thread.get_or_init(start) else {
            return Err(SharedError::broken("the thread for requests could not be started"));
        };
        let (sender, receiver) = sync_channel(1);
        thread.handle.spawn(async move {
            let outcome = timeout_at(until.into(), request).await.unwrap_or(Err(SharedError::Slow));
            // The caller may have gone.
            _ = sender.send(outcome);
        });
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(SharedError::Slow),
            Err(RecvTimeoutError::Disconnected) => Err(SharedError::broken("a request panicked")),
        }
    }
}

fn start() -> Option<Thread> {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let (runs, ended) = oneshot::channel::<()>();
    let drive = move || {
        _ = runtime.block_on(ended);
        // A name that is being looked up is not waited for.
        runtime.shutdown_background();
    };
    thread::Builder::new().name("larder-s3".into()).spawn(drive).ok()?;
    Some(Thread { handle, _runs: runs })
}
