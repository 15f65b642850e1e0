//! Plain (not streamed) answers of OpenAI-style upstreams.
use crate::errors::UpstreamFault;

/// Tokens as the upstream reports them. What it does not report is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cached_input_tokens: Option<u64>,
    pub reasoning_tokens: Option<u64>,
}

/// What the gateway needs to know of an answer that passes on untouched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub usage: Option<Usage>,
    /// Bytes of generated text, to estimate output tokens where no usage is reported.
    pub content_bytes: u64,
}

impl Answer {
    /// Read an answer with a success status.
    ///
    /// # Errors
    /// HTML, text, broken JSON, or an error object in a 200.
    pub fn read(body: &[u8]) -> Result<Self, UpstreamFault> {
        let _ = body;
        todo!()
    }
}
