//! Nothing outside of its scope exists for a call.

use shs_store::query::Position;
use shs_store::streaming::StreamLease;
use shs_store::{
    AdminStore, AdminStoreExt, AppendOptions, Cursor, Error, ErrorKind, ImportMode, MessagePatch,
    MessageQuery, NewSession, PageRequest, Result, Scope, SearchOrder, SearchQuery, Seq,
    SessionFilter, SessionId, SessionOrder, SessionPatch, SessionQuery, StatsQuery, Status, Store,
    StoreExt, TenantQuery, Timestamp, Transcript,
};

use crate::audit::snapshot_of;
use crate::sample::{at, conversation, message_id, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

fn tenant(name: impl AsRef<str>) -> Scope {
    Scope::tenant(name.as_ref()).expect("the name is valid")
}

fn user(of: &Scope, name: &str) -> Scope {
    of.as_user(name).expect("the name is valid")
}

async fn start<S: Store>(store: &S, scope: &Scope, new: NewSession, text: &str) -> SessionId {
    let id = store.create_session(scope, new).await.unwrap().id;
    store.append(scope, &id, said("m", text)).await.unwrap();
    id
}

/// Sessions of two tenants with one id never meet: every method works on that of its tenant.
pub async fn tenants_with_the_same_ids_never_meet<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let scopes = [Scope::DEFAULT, tenant("acme"), tenant("beta")];
    let id = session_id("chat-1");
    let texts = ["said in default", "said in acme", "said in beta"];
    for (scope, text) in scopes.iter().zip(texts) {
        start(store, scope, session("chat-1").with_user("alice").with_tag("t"), text).await;
    }
    for (scope, text) in scopes.iter().zip(texts) {
        let hits = walk::hits(store, scope, &SearchQuery::new("said")).await;
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].message.content, text);
        let filter = SearchQuery::all().with_user("alice").with_any_tag(["t"]);
        assert_eq!(walk::hits(store, scope, &filter).await.len(), 1);
        for query in [SessionQuery::new(), SessionQuery::new().with_user("alice")] {
            assert_eq!(walk::sessions(store, scope, &query).await.len(), 1);
        }
        let stats = store.stats(scope, &StatsQuery::new().with_user("alice")).await.unwrap();
        assert_eq!((stats.sessions, stats.messages), (1, 1));
        assert_eq!(store.stats(scope, &StatsQuery::new()).await.unwrap(), stats);
        let message = store.message(scope, &id, &message_id("m")).await.unwrap();
        assert_eq!(message.content, text);
    }
    // What is changed in one tenant is changed there alone.
    let [default, acme, beta] = &scopes;
    let patch = SessionPatch::new().with_title("acme's").with_ended_at(at(1));
    store.update_session(acme, &id, patch).await.unwrap();
    let patch = MessagePatch::new().with_content("changed in acme");
    store.update_message(acme, &id, &message_id("m"), patch).await.unwrap();
    store.append(acme, &id, said("n", "more of acme")).await.unwrap();
    store.fork(acme, &id, seq(1), session("fork")).await.unwrap();
    assert_eq!(store.session(default, &id).await.unwrap().title, None);
    assert_eq!(store.session(beta, &id).await.unwrap().message_count, 1);
    assert!(store.find_session(beta, &session_id("fork")).await.unwrap().is_none());
    assert!(walk::hits(store, default, &SearchQuery::new("acme")).await.is_empty());
    let others = [snapshot_of(store, default).await, snapshot_of(store, beta).await];
    assert!(store.delete_message(acme, &id, &message_id("n")).await.unwrap());
    assert!(store.delete_session(acme, &id).await.unwrap());
    assert_eq!(store.delete_user(acme, "alice").await.unwrap().sessions, 1, "the fork");
    assert_eq!([snapshot_of(store, default).await, snapshot_of(store, beta).await], others);
    assert!(snapshot_of(store, acme).await.is_empty());
}

/// The outcome of every method about one session and message, by its name.
async fn tried<S: Store>(
    store: &S,
    scope: &Scope,
    id: &SessionId,
) -> Vec<(&'static str, Result<String>)> {
    let message = &message_id("m");
    let new = || NewSession::new();
    let again = vec![said("m", "secret")];
    let more = vec![said("other", "mine")];
    let options = AppendOptions::new();
    let state = ImportMode::InPlaceOf { last_seq: Seq::FIRST, updated_at: at(0) };
    let own = session(id).into_session(at(0)).unwrap();
    let transcript = Transcript::new(own, Vec::new()).unwrap();
    let patch = MessagePatch::new().with_content("mine");
    fn shown<T: std::fmt::Debug>(outcome: Result<T>) -> Result<String> {
        outcome.map(|value| format!("{value:?}"))
    }
    vec![
        ("session", shown(store.session(scope, id).await)),
        (
            "update_session",
            shown(store.update_session(scope, id, SessionPatch::new().with_title("x")).await),
        ),
        ("delete_session", shown(store.delete_session(scope, id).await)),
        ("append", shown(store.append_opts(scope, id, again, options).await)),
        ("append", shown(store.append_opts(scope, id, more, options).await)),
        ("message", shown(store.message(scope, id, message).await)),
        ("messages", shown(store.messages(scope, id, &MessageQuery::new()).await)),
        ("update_message", shown(store.update_message(scope, id, message, patch).await)),
        ("delete_message", shown(store.delete_message(scope, id, message).await)),
        ("fork", shown(store.fork(scope, id, Seq::FIRST, new()).await)),
        ("fork", shown(store.fork(scope, id, seq(9), new()).await)),
        ("import", shown(store.import(scope, transcript, state).await)),
    ]
}

fn said_of(error: &Error, id: &SessionId) -> String {
    error.to_string().replace(id.as_str(), "ID")
}

/// To whoever asks, a session outside of the scope is as one that was never there, down to the
/// words of the errors, and nothing of it changes.
pub async fn what_is_outside_of_the_scope_is_as_if_it_were_not_there<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    let alice = user(&acme, "alice");
    let id = start(store, &acme, session("hidden").with_user("alice"), "secret").await;
    let nobodys = start(store, &acme, session("nobody's"), "secret").await;
    let before = snapshot_of(store, &acme).await;
    let strangers = [
        (user(&acme, "bob"), vec![&id, &nobodys]),
        (user(&acme, "Alice"), vec![&id, &nobodys]),
        (user(&beta, "alice"), vec![&id, &nobodys]),
        (beta, vec![&id, &nobodys]),
        (Scope::DEFAULT, vec![&id, &nobodys]),
        (alice.clone(), vec![&nobodys]),
    ];
    for (scope, hidden) in &strangers {
        for id in hidden {
            let missing = session_id(format!("missing {id}"));
            let of_missing = tried(store, scope, &missing).await;
            for ((op, of_hidden), (_, of_missing)) in
                tried(store, scope, id).await.into_iter().zip(of_missing)
            {
                match (&of_hidden, &of_missing) {
                    (Err(one), Err(other)) => {
                        assert_eq!(one.kind(), other.kind(), "{op} in {scope:?}");
                        assert_eq!(said_of(one, id), said_of(other, &missing), "{op}");
                    }
                    (Ok(one), Ok(other)) => assert_eq!(one, other, "{op} in {scope:?}"),
                    other => panic!("{op} tells them apart in {scope:?}: {other:?}"),
                }
            }
            assert!(store.find_session(scope, id).await.unwrap().is_none());
        }
        let own = usize::from(*scope == alice);
        let hits = walk::hits(store, scope, &SearchQuery::new("secret")).await;
        assert_eq!(hits.len(), own);
        assert_eq!(walk::hits(store, scope, &SearchQuery::all()).await.len(), own);
        let of_session = SearchQuery::all().with_session(nobodys.clone());
        assert!(walk::hits(store, scope, &of_session).await.is_empty());
        assert_eq!(walk::sessions(store, scope, &SessionQuery::new()).await.len(), own);
        for order in [SessionOrder::Created, SessionOrder::Updated] {
            for with in ["alice", "bob"] {
                let query = SessionQuery::new().with_user(with).with_order(order);
                let expected = if with == "alice" { own } else { 0 };
                assert_eq!(walk::sessions(store, scope, &query).await.len(), expected);
            }
        }
        for since in [None, Some(at(-9))] {
            let mut query = StatsQuery::new();
            query.since = since;
            let stats = store.stats(scope, &query).await.unwrap();
            assert_eq!((stats.sessions, stats.messages), (own as u64, own as u64));
            query = query.with_user("alice");
            assert_eq!(store.stats(scope, &query).await.unwrap().messages, own as u64);
        }
        if *scope != alice {
            assert_eq!(store.delete_user(scope, "alice").await.unwrap().sessions, 0);
        }
    }
    assert_eq!(snapshot_of(store, &acme).await, before, "nothing was changed");
    assert_eq!(store.session(&alice, &id).await.unwrap(), before[&id].0);
}

/// In a user's scope, a session that names no user becomes theirs: created, forked or imported.
pub async fn a_session_of_a_users_scope_is_theirs<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let alice = user(&tenant("acme"), "alice");
    let created = start(store, &alice, session("created"), "x").await;
    store.fork(&alice, &created, Seq::FIRST, session("forked")).await.unwrap();
    let new = session("imported").into_session(at(0)).unwrap();
    let transcript = Transcript::new(new, Vec::new()).unwrap();
    store.import(&alice, transcript.clone(), ImportMode::CreateOnly).await.unwrap();
    store.import(&alice, transcript, ImportMode::Overwrite).await.unwrap();
    let own = snapshot_of(store, &alice).await;
    assert_eq!(own.len(), 3);
    assert!(own.values().all(|(session, _)| session.user_id.as_deref() == Some("alice")));
    assert_eq!(snapshot_of(store, &alice.without_user()).await, own);
}

/// A session that names another user than the scope is refused, and nothing is stored.
pub async fn naming_another_user_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let alice = user(&Scope::DEFAULT, "alice");
    let source = start(store, &alice, session("source"), "x").await;
    let before = snapshot_of(store, &Scope::DEFAULT).await;
    let of_bob = || session("new").with_user("bob");
    let error = store.create_session(&alice, of_bob()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = store.fork(&alice, &source, Seq::FIRST, of_bob()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for id in ["new", "source"] {
        let mut new = of_bob().into_session(at(0)).unwrap();
        new.id = session_id(id);
        let transcript = Transcript::new(new, Vec::new()).unwrap();
        let error = store.import(&alice, transcript, ImportMode::Overwrite).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(snapshot_of(store, &Scope::DEFAULT).await, before);
}

/// An id is taken for the whole tenant: who may not see the session that has it gets
/// `AlreadyExists`, and cannot put anything in its place.
pub async fn an_id_is_taken_for_the_whole_tenant<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let acme = tenant("acme");
    let bob = user(&acme, "bob");
    let taken = start(store, &acme, session("taken").with_user("alice"), "secret").await;
    let own = start(store, &bob, session("own"), "mine").await;
    let before = snapshot_of(store, &acme).await;
    let new = || session("taken");
    let mut refused = vec![
        store.create_session(&bob, new()).await.unwrap_err(),
        store.fork(&bob, &own, Seq::FIRST, new()).await.unwrap_err(),
    ];
    let transcript = Transcript::new(new().into_session(at(0)).unwrap(), Vec::new()).unwrap();
    for mode in [ImportMode::CreateOnly, ImportMode::Overwrite] {
        refused.push(store.import(&bob, transcript.clone(), mode).await.unwrap_err());
    }
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(error.session_id(), Some(&taken));
    }
    assert_eq!(snapshot_of(store, &acme).await, before);
}

/// A cursor belongs to the scope that it was made in.
pub async fn a_cursor_of_another_scope_is_refused<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let scopes = [
        Scope::DEFAULT,
        tenant("acme"),
        user(&tenant("acme"), "alice"),
        user(&Scope::DEFAULT, "alice"),
        // Whose names are the same when they are put together.
        user(&tenant("acmea"), "lice"),
    ];
    let id = session_id("s1");
    for scope in &scopes {
        for number in 0..2 {
            let new = match scope.user_id() {
                Some(_) => session(format!("u{number}")),
                None => session(format!("s{number}")),
            };
            let id = store.create_session(scope, new).await.unwrap().id;
            store.append_all(scope, &id, conversation(2)).await.unwrap();
        }
    }
    let sessions = SessionQuery::new().with_limit(1);
    let hits = SearchQuery::new("turn").with_limit(1);
    let messages = MessageQuery::new().with_limit(1);
    for scope in &scopes {
        let of_sessions = store.list_sessions(scope, &sessions).await.unwrap().next.unwrap();
        let of_hits = store.search(scope, &hits).await.unwrap().next.unwrap();
        for other in scopes.iter().filter(|other| *other != scope) {
            let query = sessions.clone().with_after(of_sessions.clone());
            let error = store.list_sessions(other, &query).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let query = hits.clone().with_after(of_hits.clone());
            let error = store.search(other, &query).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
    let (one, other) = (&scopes[0], &scopes[1]);
    let next = store.messages(one, &id, &messages).await.unwrap().next.unwrap();
    let query = messages.with_after(next);
    let error = store.messages(other, &id, &query).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// A cursor at the first or last position that there can be gives a page, and no panic.
pub async fn a_cursor_at_an_extreme_gives_a_page<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for scope in [Scope::DEFAULT, tenant("acme"), user(&tenant("acme"), "alice")] {
        let scope = &scope;
        let new = session(if scope.user_id().is_some() { "u" } else { "s" });
        let id = store.create_session(scope, new).await.unwrap().id;
        store.append_all(scope, &id, conversation(3)).await.unwrap();
        let positions = [i64::MIN, -1, 0, 1, i64::MAX - 1, i64::MAX].map(Position::Arrival);
        for order in [SearchOrder::Newest, SearchOrder::Oldest, SearchOrder::Rank] {
            for query in [SearchQuery::all(), SearchQuery::new("turn")] {
                let query = query.with_order(order);
                for position in &positions {
                    let cursor = Cursor::encode(query.fingerprint(scope), position);
                    let page = store.search(scope, &query.clone().with_after(cursor)).await;
                    assert!(page.unwrap().items.len() <= 6, "{position:?}");
                }
            }
        }
        for order in [SessionOrder::Created, SessionOrder::Updated] {
            let query = SessionQuery::new().with_order(order);
            for at in [Timestamp::MIN, Timestamp::MAX] {
                for name in ["\u{20}", "\u{10ffff}"] {
                    let position = Position::Session(at, session_id(name));
                    let cursor = Cursor::encode(query.fingerprint(scope), &position);
                    let query = query.clone().with_after(cursor).with_offset(u64::MAX);
                    assert!(store.list_sessions(scope, &query).await.unwrap().items.is_empty());
                }
            }
        }
        for query in [MessageQuery::new(), MessageQuery::new().newest_first()] {
            for seq in [Seq::ZERO, Seq::FIRST, Seq::MAX] {
                let fingerprint = query.fingerprint(scope, &id);
                let cursor = Cursor::encode(fingerprint, &Position::Seq(seq));
                let page = store.messages(scope, &id, &query.clone().with_after(cursor)).await;
                assert!(page.unwrap().items.len() <= 3, "{seq}");
            }
        }
    }
}

/// Tenants are told apart byte by byte, whatever their names look like, also after reopening.
pub async fn tenants_are_told_apart_byte_by_byte<F: Fixture>(place: &Place<F>) {
    let long = "x".repeat(255);
    let names = [
        "",
        "a",
        "A",
        "a/b",
        "a%2fb",
        "..",
        ".",
        "con",
        "é",
        "e\u{301}",
        "ａ",
        " ",
        "a ",
        "tenants",
        "0",
        "1",
        &long,
        &long[1..],
        "🙂",
        "%",
        "_",
        "s",
        "s.jsonl",
        "~",
    ];
    let store = &*place.store;
    for name in names {
        let scope = tenant(name);
        start(store, &scope, session("s").with_title(name).with_user("u"), "said here").await;
    }
    let check = async |store: &F::Store| {
        for name in names {
            let scope = tenant(name);
            let own = snapshot_of(store, &scope).await;
            assert_eq!(own.len(), 1, "{name:?}");
            assert_eq!(own[&session_id("s")].0.title.as_deref().unwrap_or_default(), name);
            for query in [SearchQuery::new("said"), SearchQuery::all()] {
                let hits = walk::hits(store, &scope, &query).await;
                assert_eq!(hits.len(), 1, "{name:?}");
                assert_eq!(hits[0].session.title.as_deref().unwrap_or_default(), name);
            }
        }
    };
    check(store).await;
    if F::DURABLE {
        check(&*place.reopen().await).await;
    }
}

/// A search finds the words of its tenant alone, whatever the words are, and ranks them by no
/// others.
pub async fn words_of_other_tenants_are_not_found<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let scopes: Vec<Scope> = ["", "1", "2", "12", "u1"].map(tenant).into();
    // Words that look like what an index may mark tenants, users and sessions with.
    let words = ["1", "2", "12", "1a", "u1", "s1", "r0", "t1", "n1", "p1", "m1", "alpha", "部署"];
    for (number, scope) in scopes.iter().enumerate() {
        let id = store.create_session(scope, session("s").with_user("u")).await.unwrap().id;
        for (at, word) in words.iter().enumerate() {
            if (at + number) % scopes.len() != 0 {
                let text = format!("{word} {word}{number}");
                store.append(scope, &id, said(format!("m{at}"), text)).await.unwrap();
            }
        }
    }
    for (number, scope) in scopes.iter().enumerate() {
        for scope in [scope.clone(), user(scope, "u")] {
            for (at, word) in words.iter().enumerate() {
                for text in [(*word).to_owned(), format!("\"{word}\""), format!("{word}*")] {
                    let query = SearchQuery::new(&text);
                    let hits = walk::hits(store, &scope, &query).await;
                    let is_there = (at + number) % scopes.len() != 0;
                    let found =
                        hits.iter().any(|hit| hit.message.id == message_id(format!("m{at}")));
                    assert_eq!(found, is_there, "{text} in {scope:?}");
                    let own = format!("{number}");
                    assert!(hits.iter().all(|hit| hit.message.content.ends_with(&own)));
                    let ranked = query.with_order(SearchOrder::Rank);
                    let ranked = store.search(&scope, &ranked).await.unwrap().items;
                    assert_eq!(ranked.len(), hits.len(), "{text} by rank");
                }
            }
            let query = SearchQuery::new("alpha -部署").with_filter(SessionFilter::new());
            for hit in walk::hits(store, &scope, &query).await {
                assert!(hit.message.content.ends_with(&format!("{number}")));
            }
        }
    }
}

/// A search by rank finds the same in the same order and with the same ranks, whatever others say:
/// neither how rare a word is with them tells of their messages, nor how long those are.
pub async fn ranks_tell_nothing_of_what_others_said<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let acme = tenant("acme");
    let scopes = [
        (acme.clone(), vec![tenant("beta"), Scope::DEFAULT, user(&Scope::DEFAULT, "bob")]),
        (user(&acme, "alice"), vec![user(&acme, "bob"), tenant("beta")]),
        (user(&Scope::DEFAULT, "alice"), vec![user(&Scope::DEFAULT, "bob"), acme.clone()]),
    ];
    let own = [
        "a red apple",
        "apple, apple, and one red pear",
        "red red apple with many words behind it that say nothing of fruit at all",
        "an apple that is red, red as the other apple",
    ];
    let queries = ["red apple", "apple", "re* \"apple\"", "red -pear"];
    let queries = queries.map(|text| SearchQuery::new(text).with_order(SearchOrder::Rank));
    for (number, (scope, others)) in scopes.iter().enumerate() {
        let new = session(format!("own-{number}"));
        let id = store.create_session(scope, new).await.unwrap().id;
        for (number, text) in own.iter().enumerate() {
            store.append(scope, &id, said(number.to_string(), *text)).await.unwrap();
        }
        let all = async || {
            let mut found = Vec::new();
            for query in &queries {
                found.push(store.search(scope, query).await.unwrap());
            }
            found
        };
        let alone = all().await;
        assert!(alone.iter().all(|page| page.items.len() >= 3));
        for (at, other) in others.iter().enumerate() {
            let new = session(format!("of-another-{number}-{at}"));
            let id = store.create_session(other, new).await.unwrap().id;
            let texts = (0..30).map(|n| said(n.to_string(), "red ".repeat(n + 1) + "apples"));
            store.append_all(other, &id, texts.collect()).await.unwrap();
            let texts = (0..5).map(|n| said(format!("a{n}"), "apple ".repeat(40 * n + 1)));
            store.append_all(other, &id, texts.collect()).await.unwrap();
        }
        assert_eq!(all().await, alone, "{scope:?}");
    }
}

/// The tenants that have sessions are listed by name with what they have, on pages of any size.
pub async fn tenants_are_listed_by_name<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let names = ["", "Zeta", "acme", "beta", "ö"];
    assert!(store.tenants(&TenantQuery::new()).await.unwrap().items.is_empty());
    for (number, name) in names.iter().enumerate().rev() {
        let scope = tenant(name);
        for at in 0..=number {
            let id = store.create_session(&scope, session(format!("s{at}"))).await.unwrap().id;
            store.append_all(&scope, &id, conversation(number)).await.unwrap();
        }
    }
    let gone = tenant("gone");
    let id = start(store, &gone, session("s"), "x").await;
    store.delete_session(&gone, &id).await.unwrap();
    for limit in 1..=6 {
        let mut query = TenantQuery::new().with_limit(limit);
        let mut listed = Vec::new();
        loop {
            let page = store.tenants(&query).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            listed.extend(page.items);
            let Some(next) = page.next else { break };
            query = query.with_after(next);
        }
        let expected = names.iter().enumerate().map(|(number, name)| {
            let sessions = number as u64 + 1;
            (name.to_string(), sessions, sessions * number as u64)
        });
        let listed = listed.iter().map(|t| (t.id.to_string(), t.sessions, t.messages));
        assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    let foreign = SessionQuery::new().fingerprint(&Scope::DEFAULT);
    let cursor = Cursor::encode(foreign, &Position::Arrival(1));
    let error = store.tenants(&TenantQuery::new().with_after(cursor)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = store.tenants(&TenantQuery::new().with_limit(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// Deleting a tenant deletes exactly its sessions, and a repetition says zero.
pub async fn deleting_a_tenant_deletes_exactly_its_sessions<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let scopes = ["", "acme", "acm", "acme2"].map(tenant);
    for scope in &scopes {
        for number in 0..3 {
            let new = session(format!("s{number}")).with_user("alice");
            let id = store.create_session(scope, new).await.unwrap().id;
            store.append_all(scope, &id, conversation(2)).await.unwrap();
        }
    }
    for (at, scope) in scopes.iter().enumerate() {
        let deleted = store.delete_tenant(scope.tenant_id()).await.unwrap();
        assert_eq!((deleted.sessions, deleted.messages), (3, 6));
        let again = store.delete_tenant(scope.tenant_id()).await.unwrap();
        assert_eq!((again.sessions, again.messages), (0, 0));
        assert!(walk::hits(store, scope, &SearchQuery::new("turn")).await.is_empty());
        for (other, scope) in scopes.iter().enumerate() {
            let expected = if other <= at { 0 } else { 3 };
            assert_eq!(snapshot_of(store, scope).await.len(), expected);
        }
    }
    start(store, &scopes[1], session("s0"), "after all").await;
    assert_eq!(walk::hits(store, &scopes[1], &SearchQuery::all()).await.len(), 1);
}

/// Pending messages with a lease are listed whatever their tenant, on pages of any size, and those
/// whose lease ran out are marked as interrupted.
pub async fn stale_streams_of_all_tenants_are_interrupted<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let pending = |id: &str, until: Option<i64>| {
        let mut new = said(id, "so far").with_status(Status::Pending);
        if let Some(until) = until {
            let lease = StreamLease { writer: "w".to_owned(), until: at(until) };
            new = new.with_metadata(lease.metadata());
        }
        new
    };
    let scopes = ["", "acme", "beta"].map(tenant);
    let id = session_id("s");
    for scope in &scopes {
        store.create_session(scope, session("s").with_user("alice")).await.unwrap();
        let batch = vec![
            pending("stale", Some(1)),
            pending("living", Some(9)),
            pending("no lease", None),
            said("delivered", "x"),
        ];
        store.append_all(scope, &id, batch).await.unwrap();
    }
    let list = async |limit: u32| {
        let mut request = PageRequest::default();
        request.limit = limit;
        let mut all = Vec::new();
        loop {
            let page = store.pending_streams(&request).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            all.extend(page.items.into_iter().map(|found| (found.tenant, found.message.id)));
            let Some(next) = page.next else { return all };
            request.after = Some(next);
        }
    };
    let expected: Vec<_> = scopes
        .iter()
        .flat_map(|scope| ["stale", "living"].map(|id| (scope.tenant_id().clone(), message_id(id))))
        .collect();
    for limit in 1..=7 {
        assert_eq!(list(limit).await, expected);
    }
    assert_eq!(store.interrupt_all_stale_streams(at(5)).await.unwrap(), 3);
    assert_eq!(store.interrupt_all_stale_streams(at(5)).await.unwrap(), 0);
    for scope in &scopes {
        let status = async |message: &str| {
            store.message(scope, &id, &message_id(message)).await.unwrap().status
        };
        assert_eq!(status("stale").await, Status::Interrupted);
        assert_eq!(status("living").await, Status::Pending);
        assert_eq!(status("no lease").await, Status::Pending);
    }
    assert_eq!(list(2).await.len(), 3);
}
