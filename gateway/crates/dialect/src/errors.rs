//! Errors, in the shapes that callers parse, and what upstreams' own errors become.
use bytes::Bytes;

/// An error as any dialect can show it.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBody<'a> {
    pub status: u16,
    pub code: &'a str,
    /// Constant for the code; problem documents alone show it.
    pub title: &'a str,
    /// What is wrong with this request.
    pub detail: &'a str,
    pub fix: Option<&'a str>,
    /// Path of the offending field.
    pub param: Option<&'a str>,
    pub request_id: Option<&'a str>,
}

impl ErrorBody<'_> {
    /// `{"error": {"message", "type", "param", "code", "fix", "request_id"}}`
    pub fn openai(&self) -> Bytes {
        todo!()
    }
    /// `application/problem+json`
    pub fn problem(&self) -> Bytes {
        todo!()
    }
    /// `data: {"error": …}` and a blank line; never followed by `[DONE]`.
    pub fn sse_event(&self) -> Bytes {
        todo!()
    }
}

/// An upstream answered with something that is not an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamFault {
    /// Status for the caller, if none went out yet.
    pub status: u16,
    pub code: FaultCode,
    /// For the caller; holds no secret and no address.
    pub message: String,
    pub param: Option<String>,
    /// Another target or another try may do better.
    pub retryable: bool,
    /// Start of what the upstream said, for the log alone.
    pub log: String,
}

/// Codes of upstreams' faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// `upstream_error`: no proper answer.
    UpstreamError,
    /// `upstream_cut`: a stream ended before it was whole.
    UpstreamCut,
    /// `upstream_rate_limited`: the upstream's own limit.
    UpstreamRateLimited,
    /// `upstream_refused`: the request itself, says the upstream.
    UpstreamRefused,
    /// `context_length_exceeded`
    ContextLengthExceeded,
}

impl FaultCode {
    pub const ALL: [Self; 5] = [
        Self::UpstreamError,
        Self::UpstreamCut,
        Self::UpstreamRateLimited,
        Self::UpstreamRefused,
        Self::ContextLengthExceeded,
    ];
    pub fn as_str(self) -> &'static str {
        todo!()
    }
    pub fn status(self) -> u16 {
        todo!()
    }
    pub fn title(self) -> &'static str {
        todo!()
    }
    pub fn fix(self) -> &'static str {
        todo!()
    }
}

impl UpstreamFault {
    /// What an answer with an error status (>= 400) means to the caller.
    pub fn from_status(status: u16, body: &[u8]) -> Self {
        let _ = (status, body);
        todo!()
    }
}
