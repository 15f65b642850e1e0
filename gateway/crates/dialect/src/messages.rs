//! Anthropic's messages: requests read once and kept as bytes, and this dialect as either side of a
//! translation.

mod answer;

mod pieces;
mod read;
mod write;

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::routing::{FieldRule, Operation};

pub(crate) use answer::{metered, read as read_answer, write as write_answer};

pub(crate) use pieces::{Reader, Writer};
pub(crate) use read::conversation;
pub(crate) use write::write;

use crate::json::{Cursor, Kind, Syntax};
use crate::middle::Stop;
use crate::request::{Envelope, RequestError, Trouble, expect, string, whole};

/// How deep content may stand in content: results of tools hold blocks, and those hold none.
const CONTENT_DEPTH: u32 = 4;

/// A request body of Anthropic's messages, or of counting their tokens.
#[derive(Clone, Debug)]
pub struct MessagesRequest {
    envelope: Envelope,
    operation: Operation,
    user: Option<String>,
    max_tokens: Option<u64>,
}

impl MessagesRequest {
    /// Read a body of `Chat` or `CountTokens`.
    ///
    /// # Errors
    /// The body is not JSON, or a field that the gateway reads is missing or of a wrong type.
    pub fn read(operation: Operation, body: Bytes) -> Result<Self, RequestError> {
        let (mut user, mut max_tokens, mut messages) = (None, None, false);
        let envelope = Envelope::read(body, |cursor, key, text| {
            match key {
                b"max_tokens" => max_tokens = whole(cursor, "max_tokens")?,
                b"metadata" => user = user_id(cursor)?,
                b"messages" => {
                    self::messages(cursor, text)?;
                    messages = true;
                }
                b"system" => content(cursor, text, 0)?,
                // What describes tools and output reaches the model as text.
                b"tools" | b"output_config" => *text += cursor.skip()?.len() as u64,
                _ => {
                    cursor.skip()?;
                }
            }
            Ok(())
        })?;
        if !messages {
            return Err(RequestError::missing("messages", "an array of messages"));
        }
        if max_tokens.is_none() && operation != Operation::CountTokens {
            return Err(RequestError::missing("max_tokens", "the most tokens of the answer"));
        }
        Ok(Self { envelope, operation, user, max_tokens })
    }

    pub fn operation(&self) -> Operation {
        self.operation
    }

    pub fn model(&self) -> &str {
        &self.envelope.model
    }

    pub fn stream(&self) -> bool {
        self.envelope.stream && self.operation != Operation::CountTokens
    }

    pub fn max_output_tokens(&self) -> Option<u64> {
        self.max_tokens
    }

    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub fn input_bytes(&self) -> u64 {
        self.envelope.input_bytes
    }

    /// The conversation as it stands in the body.
    pub fn prompt(&self) -> &[u8] {
        self.envelope.value("messages")
    }

    pub fn body(&self) -> &Bytes {
        &self.envelope.body
    }

    pub(crate) fn for_upstream(
        &self,
        model: &str,
        rules: Option<&BTreeMap<String, FieldRule>>,
    ) -> Result<Bytes, RequestError> {
        let bookkeeping = ["metadata", "service_tier", "inference_geo"];
        self.envelope.rewritten(model, rules, &["messages", "stream"], &bookkeeping)
    }
}

/// `metadata.user_id`.
fn user_id(cursor: &mut Cursor<'_>) -> Result<Option<String>, Trouble> {
    if cursor.kind()? == Kind::Null {
        cursor.skip()?;
        return Ok(None);
    }
    expect(cursor, "metadata", Kind::Object, "an object")?;
    cursor.enter();
    let (mut first, mut user) = (true, None);
    while let Some(key) = cursor.key(&mut first)? {
        if key.is(cursor.bytes(), "user_id") {
            user = string(cursor, "metadata.user_id")?;
        } else {
            cursor.skip()?;
        }
    }
    Ok(user)
}

fn messages(cursor: &mut Cursor<'_>, text: &mut u64) -> Result<(), Trouble> {
    expect(cursor, "messages", Kind::Array, "an array of messages")?;
    cursor.enter();
    let (mut first, mut count) = (true, 0_u32);
    while cursor.element(&mut first)? {
        if cursor.kind()? != Kind::Object {
            let param = format!("messages[{count}]");
            expect(cursor, &param, Kind::Object, "an object with `role` and `content`")?;
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if key.raw(cursor.bytes()) == b"content" {
                content(cursor, text, 0)?;
            } else {
                cursor.skip()?;
            }
        }
        count += 1;
    }
    if count == 0 {
        return Err(RequestError::invalid("messages", "`messages` is empty".to_owned())
            .fix("Send at least one message: `{\"role\": \"user\", \"content\": \"…\"}`.")
            .into());
    }
    Ok(())
}

/// Count the text of a content: a string, or blocks. Pictures and documents are no text.
fn content(cursor: &mut Cursor<'_>, text: &mut u64, depth: u32) -> Result<(), Syntax> {
    if cursor.kind()? != Kind::Array || depth == CONTENT_DEPTH {
        cursor.skip_counting(text)?;
        return Ok(());
    }
    cursor.enter();
    let mut first = true;
    while cursor.element(&mut first)? {
        if cursor.kind()? != Kind::Object {
            cursor.skip_counting(text)?;
            continue;
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            match key.raw(cursor.bytes()) {
                b"type" | b"source" | b"signature" | b"cache_control" => {
                    cursor.skip()?;
                }
                b"content" => content(cursor, text, depth + 1)?,
                _ => {
                    cursor.skip_counting(text)?;
                }
            }
        }
    }
    Ok(())
}

/// `stop_reason` of an ending.
fn reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::Calls => "tool_use",
        Stop::Refused => "refusal",
    }
}

/// What a `stop_reason` says.
fn stop(reason: &str, sequence: Option<String>) -> Stop {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::Calls,
        "refusal" => Stop::Refused,
        "stop_sequence" => Stop::Sequence(sequence.unwrap_or_default()),
        // `pause_turn` is of hosted tools, which no other dialect asks for.
        _ => Stop::End,
    }
}
