//! `Arc` and `Box` of a store are stores.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AppendOptions, Appended, Deleted, ImportMode, Store};
use crate::{
    Hit, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, Result,
    SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery, Stats, StatsQuery,
    Transcript,
};

macro_rules! delegate {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: Store + ?Sized> Store for $pointer<S> {
            fn name(&self) -> &'static str {
                (**self).name()
            }
            async fn create_session(&self, new: NewSession) -> Result<Session> {
                (**self).create_session(new).await
            }
            async fn session(&self, id: &SessionId) -> Result<Session> {
                (**self).session(id).await
            }
            async fn update_session(&self, id: &SessionId, patch: SessionPatch) -> Result<Session> {
                (**self).update_session(id, patch).await
            }
            async fn delete_session(&self, id: &SessionId) -> Result<bool> {
                (**self).delete_session(id).await
            }
            async fn delete_user(&self, user_id: &str) -> Result<Deleted> {
                (**self).delete_user(user_id).await
            }
            async fn list_sessions(&self, query: &SessionQuery) -> Result<Page<Session>> {
                (**self).list_sessions(query).await
            }
            async fn append_opts(
                &self,
                id: &SessionId,
                batch: Vec<NewMessage>,
                options: AppendOptions,
            ) -> Result<Appended> {
                (**self).append_opts(id, batch, options).await
            }
            async fn message(&self, id: &SessionId, message_id: &MessageId) -> Result<Message> {
                (**self).message(id, message_id).await
            }
            async fn messages(
                &self,
                id: &SessionId,
                query: &MessageQuery,
            ) -> Result<Page<Message>> {
                (**self).messages(id, query).await
            }
            async fn update_message(
                &self,
                id: &SessionId,
                message_id: &MessageId,
                patch: MessagePatch,
            ) -> Result<Message> {
                (**self).update_message(id, message_id, patch).await
            }
            async fn delete_message(&self, id: &SessionId, message_id: &MessageId) -> Result<bool> {
                (**self).delete_message(id, message_id).await
            }
            async fn fork(&self, id: &SessionId, up_to: Seq, new: NewSession) -> Result<Session> {
                (**self).fork(id, up_to, new).await
            }
            async fn import(&self, transcript: Transcript, mode: ImportMode) -> Result<Session> {
                (**self).import(transcript, mode).await
            }
            async fn search(&self, query: &SearchQuery) -> Result<Page<Hit>> {
                (**self).search(query).await
            }
            async fn stats(&self, query: &StatsQuery) -> Result<Stats> {
                (**self).stats(query).await
            }
            async fn flush(&self) -> Result<()> {
                (**self).flush().await
            }
            async fn close(&self) -> Result<()> {
                (**self).close().await
            }
        }
    };
}

delegate!(Arc);
delegate!(Box);
