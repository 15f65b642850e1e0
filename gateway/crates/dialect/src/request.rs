//! OpenAI request bodies.
use bytes::Bytes;
use std::collections::BTreeMap;
use towpath_wire::routing::{FieldRule, Operation};

/// Why a request body is refused: always the caller's to mend, always status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    pub code: RequestCode,
    /// What is wrong and where.
    pub message: String,
    /// Path of the field, as `messages[3].role`.
    pub param: Option<String>,
    pub fix: Option<String>,
}

/// Codes of refused bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestCode {
    InvalidJson,
    MissingField,
    InvalidField,
    UnsupportedField,
}

impl RequestCode {
    pub const ALL: [Self; 4] =
        [Self::InvalidJson, Self::MissingField, Self::InvalidField, Self::UnsupportedField];
    pub fn as_str(self) -> &'static str {
        todo!()
    }
    pub fn title(self) -> &'static str {
        todo!()
    }
    pub fn fix(self) -> &'static str {
        todo!()
    }
}

/// A request body of the OpenAI dialect, read once; it keeps the bytes.
#[derive(Clone, Debug)]
pub struct OpenAiRequest {}

/// What changes on the way to one target.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// What the upstream calls the model.
    pub model: &'a str,
    /// The target's `request_fields`; `None`: everything passes.
    pub request_fields: Option<&'a BTreeMap<String, FieldRule>>,
}

impl OpenAiRequest {
    /// Read a body of `Chat`, `Completions` or `Embeddings`.
    pub fn read(operation: Operation, body: Bytes) -> Result<Self, RequestError> {
        let _ = (operation, body);
        todo!()
    }
    pub fn operation(&self) -> Operation {
        todo!()
    }
    pub fn model(&self) -> &str {
        todo!()
    }
    pub fn stream(&self) -> bool {
        todo!()
    }
    /// The caller asked for the usage chunk (`stream_options.include_usage`).
    pub fn wants_usage(&self) -> bool {
        todo!()
    }
    pub fn max_output_tokens(&self) -> Option<u64> {
        todo!()
    }
    /// Choices to expect: `n`, times the prompts of a completion.
    pub fn choices(&self) -> u32 {
        todo!()
    }
    pub fn user(&self) -> Option<&str> {
        todo!()
    }
    /// Bytes of text that the model will read, for estimates.
    pub fn input_bytes(&self) -> u64 {
        todo!()
    }
    pub fn body(&self) -> &Bytes {
        todo!()
    }
    /// The body for one target: model renamed, usage asked for on streams, fields checked and filtered.
    pub fn for_upstream(&self, rewrite: &Rewrite<'_>) -> Result<Bytes, RequestError> {
        let _ = rewrite;
        todo!()
    }
}
