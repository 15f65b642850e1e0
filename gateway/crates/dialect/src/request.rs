//! OpenAI request bodies: read once, kept as bytes, cut to measure for each target.

mod envelope;
mod errors;
mod read;
mod rewrite;

use std::ops::Range;

use bytes::Bytes;
use towpath_wire::routing::Operation;

use crate::json::Text;

pub(crate) use envelope::Envelope;
pub(crate) use read::{Trouble, expect, model, shown, string, whole};
pub(crate) use rewrite::{check_range, unsupported};

pub use errors::{RequestCode, RequestError};
pub use rewrite::Rewrite;

/// Most members of the body's top level. The dialect has about 40; names are compared pairwise.
pub const MAX_FIELDS: usize = 256;

/// Most choices one request may ask for: OpenAI's own bounds are 128 choices of a chat and 2,048 prompts.
pub const MAX_CHOICES: u32 = 4_096;

/// A request body of the OpenAI dialect. It keeps the bytes and remembers where things are in them.
#[derive(Clone, Debug)]
pub struct OpenAiRequest {
    body: Bytes,
    operation: Operation,
    fields: Vec<Field>,
    model: String,
    user: Option<String>,
    stream: bool,
    stream_options: StreamOptions,
    max_output_tokens: Option<u64>,
    choices: u32,
    input: Input,
    input_bytes: u64,
    encoding: Encoding,
    dimensions: Option<u64>,
}

/// One member of the top level.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    name: Text,
    value: Range<usize>,
}

/// What `stream_options` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum StreamOptions {
    /// Not there, or null.
    #[default]
    Absent,
    /// An object; `include_usage` is where that member's value is, if it has one.
    Given { include_usage: Option<Range<usize>>, wanted: bool, empty: bool },
}

/// Shape of `prompt` or `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Input {
    #[default]
    Messages,
    Text,
    Texts(u32),
    Tokens,
}

/// How vectors are to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Float,
    Base64,
}

impl OpenAiRequest {
    /// Read a body of `Chat`, `Completions` or `Embeddings`.
    ///
    /// # Errors
    /// The body is not JSON, or a field that the gateway reads is missing or of a wrong type.
    pub fn read(operation: Operation, body: Bytes) -> Result<Self, RequestError> {
        read::read(operation, body)
    }

    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The name the caller asked for; never empty.
    pub fn model(&self) -> &str {
        &self.model
    }

    pub fn stream(&self) -> bool {
        self.stream
    }

    /// The caller asked for the usage chunk (`stream_options.include_usage`).
    pub fn wants_usage(&self) -> bool {
        matches!(self.stream_options, StreamOptions::Given { wanted: true, .. })
    }

    /// `max_completion_tokens`, or the older `max_tokens`.
    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens
    }

    /// The same request with at most so many tokens of each answer.
    ///
    /// # Errors
    /// Never for a request that was read: what is changed is a number.
    pub fn with_max_output_tokens(&self, most: u64) -> Result<Self, RequestError> {
        // The name the caller used; without one, the name that every server knows.
        let given = |name: &str| self.fields.iter().any(|field| field.name.is(&self.body, name));
        let name =
            if given("max_completion_tokens") { "max_completion_tokens" } else { "max_tokens" };
        let mut body = Vec::with_capacity(self.body.len() + 32);
        body.extend_from_slice(format!("{{\"{name}\":{most}").as_bytes());
        let limits = ["max_tokens", "max_completion_tokens"];
        for field in &self.fields {
            if limits.iter().any(|name| field.name.is(&self.body, name)) {
                continue;
            }
            body.push(b',');
            let whole = field.name.start - 1..field.value.end;
            body.extend_from_slice(self.body.get(whole).unwrap_or_default());
        }
        body.push(b'}');
        Self::read(self.operation, body.into())
    }

    /// Choices to expect: `n`, times the prompts of a completion.
    pub fn choices(&self) -> u32 {
        self.choices
    }

    /// The caller's own name for its user.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Bytes of text that the model will read, for estimates.
    pub fn input_bytes(&self) -> u64 {
        self.input_bytes
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The conversation, the prompt or the input as it stands in the body.
    pub fn prompt(&self) -> &[u8] {
        let name = match self.operation {
            Operation::Chat => "messages",
            Operation::Completions => "prompt",
            _ => "input",
        };
        self.value_of(name).and_then(|value| self.body.get(value)).unwrap_or_default()
    }

    pub(crate) fn input(&self) -> Input {
        self.input
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) fn dimensions(&self) -> Option<u64> {
        self.dimensions
    }

    /// The first field that is none of these, has a value, and is not a client's bookkeeping.
    pub(crate) fn field_besides(&self, known: &[&str]) -> Option<String> {
        let unknown = |field: &&Field| {
            let is = |name: &&str| field.name.is(&self.body, name);
            let null = self.body.get(field.value.clone()) == Some(b"null");
            !null && !known.iter().any(is) && !rewrite::BOOKKEEPING.iter().any(is)
        };
        self.fields.iter().find(unknown).map(|field| shown(&self.body, field.name))
    }

    /// Where the value of a top-level field is.
    pub(crate) fn value_of(&self, name: &str) -> Option<Range<usize>> {
        self.fields.iter().find(|f| f.name.is(&self.body, name)).map(|f| f.value.clone())
    }
}

#[cfg(test)]
mod tests;
