//! What all requests share, and the routes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use session_history_saver::tower::{RecordLayer, Recorder};
use session_history_saver::{SessionId, SessionTracker};

use crate::guard::Hosts;
use crate::responder::Responder;
use crate::visitor::{self, Visitors};
use crate::{api, completions, guard, page};

/// What all requests share; clones are cheap.
#[derive(Clone)]
pub(crate) struct App {
    history: SessionTracker,
    responder: Arc<Responder>,
    answering: Arc<Mutex<HashSet<SessionId>>>,
}

impl App {
    pub(crate) fn new(history: SessionTracker, responder: Responder) -> Self {
        Self { history, responder: Arc::new(responder), answering: Arc::default() }
    }

    /// Everybody's conversations; handlers take a [`History`](crate::history::History).
    pub(crate) fn history(&self) -> &SessionTracker {
        &self.history
    }

    pub(crate) fn responder(&self) -> &Responder {
        &self.responder
    }

    /// The whole server. The conversations of `/v1` go through the recorder; those of the page are stored by [`api`].
    pub(crate) fn router(self, recorder: Recorder, visitors: Visitors, hosts: Hosts) -> Router {
        let identify = from_fn_with_state(visitors.clone(), visitor::identify);
        let page = page::routes().merge(api::routes()).layer(identify);
        let openai = completions::routes()
            .layer(RecordLayer::new(recorder))
            .layer(from_fn_with_state(visitors, visitor::recognize));
        page.merge(openai)
            .layer(from_fn(guard::same_origin))
            .layer(from_fn_with_state(hosts, guard::own_host))
            .layer(map_response(guard::harden))
            .with_state(self)
    }

    /// The right to answer in a conversation, which one request at a time has.
    pub(crate) fn begin_answering(&self, id: &SessionId) -> Option<Answering> {
        let mut answering = self.answering.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = answering.insert(id.clone());
        is_first.then(|| Answering { all: Arc::clone(&self.answering), id: id.clone() })
    }
}

/// The right to answer in a conversation; dropping it gives it back.
pub(crate) struct Answering {
    all: Arc<Mutex<HashSet<SessionId>>>,
    id: SessionId,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
