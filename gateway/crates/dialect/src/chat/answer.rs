//! Whole answers of a chat.

use serde::{Deserialize, Serialize};

use crate::answer::{Usage, check_json};
use crate::chat::{reason, stop};
use crate::errors::UpstreamFault;
use crate::middle::{Call, Said, Stamp, Stop, Whole};

/// What of an answer has a meaning in other dialects.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Reported>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    /// Two names of one thing: vLLM has the shorter one from 0.12 on.
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: String,
}

/// `usage`, read and written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Reported {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<Input>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<Output>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
struct Input {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
struct Output {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_tokens: Option<u64>,
}

impl Reported {
    pub(super) fn usage(self) -> Usage {
        let input = self.prompt_tokens_details.unwrap_or_default();
        let output = self.completion_tokens_details.unwrap_or_default();
        Usage {
            input_tokens: self.prompt_tokens,
            output_tokens: self.completion_tokens,
            cached_input_tokens: input.cached_tokens,
            cache_write_tokens: input.cache_write_tokens,
            reasoning_tokens: output.reasoning_tokens,
            audio_input_tokens: input.audio_tokens,
            audio_output_tokens: output.audio_tokens,
        }
    }

    pub(super) fn of(usage: Usage) -> Self {
        let input = Input {
            cached_tokens: usage.cached_input_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            audio_tokens: usage.audio_input_tokens,
        };
        let output = Output {
            reasoning_tokens: usage.reasoning_tokens,
            audio_tokens: usage.audio_output_tokens,
        };
        let total = usage.input_tokens.zip(usage.output_tokens);
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: total.map(|(input, output)| input.saturating_add(output)),
            prompt_tokens_details: (input != Input::default()).then_some(input),
            completion_tokens_details: (output != Output::default()).then_some(output),
        }
    }
}

/// Read an answer with a success status.
///
/// # Errors
/// It is no answer of a chat, or an error in a 200.
pub(crate) fn read(body: &[u8]) -> Result<Whole, UpstreamFault> {
    check_json(body)?;
    // One judge of what is an answer at all, whoever asks.
    crate::answer::Answer::read(body)?;
    let wrong = |_| UpstreamFault::nonsense("the model's server sent no answer of this kind", body);
    let answer: Answer = serde_json::from_slice(body).map_err(wrong)?;
    let Some(Choice { message, finish_reason }) = answer.choices.into_iter().next() else {
        return Err(UpstreamFault::nonsense("the model's server sent an answer of nothing", body));
    };
    let mut parts = Vec::new();
    let thought = message.reasoning_content.or(message.reasoning);
    let full = |text: Option<String>| text.filter(|text| !text.is_empty());
    parts.extend(full(thought).map(|text| Said::Thought { text, signature: None }));
    parts.extend(full(message.content).map(Said::Text));
    parts.extend(full(message.refusal).map(Said::Refusal));
    for (at, call) in message.tool_calls.unwrap_or_default().into_iter().enumerate() {
        let ToolCall { id, function: Function { name, arguments } } = call;
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{at}"));
        parts.push(Said::Call(Call { id, name, arguments }));
    }
    let called = parts.iter().any(|part| matches!(part, Said::Call(_)));
    let stop = match stop(finish_reason.as_deref().unwrap_or_default()) {
        // Some servers say `stop` after calls, too.
        Stop::End if called => Stop::Calls,
        stop => stop,
    };
    let usage = answer.usage.map(Reported::usage);
    Ok(Whole { model: answer.model.unwrap_or_default(), parts, stop, usage })
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [Written<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Reported>,
}

#[derive(Serialize)]
struct Written<'a> {
    index: u32,
    message: WrittenMessage<'a>,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct WrittenMessage<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WrittenCall<'a>>,
}

#[derive(Serialize)]
struct WrittenCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WrittenFunction<'a>,
}

#[derive(Serialize)]
struct WrittenFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// Write an answer for a caller that speaks this dialect.
pub(crate) fn write(whole: &Whole, stamp: &Stamp) -> Vec<u8> {
    let texts = |of: fn(&Said) -> Option<&str>| {
        let found: Vec<_> = whole.parts.iter().filter_map(of).collect();
        (!found.is_empty()).then(|| found.concat())
    };
    let calls = whole.parts.iter().filter_map(|said| match said {
        Said::Call(call) => Some(WrittenCall {
            id: &call.id,
            r#type: "function",
            function: WrittenFunction { name: &call.name, arguments: &call.arguments },
        }),
        _ => None,
    });
    let message = WrittenMessage {
        role: "assistant",
        content: texts(|said| match said {
            Said::Text(text) => Some(text),
            _ => None,
        }),
        refusal: texts(|said| match said {
            Said::Refusal(text) => Some(text),
            _ => None,
        }),
        reasoning_content: texts(|said| match said {
            Said::Thought { text, .. } => Some(text),
            _ => None,
        }),
        tool_calls: calls.collect(),
    };
    let completion = Completion {
        id: stamp.id("chatcmpl"),
        object: "chat.completion",
        created: stamp.created_s,
        model: &whole.model,
        choices: [Written { index: 0, message, logprobs: (), finish_reason: reason(&whole.stop) }],
        usage: whole.usage.map(Reported::of),
    };
    serde_json::to_vec(&completion).unwrap_or_default()
}
