//! What one tenant has does not stand in the way of another's searches.

use shs_sqlite::SqliteStore;
use shs_store::{NewMessage, NewSession, Scope, SearchOrder, SearchQuery, Store, StoreExt};

#[tokio::test]
async fn a_prefix_of_digits_finds_what_the_default_tenant_has_beside_a_large_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("history.db")).await.unwrap();
    let own = store.create_session(&Scope::DEFAULT, NewSession::new()).await.unwrap().id;
    store.append(&Scope::DEFAULT, &own, NewMessage::user("the year 1984")).await.unwrap();
    // More than a ranked search weighs; the mark of this tenant's tokens begins with a digit.
    let acme = Scope::tenant("acme").unwrap();
    let theirs = store.create_session(&acme, NewSession::new()).await.unwrap().id;
    for _ in 0..11 {
        let batch = (0..1_000).map(|_| NewMessage::user("hello")).collect();
        store.append_all(&acme, &theirs, batch).await.unwrap();
    }
    for order in [SearchOrder::Rank, SearchOrder::Newest] {
        for digit in 1..10 {
            let mut query = SearchQuery::new(format!("{digit}*"));
            query.order = order;
            let hits = store.search(&Scope::DEFAULT, &query).await.unwrap().items;
            assert_eq!(hits.len(), usize::from(digit == 1), "{digit}* {order:?}");
        }
    }
    store.close().await.unwrap();
}
