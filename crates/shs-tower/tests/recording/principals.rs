//! Many tenants, users and projects at once, who send the ids of each other's sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use shs_store::{
    AdminStore, NewMessage, NewSession, Scope, SessionId, SessionOrder, SessionQuery, Store,
    StoreExt, TenantId, TenantQuery,
};
use shs_tower::{ProjectKey, RecordLayer, RequestBody, SessionKey, TenantKey, UserKey};
use tower::{Layer, ServiceExt};

use crate::numbers::Numbers;
use crate::support::{Answer, Body, Setup, chat, turns};

/// Who sends a request: a tenant, a user, a project.
type Principal = (Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// Names that become each other where they are joined or cut.
const PRINCIPALS: [Principal; 14] = [
    (None, None, None),
    (None, Some("alice"), None),
    (None, Some("bob"), None),
    (None, Some("alice"), Some("shop")),
    (None, Some("alice/shop"), None),
    (None, Some("alice=shop"), None),
    (None, None, Some("shop")),
    (Some("acme"), None, None),
    (Some("acme"), Some("alice"), None),
    (Some("acme"), Some("bob"), None),
    (Some("acme"), Some("alice"), Some("shop")),
    (Some("acme/alice"), None, None),
    (Some("ACME"), Some("alice"), None),
    (Some("acm"), Some("ealice"), None),
];

fn by(principal: Principal, mut request: Request<Body>) -> Request<Body> {
    let (tenant, user, project) = principal;
    let extensions = request.extensions_mut();
    if let Some(tenant) = tenant {
        extensions.insert(TenantKey(tenant.to_owned()));
    }
    if let Some(user) = user {
        extensions.insert(UserKey(user.to_owned()));
    }
    if let Some(project) = project {
        extensions.insert(ProjectKey(project.to_owned()));
    }
    request
}

fn scope(principal: Principal) -> Scope {
    let tenant = principal.0.map_or(TenantId::DEFAULT, |name| TenantId::new(name).unwrap());
    Scope::of(tenant)
}

/// How many requests are sent: more with `SHS_OPERATIONS`.
fn operations() -> u32 {
    std::env::var("SHS_OPERATIONS").map_or(600, |text| text.parse().expect("it is a number"))
}

/// A place in a list of this length.
fn at(numbers: &mut Numbers, length: usize) -> usize {
    numbers.below(length as u64) as usize
}

/// What a client has of a conversation: what it sends again with its next turn.
#[derive(Clone, Debug, Default)]
struct Known {
    texts: Vec<String>,
}

#[tokio::test]
async fn a_session_that_another_user_has_by_now_gets_nothing_of_what_was_remembered() {
    let setup = Setup::new();
    let alice = || {
        let mut request = chat("-", turns(["mine", "ok", "mine too"]));
        request.extensions_mut().insert(SessionKey("chat".to_owned()));
        by((None, Some("alice"), None), request)
    };
    let mut first = by((None, Some("alice"), None), chat("-", turns(["mine"])));
    first.extensions_mut().insert(SessionKey("chat".to_owned()));
    setup.send(first, Answer::words(["ok"])).await;
    // Another process deletes it, and gives bob the id, with as many messages.
    let id = SessionId::new("chat").unwrap();
    setup.store.delete_session(&Scope::DEFAULT, &id).await.unwrap();
    let bob = NewSession::with_id(id.clone()).with_user("bob");
    setup.store.create_session(&Scope::DEFAULT, bob).await.unwrap();
    let batch = vec![NewMessage::user("his"), NewMessage::assistant("his too")];
    setup.store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap();

    setup.send(alice(), Answer::words(["fine"])).await;
    assert_eq!(setup.said("chat").await, ["user: his", "assistant: his too"]);
    let theirs = setup.of_user("alice").await;
    assert_eq!(setup.said(&theirs[0]).await.len(), 4);
}

#[tokio::test]
async fn an_answer_does_not_follow_its_question_into_a_session_that_became_another_ones() {
    let setup = Setup::with(RecordLayer::write_ahead);
    let id = SessionId::new("chat").unwrap();
    let store = Arc::clone(&setup.store);
    let own = id.clone();
    let service =
        setup.layer.layer(tower::service_fn(move |request: Request<RequestBody<Body>>| {
            let (store, id) = (Arc::clone(&store), own.clone());
            async move {
                request.into_body().collect().await.map_err(|_| "the request's body failed").ok();
                assert!(store.delete_session(&Scope::DEFAULT, &id).await.unwrap());
                let bob = NewSession::with_id(id.clone()).with_user("bob");
                store.create_session(&Scope::DEFAULT, bob).await.unwrap();
                store.append(&Scope::DEFAULT, &id, NewMessage::user("his")).await.unwrap();
                let choice = json!({"message": {"content": "secret"}, "finish_reason": "stop"});
                let answer = json!({ "choices": [choice] }).to_string();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer))))
            }
        }));
    let request = by((None, Some("alice"), None), chat("chat", turns(["mine"])));
    service.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    setup.recorder.flush().await;
    assert_eq!(setup.said("chat").await, ["user: his"]);
    assert_eq!(setup.of_user("bob").await, ["chat"]);
    let theirs = setup.of_user("alice").await;
    assert_eq!(setup.said(&theirs[0]).await, ["user: mine", "assistant: secret"]);
}

#[tokio::test]
async fn whatever_ids_they_send_nobody_reads_or_writes_what_is_another_ones() {
    let seed = std::env::var("SHS_SEED").map_or(1, |seed| seed.parse().expect("it is a number"));
    eprintln!("SHS_SEED={seed}");
    let mut numbers = Numbers::new(seed);
    let everybody: Vec<usize> = (0..PRINCIPALS.len()).collect();
    let setup = Setup::new();
    // Ids that clients send: some of their own, and with time every id that the store has.
    let mut ids: Vec<String> =
        ["chat-1", "alice/chat-1", "a", "a~b", "sha256:0", ""].map(str::to_owned).to_vec();
    let mut known: BTreeMap<(usize, String), Vec<Known>> = BTreeMap::new();
    let mut acknowledged: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for number in 0..operations() {
        let who = numbers.pick(&everybody);
        let id = ids[at(&mut numbers, ids.len())].clone();
        // A new conversation, one that goes on, an edit of one, or one that was seen elsewhere.
        let of_id = known.entry((who, id.clone())).or_default();
        let mut texts = match (numbers.below(6), of_id.len()) {
            (0, _) | (_, 0) => Vec::new(),
            (1, count) => {
                let source = &of_id[at(&mut numbers, count)].texts;
                source[..at(&mut numbers, source.len() / 2 + 1) * 2].to_vec()
            }
            (_, count) => of_id[at(&mut numbers, count)].texts.clone(),
        };
        let question = format!("p{who} q{number}");
        let answer = format!("p{who} a{number}");
        texts.push(question.clone());
        let mut request = by(PRINCIPALS[who], chat(&id, turns(texts.iter().map(String::as_str))));
        if id.is_empty() {
            request.headers_mut().remove("x-session-id");
        }
        setup.send(request, Answer::words([&*answer])).await;
        texts.push(answer.clone());
        of_id.push(Known { texts });
        if of_id.len() > 4 {
            of_id.remove(0);
        }
        acknowledged.entry(who).or_default().extend([question, answer]);
        if number % 20 == 19 {
            let page = SessionQuery::new().with_limit(50).with_order(SessionOrder::Updated);
            let some = setup.store.list_sessions(&scope(PRINCIPALS[who]), &page).await.unwrap();
            ids.extend(some.items.iter().map(|session| session.id.to_string()));
            ids.sort();
            ids.dedup();
        }
    }
    let counts = setup.recorder.counts();
    assert_eq!((counts.failed, counts.dropped, counts.unreadable), (0, 0, 0), "{counts:?}");

    // Every session has one owner's texts, is that owner's, and nothing is missing.
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let tenants = setup.store.tenants(&TenantQuery::new()).await.unwrap().items;
    assert_eq!(tenants.len(), 5);
    for tenant in tenants {
        let scope = Scope::of(tenant.id.clone());
        let mut sessions: Vec<SessionId> = Vec::new();
        let mut query = SessionQuery::new().with_limit(1_000);
        loop {
            let page = setup.store.list_sessions(&scope, &query).await.unwrap();
            sessions.extend(page.items.into_iter().map(|session| session.id));
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        for id in sessions {
            let transcript = setup.store.transcript(&scope, &id).await.unwrap();
            let session = &transcript.session;
            let owner = |(name, user, project): &Principal| {
                name.unwrap_or_default() == tenant.id.as_str()
                    && *user == session.user_id.as_deref()
                    && *project == session.project_id.as_deref()
            };
            let owner = PRINCIPALS.iter().position(owner).expect("somebody's");
            let mut once = BTreeSet::new();
            for message in &transcript.messages {
                let marker = format!("p{owner} ");
                assert!(message.content.starts_with(&marker), "{id} of {owner}: {message:?}");
                assert!(once.insert(message.content.clone()), "{id} has it twice: {message:?}");
            }
            found.entry(owner).or_default().extend(once);
        }
    }
    assert_eq!(found, acknowledged);
}
