//! `Arc` and `Box` of a store are stores.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AdminStore, AppendOptions, Appended, Deleted, ImportMode, PendingStream, Store, Tenant,
    TenantQuery,
};
use crate::{
    Hit, Message, MessageId, MessagePatch, MessageQuery, NewMessage, NewSession, Page, PageRequest,
    Result, Scope, SearchQuery, Seq, Session, SessionId, SessionPatch, SessionQuery, Stats,
    StatsQuery, StreamedTranscript, TenantId, Timestamp, Transcript,
};

macro_rules! delegate {
    ($pointer:ident) => {
        #[async_trait]
        impl<S: Store + ?Sized> Store for $pointer<S> {
            fn name(&self) -> &'static str {
                (**self).name()
            }
            fn now(&self) -> Timestamp {
                (**self).now()
            }
            async fn create_session(&self, scope: &Scope, new: NewSession) -> Result<Session> {
                (**self).create_session(scope, new).await
            }
            async fn session(&self, scope: &Scope, id: &SessionId) -> Result<Session> {
                (**self).session(scope, id).await
            }
            async fn update_session(
                &self,
                scope: &Scope,
                id: &SessionId,
                patch: SessionPatch,
            ) -> Result<Session> {
                (**self).update_session(scope, id, patch).await
            }
            async fn delete_session(&self, scope: &Scope, id: &SessionId) -> Result<bool> {
                (**self).delete_session(scope, id).await
            }
            async fn delete_user(&self, scope: &Scope, user_id: &str) -> Result<Deleted> {
                (**self).delete_user(scope, user_id).await
            }
            async fn list_sessions(
                &self,
                scope: &Scope,
                query: &SessionQuery,
            ) -> Result<Page<Session>> {
                (**self).list_sessions(scope, query).await
            }
            async fn append_opts(
                &self,
                scope: &Scope,
                id: &SessionId,
                batch: Vec<NewMessage>,
                options: AppendOptions,
            ) -> Result<Appended> {
                (**self).append_opts(scope, id, batch, options).await
            }
            async fn message(
                &self,
                scope: &Scope,
                id: &SessionId,
                message_id: &MessageId,
            ) -> Result<Message> {
                (**self).message(scope, id, message_id).await
            }
            async fn messages(
                &self,
                scope: &Scope,
                id: &SessionId,
                query: &MessageQuery,
            ) -> Result<Page<Message>> {
                (**self).messages(scope, id, query).await
            }
            async fn update_message(
                &self,
                scope: &Scope,
                id: &SessionId,
                message_id: &MessageId,
                patch: MessagePatch,
            ) -> Result<Message> {
                (**self).update_message(scope, id, message_id, patch).await
            }
            async fn delete_message(
                &self,
                scope: &Scope,
                id: &SessionId,
                message_id: &MessageId,
            ) -> Result<bool> {
                (**self).delete_message(scope, id, message_id).await
            }
            async fn fork(
                &self,
                scope: &Scope,
                id: &SessionId,
                up_to: Seq,
                new: NewSession,
            ) -> Result<Session> {
                (**self).fork(scope, id, up_to, new).await
            }
            async fn import(
                &self,
                scope: &Scope,
                transcript: Transcript,
                mode: ImportMode,
            ) -> Result<Session> {
                (**self).import(scope, transcript, mode).await
            }
            async fn import_streamed(
                &self,
                scope: &Scope,
                conversation: StreamedTranscript,
                mode: ImportMode,
            ) -> Result<Session> {
                (**self).import_streamed(scope, conversation, mode).await
            }
            async fn search(&self, scope: &Scope, query: &SearchQuery) -> Result<Page<Hit>> {
                (**self).search(scope, query).await
            }
            async fn stats(&self, scope: &Scope, query: &StatsQuery) -> Result<Stats> {
                (**self).stats(scope, query).await
            }
            async fn flush(&self) -> Result<()> {
                (**self).flush().await
            }
            async fn close(&self) -> Result<()> {
                (**self).close().await
            }
        }

        #[async_trait]
        impl<S: AdminStore + ?Sized> AdminStore for $pointer<S> {
            async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>> {
                (**self).tenants(query).await
            }
            async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted> {
                (**self).delete_tenant(tenant).await
            }
            async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>> {
                (**self).pending_streams(page).await
            }
        }
    };
}

delegate!(Arc);
delegate!(Box);
