//! What upstreams' own errors become: the caller learns what concerns the caller, and nothing of ours.

use serde::Deserialize;

/// Most characters of an upstream's message that reach a caller or the log.
const MESSAGE: usize = 600;

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
    /// No proper answer.
    UpstreamError,
    /// A stream ended before it was whole.
    UpstreamCut,
    /// The upstream's own limit.
    UpstreamRateLimited,
    /// The request itself is wrong, says the upstream.
    UpstreamRefused,
    /// More tokens than the model's context holds.
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
        match self {
            Self::UpstreamError => "upstream_error",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::UpstreamRefused => "upstream_refused",
            Self::ContextLengthExceeded => "context_length_exceeded",
        }
    }

    /// The usual status; an [`UpstreamFault`] may carry a more exact one.
    pub fn status(self) -> u16 {
        match self {
            Self::UpstreamError | Self::UpstreamCut => 502,
            Self::UpstreamRateLimited => 429,
            Self::UpstreamRefused | Self::ContextLengthExceeded => 400,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::UpstreamError => "The model's server gave no proper answer",
            Self::UpstreamCut => "The model's server stopped in the middle of its answer",
            Self::UpstreamRateLimited => "The model's server limits its callers",
            Self::UpstreamRefused => "The model's server refused the request",
            Self::ContextLengthExceeded => "The request is longer than the model's context",
        }
    }

    pub fn fix(self) -> &'static str {
        match self {
            Self::UpstreamError => "Try again; if it stays, tell the platform team the request id.",
            Self::UpstreamCut => "Discard the part that came and send the request again.",
            Self::UpstreamRateLimited => "Wait and try again.",
            Self::UpstreamRefused => "Correct the request as the message says.",
            Self::ContextLengthExceeded => {
                "Shorten the input or lower `max_tokens`, or choose a model with a longer context."
            }
        }
    }
}

/// The shapes of error bodies that servers use, all in one.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    error: Option<SaidError>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    detail: Option<serde_json::Value>,
    #[serde(default)]
    param: Option<serde_json::Value>,
    #[serde(default)]
    code: Option<serde_json::Value>,
    #[serde(default, rename = "type")]
    kind: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SaidError {
    Text(String),
    Object(Box<Said>),
    Other(serde::de::IgnoredAny),
}

/// An error as an upstream words it.
#[derive(Debug, Default)]
struct Words {
    message: Option<String>,
    param: Option<String>,
    /// `code` and `type`, if they are words.
    codes: Vec<String>,
    /// `code`, if it is an HTTP status.
    status: Option<u16>,
}

impl Words {
    fn read(body: &[u8]) -> Self {
        let said: Said = serde_json::from_slice(body).unwrap_or_default();
        match said.error {
            Some(SaidError::Text(text)) => Self { message: Some(text), ..Self::default() },
            Some(SaidError::Object(inner)) => Self::of(*inner),
            Some(SaidError::Other(_)) | None => Self::of(said),
        }
    }

    fn of(said: Said) -> Self {
        let text = |v: Option<serde_json::Value>| match v {
            Some(serde_json::Value::String(text)) => Some(text),
            _ => None,
        };
        let number = said.code.as_ref().and_then(serde_json::Value::as_u64);
        Self {
            message: text(said.message).or_else(|| text(said.detail)),
            param: text(said.param).filter(|p| p.len() <= 128),
            codes: [text(said.code), text(said.kind)].into_iter().flatten().collect(),
            status: number.and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n)),
        }
    }

    fn has(&self, part: &str) -> bool {
        self.codes.iter().any(|c| c.contains(part))
    }
}

impl UpstreamFault {
    /// What an answer with an error status (400 or above) means to the caller.
    pub fn from_status(status: u16, body: &[u8]) -> Self {
        let words = Words::read(body);
        Self::weigh(status, words, excerpt(body))
    }

    /// What a gRPC status other than 0 means to the caller.
    pub fn from_grpc(status: u16, message: &str) -> Self {
        let status = match status {
            // Invalid argument, failed precondition, out of range.
            3 | 9 | 11 => 400,
            // Deadline exceeded.
            4 => 504,
            // Resource exhausted.
            8 => 429,
            // Unavailable.
            14 => 503,
            _ => 500,
        };
        let words = Words { message: Some(message.to_owned()), ..Words::default() };
        Self::weigh(status, words, excerpt(message.as_bytes()))
    }

    /// What a gRPC server says in words in the middle of a stream. Whose fault it is it does not say, so
    /// nothing is tried again for it.
    pub(crate) fn in_stream(message: &str) -> Self {
        let words = Words { message: Some(message.to_owned()), ..Words::default() };
        Self::weigh(400, words, excerpt(message.as_bytes()))
    }

    /// What an error inside a success means: `event` is the JSON text that holds it.
    pub(crate) fn from_event(event: &[u8]) -> Self {
        let words = Words::read(event);
        let status = words.status.unwrap_or(match () {
            () if words.has("rate_limit") => 429,
            () if words.has("overloaded") => 529,
            () if words.has("invalid_request") || words.has("context_size") => 400,
            () if words.has("request_too_large") => 413,
            () => 500,
        });
        Self::weigh(status, words, excerpt(event))
    }

    /// What an error event of typed events means: those of Anthropic's messages, and of responses.
    pub(crate) fn from_typed(event: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Typed<'a> {
            #[serde(borrow, default)]
            response: Option<&'a serde_json::value::RawValue>,
        }
        let typed: Typed<'_> = serde_json::from_slice(event).unwrap_or_default();
        // A failed response carries its error inside.
        Self::from_event(typed.response.map_or(event, |response| response.get().as_bytes()))
    }

    /// No answer at all, for a reason that the caller may read.
    pub(crate) fn nonsense(message: &str, body: &[u8]) -> Self {
        Self {
            status: 502,
            code: FaultCode::UpstreamError,
            message: message.to_owned(),
            param: None,
            retryable: true,
            log: excerpt(body),
        }
    }

    /// A stream that ended before it was whole.
    pub(crate) fn cut(message: &str) -> Self {
        Self {
            status: 502,
            code: FaultCode::UpstreamCut,
            message: message.to_owned(),
            param: None,
            retryable: true,
            log: String::new(),
        }
    }

    fn weigh(status: u16, words: Words, log: String) -> Self {
        let too_long = words.has("context_length_exceeded") || words.has("exceed_context_size");
        let (status, code, retryable) = match status {
            400 | 413 | 422 if too_long => (400, FaultCode::ContextLengthExceeded, false),
            400 | 413 | 415 | 422 => (status, FaultCode::UpstreamRefused, false),
            429 => (429, FaultCode::UpstreamRateLimited, true),
            // 529 is Anthropic's word for it.
            503 | 529 => (503, FaultCode::UpstreamError, true),
            504 => (504, FaultCode::UpstreamError, true),
            _ => (502, FaultCode::UpstreamError, true),
        };
        let message = match code {
            FaultCode::UpstreamRefused | FaultCode::ContextLengthExceeded => {
                words.message.as_deref().map(presentable).filter(|m| !m.is_empty())
            }
            _ => None,
        };
        let message = message.unwrap_or_else(|| {
            match code {
                FaultCode::UpstreamRateLimited => "the model's server limits its callers",
                FaultCode::UpstreamError if status == 503 => "the model's server is overloaded",
                FaultCode::UpstreamError => "the model's server failed",
                _ => "the model's server refused the request",
            }
            .to_owned()
        });
        let param = if retryable { None } else { words.param };
        Self { status, code, message, param, retryable, log }
    }
}

/// The start of a foreign text, in one line.
fn excerpt(body: &[u8]) -> String {
    let start = body.get(..body.len().min(MESSAGE * 4)).unwrap_or_default();
    one_line(&String::from_utf8_lossy(start))
}

fn one_line(text: &str) -> String {
    text.chars().take(MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A foreign message without what looks like a secret or an address.
fn presentable(message: &str) -> String {
    let line = one_line(message.trim());
    let mut after_bearer = false;
    let words = line.split_inclusive(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let secret = ["sk-", "tp_", "Bearer-", "eyJ"].iter().any(|p| bare.starts_with(p));
        let secret = std::mem::replace(&mut after_bearer, bare == "Bearer") || secret;
        let address = bare.contains("://") || bare.starts_with("unix:");
        match (secret || address, word.ends_with(' ')) {
            (false, _) => word,
            (true, true) => "[removed] ",
            (true, false) => "[removed]",
        }
    });
    words.collect()
}
