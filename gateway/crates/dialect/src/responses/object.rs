//! The response object, as it stands in answers and in the first and last events of streams.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::Usage;
use crate::errors::ErrorBody;
use crate::middle::{Stamp, Stop};

/// What an answer repeats of its request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Echo {
    pub instructions: Option<String>,
    pub max_output_tokens: Option<u64>,
    pub metadata: Option<Box<RawValue>>,
    pub parallel_tool_calls: bool,
    pub reasoning: Option<Box<RawValue>>,
    pub temperature: Option<Box<RawValue>>,
    pub text: Option<Box<RawValue>>,
    pub tool_choice: Option<Box<RawValue>>,
    pub tools: Option<Box<RawValue>>,
    pub top_p: Option<Box<RawValue>>,
}

/// `usage` of a response.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Reported {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    /// Clients demand the number.
    cache_write_tokens: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Reported {
    /// Clients demand every number, so there is none where the whole is not known.
    pub(super) fn of(usage: Usage) -> Option<Self> {
        let (input_tokens, output_tokens) = usage.input_tokens.zip(usage.output_tokens)?;
        Some(Self {
            input_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_input_tokens.unwrap_or(0),
                cache_write_tokens: usage.cache_write_tokens.unwrap_or(0),
            },
            output_tokens,
            output_tokens_details: OutputDetails {
                reasoning_tokens: usage.reasoning_tokens.unwrap_or(0),
            },
            total_tokens: input_tokens.saturating_add(output_tokens),
        })
    }
}

#[derive(Serialize)]
pub(super) struct Response<'a> {
    id: String,
    object: &'static str,
    created_at: i64,
    status: &'static str,
    background: bool,
    error: Option<Failure<'a>>,
    incomplete_details: Option<Incomplete>,
    instructions: Option<&'a str>,
    max_output_tokens: Option<u64>,
    model: &'a str,
    output: &'a [Item<'a>],
    parallel_tool_calls: bool,
    previous_response_id: (),
    reasoning: Option<&'a RawValue>,
    store: bool,
    temperature: Option<&'a RawValue>,
    text: Either<'a, Text>,
    tool_choice: Either<'a, &'static str>,
    tools: Either<'a, [(); 0]>,
    top_p: Option<&'a RawValue>,
    truncation: &'static str,
    usage: Option<Reported>,
    metadata: Either<'a, Empty>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Either<'a, T> {
    Given(&'a RawValue),
    Default(T),
}

impl<'a, T> Either<'a, T> {
    fn of(given: &'a Option<Box<RawValue>>, default: T) -> Self {
        given.as_deref().map_or(Self::Default(default), Self::Given)
    }
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Text {
    format: Plain,
}

#[derive(Serialize)]
struct Plain {
    r#type: &'static str,
}

#[derive(Serialize)]
pub(super) struct Failure<'a> {
    pub code: &'a str,
    pub message: String,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

/// One item of the output.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<Part<'a>>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    Reasoning {
        id: String,
        status: &'static str,
        summary: [(); 0],
        content: Vec<Part<'a>>,
    },
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    OutputText { text: &'a str, annotations: [(); 0], logprobs: [(); 0] },
    Refusal { refusal: &'a str },
    ReasoningText { text: &'a str },
}

/// How far the answer has come.
pub(super) enum State<'a> {
    InProgress,
    Ended(&'a Stop),
    Failed(&'a ErrorBody<'a>),
}

impl<'a> Response<'a> {
    pub(super) fn new(
        stamp: &Stamp,
        echo: &'a Echo,
        model: &'a str,
        state: &State<'a>,
        output: &'a [Item<'a>],
        usage: Option<Usage>,
    ) -> Self {
        let (status, reason) = match state {
            State::InProgress => ("in_progress", None),
            State::Failed(_) => ("failed", None),
            State::Ended(Stop::Length) => ("incomplete", Some("max_output_tokens")),
            State::Ended(Stop::Refused) => ("incomplete", Some("content_filter")),
            State::Ended(_) => ("completed", None),
        };
        let error = match state {
            State::Failed(error) => Some(Failure { code: error.code, message: error.message() }),
            _ => None,
        };
        Self {
            id: stamp.id("resp"),
            object: "response",
            created_at: stamp.created_s,
            status,
            background: false,
            error,
            incomplete_details: reason.map(|reason| Incomplete { reason }),
            instructions: echo.instructions.as_deref(),
            max_output_tokens: echo.max_output_tokens,
            model,
            output,
            parallel_tool_calls: echo.parallel_tool_calls,
            previous_response_id: (),
            reasoning: echo.reasoning.as_deref(),
            store: false,
            temperature: echo.temperature.as_deref(),
            text: Either::of(&echo.text, Text { format: Plain { r#type: "text" } }),
            tool_choice: Either::of(&echo.tool_choice, "auto"),
            tools: Either::of(&echo.tools, []),
            top_p: echo.top_p.as_deref(),
            truncation: "disabled",
            usage: usage.and_then(Reported::of),
            metadata: Either::of(&echo.metadata, Empty {}),
        }
    }
}

impl<'a> Part<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::OutputText { text, annotations: [], logprobs: [] }
    }
}
