//! A conversation as the body of messages.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::middle::{Conversation, Format, Image, Part, Role, ToolChoice, joined};
use crate::object::unsaid;
use crate::request::RequestError;

/// Most tokens of the answer where the caller sets none: this dialect demands a bound, and every model that
/// speaks it can write this much.
const DEFAULT_BOUND: u64 = 4_096;

/// Name of the tool that stands in for a JSON schema.
pub(crate) const SCHEMA_TOOL: &str = "answer_as_json";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Output<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Url { url: &'a str },
    Base64 { media_type: &'a str, data: &'a str },
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct Choice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Schema<'a>>,
}

#[derive(Serialize)]
struct Schema<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

#[derive(Serialize)]
struct Kind {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// Write a whole body. `by_tool` asks for a JSON schema by a forced tool.
///
/// # Errors
/// The conversation says something for which this dialect has no words.
pub(crate) fn write(
    talk: &Conversation,
    model: &str,
    by_tool: bool,
) -> Result<Vec<u8>, RequestError> {
    let (system, messages) = turns(talk)?;
    let mut tools = talk.tools.iter().map(tool).collect::<Vec<_>>();
    let mut choice = talk.choice.as_ref().map(|choice| Choice {
        r#type: match choice {
            ToolChoice::Auto => "auto",
            ToolChoice::None => "none",
            ToolChoice::Any => "any",
            ToolChoice::Named(_) => "tool",
        },
        name: match choice {
            ToolChoice::Named(name) => Some(name),
            _ => None,
        },
        disable_parallel_tool_use: None,
    });
    if let Some(parallel) = talk.parallel.filter(|_| !tools.is_empty()) {
        let auto = Choice { r#type: "auto", name: None, disable_parallel_tool_use: None };
        let choice = choice.get_or_insert(auto);
        if choice.r#type != "none" {
            choice.disable_parallel_tool_use = Some(!parallel);
        }
    }
    let mut schema = None;
    match &talk.format {
        None => {}
        Some(Format::Json) => {
            return Err(unsaid("response_format.type=json_object")
                .fix("Send a `json_schema`, or ask for JSON in the prompt."));
        }
        Some(Format::Schema { schema: asked, .. }) if !by_tool => {
            schema = Some(Schema { r#type: "json_schema", schema: asked });
        }
        Some(Format::Schema { schema: asked, .. }) => {
            if !tools.is_empty() {
                return Err(unsaid("response_format")
                    .fix("Send either `tools` or a JSON schema: this model is asked for a schema by a tool."));
            }
            let description = Some("Give the whole answer as the input of this tool.");
            let input_schema = asked.clone();
            tools.push(Tool { name: SCHEMA_TOOL, description, input_schema, strict: None });
            choice = Some(Choice {
                r#type: "tool",
                name: Some(SCHEMA_TOOL),
                disable_parallel_tool_use: None,
            });
        }
    }
    let (effort, thinking) = match talk.effort.as_deref() {
        None => (None, None),
        Some("none") => (None, Some(Kind { r#type: "disabled" })),
        Some(word @ ("low" | "medium" | "high" | "xhigh" | "max")) => (Some(word), None),
        Some(_) => return Err(unsaid("reasoning_effort").fix("Send `low`, `medium` or `high`.")),
    };
    check_temperature(talk.temperature.as_deref())?;
    let body = Body {
        model,
        max_tokens: talk.bound.unwrap_or(DEFAULT_BOUND),
        system,
        messages,
        stop_sequences: &talk.stop,
        temperature: talk.temperature.as_deref(),
        top_p: talk.top_p.as_deref(),
        top_k: talk.top_k.as_deref(),
        tools,
        tool_choice: choice,
        output_config: (effort.is_some() || schema.is_some())
            .then_some(Output { effort, format: schema }),
        thinking,
        metadata: talk.user.as_deref().map(|user_id| Metadata { user_id }),
        stream: talk.stream,
    };
    // Strings, numbers and JSON that was read: writing them cannot fail.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

fn check_temperature(temperature: Option<&RawValue>) -> Result<(), RequestError> {
    let value = temperature.and_then(|raw| raw.get().parse::<f64>().ok());
    if value.is_some_and(|value| value > 1.0) {
        let message = "`temperature` must be from 0 to 1 for this model's server".to_owned();
        return Err(
            RequestError::invalid("temperature", message).fix("Set `temperature` from 0 to 1.")
        );
    }
    Ok(())
}

/// What is said to begin with, and the turns that follow.
fn turns(talk: &Conversation) -> Result<(String, Vec<Message<'_>>), RequestError> {
    let mut system: Vec<&str> = Vec::new();
    let mut messages: Vec<Message<'_>> = Vec::new();
    for turn in &talk.turns {
        let mut content = turn.parts.iter().map(block).collect::<Result<Vec<_>, _>>()?;
        // Empty texts are refused by this dialect, and say nothing.
        content.retain(|block| !matches!(block, Block::Text { text: "" }));
        let role = match turn.role {
            Role::System if messages.is_empty() => {
                system.extend(turn.parts.iter().filter_map(Part::text));
                continue;
            }
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        if content.is_empty() {
            continue;
        }
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.append(&mut content),
            _ => messages.push(Message { role, content }),
        }
    }
    Ok((joined(&system), messages))
}

fn block(part: &Part) -> Result<Block<'_>, RequestError> {
    Ok(match part {
        Part::Text(text) => Block::Text { text },
        Part::Image(Image::Url(url)) => Block::Image { source: Source::Url { url } },
        Part::Image(Image::Data { media_type, data }) => {
            Block::Image { source: Source::Base64 { media_type, data } }
        }
        Part::Call(call) => {
            let text = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
            let input = serde_json::from_str::<Box<RawValue>>(text)
                .ok()
                .filter(|raw| raw.get().starts_with('{'))
                .ok_or_else(|| {
                    let message =
                        format!("the arguments of the call `{}` are no JSON object", call.id);
                    RequestError::invalid("messages", message)
                })?;
            Block::ToolUse { id: &call.id, name: &call.name, input }
        }
        Part::Result { id, parts, error } => Block::ToolResult {
            tool_use_id: id,
            content: parts.iter().map(block).collect::<Result<_, _>>()?,
            is_error: *error,
        },
    })
}

fn tool(tool: &crate::middle::Tool) -> Tool<'_> {
    let nothing = || {
        let empty = r#"{"type":"object","properties":{}}"#;
        RawValue::from_string(empty.to_owned()).unwrap_or_default()
    };
    Tool {
        name: &tool.name,
        description: tool.description.as_deref(),
        input_schema: tool.schema.clone().unwrap_or_else(nothing),
        strict: tool.strict,
    }
}
