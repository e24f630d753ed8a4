//! Search finds the same messages on every backend.

use std::collections::BTreeSet;

use shs_store::limits::{MAX_QUERY_BYTES, PAGE_BYTES};
use shs_store::text::{Query, Ranking, Snippet};
use shs_store::{
    Hit, ImportMode, MessageId, MessagePatch, NewMessage, Role, Scope, SearchOrder, SearchQuery,
    SessionPatch, Status, Store, StoreExt,
};

use crate::sample::{CORPUS, QUERIES, at, message_id, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

/// Words are found in any script, whatever their case, width and diacritics; in a script without spaces
/// any piece of a sentence is found.
pub async fn words_are_found_in_every_script<F: Fixture>(place: &Place<F>) {
    corpus(&*place.store).await;
    for (text, expected) in [
        ("deployment", &[0, 1][..]),
        ("DEPLOYMENT", &[0, 1]),
        ("DÉJÀ", &[1, 2]),
        ("deja", &[1, 2]),
        ("ｄｅｊａ", &[1, 2]),
        ("部署", &[3, 4]),
        ("署名", &[3]),
        ("部", &[3, 4, 5]),
        ("テスト", &[3, 6]),
        ("ﾃｽﾄ", &[3, 6]),
        ("ガス", &[6]),
        ("한국어", &[7]),
        ("국어", &[7]),
        ("ไทย", &[8]),
        ("привет", &[9, 10]),
        ("елка", &[9]),
        ("ЕЩЕ", &[10]),
        ("مرحبا", &[11, 12]),
        ("שלום", &[13]),
        ("खोज", &[14]),
        ("strasse", &[15]),
        ("οδος", &[16]),
        ("模型", &[27]),
    ] {
        assert_eq!(found(&*place.store, &SearchQuery::new(text)).await, expected, "{text}");
    }
}

/// All words must match; a phrase stands together; a star completes a word; a minus excludes.
pub async fn the_query_language_is_kept<F: Fixture>(place: &Place<F>) {
    corpus(&*place.store).await;
    for (text, expected) in [
        ("double charge", &[20, 21, 22][..]),
        ("\"double charge\"", &[20, 22]),
        ("\"charge double\"", &[21]),
        ("charge* twice", &[22]),
        ("deploy", &[5, 28]),
        ("deploy*", &[0, 1, 5, 28]),
        ("deploy* -deployed", &[0, 1, 5]),
        ("charge -double", &[23]),
        ("charge -\"double charge\"", &[21, 23]),
        ("\"double char\"*", &[20, 22]),
        ("node.js", &[17]),
        ("js.node", &[]),
        ("AND OR NOT NEAR(", &[18]),
        ("\"a b\"", &[18, 19]),
        ("col:x", &[19]),
        ("\"部 deploy\"", &[5]),
        ("charge absent", &[]),
    ] {
        assert_eq!(found(&*place.store, &SearchQuery::new(text)).await, expected, "{text}");
    }
}

/// Any text that can be typed is a valid query, finds exactly what matches it, and marks the places.
pub async fn every_query_finds_exactly_what_matches<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    corpus(store).await;
    for text in QUERIES {
        let parsed = Query::parse(text).unwrap();
        let expected: Vec<_> =
            (0..CORPUS.len()).filter(|number| parsed.matches(CORPUS[*number])).collect();
        let query = SearchQuery::new(*text).with_order(SearchOrder::Oldest);
        let hits = walk::hits(store, &Scope::DEFAULT, &query).await;
        assert_eq!(numbers(&hits), expected, "{text:?}");
        for hit in hits {
            assert_eq!(hit.snippet, parsed.snippet(&hit.message.content), "{text:?}");
            assert!(!hit.snippet.matches.is_empty(), "{text:?} is marked");
            assert_eq!(hit.rank, None);
        }
    }
    let longest = "absent! ".repeat(MAX_QUERY_BYTES / 8);
    assert!(found(store, &SearchQuery::new(longest)).await.is_empty());
}

/// A query without a word to look for finds nothing; a search without a text finds everything, without
/// snippets.
pub async fn a_search_without_words<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    corpus(store).await;
    for text in ["", " ", "*", "-", "\"", "…", "👍", "\0", "-charge", "%", "()"] {
        for order in [SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank] {
            let page = store
                .search(&Scope::DEFAULT, &SearchQuery::new(text).with_order(order))
                .await
                .unwrap();
            assert_eq!((page.items.len(), page.next), (0, None), "{text:?}");
        }
    }
    let all =
        walk::hits(store, &Scope::DEFAULT, &SearchQuery::all().with_order(SearchOrder::Oldest))
            .await;
    assert!(numbers(&all).into_iter().eq(0..CORPUS.len()));
    assert!(all.iter().all(|hit| hit.snippet == Snippet::default()));
}

/// Hits are ordered by when they were stored, newest first or oldest first, over all sessions: by append,
/// import or fork, not by the time they were said, and not by a later change.
pub async fn hits_are_ordered_by_when_they_were_stored<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let [a, b] = [session("a"), session("b")].map(|new| new.id);
    for id in [&b, &a] {
        store.create_session(&Scope::DEFAULT, session(id)).await.unwrap();
    }
    let append = async |id, message: &str, second| {
        let new = said(message, "needle").with_timestamp(at(second));
        store.append(&Scope::DEFAULT, id, new).await.unwrap();
    };
    append(&a, "1", 50).await;
    append(&b, "2", 40).await;
    append(&a, "3", 60).await;
    let patch = MessagePatch::new().with_content("changed needle");
    store.update_message(&Scope::DEFAULT, &a, &message_id("1"), patch).await.unwrap();
    append(&b, "4", 0).await;
    let order = async || {
        let oldest = SearchQuery::new("needle").with_order(SearchOrder::Oldest).with_limit(2);
        let oldest = places(&walk::hits(store, &Scope::DEFAULT, &oldest).await);
        let mut newest = places(
            &walk::hits(store, &Scope::DEFAULT, &SearchQuery::new("needle").with_limit(2)).await,
        );
        newest.reverse();
        assert_eq!(oldest, newest);
        oldest.join(" ")
    };
    assert_eq!(order().await, "a1 b2 a3 b4");
    store.fork(&Scope::DEFAULT, &a, seq(2), session("f")).await.unwrap();
    append(&a, "5", -10).await;
    assert_eq!(order().await, "a1 b2 a3 b4 f1 f3 a5");
    let mut transcript = store.transcript(&Scope::DEFAULT, &b).await.unwrap();
    store.import(&Scope::DEFAULT, transcript.clone(), ImportMode::Overwrite).await.unwrap();
    assert_eq!(order().await, "a1 a3 f1 f3 a5 b2 b4");
    transcript.session.id = session_id("i");
    store.import(&Scope::DEFAULT, transcript, ImportMode::CreateOnly).await.unwrap();
    assert_eq!(order().await, "a1 a3 f1 f3 a5 b2 b4 i2 i4");
}

/// Walking the pages gives every hit once, in either order, whatever the limit.
pub async fn pages_of_any_size_give_every_hit_once<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    corpus(store).await;
    for query in [SearchQuery::all(), SearchQuery::new("charg*"), SearchQuery::new("a")] {
        for order in [SearchOrder::Newest, SearchOrder::Oldest] {
            let query = query.clone().with_order(order);
            let all =
                store.search(&Scope::DEFAULT, &query.clone().with_limit(1_000)).await.unwrap();
            assert_eq!(all.next, None);
            assert!(all.items.len() >= 3);
            for limit in 1..=all.items.len() as u32 {
                let query = query.clone().with_limit(limit);
                let hits = walk::hits(store, &Scope::DEFAULT, &query).await;
                assert_eq!(numbers(&hits), numbers(&all.items), "{query:?}");
            }
        }
    }
}

/// An offset passes over so many hits, counted from where the page begins.
pub async fn an_offset_passes_over_hits<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    corpus(store).await;
    for query in [SearchQuery::all(), SearchQuery::new("charge")] {
        for order in [SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank] {
            let query = query.clone().with_order(order);
            let all = numbers(&store.search(&Scope::DEFAULT, &query).await.unwrap().items);
            for offset in 0..=all.len() + 1 {
                let page = query.clone().with_offset(offset as u64).with_limit(2);
                let page = store.search(&Scope::DEFAULT, &page).await.unwrap();
                let rest = &all[offset.min(all.len())..];
                assert_eq!(numbers(&page.items), rest[..rest.len().min(2)], "{query:?} {offset}");
            }
            let beyond = store.search(&Scope::DEFAULT, &query.with_offset(u64::MAX)).await.unwrap();
            assert_eq!((beyond.items.len(), beyond.next), (0, None));
        }
    }
}

/// Writes during a walk neither repeat nor skip a hit that was there throughout; from the oldest, what is
/// stored meanwhile follows.
pub async fn writes_during_a_search<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for order in [SearchOrder::Newest, SearchOrder::Oldest] {
        let id =
            store.create_session(&Scope::DEFAULT, session(format!("{order:?}"))).await.unwrap().id;
        let batch = (1..=9).map(|n| said(n.to_string(), "needle")).collect();
        store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
        let mut query =
            SearchQuery::new("needle").with_session(id.clone()).with_order(order).with_limit(3);
        let page = store.search(&Scope::DEFAULT, &query).await.unwrap();
        query = query.with_after(page.next.unwrap());
        for gone in [&page.items[0].message.id, &page.items[2].message.id, &message_id("5")] {
            store.delete_message(&Scope::DEFAULT, &id, gone).await.unwrap();
        }
        store.append(&Scope::DEFAULT, &id, said("late", "needle")).await.unwrap();
        let other = store
            .create_session(&Scope::DEFAULT, session(format!("other{order:?}")))
            .await
            .unwrap()
            .id;
        store.append(&Scope::DEFAULT, &other, said("elsewhere", "needle")).await.unwrap();
        let rest = walk::hits(store, &Scope::DEFAULT, &query).await;
        let rest: Vec<_> = rest.iter().map(|hit| hit.message.id.as_str()).collect();
        let expected: &[&str] = match order {
            SearchOrder::Newest => &["6", "4", "3", "2", "1"],
            _ => &["4", "6", "7", "8", "9", "late"],
        };
        assert_eq!(rest, expected);
    }
}

/// From the oldest, whoever keeps the last cursor gets exactly what is stored later, as it arrives.
pub async fn the_oldest_order_follows_what_arrives<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let ids = [session("a"), session("b")].map(|new| new.id);
    for id in &ids {
        store.create_session(&Scope::DEFAULT, session(id)).await.unwrap();
    }
    let mut query = SearchQuery::new("needle").with_order(SearchOrder::Oldest).with_limit(1);
    let mut followed = Vec::new();
    for number in 0..6 {
        for part in 0..2 {
            let new = said(format!("{number}-{part}"), "needle").with_timestamp(at(-number));
            store.append(&Scope::DEFAULT, &ids[number as usize % 2], new).await.unwrap();
        }
        loop {
            let page = store.search(&Scope::DEFAULT, &query).await.unwrap();
            let Some(next) = page.next else { break };
            followed.extend(page.items.into_iter().map(|hit| hit.message.id));
            query = query.with_after(next);
        }
    }
    // The very last one has no cursor after it yet.
    assert_eq!(followed.len(), 11);
    let distinct: BTreeSet<_> = followed.iter().collect();
    assert_eq!(distinct.len(), followed.len());
    assert!(followed.is_sorted());
}

/// Every filter and every combination of filters gives exactly the messages that pass all of them, with
/// a text and without, in every order.
pub async fn search_filters_give_what_passes_all_of_them<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let mut all = Vec::new();
    for number in 0..8_usize {
        let mut new = session(format!("s{number}"));
        new.user_id = [Some("alice"), None][number % 2].map(str::to_owned);
        new.project_id = [Some("p"), Some("q")][number / 2 % 2].map(str::to_owned);
        new.tags = [vec!["a", "b"], vec!["b"], vec![]][number % 3]
            .iter()
            .map(|tag| (*tag).to_owned())
            .collect();
        let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
        let batch = (0..6_usize).map(|n| {
            let new = NewMessage::new(Role::ALL[(n + number) % 5], ["needle", "hay"][n % 2])
                .with_id(message_id(n.to_string()))
                .with_status(Status::ALL[n * number % 4])
                .with_timestamp(at((n * 3 % 5) as i64));
            if n % 3 == 0 { new.with_model("m") } else { new }
        });
        let messages =
            store.append_all(&Scope::DEFAULT, &id, batch.collect()).await.unwrap().messages;
        let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
        all.extend(messages.into_iter().map(|message| (stored.clone(), message)));
    }
    let mut queries = vec![SearchQuery::all(), SearchQuery::new("needle")];
    let mut narrow = |change: &dyn Fn(SearchQuery) -> SearchQuery| {
        let narrowed: Vec<_> = queries.iter().cloned().map(change).collect();
        queries.extend(narrowed);
    };
    narrow(&|query| query.with_user("alice"));
    narrow(&|query| query.with_any_tag(["a", "c"]));
    narrow(&|query| query.with_role(Role::User));
    narrow(&|query| query.with_since(at(1)).with_until(at(4)));
    narrow(&|query| query.with_model("m"));
    let base = [SearchQuery::all(), SearchQuery::new("needle")];
    for query in base {
        queries.push(query.clone().with_project("q"));
        queries.push(query.clone().with_all_tags(["a", "b"]).with_project("p"));
        queries.push(query.clone().with_status(Status::Error));
        queries.push(query.clone().with_session(session_id("s3")));
        queries.push(query.clone().with_session(session_id("s3")).with_user("alice"));
        queries.push(query.clone().with_session(session_id("absent")));
        queries.push(query.clone().with_since(at(2)));
        queries.push(query.clone().with_until(at(2)));
        queries.push(query.with_model("M"));
    }
    for query in queries {
        let expected: Vec<_> = all
            .iter()
            .filter(|(session, message)| query.matches(&Scope::DEFAULT, session, message))
            .filter(|(_, message)| query.text.as_ref().is_none_or(|text| *text == message.content))
            .map(|(session, message)| format!("{}{}", session.id, message.id))
            .collect();
        let oldest = query.clone().with_order(SearchOrder::Oldest).with_limit(5);
        assert_eq!(
            places(&walk::hits(store, &Scope::DEFAULT, &oldest).await),
            expected,
            "{query:?}"
        );
        let mut newest =
            places(&walk::hits(store, &Scope::DEFAULT, &query.clone().with_limit(7)).await);
        newest.reverse();
        assert_eq!(newest, expected, "{query:?}");
        let ranked = query.clone().with_order(SearchOrder::Rank);
        let mut ranked = places(&walk::hits(store, &Scope::DEFAULT, &ranked).await);
        ranked.sort();
        assert_eq!(ranked, expected, "{query:?}");
    }
}

/// A search by rank has one page, best first, with the same messages as any other order has, and
/// with the ranks of [`Ranking`].
pub async fn a_search_by_rank_has_one_page_best_first<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    corpus(store).await;
    for text in QUERIES {
        let parsed = Query::parse(text).unwrap();
        let mut expected = Ranking::new(&parsed);
        for (number, content) in CORPUS.iter().enumerate().rev() {
            expected.weigh(number as i64, content);
        }
        let query = SearchQuery::new(*text).with_order(SearchOrder::Rank);
        let page = store.search(&Scope::DEFAULT, &query).await.unwrap();
        assert_eq!(page.next, None, "{text:?}");
        let ranks: Vec<f64> = page.items.iter().map(|hit| hit.rank.expect("a rank")).collect();
        assert!(ranks.iter().all(|rank| rank.is_finite()), "{text:?}");
        assert!(ranks.is_sorted_by(|a, b| a >= b), "{text:?}");
        let mut ranked = numbers(&page.items);
        let expected: Vec<(i64, f64)> = expected.best_first().collect();
        let order: Vec<i64> = expected.iter().map(|(number, _)| *number).collect();
        assert_eq!(
            ranked.iter().map(|number| *number as i64).collect::<Vec<_>>(),
            order,
            "{text:?}"
        );
        for ((_, expected), rank) in expected.iter().zip(&ranks) {
            assert!((expected - rank).abs() < 1e-9, "{text:?}: {rank} and not {expected}");
        }
        ranked.sort();
        assert_eq!(ranked, found(store, &SearchQuery::new(*text)).await, "{text:?}");
        if let Some(best) = page.items.first() {
            let limited = store.search(&Scope::DEFAULT, &query.with_limit(1)).await.unwrap();
            assert_eq!((limited.items.len(), limited.next), (1, None));
            assert_eq!(limited.items[0].rank, best.rank);
        }
    }
}

/// More of the words in a shorter message rank higher.
pub async fn better_matches_rank_higher<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let batch = vec![
        said("much", "needle needle needle"),
        said("little", format!("needle {}", "hay ".repeat(200))),
        said("none", "hay"),
        said("other", "straw"),
    ];
    store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();
    let query = SearchQuery::new("needle").with_order(SearchOrder::Rank);
    let hits = store.search(&Scope::DEFAULT, &query).await.unwrap().items;
    assert_eq!(
        hits.iter().map(|hit| hit.message.id.as_str()).collect::<Vec<_>>(),
        ["much", "little"]
    );
}

/// Every message is found as soon as the write that stored it returns, with its session as it is then.
pub async fn a_stored_message_is_found_at_once<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    for number in 0..20 {
        place.tick();
        let word = format!("word{number}");
        let stored = store
            .append(&Scope::DEFAULT, &id, said(number.to_string(), word.as_str()))
            .await
            .unwrap();
        let hits = store.search(&Scope::DEFAULT, &SearchQuery::new(word)).await.unwrap().items;
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].message, stored);
        assert_eq!(hits[0].session, store.session(&Scope::DEFAULT, &id).await.unwrap());
    }
    let patch = SessionPatch::new().with_title("later").with_tag_added("t");
    let changed = store.update_session(&Scope::DEFAULT, &id, patch).await.unwrap();
    let tagged = SearchQuery::new("word3").with_any_tag(["t"]);
    assert_eq!(store.search(&Scope::DEFAULT, &tagged).await.unwrap().items[0].session, changed);
}

/// A page of large hits ends early, and walking the pages gives them all.
pub async fn pages_of_large_hits_are_short<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    for number in 0..5 {
        let content = format!("needle {}", ".".repeat(3 * 1024 * 1024));
        store.append(&Scope::DEFAULT, &id, said(number.to_string(), content)).await.unwrap();
    }
    for query in [SearchQuery::all(), SearchQuery::new("needle")] {
        let first = store.search(&Scope::DEFAULT, &query).await.unwrap();
        let before = first.items.len() - 1;
        let bytes: usize = first.items[..before].iter().map(|hit| hit.message.weight()).sum();
        assert!(bytes <= PAGE_BYTES);
        assert!(first.items.len() < 5 && first.next.is_some());
        let ids =
            walk::hits(store, &Scope::DEFAULT, &query).await.into_iter().map(|hit| hit.message.id);
        let ids: Vec<MessageId> = ids.collect();
        assert_eq!(ids, ["4", "3", "2", "1", "0"]);
    }
}

/// Stores the corpus, message after message, in three sessions.
async fn corpus<S: Store>(store: &S) {
    let ids = ["a", "b", "c"].map(session_id);
    for id in &ids {
        store.create_session(&Scope::DEFAULT, session(id)).await.unwrap();
    }
    for (number, content) in CORPUS.iter().enumerate() {
        store
            .append(&Scope::DEFAULT, &ids[number % 3], said(number.to_string(), *content))
            .await
            .unwrap();
    }
}

async fn found<S: Store>(store: &S, query: &SearchQuery) -> Vec<usize> {
    let mut numbers = numbers(&walk::hits(store, &Scope::DEFAULT, query).await);
    numbers.sort();
    numbers
}

/// The numbers of the texts of the corpus.
fn numbers(hits: &[Hit]) -> Vec<usize> {
    hits.iter().map(|hit| hit.message.id.as_str().parse().expect("ids are numbers")).collect()
}

fn places(hits: &[Hit]) -> Vec<String> {
    hits.iter().map(|hit| format!("{}{}", hit.session.id, hit.message.id)).collect()
}
