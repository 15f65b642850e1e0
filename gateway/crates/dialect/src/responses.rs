//! OpenAI's responses: requests read once and kept as bytes, and this dialect as the caller's side of a
//! translation. Nothing is kept between calls: what would need that is refused by name.

mod answer;
mod object;
mod pieces;
mod read;

use bytes::Bytes;

pub(crate) use answer::{metered, write as write_answer};
pub(crate) use object::Echo;
pub(crate) use pieces::Writer;
pub(crate) use read::conversation;

use crate::json::Kind;
use crate::request::{Envelope, RequestError, string, whole};

/// A request body of the Responses API.
#[derive(Clone, Debug)]
pub struct ResponsesRequest {
    envelope: Envelope,
    user: Option<String>,
    max_output_tokens: Option<u64>,
}

impl ResponsesRequest {
    /// Read a body.
    ///
    /// # Errors
    /// The body is not JSON, or a field that the gateway reads is missing or of a wrong type.
    pub fn read(body: Bytes) -> Result<Self, RequestError> {
        let (mut user, mut max_output_tokens, mut input) = (None, None, false);
        let envelope = Envelope::read(body, |cursor, key, text| {
            match key {
                b"max_output_tokens" => max_output_tokens = whole(cursor, "max_output_tokens")?,
                b"user" => user = string(cursor, "user")?,
                b"input" => {
                    let kind = cursor.kind()?;
                    if !matches!(kind, Kind::String | Kind::Array) {
                        let expected = "a string or an array of items";
                        return Err(RequestError::wrong_type("input", expected, kind).into());
                    }
                    input = true;
                    cursor.skip_counting(text)?;
                }
                // What describes tools and output reaches the model as text.
                b"instructions" | b"tools" | b"text" => {
                    cursor.skip_counting(text)?;
                }
                _ => {
                    cursor.skip()?;
                }
            }
            Ok(())
        })?;
        if !input && !envelope.has("prompt") && !envelope.has("previous_response_id") {
            return Err(RequestError::missing("input", "a string or an array of items"));
        }
        Ok(Self { envelope, user, max_output_tokens })
    }

    pub fn model(&self) -> &str {
        &self.envelope.model
    }

    pub fn stream(&self) -> bool {
        self.envelope.stream
    }

    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_output_tokens
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub fn input_bytes(&self) -> u64 {
        self.envelope.input_bytes
    }

    /// The input as it stands in the body.
    pub fn prompt(&self) -> &[u8] {
        self.envelope.value("input")
    }

    pub fn body(&self) -> &Bytes {
        &self.envelope.body
    }

    pub(crate) fn for_upstream(&self, model: &str) -> Result<Bytes, RequestError> {
        self.envelope.rewritten(model, None, &[], &[])
    }
}
