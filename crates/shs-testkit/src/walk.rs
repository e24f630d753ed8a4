//! Walking all pages of a list, with the promises of a page checked on the way.

use std::fmt::Debug;

use shs_store::{
    Cursor, Hit, Message, MessageQuery, Page, PageRequest, Scope, SearchQuery, Session, SessionId,
    SessionQuery, Store,
};

/// More pages than any rule has; a walk that does not end fails instead.
const MAX_PAGES: usize = 100_000;

/// Checks a page, adds its items and says where to go on.
fn take<T: Debug>(page: Page<T>, request: &PageRequest, items: &mut Vec<T>) -> Option<Cursor> {
    assert!(page.items.len() <= request.limit as usize, "a page keeps within its limit");
    assert!(
        page.next.is_none() || !page.items.is_empty(),
        "a page with a next one holds at least one item"
    );
    items.extend(page.items);
    page.next
}

macro_rules! walks {
    ($($(#[$doc:meta])* $name:ident($($id:ident: $id_type:ty)?) by $method:ident($query:ty) -> $item:ty;)+) => {
        $($(#[$doc])*
        pub(crate) async fn $name<S: Store + ?Sized>(
            store: &S,
            scope: &Scope,
            $($id: $id_type,)?
            query: &$query,
        ) -> Vec<$item> {
            let mut query = query.clone();
            let mut items = Vec::new();
            for _ in 0..MAX_PAGES {
                let page = store.$method(scope, $($id,)? &query).await.expect("a page can be read");
                match take(page, &query.page, &mut items) {
                    Some(next) => query.page.after = Some(next),
                    None => return items,
                }
                query.page.offset = 0;
            }
            panic!("the pages do not end");
        })+
    };
}

walks! {
    /// All sessions that a query asks for.
    sessions() by list_sessions(SessionQuery) -> Session;
    /// All messages that a query asks for.
    messages(id: &SessionId) by messages(MessageQuery) -> Message;
    /// All hits of a search.
    hits() by search(SearchQuery) -> Hit;
}
