//! What stands between two dialects when they differ: a conversation, its answer, and the pieces in which
//! an answer is streamed.
//!
//! Each caller's dialect reads its requests into a [`Conversation`] and writes answers out of the rest; each
//! target's dialect does the reverse. So there is one reader and one writer per dialect, and no pair.

use serde_json::value::RawValue;

use crate::answer::Usage;

/// A request, as far as more than one dialect can say it.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub choice: Option<ToolChoice>,
    /// Whether several tools may be called at once.
    pub parallel: Option<bool>,
    pub format: Option<Format>,
    /// Most tokens of the answer.
    pub bound: Option<u64>,
    pub stop: Vec<String>,
    /// Numbers as the caller wrote them.
    pub temperature: Option<Box<RawValue>>,
    pub top_p: Option<Box<RawValue>>,
    pub top_k: Option<Box<RawValue>>,
    /// How much the model should think: a word of OpenAI's.
    pub effort: Option<String>,
    /// The caller's own name for its user.
    pub user: Option<String>,
    pub stream: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// A part of what was said before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Image(Image),
    Call(Call),
    Result { id: String, parts: Vec<Part>, error: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    Url(String),
    /// Base64.
    Data {
        media_type: String,
        data: String,
    },
}

/// A tool that the model calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Call {
    pub id: String,
    pub name: String,
    /// A JSON text, or what a model made that should have been one.
    pub arguments: String,
}

#[derive(Debug)]
pub(crate) struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// JSON schema of the arguments, as the caller wrote it.
    pub schema: Option<Box<RawValue>>,
    pub strict: Option<bool>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Any,
    Named(String),
}

/// Shape of the answer's text.
#[derive(Debug)]
pub(crate) enum Format {
    Json,
    Schema { name: String, schema: Box<RawValue>, strict: Option<bool> },
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    pub model: String,
    pub parts: Vec<Said>,
    pub stop: Stop,
    pub usage: Option<Usage>,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Text(String),
    Refusal(String),
    Thought {
        text: String,
        signature: Option<String>,
    },
    /// Thought that only its vendor can read.
    Hidden(String),
    Call(Call),
}

/// Why an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stop {
    #[default]
    End,
    Length,
    Calls,
    Sequence(String),
    /// The model or its vendor will not answer.
    Refused,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// What the upstream calls itself; comes once, before all others.
    Model(String),
    Text(String),
    Refusal(String),
    Thought(String),
    Signature(String),
    Hidden(String),
    /// A call begins; its arguments follow.
    Call {
        id: String,
        name: String,
    },
    Arguments(String),
    Stop(Stop),
}

impl Whole {
    /// Bytes of generated text.
    pub(crate) fn content_bytes(&self) -> u64 {
        let bytes = |said: &Said| match said {
            Said::Text(text) | Said::Refusal(text) | Said::Thought { text, .. } => text.len(),
            Said::Hidden(_) => 0,
            Said::Call(call) => call.name.len() + call.arguments.len(),
        };
        self.parts.iter().map(bytes).sum::<usize>() as u64
    }
}

/// Texts as one, the way all dialects show several to a model.
pub(crate) fn joined(texts: &[&str]) -> String {
    texts.join("\n\n")
}

/// Ids and time of what the gateway writes itself: the crate has neither chance nor clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The request's id without its prefix.
    pub id: String,
    /// Seconds since the epoch.
    pub created_s: i64,
}

impl Stamp {
    /// An id of a kind of its own that leads back to the request.
    pub(crate) fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.id)
    }
}
