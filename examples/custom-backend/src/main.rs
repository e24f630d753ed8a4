//! Keeps a conversation in the folder given as argument, `conversations` if none is given.

use custom_backend::Folder;
use shs_store::{NewMessage, NewSession, Result, Scope, SearchQuery, Store, StoreExt};

#[tokio::main]
async fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "conversations".to_owned());
    let store = Folder::open(&path).await?;

    let new = NewSession::new().with_user("alice").with_title("Billing");
    let session = store.create_session(&Scope::DEFAULT, new).await?;
    store.append(&Scope::DEFAULT, &session.id, NewMessage::user("I was double-charged.")).await?;
    let answer = NewMessage::assistant("I can see it. Fixed.").with_tokens(18);
    store.append(&Scope::DEFAULT, &session.id, answer).await?;

    let stored = store.session(&Scope::DEFAULT, &session.id).await?;
    println!("{path} keeps session {}: {} messages", stored.id, stored.message_count);
    for hit in
        store.search(&Scope::DEFAULT, &SearchQuery::new("charged").with_limit(3)).await?.items
    {
        println!("found: {}: {}", hit.message.role, hit.snippet.marked("[", "]"));
    }
    store.close().await
}
