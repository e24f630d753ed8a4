//! The tasks of a tracker, which it can stop and wait for.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::watch;

/// Counts running tasks and tells them when to stop. Tasks outlive whoever started them, and no one is
/// aborted.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: watch::Sender<usize>,
    stop: watch::Sender<bool>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { running: watch::Sender::new(0), stop: watch::Sender::new(false) }
    }
}

impl Tasks {
    /// Runs a task on a runtime.
    pub(crate) fn spawn(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        runtime.spawn(async move {
            // Counted down also if the task panics, or if the runtime drops it.
            let _running = running;
            task.await;
        });
    }

    /// Whether tasks are to stop, to be watched.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Tells all tasks to finish what they do, and waits until none is left.
    ///
    /// Cancel safe: whoever calls it again goes on waiting.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let idle = self.running.subscribe().wait_for(|running| *running == 0).await.is_ok();
        debug_assert!(idle, "the sender is a field of self");
    }
}

struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
