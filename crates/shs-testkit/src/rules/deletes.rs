//! What is deleted is gone, and nothing else is.

use shs_store::{
    Deleted, ErrorKind, MessageQuery, Scope, SearchQuery, Seq, SessionQuery, StatsQuery, Store,
    StoreExt,
};

use crate::audit::{refused, snapshot};
use crate::sample::{conversation, message_id, said, seq, session, session_id};
use crate::{Fixture, Place};

/// A deleted message is found by no read, list or search, and counted no more; the others stay.
pub async fn a_deleted_message_is_gone<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let batch = vec![said("a", "kept").with_tokens(1), said("b", "gone").with_tokens(2)];
    let kept = store.append_all(&Scope::DEFAULT, &id, batch).await.unwrap().messages.remove(0);
    assert!(store.delete_message(&Scope::DEFAULT, &id, &message_id("b")).await.unwrap());
    refused(store.message(&Scope::DEFAULT, &id, &message_id("b")).await, ErrorKind::NotFound);
    assert_eq!(
        store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await.unwrap().items,
        [kept]
    );
    assert!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("gone")).await.unwrap().items.is_empty()
    );
    let stored = store.session(&Scope::DEFAULT, &id).await.unwrap();
    assert_eq!((stored.message_count, stored.total_tokens, stored.last_seq), (1, 1, seq(2)));
    let stats = store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.unwrap();
    assert_eq!((stats.messages, stats.tokens), (1, 1));
}

/// Deleting a message says whether it was there; of a missing session it is refused.
pub async fn deleting_a_missing_message<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(2)).await.unwrap();
    assert!(store.delete_message(&Scope::DEFAULT, &id, &message_id("m1")).await.unwrap());
    let before = snapshot(store).await;
    place.tick();
    for absent in ["m1", "absent"] {
        assert!(!store.delete_message(&Scope::DEFAULT, &id, &message_id(absent)).await.unwrap());
    }
    let absent = session_id("absent");
    let result = store.delete_message(&Scope::DEFAULT, &absent, &message_id("m2")).await;
    assert_eq!(refused(result, ErrorKind::NotFound).session_id(), Some(&absent));
    assert_eq!(snapshot(store).await, before);
}

/// A deleted session is gone with its messages: nothing lists, finds or counts them.
pub async fn a_deleted_session_is_gone<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let kept = store.create_session(&Scope::DEFAULT, session("kept")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &kept, said("m", "common kept")).await.unwrap();
    let before = snapshot(store).await;
    let id =
        store.create_session(&Scope::DEFAULT, session("gone").with_user("u")).await.unwrap().id;
    store.append(&Scope::DEFAULT, &id, said("m", "common gone").with_tokens(9)).await.unwrap();
    assert!(store.delete_session(&Scope::DEFAULT, &id).await.unwrap());
    refused(store.session(&Scope::DEFAULT, &id).await, ErrorKind::NotFound);
    refused(store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await, ErrorKind::NotFound);
    refused(store.message(&Scope::DEFAULT, &id, &message_id("m")).await, ErrorKind::NotFound);
    refused(store.append(&Scope::DEFAULT, &id, said("n", "x")).await, ErrorKind::NotFound);
    let listed =
        store.list_sessions(&Scope::DEFAULT, &SessionQuery::new().with_user("u")).await.unwrap();
    assert!(listed.items.is_empty());
    let hits = store.search(&Scope::DEFAULT, &SearchQuery::new("common")).await.unwrap().items;
    assert!(hits.iter().map(|hit| &hit.session.id).eq([&kept]));
    assert!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("gone")).await.unwrap().items.is_empty()
    );
    let stats = store.stats(&Scope::DEFAULT, &StatsQuery::new()).await.unwrap();
    assert_eq!((stats.sessions, stats.messages, stats.tokens), (1, 1, 0));
    assert_eq!(snapshot(store).await, before);
}

/// Deleting a session says whether it was there.
pub async fn deleting_a_missing_session<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    assert!(store.delete_session(&Scope::DEFAULT, &id).await.unwrap());
    assert!(!store.delete_session(&Scope::DEFAULT, &id).await.unwrap());
    assert!(!store.delete_session(&Scope::DEFAULT, &session_id("absent")).await.unwrap());
}

/// A session that is created under the id of a deleted one begins anew.
pub async fn the_id_of_a_deleted_session_is_free_again<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store
        .create_session(&Scope::DEFAULT, session("s").with_user("u").with_title("old"))
        .await
        .unwrap()
        .id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id).await.unwrap();
    place.tick();
    let again = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap();
    assert_eq!((again.message_count, again.last_seq), (0, Seq::ZERO));
    assert_eq!((again.user_id.as_deref(), again.title.as_deref()), (None, None));
    assert!(
        store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await.unwrap().items.is_empty()
    );
    assert!(
        store.search(&Scope::DEFAULT, &SearchQuery::new("turn")).await.unwrap().items.is_empty()
    );
    let other = store.append(&Scope::DEFAULT, &id, said("m1", "other content")).await.unwrap();
    assert_eq!(other.seq, Seq::FIRST);
}

/// Deleting a user deletes exactly that user's sessions, says what went, and says zero when repeated.
pub async fn deleting_a_user_deletes_exactly_their_sessions<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let users = [Some("alice"), Some("Alice"), Some("alice "), Some("bob"), Some("alice"), None];
    for (number, user) in users.into_iter().enumerate() {
        let mut new = session(number.to_string());
        new.user_id = user.map(str::to_owned);
        let id = store.create_session(&Scope::DEFAULT, new).await.unwrap().id;
        store.append_all(&Scope::DEFAULT, &id, conversation(number)).await.unwrap();
    }
    let mut expected = snapshot(store).await;
    expected.retain(|_, (session, _)| session.user_id.as_deref() != Some("alice"));
    assert_eq!(store.delete_user(&Scope::DEFAULT, "alice").await.unwrap(), Deleted::new(2, 4));
    assert_eq!(snapshot(store).await, expected);
    assert_eq!(store.delete_user(&Scope::DEFAULT, "alice").await.unwrap(), Deleted::new(0, 0));
    assert_eq!(store.delete_user(&Scope::DEFAULT, "nobody").await.unwrap(), Deleted::new(0, 0));
    assert_eq!(snapshot(store).await, expected);
}

/// Forks of a deleted session stay, and so does a session whose fork is deleted.
pub async fn forks_stay_when_the_source_goes<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id =
        store.create_session(&Scope::DEFAULT, session("source").with_user("u")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(3)).await.unwrap();
    let forks = ["first", "second"];
    for fork in forks {
        store.fork(&Scope::DEFAULT, &id, seq(2), session(fork)).await.unwrap();
    }
    let before = snapshot(store).await;
    store.delete_session(&Scope::DEFAULT, &session_id("first")).await.unwrap();
    store.delete_session(&Scope::DEFAULT, &id).await.unwrap();
    let second = session_id("second");
    let after = snapshot(store).await;
    assert_eq!((after.len(), &after[&second]), (1, &before[&second]));
    let hits = store.search(&Scope::DEFAULT, &SearchQuery::new("turn")).await.unwrap().items;
    assert!(hits.len() == 2 && hits.iter().all(|hit| hit.session.id == second));
    assert_eq!(
        store.append(&Scope::DEFAULT, &second, said("next", "x")).await.unwrap().seq,
        seq(3)
    );
}
