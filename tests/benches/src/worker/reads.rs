//! Ours, reading.

use std::sync::Arc;
use std::time::Instant;

use shs_store::{Scope, SearchOrder, SearchQuery, SessionQuery, StatsQuery, Store, StoreExt};

use super::ours::{Texts, fill, keep_appending};
use super::{crowd, measure};
use crate::Result;
use crate::job::{EACH, Figures, Job, OTHER, Operation};

pub(super) async fn whole(store: &Arc<dyn Store>, texts: &Texts, job: &Job) -> Result<Figures> {
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(fill(store, texts, number, job.already).await?);
    }
    let ids = &ids;
    measure(job.seconds, |number| async move {
        let transcript = store.transcript(&Scope::DEFAULT, &ids[number % ids.len()]).await?;
        expect(transcript.messages.len(), job.already)
    })
    .await
}

pub(super) async fn last(store: &Arc<dyn Store>, texts: &Texts, job: &Job) -> Result<Figures> {
    let id = &fill(store, texts, 0, job.already).await?;
    measure(job.seconds, |_| async move {
        expect(store.last_messages(&Scope::DEFAULT, id, 50).await?.len(), 50)
    })
    .await
}

/// `each` is a read alone, `other` one while others write.
pub(super) async fn while_writing(
    store: &Arc<dyn Store>,
    texts: &Texts,
    job: &Job,
) -> Result<Figures> {
    const READERS: usize = 16;
    const WRITERS: usize = 64;
    let mut ids = Vec::new();
    for number in 0..WRITERS {
        ids.push(fill(store, texts, number, 50).await?);
    }
    let read = |reader: usize, until| {
        let (store, id) = (Arc::clone(store), ids[reader].clone());
        async move {
            let mut count = 0;
            while Instant::now() < until {
                expect(store.last_messages(&Scope::DEFAULT, &id, 50).await?.len(), 50)?;
                count += 1;
            }
            Ok(count)
        }
    };
    let write = |writer: usize, until| {
        let (store, texts, id) = (Arc::clone(store), texts.clone(), ids[writer].clone());
        keep_appending(store, texts, id, writer * 37, until)
    };
    crowd(READERS, job.seconds / 5.0, read).await?;
    let alone = crowd(READERS, job.seconds, read).await?;
    let writers = crowd(WRITERS, job.seconds, write);
    let readers = crowd(READERS, job.seconds, read);
    let (written, read) = tokio::join!(writers, readers);
    written?;
    Ok(Figures::from([(EACH.to_owned(), alone), (OTHER.to_owned(), read?)]))
}

/// `each` is the first page, `other` the one that 5,000 sessions stand before.
pub(super) async fn list(store: &Arc<dyn Store>, job: &Job) -> Result<Figures> {
    let first = SessionQuery::new().with_limit(50);
    let mut deep = SessionQuery::new().with_limit(1_000);
    for _ in 0..5 {
        let page = store.list_sessions(&Scope::DEFAULT, &deep).await?;
        deep = deep.with_after(page.next.ok_or("the library is too small")?);
    }
    let deep = deep.with_limit(50);
    let list = |query| {
        measure(job.seconds, move |_| async move {
            expect(store.list_sessions(&Scope::DEFAULT, query).await?.items.len(), 50)
        })
    };
    let mut figures = list(&first).await?;
    figures.insert(OTHER.to_owned(), list(&deep).await?[EACH]);
    Ok(figures)
}

pub(super) async fn search(store: &Arc<dyn Store>, job: &Job) -> Result<Figures> {
    let mut query = SearchQuery::new(job.query.as_str()).with_limit(20);
    if let Some(user) = &job.user {
        query = query.with_user(user.as_str());
    }
    if job.operation == Operation::SearchByRank {
        query = query.with_order(SearchOrder::Rank);
    }
    let query = &query;
    measure(job.seconds, |_| async move {
        store.search(&Scope::DEFAULT, query).await?;
        Ok(())
    })
    .await
}

pub(super) async fn stats(store: &Arc<dyn Store>, job: &Job) -> Result<Figures> {
    measure(job.seconds, |_| async {
        let stats = store.stats(&Scope::DEFAULT, &StatsQuery::new()).await?;
        expect(usize::try_from(stats.sessions)?, job.sessions)
    })
    .await
}

fn expect(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{found} were read in place of {expected}").into())
}
