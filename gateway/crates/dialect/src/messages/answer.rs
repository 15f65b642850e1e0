//! Whole answers of messages.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::json::{Cursor, Kind, Syntax};
use crate::messages::write::SCHEMA_TOOL;
use crate::messages::{reason, stop};
use crate::middle::{Call, Said, Stamp, Stop, Whole};
use crate::typed::{self, Counts, Grammar};

/// What of an answer has a meaning in other dialects.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    model: Option<String>,
    content: Vec<Block>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
}

/// A block of any kind. Not told apart by its type while it is read: a raw value cannot stand there.
#[derive(Deserialize)]
struct Block {
    r#type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    data: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    input: Option<Box<RawValue>>,
}

/// `usage`, read and written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Reported {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<Output>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Output {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

impl Reported {
    pub(crate) fn counts(self) -> Counts {
        Counts {
            input: self.input_tokens,
            output: self.output_tokens,
            cache_read: self.cache_read_input_tokens,
            cache_write: self.cache_creation_input_tokens,
            cached: None,
            thought: self.output_tokens_details.and_then(|details| details.thinking_tokens),
            ..Counts::default()
        }
    }

    /// Cached tokens stand beside the others in this dialect, not among them.
    pub(crate) fn of(usage: Usage) -> Self {
        let beside = usage.cached_input_tokens.unwrap_or(0) + usage.cache_write_tokens.unwrap_or(0);
        let thought = usage.reasoning_tokens;
        Self {
            input_tokens: usage.input_tokens.map(|input| input.saturating_sub(beside)),
            cache_creation_input_tokens: usage.cache_write_tokens,
            cache_read_input_tokens: usage.cached_input_tokens,
            output_tokens: usage.output_tokens,
            output_tokens_details: thought.map(|tokens| Output { thinking_tokens: Some(tokens) }),
        }
    }

    /// Where nothing is known yet but clients expect numbers.
    pub(crate) fn none_yet() -> Self {
        Self { input_tokens: Some(0), output_tokens: Some(0), ..Self::default() }
    }
}

/// Usage of an answer that passes on untouched, and the bytes of text in it.
///
/// # Errors
/// HTML, text, broken JSON, or an error in a 200.
pub(crate) fn metered(body: &[u8]) -> Result<(Option<Usage>, u64), UpstreamFault> {
    typed::metered(body, Grammar::Messages, |name, cursor, text| match (name, cursor.kind()?) {
        (b"content", Kind::Array) => blocks(cursor, text).map(|()| true),
        // The whole answer of a count.
        (b"input_tokens", Kind::Number) => cursor.skip().map(|_| true),
        _ => cursor.skip().map(|_| false),
    })
}

/// Pass the blocks of an answer and count the text in them.
fn blocks(cursor: &mut Cursor<'_>, text: &mut u64) -> Result<(), Syntax> {
    cursor.enter();
    let mut first_block = true;
    while cursor.element(&mut first_block)? {
        if cursor.kind()? != Kind::Object {
            cursor.skip()?;
            continue;
        }
        cursor.enter();
        let mut first = true;
        while let Some(key) = cursor.key(&mut first)? {
            if let b"text" | b"thinking" | b"name" | b"input" = key.raw(cursor.bytes()) {
                cursor.skip_counting(text)?;
            } else {
                cursor.skip()?;
            }
        }
    }
    Ok(())
}

/// Read an answer with a success status; `by_tool`: a JSON schema was asked for by a tool.
///
/// # Errors
/// It is no answer of messages, or an error in a 200.
pub(crate) fn read(body: &[u8], by_tool: bool) -> Result<Whole, UpstreamFault> {
    // One judge of what is an answer at all, whoever asks.
    let (usage, _) = metered(body)?;
    let wrong = |_| UpstreamFault::nonsense("the model's server sent no answer of this kind", body);
    let answer: Answer = serde_json::from_slice(body).map_err(wrong)?;
    let mut stop = stop(answer.stop_reason.as_deref().unwrap_or_default(), answer.stop_sequence);
    let mut parts = Vec::with_capacity(answer.content.len());
    for block in answer.content {
        let arguments = || block.input.as_deref().map_or("{}", RawValue::get).to_owned();
        parts.push(match block.r#type.as_str() {
            "text" => Said::Text(block.text),
            "thinking" => Said::Thought {
                text: block.thinking,
                signature: block.signature.filter(|signature| !signature.is_empty()),
            },
            "redacted_thinking" => Said::Hidden(block.data),
            "tool_use" if by_tool && block.name == SCHEMA_TOOL => {
                stop = Stop::End;
                Said::Text(arguments())
            }
            "tool_use" => {
                let arguments = arguments();
                Said::Call(Call { id: block.id, name: block.name, arguments })
            }
            // What hosted tools leave behind; no other dialect asks for them.
            _ => continue,
        });
    }
    Ok(Whole { model: answer.model.unwrap_or_default(), parts, stop, usage })
}

#[derive(Serialize)]
struct Written<'a> {
    id: String,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<WrittenBlock<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    usage: Reported,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WrittenBlock<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
    ToolUse { id: &'a str, name: &'a str, input: Box<RawValue> },
}

/// Write an answer for a caller that speaks this dialect.
///
/// # Errors
/// The arguments of a call are no JSON object.
pub(crate) fn write(whole: &Whole, stamp: &Stamp) -> Result<Vec<u8>, UpstreamFault> {
    let block = |said| {
        Ok(match said {
            &Said::Text(ref text) | &Said::Refusal(ref text) => WrittenBlock::Text { text },
            Said::Thought { text, signature } => WrittenBlock::Thinking {
                thinking: text,
                signature: signature.as_deref().unwrap_or_default(),
            },
            Said::Hidden(data) => WrittenBlock::RedactedThinking { data },
            Said::Call(call) => WrittenBlock::ToolUse {
                id: &call.id,
                name: &call.name,
                input: arguments(&call.arguments)?,
            },
        })
    };
    let content = whole.parts.iter().map(block).collect::<Result<_, UpstreamFault>>()?;
    let refused = whole.parts.iter().any(|said| matches!(said, Said::Refusal(_)));
    let stop = if refused { &Stop::Refused } else { &whole.stop };
    let written = Written {
        id: stamp.id("msg"),
        r#type: "message",
        role: "assistant",
        model: &whole.model,
        content,
        stop_reason: reason(stop),
        stop_sequence: match stop {
            Stop::Sequence(sequence) => Some(sequence),
            _ => None,
        },
        usage: whole.usage.map_or_else(Reported::none_yet, Reported::of),
    };
    Ok(serde_json::to_vec(&written).unwrap_or_default())
}

/// What a model wrote as a call's arguments, as the object that it must be here.
fn arguments(text: &str) -> Result<Box<RawValue>, UpstreamFault> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str::<Box<RawValue>>(text)
        .ok()
        .filter(|raw| raw.get().starts_with('{'))
        .ok_or_else(|| {
            let message = "the model called a tool with arguments that are no JSON object";
            UpstreamFault::nonsense(message, text.as_bytes())
        })
}
