//! The tools that a request offers, and what is stored of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shs_store::{Map, NewSession, Timestamp};

use crate::keys;
use crate::redact::Clean;
use crate::settings::Settings;

/// What a request says about tools, free of secrets. One that offers none says nothing: what was offered before stays.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// A list of definitions.
    tools: Option<Value>,
    parallel: Option<bool>,
    /// One name for the tools.
    digest: Option<[u8; 16]>,
    /// Why the tools are not kept.
    left_out: Option<Value>,
}

/// What is stored of the tools of a session, as far as it is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    digest: Option<[u8; 16]>,
    parallel: Option<bool>,
    left_out: bool,
    /// Somebody else keeps something under the key.
    is_anothers: bool,
}

impl Offer {
    pub(super) fn new(
        mut tools: Vec<Value>,
        parallel: Option<bool>,
        settings: &Settings,
        clean: Clean<'_>,
    ) -> Self {
        tools.retain(Value::is_object);
        if tools.is_empty() {
            return Self::default();
        }
        clean.tools(&mut tools);
        let texts: Vec<_> = tools.iter().map(Value::to_string).collect();
        // Brackets, and commas between.
        let bytes = texts.iter().map(|text| text.len() + 1).sum::<usize>() + 1;
        let limit = settings.limits.tools;
        let kept = if bytes > limit {
            Err(json!({ "bytes": bytes, "limit": limit }))
        } else {
            storable(tools).map_err(|reason| json!({ "refused": reason }))
        };
        match kept {
            Ok(tools) => {
                let digest = Some(digest(texts));
                Self { tools: Some(tools), parallel, digest, left_out: None }
            }
            Err(why) => Self { left_out: Some(why), ..Self::default() },
        }
    }

    /// Whether the request says nothing about tools.
    pub(super) fn is_empty(&self) -> bool {
        self.tools.is_none() && self.left_out.is_none()
    }

    /// What has to be merged into the metadata of a session where this is stored; `None` if nothing.
    pub(super) fn change(&self, stored: Offered) -> Option<Map> {
        if stored.is_anothers {
            return None;
        }
        let mut change = Map::new();
        let mut put = |key: &str, value: Value| change.insert(key.to_owned(), value);
        if let Some(why) = self.left_out.as_ref().filter(|_| !stored.left_out) {
            put(keys::TOOLS_LEFT_OUT, why.clone());
        }
        if let Some(tools) = &self.tools {
            if self.digest != stored.digest {
                put(keys::TOOLS, tools.clone());
            }
            if let Some(parallel) = self.parallel.filter(|_| self.parallel != stored.parallel) {
                put(keys::PARALLEL_TOOL_CALLS, parallel.into());
            }
            if stored.left_out {
                put(keys::TOOLS_LEFT_OUT, Value::Null);
            }
        }
        (!change.is_empty()).then_some(change)
    }
}

/// The tools as a store takes them, or the limit that they break.
fn storable(tools: Vec<Value>) -> Result<Value, String> {
    let metadata = Map::from_iter([(keys::TOOLS.to_owned(), tools.into())]);
    let session = NewSession::new().with_metadata(metadata).into_session(Timestamp::now());
    match session {
        Ok(mut session) => Ok(session.metadata.remove(keys::TOOLS).expect("it was just put there")),
        Err(error) => Err(error.detail().to_owned()),
    }
}

impl Offered {
    /// What is stored with this metadata.
    pub(super) fn of(metadata: &Map) -> Self {
        let tools = metadata.get(keys::TOOLS).filter(|tools| !tools.is_null());
        let parallel = metadata.get(keys::PARALLEL_TOOL_CALLS).and_then(Value::as_bool);
        let left_out = metadata.contains_key(keys::TOOLS_LEFT_OUT);
        let Some(tools) = tools else {
            return Self { parallel, left_out, ..Self::default() };
        };
        let list = tools.as_array().filter(|tools| tools.iter().all(Value::is_object));
        let digest = list.map(|tools| digest(tools.iter().map(Value::to_string).collect()));
        Self { digest, parallel, left_out, is_anothers: digest.is_none() }
    }
}

/// One name for these tools, in whatever order: some clients change it with each request.
fn digest(mut tools: Vec<String>) -> [u8; 16] {
    tools.sort_unstable();
    let mut hash = Sha256::new();
    for tool in &tools {
        hash.update((tool.len() as u64).to_le_bytes());
        hash.update(tool);
    }
    hash.finalize()[..16].try_into().expect("a SHA-256 has 32 bytes")
}
