//! How much of an exchange is kept.

/// How much of an exchange is kept. What is beyond a limit passes as it is and is not recorded; the message says so, with
/// the size, under [`keys::TRUNCATED`](crate::keys::TRUNCATED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's body, before and after each content-encoding is decoded; 4 MiB unless
    /// said otherwise. A longer one is recorded as a message without content, as a part of JSON
    /// cannot be read.
    pub request: usize,
    /// Bytes of text and tool calls of a streamed response, or of the body of one that comes whole;
    /// 2 MiB unless said otherwise, some half a million tokens. The beginning of a longer stream is
    /// kept. Of a response with a content-encoding, as many bytes are kept before they are decoded.
    pub response: usize,
    /// Bytes that a response with a content-encoding decodes to, each encoding by itself; 32 MiB
    /// unless said otherwise. The events of a stream are much longer than their text. Decoding ends
    /// there, and what came until then is kept.
    pub decoded: usize,
    /// Bytes of memory that the JSON of a body, an event or a line takes once it is read, as
    /// [`json_weight`](shs_wire::json_weight) estimates; 32 MiB unless said otherwise. `{},{},`
    /// takes some 200 times its length. What would take more is not read: a request is recorded as
    /// a message without content, an event is passed over.
    pub parsed: usize,
    /// Bytes of one server-sent event; 1 MiB unless said otherwise. A longer one is passed over.
    pub event: usize,
    /// Bytes of an attachment's data, as it stands in the message; 256 KiB unless said otherwise. In the
    /// place of longer data, its size and SHA-256 are kept.
    pub attachment: usize,
    /// Bytes of the definitions of tools that a request offers, as JSON; 16 KiB unless said otherwise, some 4,000
    /// tokens. Larger ones are not kept; the session says so under [`keys::TOOLS_LEFT_OUT`](crate::keys::TOOLS_LEFT_OUT).
    /// They stand in the session's metadata, which every list of sessions brings along, and which backends that have
    /// all sessions in memory hold there.
    pub tools: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        Self {
            request: 4 * KIB * KIB,
            response: 2 * KIB * KIB,
            decoded: 32 * KIB * KIB,
            parsed: 32 * KIB * KIB,
            event: KIB * KIB,
            attachment: 256 * KIB,
            tools: 16 * KIB,
        }
    }
}

impl Limits {
    /// Keeps so many bytes of a request's body.
    #[must_use]
    pub fn with_request(mut self, bytes: usize) -> Self {
        self.request = bytes;
        self
    }

    /// Keeps so many bytes of a response's text.
    #[must_use]
    pub fn with_response(mut self, bytes: usize) -> Self {
        self.response = bytes;
        self
    }

    /// Decodes responses with a content-encoding up to so many bytes.
    #[must_use]
    pub fn with_decoded(mut self, bytes: usize) -> Self {
        self.decoded = bytes;
        self
    }

    /// Reads JSON that takes so many bytes of memory.
    #[must_use]
    pub fn with_parsed(mut self, bytes: usize) -> Self {
        self.parsed = bytes;
        self
    }

    /// Reads events of so many bytes.
    #[must_use]
    pub fn with_event(mut self, bytes: usize) -> Self {
        self.event = bytes;
        self
    }

    /// Keeps so many bytes of an attachment's data.
    #[must_use]
    pub fn with_attachment(mut self, bytes: usize) -> Self {
        self.attachment = bytes;
        self
    }

    /// Keeps so many bytes of definitions of tools; none with 0.
    #[must_use]
    pub fn with_tools(mut self, bytes: usize) -> Self {
        self.tools = bytes;
        self
    }
}
