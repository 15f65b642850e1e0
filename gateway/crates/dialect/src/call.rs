//! One call between a caller and a target, whatever each of them speaks: what is sent, and how the answer
//! becomes the caller's.
//!
//! Same dialect on both sides: the bytes pass, but for what must differ. Nothing outside this crate knows
//! which pairs there are.

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::routing::{Dialect, FieldRule, Operation};

use crate::answer::{Answer, Usage};
use crate::errors::UpstreamFault;
use crate::follow::Follower;
use crate::quirks::Quirks;
use crate::request::{OpenAiRequest, RequestCode, RequestError, Rewrite};
use crate::stream::{StreamMeter, StreamRules, UsageChunk};

/// A caller's request to a model, read once; its bytes are kept.
#[derive(Clone, Debug)]
pub enum Request {
    OpenAi(OpenAiRequest),
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
}

impl<'a> Receiver<'a> {
    /// A target that takes every field and has no quirks.
    pub fn new(dialect: Dialect, model: &'a str) -> Self {
        let quirks = Quirks::default();
        Self { dialect, model, request_fields: None, quirks, cache_salt: None }
    }
}

/// A request in a target's dialect.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Below the base URL as the dialect's clients know it.
    pub path: &'static str,
    pub body: Bytes,
    /// An event stream is asked for.
    pub stream: bool,
    pub reply: Reply,
}

/// How the answer to a [`Sent`] is to be read.
#[derive(Clone, Debug)]
pub struct Reply(Pair);

/// Caller's and target's dialect, and what of the request the answer depends on.
#[derive(Clone, Debug)]
enum Pair {
    /// Passed on as it comes.
    OpenAi { wants_usage: bool, choices: u32 },
}

/// A plain answer in the caller's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    pub body: Bytes,
    pub usage: Option<Usage>,
    /// Bytes of generated text, to estimate output tokens where no usage is reported.
    pub content_bytes: u64,
}

impl Request {
    pub fn operation(&self) -> Operation {
        match self {
            Self::OpenAi(request) => request.operation(),
        }
    }

    /// The name the caller asked for; never empty.
    pub fn model(&self) -> &str {
        match self {
            Self::OpenAi(request) => request.model(),
        }
    }

    pub fn stream(&self) -> bool {
        match self {
            Self::OpenAi(request) => request.stream(),
        }
    }

    /// Most tokens of each answer, where the caller says so.
    pub fn max_output_tokens(&self) -> Option<u64> {
        match self {
            Self::OpenAi(request) => request.max_output_tokens(),
        }
    }

    /// Answers to expect.
    pub fn choices(&self) -> u32 {
        match self {
            Self::OpenAi(request) => request.choices(),
        }
    }

    /// The caller's own name for its user.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::OpenAi(request) => request.user(),
        }
    }

    /// Bytes of text that the model will read, for estimates.
    pub fn input_bytes(&self) -> u64 {
        match self {
            Self::OpenAi(request) => request.input_bytes(),
        }
    }

    /// What the model will read, from its beginning, as it stands in the body: its start is the same for
    /// requests that begin alike.
    pub fn prompt(&self) -> &[u8] {
        match self {
            Self::OpenAi(request) => request.prompt(),
        }
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        match self {
            Self::OpenAi(request) => request.body(),
        }
    }

    /// Write the request for one target.
    ///
    /// # Errors
    /// The target does not take a field or a value, or its dialect cannot say it.
    pub fn for_target(&self, receiver: &Receiver<'_>) -> Result<Sent, RequestError> {
        match (self, receiver.dialect) {
            (Self::OpenAi(request), Dialect::Openai) => {
                let rewrite = Rewrite {
                    model: receiver.model,
                    request_fields: receiver.request_fields,
                    quirks: receiver.quirks,
                    cache_salt: receiver.cache_salt,
                };
                let (wants_usage, choices) = (request.wants_usage(), request.choices());
                Ok(Sent {
                    path: path(request.operation()),
                    body: request.for_upstream(&rewrite)?,
                    stream: request.stream(),
                    reply: Reply(Pair::OpenAi { wants_usage, choices }),
                })
            }
            (Self::OpenAi(_), _) => Err(untold("calls of the OpenAI dialect")),
        }
    }
}

impl Reply {
    /// Read a plain answer with a success status.
    ///
    /// # Errors
    /// HTML, text, broken JSON, or an error object in a 200.
    pub fn answer(&self, body: Bytes) -> Result<Answered, UpstreamFault> {
        match &self.0 {
            Pair::OpenAi { .. } => {
                let Answer { usage, content_bytes } = Answer::read(&body)?;
                Ok(Answered { body, usage, content_bytes })
            }
        }
    }

    /// Follow a stream; `keep_text` keeps what the first choice says, for [`Follower::text`].
    pub fn follow(&self, keep_text: bool) -> Follower {
        match &self.0 {
            Pair::OpenAi { wants_usage, choices } => {
                let usage = if *wants_usage { UsageChunk::Pass } else { UsageChunk::Strip };
                let rules = StreamRules { usage, choices: *choices, keep_text };
                Follower::open_ai(StreamMeter::new(rules))
            }
        }
    }
}

/// The refusal of what a target's dialect has no words for at all.
pub(crate) fn untold(what: &str) -> RequestError {
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
