//! The contestants that are part of this program: ours, the naive one, and the bare journal. Each runs as a child of its
//! own, so that a disk can be put under it.

mod journal;
mod naive;
mod ours;
mod reads;
mod record;

use std::future::Future;
use std::time::{Duration, Instant};

use crate::Result;
use crate::job::{EACH, Figures, Job, P99};
use crate::statistics;

/// Does a job as the contestant with this name, and prints the figures.
pub(crate) fn run(contestant: &str, job: &str) -> Result<()> {
    let job: Job = serde_json::from_str(job)?;
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(&job.texts)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let contestant = contestant.to_owned();
    // A task, as the handlers of a server are.
    let task = runtime.spawn(async move {
        match contestant.as_str() {
            "ours" => ours::run(&job, texts).await,
            "naive" => naive::run(&job, texts).await,
            "journal" => journal::run(&job, &texts),
            other => Err(format!("there is no contestant {other}").into()),
        }
    });
    let figures = runtime.block_on(task)??;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Repeats an operation for so long, at least once, after a few times that do not count.
async fn measure<F>(seconds: f64, mut operation: impl FnMut(usize) -> F + Send) -> Result<Figures>
where
    F: Future<Output = Result<()>> + Send,
{
    let mut number = 0;
    let warm = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
    while number == 0 || Instant::now() < warm {
        operation(number).await?;
        number += 1;
    }
    let mut times = Vec::new();
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(seconds);
    while times.is_empty() || Instant::now() < until {
        let begin = Instant::now();
        operation(number).await?;
        times.push(begin.elapsed().as_secs_f64());
        number += 1;
    }
    let each = begin.elapsed().as_secs_f64() / times.len() as f64;
    let p99 = statistics::p99(&mut times).ok_or("nothing was measured")?;
    Ok(Figures::from([(EACH.to_owned(), each), (P99.to_owned(), p99)]))
}

/// Lets callers, which return how much each of them did, work until an instant; returns the seconds for each.
async fn crowd<F>(
    callers: usize,
    seconds: f64,
    mut call: impl FnMut(usize, Instant) -> F + Send,
) -> Result<f64>
where
    F: Future<Output = Result<usize>> + Send + 'static,
{
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(seconds);
    let tasks: Vec<_> = (0..callers).map(|caller| tokio::spawn(call(caller, until))).collect();
    let mut count = 0;
    for task in tasks {
        count += task.await??;
    }
    Ok(begin.elapsed().as_secs_f64() / count.max(1) as f64)
}
