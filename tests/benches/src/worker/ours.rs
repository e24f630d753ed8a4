//! Ours, writing.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use shs_fs::FsOptions;
use shs_memory::MemoryStore;
use shs_sqlite::SqliteOptions;
use shs_store::{NewMessage, NewSession, Scope, SessionId, SessionQuery, Store, StoreExt};

use super::{crowd, measure, reads, record};
use crate::Result;
use crate::job::{Backend, EACH, Figures, Job, OTHER, Operation, SIZE};
use crate::statistics::Summary;

/// The messages to append, endlessly.
#[derive(Clone)]
pub(super) struct Texts(Arc<Vec<String>>);

impl Texts {
    pub(super) fn message(&self, number: usize) -> NewMessage {
        NewMessage::user(self.0[number % self.0.len()].as_str())
    }
}

pub(super) async fn run(job: &Job, texts: Vec<String>) -> Result<Figures> {
    let texts = Texts(Arc::new(texts));
    if job.operation == Operation::Open {
        return measure_opening(job).await;
    }
    let store = open(job).await?;
    let figures = match job.operation {
        Operation::Append if job.callers == 1 => append_alone(&store, &texts, job).await,
        Operation::Append => append_together(&store, &texts, job).await,
        Operation::AppendLongAndShort => append_long_and_short(&store, &texts, job).await,
        Operation::FillLibrary => fill_library(&store, &texts, job).await,
        Operation::Read => reads::whole(&store, &texts, job).await,
        Operation::Last => reads::last(&store, &texts, job).await,
        Operation::ReadWhileWriting => reads::while_writing(&store, &texts, job).await,
        Operation::List => reads::list(&store, job).await,
        Operation::Search | Operation::SearchByRank => reads::search(&store, job).await,
        Operation::Stats => reads::stats(&store, job).await,
        Operation::RecordChunks
        | Operation::RecordFlood
        | Operation::RecordLeavers
        | Operation::RecordCrowd => record::run(Arc::clone(&store), job).boxed().await,
        Operation::Open => Err("a store is opened before it is open".into()),
    };
    store.close().await?;
    let mut figures = figures?;
    if job.operation == Operation::FillLibrary {
        let text = figures.remove(SIZE).ok_or("the text was not counted")?;
        figures.insert(SIZE.to_owned(), bytes_in(&job.folder)? as f64 / text);
    }
    Ok(figures)
}

async fn open(job: &Job) -> Result<Arc<dyn Store>> {
    Ok(match job.backend {
        Backend::Sqlite => Arc::new(SqliteOptions::new(job.folder.join("ours.db")).open().await?),
        Backend::Folder => Arc::new(FsOptions::new(job.folder.join("ours")).open().await?),
        Backend::Memory => Arc::new(MemoryStore::new()),
    })
}

/// Opens a store again and again, without the time that closing it takes.
async fn measure_opening(job: &Job) -> Result<Figures> {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || begin.elapsed().as_secs_f64() < job.seconds {
        let begin = Instant::now();
        let store = open(job).await?;
        let page = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new().with_limit(1)).await?;
        times.push(begin.elapsed().as_secs_f64());
        if page.items.is_empty() {
            return Err("there is nothing to open".into());
        }
        store.close().await?;
    }
    let each = Summary::of(times).map(|summary| summary.median).ok_or("nothing was opened")?;
    Ok(Figures::from([(EACH.to_owned(), each)]))
}

/// Makes a session with so many messages.
pub(super) async fn fill(
    store: &Arc<dyn Store>,
    texts: &Texts,
    number: usize,
    count: usize,
) -> Result<SessionId> {
    let session = NewSession::with_id(SessionId::new(format!("session-{number}"))?);
    let id = store.create_session(&Scope::DEFAULT, session).await?.id;
    let mut at = 0;
    while at < count {
        let end = (at + 500).min(count);
        store
            .append_all(&Scope::DEFAULT, &id, (at..end).map(|at| texts.message(at)).collect())
            .await?;
        at = end;
    }
    Ok(id)
}

/// Appends to a session until an instant; returns how often.
pub(super) async fn keep_appending(
    store: Arc<dyn Store>,
    texts: Texts,
    id: SessionId,
    first: usize,
    until: Instant,
) -> Result<usize> {
    let mut count = 0;
    while Instant::now() < until {
        store.append(&Scope::DEFAULT, &id, texts.message(first + count)).await?;
        count += 1;
    }
    Ok(count)
}

async fn append_alone(store: &Arc<dyn Store>, texts: &Texts, job: &Job) -> Result<Figures> {
    let id = &fill(store, texts, 0, job.already).await?;
    measure(job.seconds, |number| async move {
        store.append(&Scope::DEFAULT, id, texts.message(number)).await?;
        Ok(())
    })
    .await
}

async fn append_together(store: &Arc<dyn Store>, texts: &Texts, job: &Job) -> Result<Figures> {
    let mut ids = Vec::new();
    for number in 0..job.callers {
        ids.push(fill(store, texts, number, job.already).await?);
    }
    let call = |caller: usize, until| {
        let (store, texts, id) = (Arc::clone(store), texts.clone(), ids[caller].clone());
        keep_appending(store, texts, id, caller * 37, until)
    };
    crowd(job.callers, job.seconds / 5.0, call).await?;
    let each = crowd(job.callers, job.seconds, call).await?;
    Ok(Figures::from([(EACH.to_owned(), each)]))
}

/// `each` is an append to a short session, `other` one to the long one; medians.
async fn append_long_and_short(
    store: &Arc<dyn Store>,
    texts: &Texts,
    job: &Job,
) -> Result<Figures> {
    const SHORT: usize = 10;
    let long = fill(store, texts, 0, job.already).await?;
    let mut short = Vec::new();
    for number in 1..=50 {
        short.push(fill(store, texts, number, SHORT).await?);
    }
    let (mut to_long, mut to_short) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < job.seconds {
        let number = to_short.len();
        for (id, times) in [(&long, &mut to_long), (&short[number % short.len()], &mut to_short)] {
            let begin = Instant::now();
            store.append(&Scope::DEFAULT, id, texts.message(number)).await?;
            times.push(begin.elapsed().as_secs_f64());
        }
    }
    let median = |times| Summary::of(times).map(|summary| summary.median).ok_or("nothing was done");
    let (each, other) = (median(to_short)?, median(to_long)?);
    Ok(Figures::from([(EACH.to_owned(), each), (OTHER.to_owned(), other)]))
}

/// Many sessions, of 100 users in turn, with marks of known frequency in the messages.
///
/// Returns the seconds for a message, and the bytes of text as `size`.
async fn fill_library(store: &Arc<dyn Store>, texts: &Texts, job: &Job) -> Result<Figures> {
    let begin = Instant::now();
    let text = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let fill = |task: usize, tasks: usize| {
        let (store, texts, text) = (Arc::clone(store), texts.clone(), Arc::clone(&text));
        let (sessions, messages) = (job.sessions, job.already);
        async move {
            for session in (task..sessions).step_by(tasks) {
                let new = NewSession::with_id(SessionId::new(format!("session-{session}"))?)
                    .with_user(format!("user-{}", session % 100))
                    .with_project("bench");
                let id = store.create_session(&Scope::DEFAULT, new).await?.id;
                let numbers = session * messages..(session + 1) * messages;
                let batch: Vec<NewMessage> = numbers
                    .map(|number| {
                        let mut message = texts.message(number);
                        message.content.push_str(mark(number + 1));
                        message
                    })
                    .collect();
                let bytes = batch.iter().map(|message| message.content.len()).sum();
                text.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
                store.append_all(&Scope::DEFAULT, &id, batch).await?;
            }
            Result::Ok(())
        }
    };
    const TASKS: usize = 16;
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(fill(task, TASKS))).collect();
    for task in tasks {
        task.await??;
    }
    let each = begin.elapsed().as_secs_f64() / (job.sessions * job.already) as f64;
    let text = text.load(std::sync::atomic::Ordering::Relaxed);
    Ok(Figures::from([(EACH.to_owned(), each), (SIZE.to_owned(), text as f64)]))
}

/// What is added to a message, so that the frequency of some words is known.
fn mark(number: usize) -> &'static str {
    if number % 10_000 == 7 {
        " zirconium"
    } else if number % 1_000 == 3 {
        " 新しい部署です"
    } else {
        ""
    }
}

fn bytes_in(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_in(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
