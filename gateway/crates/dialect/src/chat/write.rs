//! A conversation as the body of a chat.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::middle::{Conversation, Format, Image, Part, Role, ToolChoice, Turn, joined};
use crate::object::unsaid;
use crate::request::RequestError;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Shape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Message<'a> {
    System {
        content: String,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        content: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: String,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(String),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Called<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Function<'a> {
    r#type: &'static str,
    function: Described<'a>,
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named { r#type: &'static str, function: Name<'a> },
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shape<'a> {
    JsonObject,
    JsonSchema { json_schema: Schema<'a> },
}

#[derive(Serialize)]
struct Schema<'a> {
    name: &'a str,
    schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// Write a whole body; `takes` says whether the target lists a field.
///
/// # Errors
/// A part stands where a chat cannot have it.
pub(crate) fn write(
    talk: &Conversation,
    model: &str,
    takes: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, RequestError> {
    let mut messages = Vec::with_capacity(talk.turns.len() + 2);
    for turn in &talk.turns {
        self::turn(turn, &mut messages)?;
    }
    let tools = talk.tools.iter().map(|tool| Function {
        r#type: "function",
        function: Described {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.schema.as_deref(),
            strict: tool.strict,
        },
    });
    let body = Body {
        model,
        messages,
        max_tokens: talk.bound,
        stop: &talk.stop,
        temperature: talk.temperature.as_deref(),
        top_p: talk.top_p.as_deref(),
        top_k: talk.top_k.as_deref(),
        // Leave to think: a model that does not think has no use for it.
        reasoning_effort: talk.effort.as_deref().filter(|_| takes("reasoning_effort")),
        tools: tools.collect(),
        tool_choice: talk.choice.as_ref().map(|choice| match choice {
            ToolChoice::Auto => Choice::Word("auto"),
            ToolChoice::None => Choice::Word("none"),
            ToolChoice::Any => Choice::Word("required"),
            ToolChoice::Named(name) => {
                Choice::Named { r#type: "function", function: Name { name } }
            }
        }),
        parallel_tool_calls: talk.parallel,
        response_format: talk.format.as_ref().map(|format| match format {
            Format::Json => Shape::JsonObject,
            Format::Schema { name, schema, strict } => Shape::JsonSchema {
                json_schema: Schema {
                    name: if name.is_empty() { "answer" } else { name },
                    schema,
                    strict: *strict,
                },
            },
        }),
        user: talk.user.as_deref(),
        stream: talk.stream,
    };
    // Strings, numbers and JSON that was read: writing them cannot fail.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

fn turn<'a>(turn: &'a Turn, messages: &mut Vec<Message<'a>>) -> Result<(), RequestError> {
    match turn.role {
        Role::System => messages.push(Message::System { content: texts(&turn.parts)? }),
        Role::User => {
            // Results come first, each as a message of its own; what else was said follows.
            let mut rest: Vec<&Part> = Vec::new();
            for part in &turn.parts {
                let Part::Result { id, parts, error } = part else {
                    rest.push(part);
                    continue;
                };
                let said: Vec<_> = parts.iter().filter_map(Part::text).collect();
                let mark = if *error { "Error: " } else { "" };
                let content = format!("{mark}{}", joined(&said));
                messages.push(Message::Tool { tool_call_id: id, content });
                rest.extend(parts.iter().filter(|part| matches!(part, Part::Image(_))));
            }
            if !rest.is_empty() {
                messages.push(Message::User { content: content(&rest)? });
            }
        }
        Role::Assistant => {
            let said: Vec<_> = turn.parts.iter().filter_map(Part::text).collect();
            let calls = turn.parts.iter().filter_map(|part| match part {
                Part::Call(call) => Some(Call {
                    id: &call.id,
                    r#type: "function",
                    function: Called { name: &call.name, arguments: &call.arguments },
                }),
                _ => None,
            });
            let tool_calls: Vec<_> = calls.collect();
            if tool_calls.len() + said.len() < turn.parts.len() {
                return Err(unsaid("messages").fix("Send images in the user's messages."));
            }
            let content = (!said.is_empty() || tool_calls.is_empty()).then(|| joined(&said));
            messages.push(Message::Assistant { content, tool_calls });
        }
    }
    Ok(())
}

fn texts(parts: &[Part]) -> Result<String, RequestError> {
    let said: Vec<_> = parts.iter().filter_map(Part::text).collect();
    if said.len() < parts.len() { Err(unsaid("system")) } else { Ok(joined(&said)) }
}

fn content<'a>(parts: &[&'a Part]) -> Result<Content<'a>, RequestError> {
    let said: Vec<_> = parts.iter().filter_map(|part| part.text()).collect();
    if said.len() == parts.len() {
        return Ok(Content::Text(joined(&said)));
    }
    let part = |part: &&'a Part| match part {
        Part::Text(text) => Ok(ContentPart::Text { text }),
        Part::Image(image) => {
            Ok(ContentPart::ImageUrl { image_url: Url { url: Image::to_url(image) } })
        }
        Part::Call(_) | Part::Result { .. } => Err(unsaid("messages")),
    };
    parts.iter().map(part).collect::<Result<_, _>>().map(Content::Parts)
}

impl Part {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
