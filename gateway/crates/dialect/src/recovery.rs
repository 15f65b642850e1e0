//! Going on with a streamed answer that broke off: the request for its rest, and the text that has come.
//!
//! Only text is gone on with. What else an answer may hold (calls of tools, thought, a refusal, several
//! choices, log-probabilities, a shape that was asked for) has no place in a message that a model goes on
//! with, or would be begun anew.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use towpath_wire::routing::Operation;

use crate::answer::Usage;
use crate::call::{Reply, Request};
use crate::follow::Follower;
use crate::request::OpenAiRequest;
use crate::translation::{Sink, Translation};
use crate::{MessagesRequest, ResponsesRequest};

/// Longest text that is kept of a stream: more than any model writes in one answer today.
const MAX_SAID: usize = 1 << 20;

/// What a stream has said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    text: String,
    /// It said something that is no text, or more text than is kept.
    other: bool,
    /// It has its ending.
    ended: bool,
}

impl Said {
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > MAX_SAID {
            self.other = true;
            self.text = String::new();
        } else {
            self.text.push_str(text);
        }
    }

    pub(crate) fn note_other(&mut self) {
        self.other = true;
    }

    pub(crate) fn note_end(&mut self) {
        self.ended = true;
    }

    /// A model can go on with it.
    fn is_open(&self) -> bool {
        !self.other && !self.ended && !self.text.trim().is_empty()
    }

    /// The white space that it ends in. A model that goes on is not shown it: models write it with the word
    /// that follows, and some refuse a message that ends in it.
    pub(crate) fn white_end(&self) -> &str {
        self.text.get(self.text.trim_end().len()..).unwrap_or_default()
    }

    /// Forget what came after so many bytes: it has not left.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        self.text.truncate(bytes);
    }
}

/// An answer that broke off, as far as it has left.
#[derive(Clone, Debug)]
pub struct Begun {
    said: Said,
    /// Its caller's side as it stands.
    sink: Sink,
    used: Usage,
}

impl Begun {
    pub(crate) fn new(said: Said, sink: Sink, used: Usage) -> Option<Self> {
        said.is_open().then_some(Self { said, sink, used })
    }

    /// Its text.
    pub fn said(&self) -> &str {
        self.said.text()
    }

    /// Follow the stream of a target that goes on with it, into the same answer of the caller's; `None`: such
    /// streams are not read.
    pub fn follow(&self, reply: &Reply) -> Option<Follower> {
        let source = reply.source()?;
        let (said, sink) = (self.said.clone(), self.sink.clone());
        Some(Follower::translated(Translation::going_on(source, sink, said, self.used)))
    }
}

type Members = BTreeMap<String, Box<RawValue>>;

impl Request {
    /// Whether a stream of its answer might be gone on with, if nothing but text comes.
    pub fn may_go_on(&self) -> bool {
        self.operation() == Operation::Chat && self.stream() && self.choices() == 1
    }

    /// The request for the rest of an answer that broke off after `said`, with `produced` tokens; `None`
    /// where no model can be asked for that.
    pub fn going_on(&self, said: &str, produced: u64) -> Option<Self> {
        let said = said.trim_end();
        if !self.may_go_on() || said.is_empty() {
            return None;
        }
        let left = match self.max_output_tokens() {
            None => None,
            Some(most) => Some(most.checked_sub(produced).filter(|left| *left > 0)?),
        };
        let mut members: Members = serde_json::from_slice(self.body()).ok()?;
        match self {
            Self::OpenAi(_) => with_answer(&mut members, "messages", said, |members| {
                is(members, "logprobs", &["false"]) && is_text(member(members, "response_format"))
            })?,
            Self::Messages(_) => with_answer(&mut members, "messages", said, |members| {
                let output: Option<Output> = inner(member(members, "output_config"));
                output.unwrap_or_default().format.is_none()
            })?,
            Self::Responses(_) => with_answer(&mut members, "input", said, |members| {
                let text: Option<Output> = inner(member(members, "text"));
                is_text(text.unwrap_or_default().format.as_deref())
            })?,
            Self::Rerank(_) | Self::Transcription(_) => return None,
        }
        let body = Bytes::from(serde_json::to_vec(&members).ok()?);
        let request = match self {
            Self::OpenAi(_) => OpenAiRequest::read(Operation::Chat, body).map(Self::OpenAi),
            Self::Messages(_) => MessagesRequest::read(Operation::Chat, body).map(Self::Messages),
            Self::Responses(_) => ResponsesRequest::read(body).map(Self::Responses),
            Self::Rerank(_) | Self::Transcription(_) => return None,
        };
        let request = request.ok()?;
        left.map_or(Some(request.clone()), |left| request.with_max_output_tokens(left).ok())
    }
}

#[derive(Default, Deserialize)]
struct Output {
    #[serde(default)]
    format: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Turn {
    #[serde(default)]
    role: Option<String>,
}

#[derive(Deserialize)]
struct Typed {
    r#type: String,
}

/// Put an answer behind the conversation, unless that ends in one already or the rest does not go on.
fn with_answer(
    members: &mut Members,
    field: &str,
    said: &str,
    goes_on: impl FnOnce(&Members) -> bool,
) -> Option<()> {
    if !goes_on(members) {
        return None;
    }
    let talk = members.get(field)?.get().trim();
    let said = serde_json::json!({"role": "assistant", "content": said});
    let talk = if talk.starts_with('"') {
        format!("[{{\"role\":\"user\",\"content\":{talk}}},{said}]")
    } else {
        let turns: Vec<&RawValue> = serde_json::from_str(talk).ok()?;
        let last: Turn = serde_json::from_str(turns.last()?.get()).ok()?;
        if last.role.as_deref() == Some("assistant") {
            return None;
        }
        format!("{},{said}]", talk.strip_suffix(']')?)
    };
    members.insert(field.to_owned(), RawValue::from_string(talk).ok()?);
    Some(())
}

/// A field is absent, null or one of these.
fn is(members: &Members, field: &str, values: &[&str]) -> bool {
    members.get(field).is_none_or(|raw| raw.get() == "null" || values.contains(&raw.get()))
}

fn member<'a>(members: &'a Members, field: &str) -> Option<&'a RawValue> {
    members.get(field).map(AsRef::as_ref)
}

fn inner<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok().flatten()
}

/// The answer is to be plain text.
fn is_text(format: Option<&RawValue>) -> bool {
    match format {
        None => true,
        Some(raw) if raw.get() == "null" => true,
        Some(raw) => serde_json::from_str::<Typed>(raw.get()).is_ok_and(|one| one.r#type == "text"),
    }
}

#[cfg(test)]
mod tests;
