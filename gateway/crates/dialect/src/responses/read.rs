//! A caller's request for a response as a conversation.

use serde_json::value::RawValue;

use crate::json::Kind;
use crate::middle::{Call, Conversation, Format, Image, Part, Role, Tool, ToolChoice, Turn};
use crate::object::{Object, TextOr, string, unsaid};
use crate::request::RequestError;
use crate::responses::Echo;

/// Fields that are for the vendor's own bookkeeping or its caches.
const LEFT_OUT: [&str; 9] = [
    "model",
    "client_metadata",
    "stream_options",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "context_management",
];

/// Read a whole body, and what of it the answer repeats.
///
/// # Errors
/// It has a field, an item or a value that only this dialect knows, or needs what an earlier call left.
pub(crate) fn conversation(body: &[u8]) -> Result<(Conversation, Echo), RequestError> {
    let mut object = Object::body(body)?;
    let mut talk = Conversation {
        stream: object.boolean("stream")?.unwrap_or(false),
        bound: object.whole("max_output_tokens")?,
        temperature: object.number("temperature")?.map(ToOwned::to_owned),
        top_p: object.number("top_p")?.map(ToOwned::to_owned),
        user: object.string("user")?.map(Into::into),
        parallel: object.boolean("parallel_tool_calls")?,
        ..Conversation::default()
    };
    stateless(&mut object)?;
    let instructions = object.string("instructions")?.map(String::from);
    if let Some(text) = &instructions {
        talk.turns.push(Turn { role: Role::System, parts: vec![Part::Text(text.clone())] });
    }
    if let Some(raw) = object.take("input") {
        match TextOr::read("input", raw)? {
            TextOr::Text(text) => talk.say(Role::User, vec![Part::Text(text.into_owned())]),
            TextOr::Parts(items) => {
                for (at, raw) in items.into_iter().enumerate() {
                    item(&mut talk, Object::read(format!("input[{at}]"), raw)?)?;
                }
            }
        }
    }
    let tools = object.take("tools");
    if let Some(raw) = tools {
        for (at, raw) in crate::object::list("tools", raw)?.into_iter().enumerate() {
            talk.tools.push(tool(Object::read(format!("tools[{at}]"), raw)?)?);
        }
    }
    let choice = object.take("tool_choice");
    talk.choice = choice.map(self::choice).transpose()?;
    let text = object.take("text");
    if let Some(raw) = text {
        let mut text = Object::read("text".to_owned(), raw)?;
        talk.format = text.object("format")?.map(format).transpose()?.flatten();
        text.only("verbosity", &["\"medium\""])?;
        text.done()?;
    }
    let reasoning = object.take("reasoning");
    if let Some(raw) = reasoning {
        let mut reasoning = Object::read("reasoning".to_owned(), raw)?;
        talk.effort = reasoning.string("effort")?.map(Into::into);
        // Whether thought is summed up is its maker's business; it is shown as it comes.
        reasoning.leave(&["summary", "generate_summary", "context"]);
        reasoning.done()?;
    }
    let metadata = object.take("metadata");
    object.leave(&LEFT_OUT);
    object.done()?;
    let own = |raw: Option<&RawValue>| raw.map(ToOwned::to_owned);
    let echo = Echo {
        instructions,
        max_output_tokens: talk.bound,
        metadata: own(metadata),
        parallel_tool_calls: talk.parallel.unwrap_or(true),
        reasoning: own(reasoning),
        temperature: talk.temperature.clone(),
        text: own(text),
        tool_choice: own(choice),
        tools: own(tools),
        top_p: talk.top_p.clone(),
    };
    Ok((talk, echo))
}

/// Refuse what would need a memory between calls, or work that goes on after this one.
fn stateless(object: &mut Object<'_>) -> Result<(), RequestError> {
    let refuse = |name: &str, fix: &str| Err(unsaid(name).fix(fix.to_owned()));
    if object.take("previous_response_id").is_some() {
        let fix = "Send the whole conversation in `input`: responses are not kept here.";
        return refuse("previous_response_id", fix);
    }
    if object.take("conversation").is_some() {
        let fix = "Send the whole conversation in `input`: conversations are not kept here.";
        return refuse("conversation", fix);
    }
    if object.boolean("store")? == Some(true) {
        return refuse("store", "Send `store: false`: responses are not kept here.");
    }
    if object.boolean("background")? == Some(true) {
        return refuse("background", "Send `background: false`, or use a stream.");
    }
    object.only("truncation", &["\"disabled\""])?;
    object.only("top_logprobs", &["0"])?;
    for raw in object.list("include")? {
        let wanted = string("include", raw)?;
        // Thought travels as text here, so there is nothing encrypted to include.
        if wanted != "reasoning.encrypted_content" {
            return Err(unsaid(&format!("include={wanted}")));
        }
    }
    Ok(())
}

impl Conversation {
    /// Add to the last turn, or begin one.
    fn say(&mut self, role: Role, mut parts: Vec<Part>) {
        match self.turns.last_mut() {
            Some(last) if last.role == role && role != Role::System => {
                last.parts.append(&mut parts)
            }
            _ => self.turns.push(Turn { role, parts }),
        }
    }
}

fn item(talk: &mut Conversation, mut object: Object<'_>) -> Result<(), RequestError> {
    let kind = object.string("type")?.unwrap_or("message".into());
    // Ids and states of items that an answer of ours had.
    object.leave(&["status", "phase"]);
    match &*kind {
        "message" => {
            object.leave(&["id"]);
            let role = match object.need_string("role")?.as_str() {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" | "developer" => Role::System,
                _ => {
                    let at = object.at("role");
                    let message =
                        format!("`{at}` must be `user`, `assistant`, `system` or `developer`");
                    return Err(RequestError::invalid(at, message));
                }
            };
            let path = object.at("content");
            let parts = content(&path, object.take("content"))?;
            if role != Role::User && parts.iter().any(|part| part.text().is_none()) {
                return Err(unsaid(&path));
            }
            talk.say(role, parts);
        }
        "function_call" => {
            object.leave(&["id"]);
            let call = Call {
                id: object.need_string("call_id")?,
                name: object.need_string("name")?,
                arguments: object.need_string("arguments")?,
            };
            talk.say(Role::Assistant, vec![Part::Call(call)]);
        }
        "function_call_output" => {
            object.leave(&["id"]);
            let id = object.need_string("call_id")?;
            let path = object.at("output");
            let parts = content(&path, object.take("output"))?;
            talk.say(Role::User, vec![Part::Result { id, parts, error: false }]);
        }
        // Thought of an earlier answer, shown to no other model.
        "reasoning" => object.leave(&["id", "summary", "content", "encrypted_content"]),
        _ => return Err(unsaid(&format!("{}.type={kind}", object.path()))),
    }
    object.done()
}

fn content(path: &str, raw: Option<&RawValue>) -> Result<Vec<Part>, RequestError> {
    let raw = match raw.map(|raw| TextOr::read(path, raw)).transpose()? {
        None => return Ok(Vec::new()),
        Some(TextOr::Text(text)) => return Ok(vec![Part::Text(text.into_owned())]),
        Some(TextOr::Parts(parts)) => parts,
    };
    let part = |(at, raw): (usize, &RawValue)| part(Object::read(format!("{path}[{at}]"), raw)?);
    raw.into_iter().enumerate().map(part).collect()
}

fn part(mut object: Object<'_>) -> Result<Part, RequestError> {
    let kind = object.need_string("type")?;
    let part = match kind.as_str() {
        "input_text" | "output_text" | "text" => {
            object.leave(&["annotations", "logprobs", "prompt_cache_breakpoint"]);
            Part::Text(object.need_string("text")?)
        }
        "refusal" => Part::Text(object.need_string("refusal")?),
        "input_image" => {
            // How finely it is looked at, which is a matter of cost.
            object.leave(&["detail"]);
            let url = object.need_string("image_url")?;
            Part::Image(Image::of_url(&object.at("image_url"), url)?)
        }
        _ => return Err(unsaid(&format!("{}.type={kind}", object.path()))),
    };
    object.done()?;
    Ok(part)
}

fn tool(mut object: Object<'_>) -> Result<Tool, RequestError> {
    let kind = object.need_string("type")?;
    if kind != "function" {
        let path = format!("{}.type={kind}", object.path());
        return Err(
            unsaid(&path).fix("Send tools of the type `function`: there are no hosted tools here.")
        );
    }
    let tool = Tool {
        name: object.need_string("name")?,
        description: object.string("description")?.map(Into::into),
        schema: object.take("parameters").map(ToOwned::to_owned),
        strict: object.boolean("strict")?,
    };
    object.only("defer_loading", &["false"])?;
    object.done()?;
    Ok(tool)
}

fn choice(raw: &RawValue) -> Result<ToolChoice, RequestError> {
    if Kind::of(raw.get().bytes().next()) == Some(Kind::String) {
        return Ok(match &*string("tool_choice", raw)? {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Any,
            _ => return Err(unsaid("tool_choice")),
        });
    }
    let mut object = Object::read("tool_choice".to_owned(), raw)?;
    let kind = object.need_string("type")?;
    if kind != "function" {
        return Err(unsaid(&format!("tool_choice.type={kind}")));
    }
    let name = object.need_string("name")?;
    object.done()?;
    Ok(ToolChoice::Named(name))
}

fn format(mut object: Object<'_>) -> Result<Option<Format>, RequestError> {
    let kind = object.need_string("type")?;
    let format = match kind.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let name = object.string("name")?.unwrap_or_default().into_owned();
            object.leave(&["description"]);
            let strict = object.boolean("strict")?;
            let Some(raw) = object.take("schema") else {
                return Err(RequestError::missing(&object.at("schema"), "a JSON schema"));
            };
            Some(Format::Schema { name, schema: raw.to_owned(), strict })
        }
        _ => return Err(unsaid(&format!("text.format.type={kind}"))),
    };
    object.done()?;
    Ok(format)
}
