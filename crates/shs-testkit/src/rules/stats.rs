//! Stats count what is stored.

use shs_store::{
    Message, NewMessage, Role, Scope, Session, SessionFilter, SessionPatch, Stats, StatsQuery,
    Store, StoreExt,
};

use crate::sample::{at, message_id, session};
use crate::{Fixture, Place};

/// A store without sessions counts nothing.
pub async fn an_empty_store_counts_nothing<F: Fixture>(place: &Place<F>) {
    let ranged = StatsQuery::new().with_since(at(0));
    for query in [StatsQuery::new(), ranged, StatsQuery::new().with_user("alice")] {
        assert_eq!(place.store.stats(&Scope::DEFAULT, &query).await.unwrap(), Stats::default());
    }
}

/// Stats count the sessions and messages of the scope, by role and by model; with a range of time, the
/// messages said in it and the sessions that have one.
pub async fn stats_count_what_the_query_asks_for<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let mut all = Vec::new();
    for number in 0..9_usize {
        let mut new = session(number.to_string());
        new.user_id = [Some("alice"), Some("bob"), None][number % 3].map(str::to_owned);
        new.project_id = [Some("p"), None][number % 2].map(str::to_owned);
        new.tags = [vec!["a"], vec!["a", "b"], vec!["b"], vec![]][number % 4]
            .iter()
            .map(|tag| (*tag).to_owned())
            .collect();
        let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
        let batch = (0..number).map(|n: usize| {
            let new = NewMessage::new(Role::ALL[n % 5], "x")
                .with_id(message_id(n.to_string()))
                .with_timestamp(at((n * number % 7) as i64));
            let new = if n.is_multiple_of(3) { new } else { new.with_tokens(u32::MAX - n as u32) };
            match n % 4 {
                0 => new.with_model("m"),
                1 => new.with_model("M\u{20}"),
                _ => new,
            }
        });
        store.append_all(&Scope::DEFAULT, &id, batch.collect()).await.unwrap();
        if number % 4 == 0 {
            store
                .update_session(&Scope::DEFAULT, &id, SessionPatch::new().with_ended_at(at(0)))
                .await
                .unwrap();
        }
        let transcript = store.transcript(&Scope::DEFAULT, &id).await.unwrap();
        all.push((transcript.session, transcript.messages));
    }
    let mut filters = vec![SessionFilter::new(); 7];
    filters[1].user_id = Some("alice".to_owned());
    filters[2].project_id = Some("p".to_owned());
    filters[3].tags_any = vec!["a".to_owned(), "b".to_owned()];
    filters[4].tags_all = vec!["a".to_owned(), "b".to_owned()];
    filters[5] = filters[3].clone();
    filters[5].user_id = Some("bob".to_owned());
    filters[6].user_id = Some("nobody".to_owned());
    let times = [None, Some(at(-1)), Some(at(2)), Some(at(3)), Some(at(6)), Some(at(7))];
    for filter in filters {
        for since in times {
            for until in times {
                let mut query = StatsQuery::new().with_filter(filter.clone());
                (query.since, query.until) = (since, until);
                let stats = store.stats(&Scope::DEFAULT, &query).await.unwrap();
                assert_eq!(stats, counted(&all, &query), "{query:?}");
            }
        }
    }
}

fn counted(all: &[(Session, Vec<Message>)], query: &StatsQuery) -> Stats {
    let mut stats = Stats::default();
    for (session, messages) in all.iter().filter(|(session, _)| query.filter.matches(session)) {
        let said: Vec<_> =
            messages.iter().filter(|message| query.in_range(message.timestamp)).collect();
        if query.has_range() && said.is_empty() {
            continue;
        }
        stats.sessions += 1;
        stats.active_sessions += u64::from(session.ended_at.is_none());
        for message in said {
            let tokens = u64::from(message.tokens.unwrap_or(0));
            stats.messages += 1;
            stats.tokens += tokens;
            let role = stats.by_role.entry(message.role).or_default();
            (role.messages, role.tokens) = (role.messages + 1, role.tokens + tokens);
            if let Some(model) = &message.model {
                let model = stats.by_model.entry(model.clone()).or_default();
                (model.messages, model.tokens) = (model.messages + 1, model.tokens + tokens);
            }
        }
    }
    stats
}
