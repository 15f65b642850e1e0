//! One call between a caller and a target, whatever each of them speaks: what is sent, and how the answer
//! becomes the caller's.
//!
//! Same dialect on both sides: the bytes pass, but for what must differ. Nothing outside this crate knows
//! which pairs there are.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use towpath_wire::routing::{Dialect, FieldRule, Operation};

use crate::answer::{Answer, Usage};
use crate::errors::UpstreamFault;
use crate::follow::Follower;
use crate::messages::MessagesRequest;
use crate::middle::{Conversation, Stamp, Whole};
use crate::quirks::{Quirk, Quirks};
use crate::request::{OpenAiRequest, RequestCode, RequestError, Rewrite};
use crate::rerank::{self, RerankRequest};
use crate::responses::{Echo, ResponsesRequest};
use crate::stream::{StreamMeter, StreamRules, UsageChunk};
use crate::transcription::{self, Format, TranscriptMeter, TranscriptionRequest};
use crate::translation::{Sink, Source, Translation};
use crate::typed::{Grammar, TypedMeter};
use crate::{chat, messages, responses};

/// A caller's request to a model, read once; its bytes are kept.
#[derive(Clone, Debug)]
pub enum Request {
    OpenAi(OpenAiRequest),
    Messages(MessagesRequest),
    Responses(ResponsesRequest),
    Rerank(RerankRequest),
    Transcription(TranscriptionRequest),
}

/// What a request needs to know of the target it is written for.
#[derive(Clone, Copy, Debug)]
pub struct Receiver<'a> {
    pub dialect: Dialect,
    /// What the upstream calls the model.
    pub model: &'a str,
    /// The target's `request_fields`; `None`: everything passes.
    pub request_fields: Option<&'a BTreeMap<String, FieldRule>>,
    pub quirks: Quirks,
    /// For servers that keep prompts of several projects apart by it.
    pub cache_salt: Option<&'a str>,
    /// It is to go on with the answer that the request ends in.
    pub goes_on: bool,
}

impl<'a> Receiver<'a> {
    /// A target that takes every field and has no quirks.
    pub fn new(dialect: Dialect, model: &'a str) -> Self {
        let (quirks, goes_on) = (Quirks::default(), false);
        Self { dialect, model, request_fields: None, quirks, cache_salt: None, goes_on }
    }

    fn takes(&self, field: &str) -> bool {
        self.request_fields.is_none_or(|fields| fields.contains_key(field))
    }

    fn rewrite(&self) -> Rewrite<'a> {
        Rewrite {
            model: self.model,
            request_fields: self.request_fields,
            quirks: self.quirks,
            cache_salt: self.cache_salt,
            goes_on: self.goes_on,
        }
    }
}

/// A request in a target's dialect.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Below the base URL as the dialect's clients know it.
    pub path: &'static str,
    pub body: Bytes,
    /// What follows `body`, piece by piece, where it is not whole.
    pub rest: Vec<Bytes>,
    /// Of the body, where it is no JSON.
    pub content_type: Option<String>,
    /// An event stream is asked for.
    pub stream: bool,
    pub reply: Reply,
}

/// How the answer to a [`Sent`] is to be read.
#[derive(Clone, Debug)]
pub struct Reply(Pair);

/// How a caller's dialect and a target's go together, and what of the request the answer depends on.
#[derive(Clone, Debug)]
enum Pair {
    /// Passed on as they come.
    OpenAi {
        wants_usage: bool,
        choices: u32,
    },
    Messages,
    Responses,
    Rerank,
    Transcription(Format),
    Translated {
        from: From,
        to: To,
    },
}

/// The target's side of a translation.
#[derive(Clone, Copy, Debug)]
enum From {
    Chat,
    /// `by_tool`: a JSON schema was asked for by a tool.
    Messages {
        by_tool: bool,
    },
}

impl From {
    fn source(self) -> Source {
        match self {
            Self::Chat => Source::Chat(chat::Reader::default()),
            Self::Messages { by_tool } => Source::Messages(messages::Reader::new(by_tool)),
        }
    }
}

/// The caller's side of a translation.
#[derive(Clone, Debug)]
enum To {
    Chat { wants_usage: bool },
    Messages,
    Responses(Box<Echo>),
}

/// A plain answer in the caller's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub body: Bytes,
    pub content_type: &'static str,
    pub usage: Option<Usage>,
    /// Bytes of generated text, to estimate output tokens where no usage is reported.
    pub content_bytes: u64,
}

impl Request {
    pub fn operation(&self) -> Operation {
        match self {
            Self::OpenAi(request) => request.operation(),
            Self::Messages(request) => request.operation(),
            Self::Responses(_) => Operation::Chat,
            Self::Rerank(_) => Operation::Rerank,
            Self::Transcription(_) => Operation::Transcriptions,
        }
    }

    /// The name the caller asked for; never empty.
    pub fn model(&self) -> &str {
        match self {
            Self::OpenAi(request) => request.model(),
            Self::Messages(request) => request.model(),
            Self::Responses(request) => request.model(),
            Self::Rerank(request) => request.model(),
            Self::Transcription(request) => request.model(),
        }
    }

    pub fn stream(&self) -> bool {
        match self {
            Self::OpenAi(request) => request.stream(),
            Self::Messages(request) => request.stream(),
            Self::Responses(request) => request.stream(),
            Self::Transcription(request) => request.stream(),
            Self::Rerank(_) => false,
        }
    }

    /// Most tokens of each answer, where the caller says so.
    pub fn max_output_tokens(&self) -> Option<u64> {
        match self {
            Self::OpenAi(request) => request.max_output_tokens(),
            Self::Messages(request) => request.max_output_tokens(),
            Self::Responses(request) => request.max_output_tokens(),
            Self::Rerank(_) | Self::Transcription(_) => None,
        }
    }

    /// The same request with at most so many tokens of each answer, where its answer can be bounded.
    ///
    /// # Errors
    /// Never for a request that was read: what is changed is a number.
    pub fn with_max_output_tokens(&self, most: u64) -> Result<Self, RequestError> {
        match self {
            Self::OpenAi(request) => request.with_max_output_tokens(most).map(Self::OpenAi),
            Self::Messages(request) => {
                let body = with_number(request.body(), "max_tokens", most)?;
                MessagesRequest::read(request.operation(), body).map(Self::Messages)
            }
            Self::Responses(request) => {
                let body = with_number(request.body(), "max_output_tokens", most)?;
                ResponsesRequest::read(body).map(Self::Responses)
            }
            Self::Rerank(_) | Self::Transcription(_) => Ok(self.clone()),
        }
    }

    /// Answers to expect.
    pub fn choices(&self) -> u32 {
        match self {
            Self::OpenAi(request) => request.choices(),
            Self::Messages(_) | Self::Responses(_) | Self::Rerank(_) | Self::Transcription(_) => 1,
        }
    }

    /// The caller's own name for its user.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::OpenAi(request) => request.user(),
            Self::Messages(request) => request.user(),
            Self::Responses(request) => request.user(),
            Self::Rerank(request) => request.user(),
            Self::Transcription(_) => None,
        }
    }

    /// Bytes of sound that the model will hear.
    pub fn sound_bytes(&self) -> u64 {
        match self {
            Self::Transcription(request) => request.sound_bytes(),
            _ => 0,
        }
    }

    /// Bytes of text that the model will read, for estimates.
    pub fn input_bytes(&self) -> u64 {
        match self {
            Self::OpenAi(request) => request.input_bytes(),
            Self::Messages(request) => request.input_bytes(),
            Self::Responses(request) => request.input_bytes(),
            Self::Rerank(request) => request.input_bytes(),
            Self::Transcription(_) => 0,
        }
    }

    /// What the model will read, from its beginning, as it stands in the body: its start is the same for
    /// requests that begin alike.
    pub fn prompt(&self) -> &[u8] {
        match self {
            Self::OpenAi(request) => request.prompt(),
            Self::Messages(request) => request.prompt(),
            Self::Responses(request) => request.prompt(),
            Self::Rerank(request) => request.prompt(),
            Self::Transcription(_) => &[],
        }
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        match self {
            Self::OpenAi(request) => request.body(),
            Self::Messages(request) => request.body(),
            Self::Responses(request) => request.body(),
            Self::Rerank(request) => request.body(),
            Self::Transcription(request) => request.body(),
        }
    }

    /// Only tokens are to be counted, and this target cannot do it: an estimate must stand in.
    pub fn is_uncountable_at(&self, receiver: &Receiver<'_>) -> bool {
        self.operation() == Operation::CountTokens
            && receiver.dialect != Dialect::Anthropic
            && !receiver.quirks.has(Quirk::CountTokens)
    }

    /// Write the request for one target.
    ///
    /// # Errors
    /// The target does not take a field or a value, or its dialect cannot say it.
    pub fn for_target(&self, receiver: &Receiver<'_>) -> Result<Sent, RequestError> {
        match (self, receiver.dialect) {
            (Self::OpenAi(request), Dialect::Openai) => {
                let (wants_usage, choices) = (request.wants_usage(), request.choices());
                let body = request.for_upstream(&receiver.rewrite())?;
                let pair = Pair::OpenAi { wants_usage, choices };
                Ok(Sent::json(path(request.operation()), body, request.stream(), pair))
            }
            (Self::OpenAi(request), Dialect::Anthropic) => {
                if request.operation() != Operation::Chat {
                    return Err(untold("anything but chats"));
                }
                let talk = chat::conversation(request.body())?;
                to_messages(&talk, receiver, To::Chat { wants_usage: request.wants_usage() })
            }
            (Self::Messages(request), Dialect::Anthropic) => {
                let path = match request.operation() {
                    Operation::CountTokens => "/v1/messages/count_tokens",
                    _ => "/v1/messages",
                };
                let body = request.for_upstream(receiver.model, receiver.request_fields)?;
                Ok(Sent::json(path, body, request.stream(), Pair::Messages))
            }
            (Self::Messages(request), Dialect::Openai) => {
                if request.operation() == Operation::CountTokens {
                    let body = request.for_upstream(receiver.model, None)?;
                    return Ok(Sent::json("/messages/count_tokens", body, false, Pair::Messages));
                }
                let talk = messages::conversation(request.body())?;
                to_chat(&talk, receiver, To::Messages, &MESSAGES_WORDS)
            }
            (Self::Responses(request), Dialect::Openai)
                if receiver.quirks.has(Quirk::Responses) && !receiver.goes_on =>
            {
                let body = request.for_upstream(receiver.model)?;
                Ok(Sent::json("/responses", body, request.stream(), Pair::Responses))
            }
            (Self::Responses(request), dialect @ (Dialect::Openai | Dialect::Anthropic)) => {
                let (talk, echo) = responses::conversation(request.body())?;
                let to = To::Responses(Box::new(echo));
                match dialect {
                    Dialect::Anthropic => to_messages(&talk, receiver, to),
                    _ => to_chat(&talk, receiver, to, &RESPONSES_WORDS),
                }
            }
            (Self::Rerank(request), Dialect::Openai) => {
                let body = request.for_upstream(receiver.model, receiver.request_fields)?;
                Ok(Sent::json(path(Operation::Rerank), body, false, Pair::Rerank))
            }
            (Self::Transcription(request), Dialect::Openai) => {
                let form = request.for_upstream(receiver.model, receiver.request_fields)?;
                let pair = Pair::Transcription(request.format());
                Ok(Sent {
                    rest: form.rest,
                    content_type: Some(form.content_type),
                    ..Sent::json(path(Operation::Transcriptions), form.body, request.stream(), pair)
                })
            }
            (Self::Rerank(_) | Self::Transcription(_), Dialect::Anthropic) => {
                Err(untold("anything but chats"))
            }
            (_, Dialect::KserveV2 | Dialect::KserveGrpc) => Err(untold("chats and completions")),
        }
    }
}

impl Sent {
    fn json(path: &'static str, body: Bytes, stream: bool, pair: Pair) -> Self {
        let reply = Reply(pair);
        Self { path, body, rest: Vec::new(), content_type: None, stream, reply }
    }
}

/// A conversation for a target that speaks chats: written as a caller would, so that the target's fields
/// and quirks apply as to any other.
fn to_chat(
    talk: &Conversation,
    receiver: &Receiver<'_>,
    to: To,
    words: &[(&str, &str)],
) -> Result<Sent, RequestError> {
    let in_words = |error: RequestError| error.in_words(words);
    let body = chat::write(talk, receiver.model, |field| receiver.takes(field));
    let request = OpenAiRequest::read(Operation::Chat, body.map_err(in_words)?.into());
    let request = request.map_err(in_words)?;
    let body = request.for_upstream(&receiver.rewrite()).map_err(in_words)?;
    let pair = Pair::Translated { from: From::Chat, to };
    Ok(Sent::json(path(Operation::Chat), body, talk.stream, pair))
}

fn to_messages(talk: &Conversation, receiver: &Receiver<'_>, to: To) -> Result<Sent, RequestError> {
    let by_tool = receiver.quirks.has(Quirk::JsonSchemaByTool) && talk.format.is_some();
    let body = messages::write(talk, receiver.model, by_tool)?;
    let request = MessagesRequest::read(Operation::Chat, body.into())?;
    let body = request.for_upstream(receiver.model, receiver.request_fields)?;
    let pair = Pair::Translated { from: From::Messages { by_tool }, to };
    Ok(Sent::json("/v1/messages", body, talk.stream, pair))
}

impl Reply {
    /// Read a plain answer with a success status; `stamp` is for what is written anew.
    ///
    /// # Errors
    /// HTML, text, broken JSON, or an error object in a 200.
    pub fn answer(
        &self,
        body: Bytes,
        stamp: impl FnOnce() -> Stamp,
    ) -> Result<Answered, UpstreamFault> {
        let mut content_type = "application/json";
        let (usage, content_bytes) = match &self.0 {
            Pair::OpenAi { .. } => {
                let Answer { usage, content_bytes } = Answer::read(&body)?;
                (usage, content_bytes)
            }
            Pair::Messages => messages::metered(&body)?,
            Pair::Responses => responses::metered(&body)?,
            Pair::Rerank => (rerank::metered(&body)?, 0),
            Pair::Transcription(format) => {
                if *format == Format::Text {
                    content_type = "text/plain; charset=utf-8";
                }
                transcription::metered(&body, *format)?
            }
            Pair::Translated { from, to } => {
                let whole: Whole = match from {
                    From::Chat => chat::read_answer(&body)?,
                    From::Messages { by_tool } => messages::read_answer(&body, *by_tool)?,
                };
                let stamp = &stamp();
                let body = match to {
                    To::Chat { .. } => chat::write_answer(&whole, stamp),
                    To::Messages => messages::write_answer(&whole, stamp)?,
                    To::Responses(echo) => responses::write_answer(&whole, echo, stamp),
                };
                let content_bytes = whole.content_bytes();
                let (body, usage) = (body.into(), whole.usage);
                return Ok(Answered { body, content_type, usage, content_bytes });
            }
        };
        Ok(Answered { body, content_type, usage, content_bytes })
    }

    /// The target's side of its streams, read into pieces; `None`: there is no reader of them.
    pub(crate) fn source(&self) -> Option<Source> {
        match self.0 {
            Pair::OpenAi { .. } => Some(From::Chat.source()),
            Pair::Messages => Some(From::Messages { by_tool: false }.source()),
            Pair::Translated { from, .. } => Some(from.source()),
            Pair::Responses | Pair::Rerank | Pair::Transcription(_) => None,
        }
    }

    /// Follow a stream; `keep_text` keeps what the first choice says, for [`Follower::text`], and `stamp`
    /// is for what is written anew.
    pub fn follow(&self, keep_text: bool, stamp: impl FnOnce() -> Stamp) -> Follower {
        match &self.0 {
            Pair::OpenAi { wants_usage, choices } => {
                let usage = if *wants_usage { UsageChunk::Pass } else { UsageChunk::Strip };
                let rules = StreamRules { usage, choices: *choices, keep_text };
                Follower::open_ai(StreamMeter::new(rules))
            }
            Pair::Messages => Follower::typed(TypedMeter::new(Grammar::Messages, keep_text)),
            Pair::Responses => Follower::typed(TypedMeter::new(Grammar::Responses, keep_text)),
            Pair::Transcription(_) => Follower::transcript(TranscriptMeter::new(keep_text)),
            // Rankings are not streamed: whatever comes is no event of one.
            Pair::Rerank => Follower::typed(TypedMeter::new(Grammar::Responses, keep_text)),
            Pair::Translated { from, to } => {
                let source = from.source();
                let stamp = stamp();
                let sink = match to {
                    To::Chat { wants_usage } => Sink::Chat(chat::Writer::new(stamp, *wants_usage)),
                    To::Messages => Sink::Messages(messages::Writer::new(stamp)),
                    To::Responses(echo) => {
                        let echo = Echo::clone(echo);
                        Sink::Responses(Box::new(responses::Writer::new(stamp, echo)))
                    }
                };
                Follower::translated(Translation::new(source, sink, keep_text))
            }
        }
    }
}

/// What the fields of a chat are called by callers of the other dialects.
const MESSAGES_WORDS: [(&str, &str); 5] = [
    ("stop", "stop_sequences"),
    ("response_format", "output_config.format"),
    ("reasoning_effort", "output_config.effort"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("user", "metadata.user_id"),
];
const RESPONSES_WORDS: [(&str, &str); 4] = [
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
];

impl RequestError {
    /// The same refusal with a caller's own words for the fields.
    fn in_words(mut self, words: &[(&str, &str)]) -> Self {
        for (field, own) in words {
            let (field_in_text, own_in_text) = (format!("`{field}`"), format!("`{own}`"));
            self.message = self.message.replace(&field_in_text, &own_in_text);
            self.fix = self.fix.map(|fix| fix.replace(&field_in_text, &own_in_text));
            if self.param.as_deref() == Some(field) {
                self.param = Some((*own).to_owned());
            }
        }
        self
    }
}

/// A body whose field of this name is this number.
fn with_number(body: &[u8], field: &str, number: u64) -> Result<Bytes, RequestError> {
    let broken =
        |error: serde_json::Error| RequestError::new(RequestCode::InvalidJson, error.to_string());
    let mut members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(broken)?;
    let number = RawValue::from_string(number.to_string()).map_err(broken)?;
    members.insert(field.to_owned(), number);
    serde_json::to_vec(&members).map(Bytes::from).map_err(broken)
}

/// The refusal of what a target's dialect has no words for at all.
fn untold(what: &str) -> RequestError {
    RequestError::new(
        RequestCode::UnsupportedOperation,
        format!("the model's server does not take {what}"),
    )
    .about("model")
}

/// Path of an operation below the base URL that OpenAI clients know.
fn path(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "/chat/completions",
        Operation::Completions => "/completions",
        Operation::Embeddings => "/embeddings",
        Operation::Rerank => "/rerank",
        Operation::Transcriptions => "/audio/transcriptions",
        Operation::Predict | Operation::Models | Operation::CountTokens => "/models",
    }
}

#[cfg(test)]
mod tests;
