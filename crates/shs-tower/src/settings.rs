//! How a layer records.

use std::fmt;
use std::sync::Arc;

use http::header::HeaderName;
use http::request;

use crate::decode::Decoder;
use crate::{Ladder, Limits, Redact};

pub(crate) type When = Arc<dyn Fn(&request::Parts) -> bool + Send + Sync>;

/// Everything that a layer was told, shared by all its requests.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) decoders: Vec<Arc<dyn Decoder>>,
    pub(crate) session: Ladder,
    pub(crate) tenant: Ladder,
    pub(crate) user: Ladder,
    pub(crate) project: Ladder,
    pub(crate) limits: Limits,
    pub(crate) redact: Redact,
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) request_id: Vec<HeaderName>,
    pub(crate) when: Option<When>,
    pub(crate) write_ahead: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("decoders", &self.decoders)
            .field("session", &self.session)
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("project", &self.project)
            .field("limits", &self.limits)
            .field("redact", &self.redact)
            .field("headers", &self.headers)
            .field("write_ahead", &self.write_ahead)
            .finish_non_exhaustive()
    }
}
