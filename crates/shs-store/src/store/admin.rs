//! Work across tenants.

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};

use super::ext::{interrupt_stale, items};
use super::{Deleted, Store};
use crate::query::filter::page_methods;
use crate::query::{PageBuilder, Position};
use crate::streaming::StreamLease;
use crate::{Error, Message, Page, PageRequest, Result, Scope, SessionId, TenantId, Timestamp};

/// What operators do across the tenants of a store.
///
/// It is a trait of its own, so that code that serves people cannot reach beyond its
/// [scope](Scope) by mistake: hand it an `Arc<dyn Store>`, and keep the `Arc<dyn AdminStore>` for
/// whoever runs the service. The promises about atomicity, durability, cancel safety and errors are
/// those of [`Store`].
#[async_trait]
pub trait AdminStore: Store {
    /// Lists the tenants that have sessions, by name, in pages, with what they have.
    ///
    /// Walking the pages repeats no tenant and skips none that had a session throughout.
    async fn tenants(&self, query: &TenantQuery) -> Result<Page<Tenant>>;

    /// Deletes all sessions of a tenant, and says how many sessions and messages went; a repetition
    /// says zero.
    ///
    /// Each session goes whole or not at all. If the call fails or is dropped, some may be gone and
    /// others not; a repetition deletes the rest.
    async fn delete_tenant(&self, tenant: &TenantId) -> Result<Deleted>;

    /// Lists the pending messages of all tenants that carry a [lease](StreamLease), in the order in
    /// which they were stored, in pages.
    ///
    /// A page may hold fewer messages than the limit, or none:
    /// [`next`](Page::next) tells whether there are more.
    async fn pending_streams(&self, page: &PageRequest) -> Result<Page<PendingStream>>;
}

/// Conveniences on top of [`AdminStore`], for every store.
#[async_trait]
pub trait AdminStoreExt: AdminStore {
    /// Marks the streamed messages of all tenants as interrupted whose lease ran out before `now`,
    /// and says how many.
    ///
    /// As [`StoreExt::interrupt_stale_streams`](crate::StoreExt::interrupt_stale_streams), for
    /// every tenant. A message that its writer finishes meanwhile is left as it is.
    ///
    /// # Errors
    /// As [`AdminStore::pending_streams`] and [`Store::update_message`].
    async fn interrupt_all_stale_streams(&self, now: Timestamp) -> Result<u64> {
        let mut interrupted = 0;
        let mut request = PageRequest::default();
        loop {
            let page = self.pending_streams(&request).await?;
            for PendingStream { tenant, session_id, message } in page.items {
                let scope = Scope::of(tenant);
                let is_stale = interrupt_stale(self, &scope, &session_id, &message, now).await?;
                interrupted += u64::from(is_stale);
            }
            if !request.move_on(page.next) {
                return Ok(interrupted);
            }
        }
    }

    /// All tenants that have sessions, by name, page by page; the query's limit is the size of a
    /// page.
    fn tenant_stream(&self, query: TenantQuery) -> BoxStream<'_, Result<Tenant>> {
        let pages = stream::try_unfold(Some(query), move |query| async move {
            let Some(mut query) = query else { return Ok::<_, Error>(None) };
            let page = self.tenants(&query).await?;
            let more = query.page.move_on(page.next);
            Ok(Some((page.items, more.then_some(query))))
        });
        items(pages)
    }
}

impl<S: AdminStore + ?Sized> AdminStoreExt for S {}

/// A tenant that has sessions, with what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tenant {
    /// Its name; empty for the default tenant.
    pub id: TenantId,
    /// How many sessions it has: at least one.
    pub sessions: u64,
    /// How many messages they have.
    pub messages: u64,
}

impl Tenant {
    /// A tenant with so many sessions and messages; for backends.
    pub fn new(id: TenantId, sessions: u64, messages: u64) -> Self {
        Self { id, sessions, messages }
    }
}

/// Asks for tenants, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantQuery {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}

/// What ties a cursor to a list of tenants.
const TENANTS: u64 = 0x74_656e_616e_7473;
/// What ties a cursor to a list of pending messages.
const PENDING: u64 = 0x70_656e_6469_6e67;

impl TenantQuery {
    /// All tenants.
    pub fn new() -> Self {
        Self::default()
    }

    page_methods!();

    /// The tenant behind which the page begins; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is not one of a list of tenants.
    pub fn begins_after(&self) -> Result<Option<TenantId>> {
        match self.page.position(TENANTS)? {
            Some(Position::Tenant(tenant)) => Ok(Some(tenant)),
            Some(_) => Err(Error::invalid("the cursor is not one of a list of tenants")),
            None => Ok(None),
        }
    }

    /// The page, out of all tenants that have sessions, in any order; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the limit or the cursor is not valid.
    pub fn page_of(&self, mut tenants: Vec<Tenant>) -> Result<Page<Tenant>> {
        let mut page = PageBuilder::new(self.page.checked_limit()?);
        let after = self.begins_after()?;
        tenants.retain(|tenant| after.as_ref().is_none_or(|after| tenant.id > *after));
        tenants.sort_by(|a, b| a.id.cmp(&b.id));
        let offset = usize::try_from(self.page.offset).unwrap_or(usize::MAX);
        for tenant in tenants.into_iter().skip(offset) {
            let position = Position::Tenant(tenant.id.clone());
            if !page.push(tenant, position, 0) {
                break;
            }
        }
        Ok(self.finish(page))
    }

    /// The page that was filled with tenants by name; for backends.
    pub fn finish(&self, page: PageBuilder<Tenant>) -> Page<Tenant> {
        page.finish(TENANTS)
    }
}

/// A message that somebody writes, or wrote when their process ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PendingStream {
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// The message. Its content may be left out.
    pub message: Message,
}

impl PendingStream {
    /// A pending message of a session; for backends.
    pub fn new(tenant: TenantId, session_id: SessionId, message: Message) -> Self {
        Self { tenant, session_id, message }
    }

    /// The number of arrival behind which the page begins; for backends.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the cursor is not one of such a list.
    pub fn begins_after(page: &PageRequest) -> Result<Option<i64>> {
        match page.position(PENDING)? {
            Some(Position::Arrival(number)) => Ok(Some(number)),
            Some(_) => Err(Error::invalid("the cursor is not one of a list of pending messages")),
            None => Ok(None),
        }
    }

    /// The page, out of pending messages by rising numbers of arrival behind
    /// [`begins_after`](Self::begins_after); for backends. `load` returns `None` for what is passed
    /// over.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if the limit is not valid, and whatever `load`
    /// fails with.
    pub fn page_of<T>(
        request: &PageRequest,
        numbered: impl Iterator<Item = (i64, T)>,
        mut load: impl FnMut(T) -> Result<Option<Self>>,
    ) -> Result<Page<Self>> {
        let mut page = PageBuilder::new(request.checked_limit()?);
        for (number, item) in numbered {
            if page.is_full() {
                page.mark_more();
                break;
            }
            let Some(pending) = load(item)? else { continue };
            if StreamLease::of(&pending.message).is_some() {
                let weight = pending.message.weight();
                page.push(pending, Position::Arrival(number), weight);
            }
        }
        Ok(page.finish(PENDING))
    }
}
