//! Reads a whole store, and checks what must hold at any time.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use shs_store::{
    AdminStore, AdminStoreExt, Error, ErrorKind, Message, MessageQuery, Result, Scope, SearchQuery,
    Seq, Session, SessionId, SessionQuery, StatsQuery, Store, TenantQuery,
};

use crate::walk;

/// Everything that a store keeps.
pub(crate) type Snapshot = BTreeMap<SessionId, (Session, Vec<Message>)>;

/// Reads everything of the default tenant.
pub(crate) async fn snapshot<S: Store + ?Sized>(store: &S) -> Snapshot {
    snapshot_of(store, &Scope::DEFAULT).await
}

/// Reads everything of a scope.
pub(crate) async fn snapshot_of<S: Store + ?Sized>(store: &S, scope: &Scope) -> Snapshot {
    let mut all = Snapshot::new();
    for session in walk::sessions(store, scope, &SessionQuery::new().with_limit(1_000)).await {
        let query = MessageQuery::new().with_limit(1_000);
        let messages = walk::messages(store, scope, &session.id, &query).await;
        let twice = all.insert(session.id.clone(), (session, messages));
        assert!(twice.is_none(), "no session is listed twice");
    }
    all
}

/// Checks that counts, numbers, search and stats agree with the messages in every tenant, of a
/// store that nobody writes to meanwhile.
pub(crate) async fn audit<S: AdminStore + ?Sized>(store: &S) {
    let mut tenants = store.tenant_stream(TenantQuery::new());
    while let Some(tenant) = tenants.try_next().await.unwrap() {
        let (sessions, messages) = audit_scope(store, &Scope::of(tenant.id)).await;
        assert_eq!((tenant.sessions, tenant.messages), (sessions, messages));
        assert!(sessions > 0, "a tenant that is listed has a session");
    }
    audit_scope(store, &Scope::DEFAULT).await;
}

/// As [`audit`], of one scope; returns how many sessions and messages it has.
async fn audit_scope<S: Store + ?Sized>(store: &S, scope: &Scope) -> (u64, u64) {
    let all = snapshot_of(store, scope).await;
    let mut expected = BTreeSet::new();
    for (id, (session, messages)) in &all {
        assert_eq!(store.session(scope, id).await.unwrap(), *session, "listed as it is");
        assert_eq!(session.message_count, messages.len() as u64, "messages of {id}");
        assert_eq!(session.total_tokens, tokens(messages), "tokens of {id}");
        assert!(messages.is_sorted_by(|a, b| a.seq < b.seq), "the numbers of {id} rise");
        let last = messages.last().map_or(Seq::ZERO, |message| message.seq);
        assert!(session.last_seq >= last, "no number of {id} is above its last");
        let ids: BTreeSet<_> = messages.iter().map(|message| &message.id).collect();
        assert_eq!(ids.len(), messages.len(), "an id occurs once in {id}");
        expected.extend(messages.iter().map(|message| (id.clone(), message.seq)));
    }
    let found = walk::hits(store, scope, &SearchQuery::all().with_limit(1_000)).await;
    assert_eq!(found.len(), expected.len(), "a search for everything finds each message once");
    for hit in found {
        let (session, messages) = &all[&hit.session.id];
        assert_eq!(hit.session, *session, "a hit has its session as it is");
        assert!(messages.contains(&hit.message), "a hit has its message as it is");
        assert!(expected.remove(&(hit.session.id, hit.message.seq)), "no message is found twice");
    }
    let stats = store.stats(scope, &StatsQuery::new()).await.unwrap();
    assert_eq!(stats.sessions, all.len() as u64, "stats count every session");
    let messages = all.values().map(|(_, messages)| messages.len() as u64).sum::<u64>();
    assert_eq!(stats.messages, messages);
    assert_eq!(stats.tokens, all.values().map(|(_, messages)| tokens(messages)).sum::<u64>());
    (stats.sessions, stats.messages)
}

fn tokens(messages: &[Message]) -> u64 {
    messages.iter().filter_map(|message| message.tokens).map(u64::from).sum()
}

/// The error of an operation that must fail with this kind, its context checked.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) -> Error {
    let error = result.expect_err("the operation must be refused");
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.store().is_some(), "an error names the store: {error:?}");
    assert!(error.op().is_some(), "an error names the operation: {error:?}");
    error
}
