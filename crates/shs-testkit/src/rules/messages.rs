//! Messages of a session are listed in pages, by number.

use shs_store::limits::PAGE_BYTES;
use shs_store::{
    ErrorKind, Message, MessageOrder, MessageQuery, NewMessage, Role, Scope, SessionId, Status,
    Store, StoreExt,
};

use crate::audit::refused;
use crate::sample::{at, conversation, message_id, said, seq, session, session_id};
use crate::{Fixture, Place, walk};

/// A message, or the messages of a session, that do not exist are not found.
pub async fn missing_messages_are_not_found<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let absent = session_id("absent");
    let message = message_id("m");
    let error =
        refused(store.message(&Scope::DEFAULT, &absent, &message).await, ErrorKind::NotFound);
    assert_eq!(error.session_id(), Some(&absent));
    let error = refused(
        store.messages(&Scope::DEFAULT, &absent, &MessageQuery::new()).await,
        ErrorKind::NotFound,
    );
    assert_eq!(error.session_id(), Some(&absent));
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let error = refused(store.message(&Scope::DEFAULT, &id, &message).await, ErrorKind::NotFound);
    assert_eq!((error.session_id(), error.message_id()), (Some(&id), Some(&message)));
    let page = store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await.unwrap();
    assert_eq!((page.items.len(), page.next), (0, None));
}

/// Walking the pages gives every message once, in either order, whatever the limit.
pub async fn pages_of_any_size_give_every_message_once<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let (id, all) = gaps(store).await;
    for order in [MessageOrder::Oldest, MessageOrder::Newest] {
        let expected = ordered(&all, order);
        for limit in 1..=all.len() as u32 + 1 {
            let query = in_order(order).with_limit(limit);
            assert_eq!(
                walk::messages(store, &Scope::DEFAULT, &id, &query).await,
                expected,
                "{query:?}"
            );
        }
    }
}

/// A page is full unless it is the last, holds 100 messages unless said otherwise, and has a next one
/// only if there is more.
pub async fn a_page_is_full_and_knows_whether_there_is_more<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    store.append_all(&Scope::DEFAULT, &id, conversation(100)).await.unwrap();
    let page = store.messages(&Scope::DEFAULT, &id, &MessageQuery::new()).await.unwrap();
    assert_eq!((page.items.len(), page.next), (100, None));
    store.append(&Scope::DEFAULT, &id, said("m101", "x")).await.unwrap();
    for query in [MessageQuery::new(), MessageQuery::new().newest_first()] {
        let page = store.messages(&Scope::DEFAULT, &id, &query).await.unwrap();
        assert_eq!((page.items.len(), page.next.is_some()), (100, true));
        let page = store
            .messages(&Scope::DEFAULT, &id, &query.with_after(page.next.unwrap()))
            .await
            .unwrap();
        assert_eq!((page.items.len(), page.next), (1, None));
    }
    let exact = MessageQuery::new().with_limit(101);
    assert_eq!(store.messages(&Scope::DEFAULT, &id, &exact).await.unwrap().next, None);
    let filtered = MessageQuery::new().with_role(Role::Assistant).with_limit(50);
    let page = store.messages(&Scope::DEFAULT, &id, &filtered).await.unwrap();
    assert_eq!((page.items.len(), page.next), (50, None), "what is filtered out is not more");
}

/// Every filter and every combination of filters gives exactly the messages that pass all of them.
pub async fn filters_give_what_passes_all_of_them<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    let models = [None, Some("a"), Some("A"), Some("a ")];
    let batch = (0..60).map(|n: usize| {
        let role = Role::ALL[n % Role::ALL.len()];
        let new = NewMessage::new(role, "x")
            .with_id(message_id(n.to_string()))
            .with_status(Status::ALL[n / 2 % Status::ALL.len()])
            .with_timestamp(at((n * 7 % 20) as i64));
        match models[n / 3 % models.len()] {
            Some(model) => new.with_model(model),
            None => new,
        }
    });
    let all = store.append_all(&Scope::DEFAULT, &id, batch.collect()).await.unwrap().messages;
    let mut queries = vec![MessageQuery::new()];
    let mut narrow = |change: &dyn Fn(MessageQuery) -> MessageQuery| {
        let narrowed: Vec<_> = queries.iter().cloned().map(change).collect();
        queries.extend(narrowed);
    };
    narrow(&|query| query.with_after_seq(seq(9)));
    narrow(&|query| query.with_up_to_seq(seq(51)));
    narrow(&|query| query.with_role(Role::Tool));
    narrow(&|query| query.with_model("a"));
    narrow(&|query| query.with_status(Status::Error));
    narrow(&|query| query.with_since(at(3)));
    narrow(&|query| query.with_until(at(17)));
    narrow(&|query| query.newest_first());
    queries.push(MessageQuery::new().with_after_seq(seq(60)));
    queries.push(MessageQuery::new().with_after_seq(seq(i64::MAX as u64)));
    queries.push(MessageQuery::new().with_up_to_seq(seq(0)));
    queries.push(MessageQuery::new().with_since(at(5)).with_until(at(5)));
    queries.push(MessageQuery::new().with_model("absent"));
    for query in queries {
        let matching: Vec<_> = all.iter().filter(|m| query.matches(*m)).cloned().collect();
        let expected = ordered(&matching, query.order);
        let query = query.with_limit(7);
        assert_eq!(
            walk::messages(store, &Scope::DEFAULT, &id, &query).await,
            expected,
            "{query:?}"
        );
    }
}

/// An offset passes over so many messages, counted from where the page begins.
pub async fn an_offset_passes_over_messages<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let (id, all) = gaps(store).await;
    for order in [MessageOrder::Oldest, MessageOrder::Newest] {
        let expected = ordered(&all, order);
        for offset in 0..=all.len() + 1 {
            let query = in_order(order).with_limit(3).with_offset(offset as u64);
            let rest = &expected[offset.min(expected.len())..];
            assert_eq!(
                walk::messages(store, &Scope::DEFAULT, &id, &query).await,
                rest,
                "{query:?}"
            );
        }
        let first =
            store.messages(&Scope::DEFAULT, &id, &in_order(order).with_limit(2)).await.unwrap();
        let query = in_order(order).with_after(first.next.unwrap()).with_offset(2).with_limit(1);
        assert_eq!(
            store.messages(&Scope::DEFAULT, &id, &query).await.unwrap().items,
            expected[4..5]
        );
        let beyond = in_order(order).with_offset(u64::MAX);
        let page = store.messages(&Scope::DEFAULT, &id, &beyond).await.unwrap();
        assert_eq!((page.items.len(), page.next), (0, None));
    }
}

/// Messages that are appended during a walk come last from the oldest, and not at all from the newest.
pub async fn what_is_appended_during_a_walk<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for order in [MessageOrder::Oldest, MessageOrder::Newest] {
        let id =
            store.create_session(&Scope::DEFAULT, session(format!("{order:?}"))).await.unwrap().id;
        store.append_all(&Scope::DEFAULT, &id, conversation(5)).await.unwrap();
        let mut query = in_order(order).with_limit(2);
        let mut walked = Vec::new();
        for round in 0.. {
            let page = store.messages(&Scope::DEFAULT, &id, &query).await.unwrap();
            walked.extend(page.items.iter().map(|message| message.seq.get()));
            if round < 2 {
                store
                    .append(&Scope::DEFAULT, &id, said(format!("late{round}"), "x"))
                    .await
                    .unwrap();
            }
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        let expected: &[u64] = match order {
            MessageOrder::Oldest => &[1, 2, 3, 4, 5, 6, 7],
            _ => &[5, 4, 3, 2, 1],
        };
        assert_eq!(walked, expected);
    }
}

/// Deleting messages during a walk makes it skip no other, also when the last one listed is deleted.
pub async fn what_is_deleted_during_a_walk<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    for order in [MessageOrder::Oldest, MessageOrder::Newest] {
        let id =
            store.create_session(&Scope::DEFAULT, session(format!("{order:?}"))).await.unwrap().id;
        store.append_all(&Scope::DEFAULT, &id, conversation(9)).await.unwrap();
        let page =
            store.messages(&Scope::DEFAULT, &id, &in_order(order).with_limit(3)).await.unwrap();
        let last = page.items.last().unwrap();
        store.delete_message(&Scope::DEFAULT, &id, &last.id).await.unwrap();
        store.delete_message(&Scope::DEFAULT, &id, &page.items[0].id).await.unwrap();
        store.delete_message(&Scope::DEFAULT, &id, &message_id("m5")).await.unwrap();
        let query = in_order(order).with_limit(3).with_after(page.next.unwrap());
        let rest = walk::messages(store, &Scope::DEFAULT, &id, &query).await;
        let rest: Vec<_> = rest.iter().map(|message| message.seq.get()).collect();
        let expected: &[u64] =
            if order == MessageOrder::Oldest { &[4, 6, 7, 8, 9] } else { &[6, 4, 3, 2, 1] };
        assert_eq!(rest, expected);
    }
}

/// A page of large messages ends early: all but its last message keep within the bytes of a page.
pub async fn pages_of_large_messages_are_short<F: Fixture>(place: &Place<F>) {
    let store = &*place.store;
    let id = store.create_session(&Scope::DEFAULT, session("s")).await.unwrap().id;
    for number in 0..5 {
        let content = format!("{number} {}", ".".repeat(3 * 1024 * 1024));
        store.append(&Scope::DEFAULT, &id, said(number.to_string(), content)).await.unwrap();
    }
    for order in [MessageOrder::Oldest, MessageOrder::Newest] {
        let mut query = in_order(order);
        let mut walked = Vec::new();
        loop {
            let page = store.messages(&Scope::DEFAULT, &id, &query).await.unwrap();
            let (last, before) = page.items.split_last().expect("a page holds a message");
            let bytes: usize = before.iter().map(Message::weight).sum();
            assert!(bytes <= PAGE_BYTES, "the page was full before its last message");
            let full = bytes + last.weight() > PAGE_BYTES;
            assert!(full || page.next.is_none(), "the page had room for another message");
            walked.extend(page.items.into_iter().map(|message| message.id));
            match page.next {
                Some(next) => query = query.with_after(next),
                None => break,
            }
        }
        if order == MessageOrder::Newest {
            walked.reverse();
        }
        assert_eq!(walked, ["0", "1", "2", "3", "4"]);
    }
}

/// A session with gaps in its numbers, and its messages.
async fn gaps<S: Store>(store: &S) -> (SessionId, Vec<Message>) {
    let id = store.create_session(&Scope::DEFAULT, session("gaps")).await.unwrap().id;
    let mut all = store.append_all(&Scope::DEFAULT, &id, conversation(12)).await.unwrap().messages;
    for message in ["m1", "m4", "m5", "m12"] {
        store.delete_message(&Scope::DEFAULT, &id, &message_id(message)).await.unwrap();
        all.retain(|kept| kept.id != message);
    }
    (id, all)
}

fn in_order(order: MessageOrder) -> MessageQuery {
    let mut query = MessageQuery::new();
    query.order = order;
    query
}

fn ordered(messages: &[Message], order: MessageOrder) -> Vec<Message> {
    let mut messages = messages.to_vec();
    if order == MessageOrder::Newest {
        messages.reverse();
    }
    messages
}
