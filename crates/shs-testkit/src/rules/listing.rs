//! Sessions are listed in pages, by time of change or of creation.

use shs_store::{
    Scope, Session, SessionId, SessionOrder, SessionPatch, SessionQuery, Store, StoreExt,
};

use crate::sample::{at, said, session, session_id};
use crate::{Fixture, Place, walk};

/// Walking the pages gives every session once, in either order, whatever the limit; sessions with equal
/// times follow by their id, highest first.
pub async fn pages_of_any_size_give_every_session_once<F: Fixture>(place: &Place<F>) {
    let all = many(place).await;
    for order in [SessionOrder::Updated, SessionOrder::Created] {
        let expected = listed(&all, &SessionQuery::new().with_order(order));
        for limit in 1..=all.len() as u32 + 1 {
            let query = SessionQuery::new().with_order(order).with_limit(limit);
            assert_eq!(
                walk::sessions(&*place.store, &Scope::DEFAULT, &query).await,
                expected,
                "{query:?}"
            );
        }
    }
}

/// A page is full unless it is the last, holds 100 sessions unless said otherwise, and has a next one
/// only if there is more; a store without sessions has an empty page.
pub async fn a_page_of_sessions_knows_whether_there_is_more<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let page = store.list_sessions(&Scope::DEFAULT, &SessionQuery::new()).await.unwrap();
    assert_eq!((page.items.len(), page.next), (0, None));
    for number in 0..100 {
        store.create_session(&Scope::DEFAULT, session(number.to_string())).await.unwrap();
    }
    for order in [SessionOrder::Updated, SessionOrder::Created] {
        let query = SessionQuery::new().with_order(order);
        let page = store.list_sessions(&Scope::DEFAULT, &query).await.unwrap();
        assert_eq!((page.items.len(), page.next), (100, None));
        let page = store.list_sessions(&Scope::DEFAULT, &query.with_limit(99)).await.unwrap();
        assert_eq!((page.items.len(), page.next.is_some()), (99, true));
    }
}

/// Every filter and every combination of filters gives exactly the sessions that pass all of them.
pub async fn session_filters_give_what_passes_all_of_them<F: Fixture>(place: &Place<F>) {
    let all = many(place).await;
    let mut queries = vec![SessionQuery::new()];
    let mut narrow = |change: &dyn Fn(SessionQuery) -> SessionQuery| {
        let narrowed: Vec<_> = queries.iter().cloned().map(change).collect();
        queries.extend(narrowed);
    };
    narrow(&|query| query.with_user("alice"));
    narrow(&|query| query.with_project("p"));
    narrow(&|query| query.with_any_tag(["a", "b"]));
    narrow(&|query| query.with_all_tags(["b", "c"]));
    narrow(&|query| query.with_since(at(2)));
    narrow(&|query| query.with_until(at(6)));
    narrow(&|query| query.with_order(SessionOrder::Created));
    for query in queries.clone() {
        queries.extend([query.clone().ended(), query.active()]);
    }
    queries.push(SessionQuery::new().with_user("ALICE"));
    queries.push(SessionQuery::new().with_user("alic"));
    queries.push(SessionQuery::new().with_user(""));
    queries.push(SessionQuery::new().with_any_tag(["A"]));
    queries.push(SessionQuery::new().with_any_tag(["%", "a%"]));
    queries.push(SessionQuery::new().with_all_tags(["a", "absent"]));
    queries.push(SessionQuery::new().with_since(at(3)).with_until(at(3)));
    for query in queries {
        let expected = listed(&all, &query);
        let query = query.with_limit(4);
        assert_eq!(
            walk::sessions(&*place.store, &Scope::DEFAULT, &query).await,
            expected,
            "{query:?}"
        );
    }
}

/// An offset passes over so many sessions, counted from where the page begins.
pub async fn an_offset_passes_over_sessions<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let all = many(place).await;
    for order in [SessionOrder::Updated, SessionOrder::Created] {
        let query = SessionQuery::new().with_order(order);
        let expected = listed(&all, &query);
        for offset in (0..=all.len() + 1).step_by(3) {
            let query = query.clone().with_limit(5).with_offset(offset as u64);
            let rest = &expected[offset.min(expected.len())..];
            assert_eq!(walk::sessions(store, &Scope::DEFAULT, &query).await, rest, "{query:?}");
        }
        let first =
            store.list_sessions(&Scope::DEFAULT, &query.clone().with_limit(2)).await.unwrap();
        let after = query.clone().with_after(first.next.unwrap()).with_offset(2).with_limit(1);
        assert_eq!(
            store.list_sessions(&Scope::DEFAULT, &after).await.unwrap().items,
            expected[4..5]
        );
        let beyond =
            store.list_sessions(&Scope::DEFAULT, &query.with_offset(u64::MAX)).await.unwrap();
        assert_eq!((beyond.items.len(), beyond.next), (0, None));
    }
}

/// In the order of creation, writes during a walk neither repeat nor skip a session that was there
/// throughout.
pub async fn writes_during_a_walk_by_creation<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let expected =
        ids(&listed(&many(place).await, &SessionQuery::new().with_order(SessionOrder::Created)));
    let mut query = SessionQuery::new().with_order(SessionOrder::Created).with_limit(3);
    let mut walked = Vec::new();
    for round in 0.. {
        let page = store.list_sessions(&Scope::DEFAULT, &query).await.unwrap();
        walked.extend(ids(&page.items));
        place.tick();
        // One that was listed and one that is still to come are written to, others come and go.
        for id in [expected.first(), expected.last(), walked.last()].into_iter().flatten() {
            store
                .append(&Scope::DEFAULT, id, said(format!("late{round}-{id}"), "x"))
                .await
                .unwrap();
        }
        let new = session(format!("new{round}")).with_created_at(at(round * 3 % 11));
        let new = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
        if round % 2 == 0 {
            store.delete_session(&Scope::DEFAULT, &new).await.unwrap();
        }
        match page.next {
            Some(next) => query = query.with_after(next),
            None => break,
        }
    }
    walked.retain(|id| !id.as_str().starts_with("new"));
    assert_eq!(walked, expected);
}

/// In the order of change, a session that is written to moves to the front; all others are neither
/// repeated nor skipped by a walk.
pub async fn writes_during_a_walk_by_change<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let before = ids(&listed(&many(place).await, &SessionQuery::new()));
    place.clock.set(at(1_000));
    let query = SessionQuery::new().with_limit(4);
    let first = store.list_sessions(&Scope::DEFAULT, &query).await.unwrap();
    assert_eq!(ids(&first.items), before[..4]);
    let (listed, unlisted) = (before[1].clone(), before[10].clone());
    for id in [&listed, &unlisted] {
        place.tick();
        store
            .update_session(&Scope::DEFAULT, id, SessionPatch::new().with_title("touched"))
            .await
            .unwrap();
    }
    let rest =
        walk::sessions(store, &Scope::DEFAULT, &query.clone().with_after(first.next.unwrap()))
            .await;
    let mut expected = before[4..].to_vec();
    expected.retain(|id| *id != unlisted);
    assert_eq!(ids(&rest), expected, "the one that moved to the front is not in the rest");
    let fresh = store.list_sessions(&Scope::DEFAULT, &query).await.unwrap();
    assert_eq!(ids(&fresh.items)[..3], [unlisted, listed, before[0].clone()]);
}

/// A walk goes on after the last session of its page was deleted.
pub async fn a_walk_goes_on_after_its_place_is_deleted<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let all = many(place).await;
    for order in [SessionOrder::Updated, SessionOrder::Created] {
        let query = SessionQuery::new().with_order(order).with_limit(3);
        let page = store.list_sessions(&Scope::DEFAULT, &query).await.unwrap();
        let rest = walk::sessions(
            store,
            &Scope::DEFAULT,
            &query.clone().with_after(page.next.clone().unwrap()),
        )
        .await;
        let last = page.items.last().unwrap().id.clone();
        store.delete_session(&Scope::DEFAULT, &last).await.unwrap();
        let again =
            walk::sessions(store, &Scope::DEFAULT, &query.with_after(page.next.unwrap())).await;
        assert_eq!(again, rest);
        assert!(all.iter().any(|session| session.id == last));
    }
}

/// Twenty-four sessions of several users, projects, tags and times, many of them equal.
async fn many<F: Fixture>(place: &Place<F>) -> Vec<Session> {
    let store = &*place.store;
    for number in 0..24_usize {
        place.clock.set(at((number * 5 % 9) as i64));
        let mut new = session(format!("s{:02}", number * 7 % 24))
            .with_created_at(at((number * 3 % 8) as i64));
        new.user_id = [Some("alice"), Some("bob"), None][number % 3].map(str::to_owned);
        new.project_id = [Some("p"), None, Some("q"), Some("P")][number % 4].map(str::to_owned);
        new.tags = ["a", "b", "c"]
            .iter()
            .enumerate()
            .filter(|(bit, _)| number >> bit & 1 == 1)
            .map(|(_, tag)| (*tag).to_owned())
            .collect();
        let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
        if number % 5 == 0 {
            store
                .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_ended_at(at(3)))
                .await
                .unwrap();
        }
    }
    let mut all = Vec::new();
    for number in 0..24 {
        all.push(
            store.session(&Scope::DEFAULT, &session_id(format!("s{number:02}"))).await.unwrap(),
        );
    }
    all
}

fn listed(all: &[Session], query: &SessionQuery) -> Vec<Session> {
    let mut matching: Vec<_> =
        all.iter().filter(|session| query.matches(&Scope::DEFAULT, session)).cloned().collect();
    matching.sort_by(|a, b| query.compare(a, b));
    matching
}

fn ids(sessions: &[Session]) -> Vec<SessionId> {
    sessions.iter().map(|session| session.id.clone()).collect()
}
