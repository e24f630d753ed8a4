//! The queue's task: takes what waits, has it done together, and answers every caller once.

#[cfg(test)]
mod schedules;

use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use shs_store::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Most jobs in one transaction.
const MAX_JOBS: usize = 512;
/// Bytes of text at which a transaction is full.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long nothing has to come for work that can wait.
const PAUSE: Duration = Duration::from_millis(250);

/// Something that a caller waits for.
pub(super) trait Job {
    /// Gives the caller the outcome.
    fn answer(self);
    /// Gives the caller an error in place of any outcome.
    fn fail(self, error: Error);
    /// Bytes of text that it writes, roughly.
    fn weight(&self) -> usize;
}

/// What does the jobs.
pub(super) trait Engine {
    type Job: Job;

    /// Does a batch in one transaction. After an error nothing of it is stored, or it is not known what is.
    fn attempt(&mut self, batch: &mut [Self::Job]) -> impl Future<Output = Result<(), Broken>>;

    /// Whether there is work that nobody waits for.
    fn rest(&self) -> Rest;

    /// Does some of that work.
    fn do_rest(&mut self) -> impl Future<Output = ()>;

    /// Does what is to be done when no more jobs come.
    fn end(self) -> impl Future<Output = ()>;
}

/// Work that nobody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// There is none.
    None,
    /// It is done when no jobs come for a while.
    Later,
    /// It is done before the next jobs.
    Now,
}

/// Why a batch was not done.
pub(super) enum Broken {
    /// It was rolled back, and one of its jobs may be the reason.
    Inside(Error),
    /// It did not begin, or its end is unknown.
    Outside(Error),
}

/// Works until every sender of the queue is gone and the queue is empty.
pub(super) async fn work<E: Engine>(mut engine: E, mut queue: mpsc::Receiver<E::Job>) {
    // One timer, which is only put off: a new one for each pause would wake the thread that waits for timers, each time.
    let mut pause = pin!(sleep(PAUSE));
    loop {
        while engine.rest() == Rest::Now {
            engine.do_rest().await;
        }
        let next = if engine.rest() == Rest::Later {
            pause.as_mut().reset(Instant::now() + PAUSE);
            match select(pin!(queue.recv()), pause.as_mut()).await {
                Either::Left((next, _)) => next,
                Either::Right(((), _)) => {
                    engine.do_rest().await;
                    continue;
                }
            }
        } else {
            queue.recv().await
        };
        let Some(first) = next else { break };
        let mut bytes = first.weight();
        let mut batch = vec![first];
        while batch.len() < MAX_JOBS && bytes < MAX_BYTES {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.weight();
            batch.push(next);
        }
        commit(&mut engine, batch).await;
    }
    engine.end().await;
}

/// Does a batch together, or, if that breaks, one by one, and answers everybody.
async fn commit<E: Engine>(engine: &mut E, mut batch: Vec<E::Job>) {
    match engine.attempt(&mut batch).await {
        Ok(()) => batch.into_iter().for_each(E::Job::answer),
        Err(Broken::Inside(_)) if batch.len() > 1 => {
            for job in batch {
                let mut single = vec![job];
                match engine.attempt(&mut single).await {
                    Ok(()) => single.into_iter().for_each(E::Job::answer),
                    Err(Broken::Inside(error) | Broken::Outside(error)) => fail(single, &error),
                }
            }
        }
        Err(Broken::Inside(error) | Broken::Outside(error)) => fail(batch, &error),
    }
}

fn fail<J: Job>(batch: Vec<J>, error: &Error) {
    for job in batch {
        job.fail(error.clone());
    }
}
